//! Single writes, outside of a transaction.

use sea_orm::entity::prelude::*;
use sea_orm::sea_query::{Alias, Expr, OnConflict, Query};
use sea_orm::{ConnectionTrait, IntoActiveModel, QuerySelect, Set, Statement, TryInsertResult};

use super::{Bakery, cake as named, coded, fruit as fruit_named, known, said};
use crate::fixtures::{cake, cake_filling, filling, fruit, pan};
use promiscuous_core::capture::{Bulk, CaptureSettings};

#[tokio::test]
async fn active_models_publish_each_write_with_the_row_as_it_is() {
    let bakery = Bakery::open().await;
    let db = &bakery.db;
    let one = named("one").insert(db).await.unwrap();
    assert_eq!(bakery.published(), ["create cake/1 one"]);
    let mut active = one.clone().into_active_model();
    active.name = Set("uno".into());
    assert_eq!(active.clone().update(db).await.unwrap().name, "uno");
    assert_eq!(bakery.published(), ["update cake/1 uno"]);
    one.clone().into_active_model().update(db).await.unwrap();
    assert!(bakery.published().is_empty(), "nothing is set, so SeaORM only reads");
    named("two").save(db).await.unwrap();
    active.name = Set("UNO".into());
    active.clone().save(db).await.unwrap();
    assert_eq!(bakery.published(), ["create cake/2 two", "update cake/1 UNO"]);
    active.name = Set("eins".into());
    active.update_without_returning(db).await.unwrap();
    assert_eq!(bakery.published(), ["update cake/1 eins"]);
    assert_eq!(said(known(99, "x").update(db).await), "None of the records are updated");
    one.delete(db).await.unwrap();
    assert_eq!(bakery.published(), ["destroy cake/1"]);
    assert_eq!(bakery.outbox().await, 6);
}

#[tokio::test]
async fn a_message_has_all_attributes_of_the_row_and_not_only_those_set() {
    let bakery = Bakery::open().await;
    coded("one", "c1").insert(&bakery.db).await.unwrap();
    bakery.messages();
    let set = cake::ActiveModel { id: Set(1), name: Set("uno".into()), ..Default::default() };
    set.update_without_returning(&bakery.db).await.unwrap();
    let message = bakery.messages().remove(0);
    let attributes = message.operations[0].attributes.as_ref().unwrap();
    assert_eq!(attributes["code"], "c1");
    assert_eq!(attributes["name"], "uno");
}

#[tokio::test]
async fn entity_methods_publish_one_message_for_each_statement() {
    let bakery = Bakery::open().await;
    let db = &bakery.db;
    cake::Entity::insert(named("a")).exec(db).await.unwrap();
    cake::Entity::insert(named("b")).exec_without_returning(db).await.unwrap();
    cake::Entity::insert(known(7, "c")).exec_without_returning(db).await.unwrap();
    cake::Entity::insert(named("d")).exec_with_returning(db).await.unwrap();
    assert_eq!(
        bakery.published(),
        ["create cake/1 a", "create cake/2 b", "create cake/7 c", "create cake/8 d"]
    );
    cake::Entity::insert_many([named("e"), named("f")]).exec(db).await.unwrap();
    let keys =
        cake::Entity::insert_many([named("g"), named("h")]).exec_with_returning_keys(db).await.unwrap();
    assert_eq!(keys, [11, 12]);
    cake::Entity::insert_many([named("i")]).exec_with_returning(db).await.unwrap();
    cake::Entity::insert_many([known(20, "j"), known(21, "k")]).exec_without_returning(db).await.unwrap();
    assert_eq!(
        bakery.published(),
        [
            "create cake/9 e; create cake/10 f",
            "create cake/11 g; create cake/12 h",
            "create cake/13 i",
            "create cake/20 j; create cake/21 k"
        ]
    );
    cake::Entity::update(known(1, "A")).exec(db).await.unwrap();
    cake::Entity::update(known(1, "AA")).exec_without_returning(db).await.unwrap();
    cake::Entity::delete_by_id(1).exec(db).await.unwrap();
    cake::Entity::delete_by_id(2).exec_with_returning(db).await.unwrap();
    cake::Entity::delete_by_id(99).exec(db).await.unwrap();
    assert_eq!(
        bakery.published(),
        ["update cake/1 A", "update cake/1 AA", "destroy cake/1", "destroy cake/2"]
    );
}

#[tokio::test]
async fn what_matches_a_condition_is_published_row_by_row() {
    let bakery = Bakery::open().await;
    let db = &bakery.db;
    bakery.bake(&["ab", "ac", "bc"]).await;
    let rename = |name: &str| cake::Entity::update_many().col_expr(cake::Column::Name, Expr::value(name));
    let result = rename("x").filter(cake::Column::Name.starts_with("a")).exec(db).await.unwrap();
    assert_eq!(result.rows_affected, 2);
    assert_eq!(bakery.published(), ["update cake/1 x; update cake/2 x"]);
    rename("y").filter(cake::Column::Id.is_in([2, 3])).exec_with_returning(db).await.unwrap();
    assert_eq!(bakery.published(), ["update cake/2 y; update cake/3 y"]);
    rename("z").exec(db).await.unwrap();
    assert_eq!(bakery.published(), ["update cake/1 z; update cake/2 z; update cake/3 z"]);
    assert_eq!(rename("z").filter(cake::Column::Id.eq(99)).exec(db).await.unwrap().rows_affected, 0);
    let gone = cake::Entity::delete_many().filter(cake::Column::Id.gt(1)).exec(db).await.unwrap();
    assert_eq!(gone.rows_affected, 2);
    assert_eq!(bakery.published(), ["destroy cake/2; destroy cake/3"]);
    cake::Entity::delete_many().exec_with_returning(db).await.unwrap();
    assert_eq!(bakery.published(), ["destroy cake/1"]);
}

#[tokio::test]
async fn keys_of_other_types_are_captured_too() {
    let bakery = Bakery::open().await;
    let db = &bakery.db;
    let kiwi = fruit_named(7, "kiwi").insert(db).await.unwrap();
    fruit::Entity::insert(fruit_named(8, "fig")).exec_without_returning(db).await.unwrap();
    fruit::Entity::update_many()
        .col_expr(fruit::Column::Name, Expr::value("x"))
        .filter(fruit::Column::Color.eq(fruit::Color::Red))
        .exec(db)
        .await
        .unwrap();
    kiwi.delete(db).await.unwrap();
    assert_eq!(
        bakery.published(),
        [
            "create fruit/7 kiwi",
            "create fruit/8 fig",
            "update fruit/7 x; update fruit/8 x",
            "destroy fruit/7"
        ]
    );
    bakery.bake(&["one"]).await;
    let fillings = ["jam", "cream", "nuts"]
        .map(|name| filling::ActiveModel { name: Set(name.into()), ..Default::default() });
    filling::Entity::insert_many(fillings).exec(bakery.plain()).await.unwrap();
    let link = |cake, filling| cake_filling::ActiveModel { cake_id: Set(cake), filling_id: Set(filling) };
    cake_filling::Entity::insert_many([link(1, 2), link(1, 3)]).exec_without_returning(db).await.unwrap();
    cake_filling::Entity::delete_many().filter(cake_filling::Column::FillingId.gt(1)).exec(db).await.unwrap();
    assert_eq!(
        bakery.published(),
        [
            "create cake_filling/1,2; create cake_filling/1,3",
            "destroy cake_filling/1,2; destroy cake_filling/1,3"
        ]
    );
}

#[tokio::test]
async fn upserts_publish_what_they_inserted_or_updated() {
    let bakery = Bakery::open().await;
    let db = &bakery.db;
    bakery.bake(&["one"]).await;
    let nothing = || OnConflict::column(cake::Column::Id).do_nothing().to_owned();
    let update = || OnConflict::column(cake::Column::Id).update_column(cake::Column::Name).to_owned();
    let by_code = || OnConflict::column(cake::Column::Code).update_column(cake::Column::Name).to_owned();

    let conflicting = cake::Entity::insert(known(1, "x")).on_conflict(nothing()).try_insert();
    let outcome = conflicting.exec(db).await.unwrap();
    assert!(matches!(outcome, TryInsertResult::Conflicted));
    assert!(bakery.published().is_empty());
    let two = [known(1, "x"), known(2, "two")];
    cake::Entity::insert_many(two.clone()).on_conflict(nothing()).exec(db).await.unwrap();
    cake::Entity::delete_by_id(2).exec(bakery.plain()).await.unwrap();
    cake::Entity::insert_many(two).on_conflict(nothing()).exec_without_returning(db).await.unwrap();
    assert_eq!(bakery.published(), ["create cake/2 two", "create cake/2 two"]);

    cake::Entity::insert(known(1, "uno")).on_conflict(update()).exec(db).await.unwrap();
    cake::Entity::insert_many([known(2, "due"), known(3, "tre")])
        .on_conflict(update())
        .exec_without_returning(db)
        .await
        .unwrap();
    assert_eq!(bakery.published(), ["update cake/1 uno", "update cake/2 due; update cake/3 tre"]);

    cake::Entity::insert(coded("by code", "c"))
        .on_conflict(by_code())
        .exec_without_returning(db)
        .await
        .unwrap();
    cake::Entity::insert(coded("again", "c"))
        .on_conflict(by_code())
        .exec_without_returning(db)
        .await
        .unwrap();
    cake::Entity::insert(coded("and again", "c")).on_conflict(by_code()).exec(db).await.unwrap();
    assert_eq!(
        bakery.published(),
        ["update cake/4 by code", "update cake/4 again", "update cake/4 and again"]
    );
    let empty: [cake::ActiveModel; 0] = [];
    cake::Entity::insert_many(empty).on_conflict_do_nothing().exec(db).await.unwrap();
    assert!(bakery.published().is_empty());
}

#[tokio::test]
async fn a_write_that_changes_no_published_attribute_passes() {
    let bakery = Bakery::open().await;
    bakery.bake(&["one"]).await;
    let noted = cake::ActiveModel { id: Set(1), notes: Set(Some("secret".into())), ..Default::default() };
    noted.update(&bakery.db).await.unwrap();
    pan::ActiveModel { name: Set("iron".into()), ..Default::default() }.insert(&bakery.db).await.unwrap();
    bakery.db.execute_unprepared("INSERT INTO pan (name) VALUES ('raw cake')").await.unwrap();
    assert!(bakery.published().is_empty());
}

#[tokio::test]
async fn what_cannot_be_captured_is_refused_before_it_runs() {
    let bakery = Bakery::open().await;
    let db = &bakery.db;
    bakery.bake(&["one"]).await;
    let raw = |sql: &str| Statement::from_string(sea_orm::DbBackend::Sqlite, sql);
    let mut copied = Query::insert();
    let names = Query::select().column(cake::Column::Name).from(cake::Entity).take();
    copied.into_table(cake::Entity).columns([cake::Column::Name]).select_from(names).unwrap();
    let renumbered = cake::Entity::update_many().col_expr(cake::Column::Id, Expr::value(5)).exec(db).await;
    let streamed = sea_orm::StreamTrait::stream(db, Query::delete().from_table(cake::Entity).returning_all());
    for refused in [
        said(db.execute_unprepared("UPDATE cake SET name = 'x'").await),
        said(db.execute_raw(raw("DELETE FROM \"cake\"")).await),
        said(db.query_one_raw(raw("INSERT INTO cake (name) VALUES ('x') RETURNING id")).await),
        said(db.query_all_raw(raw("with x as (select 1) delete from CAKE returning *")).await),
        said(sea_orm::StreamTrait::stream_raw(db, raw("DELETE FROM cake RETURNING *")).await),
        said(streamed.await),
        said(db.execute(&copied).await),
        said(renumbered),
        said(cake::Entity::insert_many([named("a"), named("b")]).exec_without_returning(db).await),
        said(
            db.execute(
                Query::insert()
                    .replace()
                    .into_table(cake::Entity)
                    .columns([cake::Column::Name])
                    .values_panic([Expr::value("x")]),
            )
            .await,
        ),
    ] {
        assert!(refused.contains("refused before it ran") && refused.contains("`cake`"), "{refused}");
    }
    for sql in ["BEGIN", "select 1; COMMIT", "SAVEPOINT x"] {
        assert!(said(db.execute_unprepared(sql).await).contains("refused before it ran"), "{sql}");
    }
    copied.returning_all();
    assert_eq!(db.query_all(&copied).await.unwrap().len(), 1, "with RETURNING its rows are known");
    assert_eq!(bakery.published(), ["create cake/2 one"]);
    assert_eq!(bakery.cakes().await, ["one", "one"]);
}

#[tokio::test]
async fn raw_reads_and_definitions_pass() {
    let bakery = Bakery::open().await;
    bakery.bake(&["one"]).await;
    let select =
        Statement::from_string(sea_orm::DbBackend::Sqlite, "SELECT * FROM cake WHERE name <> 'update'");
    assert_eq!(cake::Entity::find().from_raw_sql(select).all(&bakery.db).await.unwrap().len(), 1);
    bakery.db.execute_unprepared("CREATE TABLE t (id INT REFERENCES cake ON DELETE CASCADE)").await.unwrap();
}

#[tokio::test]
async fn too_many_rows_are_refused_and_nothing_is_written() {
    let mut settings = CaptureSettings::default();
    settings.bulk_limit = 2;
    let bakery = Bakery::with(settings.clone()).await;
    let db = &bakery.db;
    bakery.bake(&["a", "b", "c"]).await;
    let rename = || cake::Entity::update_many().col_expr(cake::Column::Name, Expr::value("x"));
    for refused in [
        said(rename().exec(db).await),
        said(rename().exec_with_returning(db).await),
        said(cake::Entity::delete_many().exec(db).await),
        said(cake::Entity::insert_many([named("d"), named("e"), named("f")]).exec(db).await),
    ] {
        assert!(refused.contains("more than 2 rows"), "{refused}");
    }
    rename().filter(cake::Column::Id.lt(3)).exec(db).await.unwrap();
    assert_eq!(bakery.published(), ["update cake/1 x; update cake/2 x"]);
    assert_eq!(bakery.cakes().await, ["x", "x", "c"]);

    settings.bulk = Bulk::Refuse;
    let bakery = Bakery::with(settings).await;
    let db = &bakery.db;
    bakery.bake(&["a", "b"]).await;
    for refused in [
        said(rename().exec(db).await),
        said(cake::Entity::delete_many().filter(cake::Column::Id.is_in([1])).exec(db).await),
        said(cake::Entity::insert_many([named("d"), named("e")]).exec(db).await),
    ] {
        assert!(refused.contains("refused before it ran"), "{refused}");
    }
    rename().filter(cake::Column::Id.eq(1)).exec(db).await.unwrap();
    cake::Entity::insert_many([named("c")]).exec(db).await.unwrap();
    assert_eq!(bakery.published(), ["update cake/1 x", "create cake/3 c"]);
}

#[tokio::test]
async fn returning_finds_what_the_caller_asked_for_by_name_and_by_place() {
    let bakery = Bakery::open().await;
    let mut insert = Query::insert();
    insert
        .into_table(cake::Entity)
        .columns([cake::Column::Code, cake::Column::Name])
        .values_panic([Expr::value("c"), Expr::value("one")]);
    insert.returning(Query::returning().columns([cake::Column::Name, cake::Column::Id]));
    let row = bakery.db.query_one(&insert).await.unwrap().unwrap();
    assert_eq!(row.try_get_by_index::<String>(0).unwrap(), "one");
    assert_eq!(row.try_get_by_index::<i32>(1).unwrap(), 1);
    assert_eq!(row.try_get::<i32>("", "id").unwrap(), 1);
    insert.returning(Query::returning().exprs([Expr::cust("1 + 1")]));
    assert!(said(bakery.db.query_one(&insert).await).contains("plain columns"));
    assert_eq!(bakery.published(), ["create cake/1 one"]);
}

#[tokio::test]
async fn related_models_saved_together_are_one_message() {
    let bakery = Bakery::open().await;
    let db = &bakery.db;
    let mut nested = cake::ActiveModelEx { name: Set("nested".into()), ..Default::default() };
    nested.fruits.push(fruit_named(7, "kiwi"));
    nested.fillings.push(filling::ActiveModel { name: Set("jam".into()), ..Default::default() });
    let saved = nested.insert(db).await.unwrap();
    assert_eq!(
        bakery.published(),
        ["create cake/1 nested; create fruit/7 kiwi; create filling/1 jam; create cake_filling/1,1"]
    );
    let mut again: cake::ActiveModelEx = saved.into();
    again.fruits.replace_all([]);
    again.fillings.replace_all([]);
    again.clone().save(db).await.unwrap();
    assert_eq!(bakery.published(), ["update fruit/7 kiwi; destroy cake_filling/1,1"]);
    again.delete(db).await.unwrap();
    assert_eq!(bakery.published(), ["destroy cake/1"]);
}

#[tokio::test]
async fn hooks_write_through_the_same_connection() {
    let bakery = Bakery::open().await;
    named("with pan").insert(&bakery.db).await.unwrap();
    assert_eq!(bakery.published(), ["create cake/1 with pan", "create filling/1 by hook"]);
    assert!(said(named("poison").insert(&bakery.db).await).contains("the hook says no"));
    assert_eq!(bakery.published(), ["create cake/2 poison"], "the row was committed before the hook ran");
    let transaction = bakery.db.begin().await.unwrap();
    named("with pan").insert(&transaction).await.unwrap();
    transaction.commit().await.unwrap();
    assert_eq!(bakery.published(), ["create cake/3 with pan; create filling/2 by hook"]);
}

#[tokio::test]
async fn without_promiscuous_nothing_is_published() {
    let bakery = Bakery::open().await;
    named("quiet").insert(bakery.db.without_promiscuous()).await.unwrap();
    assert!(bakery.published().is_empty());
    let limited = cake::Entity::find().select_only().column_as(Expr::col(Alias::new("name")), "n");
    assert_eq!(limited.into_tuple::<String>().one(&bakery.db).await.unwrap().unwrap(), "quiet");
}
