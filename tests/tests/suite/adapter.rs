//! What every adapter must do, on every database: each way to write a row is published, or refused before it runs. After
//! each scenario the copy equals the original.

use std::collections::BTreeSet;

use futures_util::TryStreamExt;
use promiscuous_core::message::Message;
use promiscuous_seaorm::{Context, PromiscuousConnection};
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::{Expr, ExprTrait, OnConflict, Query};
use sea_orm::{
    ConnectionTrait, IntoActiveModel, QuerySelect, Schema, Set, Statement, StreamTrait, TransactionTrait,
    TryInsertResult,
};

use crate::both_ways;
use crate::replica::{Kind, Pair, Replica, backend, lines, said};

mod cake {
    use promiscuous_seaorm::{Publish, Subscribe};
    use sea_orm::entity::prelude::*;

    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Publish, Subscribe)]
    #[sea_orm(table_name = "cakes")]
    #[publish(attributes(name, code, price))]
    #[subscribe(from = "shop/cake", attributes(name, code, price))]
    pub struct Model {
        #[sea_orm(primary_key)]
        pub id: i32,
        pub name: String,
        #[sea_orm(unique)]
        pub code: Option<String>,
        pub price: i32,
        #[sea_orm(has_many)]
        pub fruits: HasMany<super::fruit::Entity>,
        #[sea_orm(has_many, via = "cake_filling")]
        pub fillings: HasMany<super::filling::Entity>,
    }

    impl ActiveModelBehavior for ActiveModel {}
}

mod fruit {
    use promiscuous_seaorm::{Publish, Subscribe};
    use sea_orm::entity::prelude::*;

    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Publish, Subscribe)]
    #[sea_orm(table_name = "fruits")]
    #[publish(attributes(name, cake_id))]
    #[subscribe(from = "shop/fruit", attributes(name, cake_id))]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub name: String,
        pub cake_id: Option<i32>,
        #[sea_orm(belongs_to, from = "cake_id", to = "id")]
        pub cake: BelongsTo<Option<super::cake::Entity>>,
    }

    impl ActiveModelBehavior for ActiveModel {}
}

mod filling {
    use promiscuous_seaorm::{Publish, Subscribe};
    use sea_orm::entity::prelude::*;

    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Publish, Subscribe)]
    #[sea_orm(table_name = "fillings")]
    #[publish(attributes(name))]
    #[subscribe(from = "shop/filling", attributes(name))]
    pub struct Model {
        #[sea_orm(primary_key)]
        pub id: i32,
        pub name: String,
        #[sea_orm(has_many, via = "cake_filling")]
        pub cakes: HasMany<super::cake::Entity>,
    }

    impl ActiveModelBehavior for ActiveModel {}
}

mod cake_filling {
    use promiscuous_seaorm::{Publish, Subscribe};
    use sea_orm::entity::prelude::*;

    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Publish, Subscribe)]
    #[sea_orm(table_name = "cake_fillings")]
    #[publish(attributes(cake_id, filling_id))]
    #[subscribe(from = "shop/cake_filling", attributes(cake_id, filling_id))]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub cake_id: i32,
        #[sea_orm(primary_key, auto_increment = false)]
        pub filling_id: i32,
        #[sea_orm(belongs_to, from = "cake_id", to = "id")]
        pub cake: BelongsTo<super::cake::Entity>,
        #[sea_orm(belongs_to, from = "filling_id", to = "id")]
        pub filling: BelongsTo<super::filling::Entity>,
    }

    impl ActiveModelBehavior for ActiveModel {}
}

fn tables(kind: Kind) -> Vec<String> {
    let schema = Schema::new(backend(kind));
    [
        schema.create_table_from_entity(cake::Entity),
        schema.create_table_from_entity(fruit::Entity),
        schema.create_table_from_entity(filling::Entity),
        schema.create_table_from_entity(cake_filling::Entity),
    ]
    .map(|table| backend(kind).build(&table).sql)
    .into()
}

/// A publisher on a database of this kind. The copy is kept in SQLite, which is the quickest.
struct Bakery {
    replica: Replica,
    kind: Kind,
}

impl Bakery {
    async fn open(kind: Kind) -> Self {
        let models = both_ways![cake, fruit, filling, cake_filling];
        Self { replica: Pair::new(kind, Kind::Sqlite, models, tables).start().await, kind }
    }

    fn db(&self) -> &PromiscuousConnection {
        &self.replica.here
    }

    /// The messages since the last call in the order of their writes, once the copies equal the originals.
    async fn messages(&mut self) -> Vec<Message> {
        let mut messages = self.replica.settle().await;
        messages.sort_by_key(|message| message.id);
        // A message may come twice.
        messages.dedup_by_key(|message| message.id);
        self.replica.assert_equal::<cake::Entity>().await;
        self.replica.assert_equal::<fruit::Entity>().await;
        self.replica.assert_equal::<filling::Entity>().await;
        self.replica.assert_equal::<cake_filling::Entity>().await;
        messages
    }

    async fn published(&mut self) -> Vec<String> {
        lines(&self.messages().await)
    }

    async fn names(&self) -> BTreeSet<String> {
        let cakes = cake::Entity::find().all(self.replica.plain_here()).await.unwrap();
        cakes.into_iter().map(|cake| cake.name).collect()
    }
}

fn named(name: &str) -> cake::ActiveModel {
    cake::ActiveModel { name: Set(name.into()), price: Set(0), ..Default::default() }
}

fn known(id: i32, name: &str) -> cake::ActiveModel {
    cake::ActiveModel { id: Set(id), ..named(name) }
}

fn renamed(id: i32, name: &str) -> cake::ActiveModel {
    cake::ActiveModel { id: Set(id), name: Set(name.into()), ..Default::default() }
}

fn grown(number: u128, name: &str) -> fruit::ActiveModel {
    fruit::ActiveModel { id: Set(Uuid::from_u128(number)), name: Set(name.into()), cake_id: Set(None) }
}

fn cake(kind: &str, id: i32, name: &str) -> String {
    format!("{kind} cake/{id} code=null name=\"{name}\" price=0")
}

async fn active_models_publish_the_row_as_it_is(kind: Kind) {
    let mut bakery = Bakery::open(kind).await;
    let db = bakery.db().clone();

    let one = named("one").insert(&db).await.unwrap();
    let mut active = one.clone().into_active_model();
    active.name = Set("uno".into());
    active.clone().update(&db).await.unwrap();
    one.clone().into_active_model().update(&db).await.unwrap();
    named("two").save(&db).await.unwrap();
    active.name = Set("eins".into());
    active.clone().save(&db).await.unwrap();
    active.name = Set("un".into());
    active.update_without_returning(&db).await.unwrap();
    assert_eq!(said(renamed(99, "x").update(&db).await), "None of the records are updated");
    one.delete(&db).await.unwrap();
    cake::ActiveModel { id: Set(2), ..Default::default() }.delete(&db).await.unwrap();

    assert_eq!(
        bakery.published().await,
        [
            cake("create", 1, "one"),
            cake("update", 1, "uno"),
            cake("create", 2, "two"),
            cake("update", 1, "eins"),
            cake("update", 1, "un"),
            "destroy cake/1".into(),
            "destroy cake/2".into(),
        ]
    );
}

async fn entity_methods_publish_one_message_for_each_statement(kind: Kind) {
    let mut bakery = Bakery::open(kind).await;
    let db = bakery.db().clone();

    cake::Entity::insert(named("a")).exec(&db).await.unwrap();
    cake::Entity::insert(known(7, "b")).exec_without_returning(&db).await.unwrap();
    cake::Entity::insert(known(8, "c")).exec_with_returning(&db).await.unwrap();
    cake::Entity::insert_many([known(20, "d"), known(21, "e")]).exec(&db).await.unwrap();
    cake::Entity::insert_many([known(22, "f"), known(23, "g")]).exec_without_returning(&db).await.unwrap();
    cake::Entity::update(renamed(7, "B")).exec(&db).await.unwrap();
    cake::Entity::update(renamed(8, "C")).exec_without_returning(&db).await.unwrap();
    let rename = |name: &str| cake::Entity::update_many().col_expr(cake::Column::Name, Expr::value(name));
    rename("h").filter(cake::Column::Name.is_in(["d", "e", "nobody"])).exec(&db).await.unwrap();
    rename("i").filter(cake::Column::Id.eq(99)).exec(&db).await.unwrap();
    cake::Entity::delete(renamed(1, "a")).exec(&db).await.unwrap();
    cake::Entity::delete_by_id(7).exec(&db).await.unwrap();
    cake::Entity::delete_by_id(99).exec(&db).await.unwrap();
    cake::Entity::delete_many().filter(cake::Column::Name.eq("h")).exec(&db).await.unwrap();

    assert_eq!(
        bakery.published().await,
        [
            cake("create", 1, "a"),
            cake("create", 7, "b"),
            cake("create", 8, "c"),
            [cake("create", 20, "d"), cake("create", 21, "e")].join("; "),
            [cake("create", 22, "f"), cake("create", 23, "g")].join("; "),
            cake("update", 7, "B"),
            cake("update", 8, "C"),
            [cake("update", 20, "h"), cake("update", 21, "h")].join("; "),
            "destroy cake/1".into(),
            "destroy cake/7".into(),
            "destroy cake/20; destroy cake/21".into(),
        ]
    );
}

async fn rows_without_a_key_of_their_own_are_published_with_the_generated_one(kind: Kind) {
    let mut bakery = Bakery::open(kind).await;
    let db = bakery.db().clone();

    cake::Entity::insert_many([named("a"), named("b"), named("c")]).exec(&db).await.unwrap();
    filling::ActiveModel { name: Set("jam".into()), ..Default::default() }.insert(&db).await.unwrap();
    let statement = Query::insert()
        .into_table(cake::Entity)
        .columns([cake::Column::Name, cake::Column::Price])
        .values_panic([Expr::value("d"), Expr::value(0)])
        .take();
    let executed = db.execute(&statement).await;

    let mut expected = vec![
        [cake("create", 1, "a"), cake("create", 2, "b"), cake("create", 3, "c")].join("; "),
        "create filling/1 name=\"jam\"".into(),
    ];
    match kind {
        // It tells generated keys only in rows.
        Kind::Postgres => assert!(said(executed).contains("refused before it ran")),
        Kind::MariaDb | Kind::Sqlite => {
            executed.unwrap();
            expected.push(cake("create", 4, "d"));
        }
    }
    assert_eq!(bakery.published().await, expected);
}

async fn keys_of_other_types_are_published_too(kind: Kind) {
    let mut bakery = Bakery::open(kind).await;
    let db = bakery.db().clone();
    let uuid = |n| Uuid::from_u128(n).to_string();

    let kiwi = grown(7, "kiwi").insert(&db).await.unwrap();
    fruit::Entity::insert(grown(8, "fig")).exec_without_returning(&db).await.unwrap();
    let rename = fruit::Entity::update_many().col_expr(fruit::Column::Name, Expr::value("x"));
    rename.filter(fruit::Column::CakeId.is_null()).exec(&db).await.unwrap();
    kiwi.delete(&db).await.unwrap();
    known(1, "cake").insert(&db).await.unwrap();
    let fillings = [2, 3].map(|id| filling::ActiveModel { id: Set(id), name: Set("f".into()) });
    filling::Entity::insert_many(fillings).exec_without_returning(&db).await.unwrap();
    let link = |id| cake_filling::ActiveModel { cake_id: Set(1), filling_id: Set(id) };
    cake_filling::Entity::insert_many([link(2), link(3)]).exec_without_returning(&db).await.unwrap();
    cake_filling::Entity::delete_many()
        .filter(cake_filling::Column::FillingId.gt(1))
        .exec(&db)
        .await
        .unwrap();

    let linked =
        "create cake_filling/1,2 cake_id=1 filling_id=2; create cake_filling/1,3 cake_id=1 filling_id=3";
    assert_eq!(
        bakery.published().await,
        [
            format!("create fruit/{} cake_id=null name=\"kiwi\"", uuid(7)),
            format!("create fruit/{} cake_id=null name=\"fig\"", uuid(8)),
            format!(
                "update fruit/{} cake_id=null name=\"x\"; update fruit/{} cake_id=null name=\"x\"",
                uuid(7),
                uuid(8)
            ),
            format!("destroy fruit/{}", uuid(7)),
            cake("create", 1, "cake"),
            "create filling/2 name=\"f\"; create filling/3 name=\"f\"".into(),
            linked.into(),
            "destroy cake_filling/1,2; destroy cake_filling/1,3".into(),
        ]
    );
}

async fn upserts_publish_what_they_inserted_or_updated(kind: Kind) {
    let mut bakery = Bakery::open(kind).await;
    let db = bakery.db().clone();
    let nothing = || OnConflict::column(cake::Column::Id).do_nothing_on([cake::Column::Id]).to_owned();
    let update = || OnConflict::column(cake::Column::Id).update_column(cake::Column::Name).to_owned();
    let by_code = || OnConflict::column(cake::Column::Code).update_column(cake::Column::Name).to_owned();
    let coded = |id, name: &str| cake::ActiveModel { code: Set(Some("c".into())), ..known(id, name) };
    known(1, "one").insert(&db).await.unwrap();

    let conflicting = cake::Entity::insert(known(1, "x")).on_conflict(nothing()).try_insert();
    let conflicted = conflicting.exec_without_returning(&db).await.unwrap();
    assert!(matches!(conflicted, TryInsertResult::Conflicted | TryInsertResult::Inserted(0 | 1)));
    let two = [known(1, "x"), known(2, "two")];
    cake::Entity::insert_many(two).on_conflict(nothing()).exec_without_returning(&db).await.unwrap();
    cake::Entity::insert(known(1, "uno")).on_conflict(update()).exec_without_returning(&db).await.unwrap();
    let both = [known(2, "due"), known(3, "tre")];
    cake::Entity::insert_many(both).on_conflict(update()).exec_without_returning(&db).await.unwrap();
    cake::Entity::insert(coded(4, "new")).on_conflict(by_code()).exec_without_returning(&db).await.unwrap();
    cake::Entity::insert(coded(5, "old")).on_conflict(by_code()).exec_without_returning(&db).await.unwrap();

    let published = bakery.published().await;
    assert_eq!(published[0], cake("create", 1, "one"));
    let last =
        ["update cake/4 code=\"c\" name=\"new\" price=0", "update cake/4 code=\"c\" name=\"old\" price=0"];
    let rest = [
        cake("create", 2, "two"),
        cake("update", 1, "uno"),
        [cake("update", 2, "due"), cake("update", 3, "tre")].join("; "),
        last[0].into(),
        last[1].into(),
    ];
    assert_eq!(published[published.len() - rest.len()..], rest);
    assert_eq!(published.len(), 1 + rest.len(), "{published:?}");
    assert_eq!(bakery.names().await, ["uno", "due", "tre", "old"].map(str::to_owned).into());
}

async fn related_models_saved_together_are_one_message(kind: Kind) {
    let mut bakery = Bakery::open(kind).await;
    let db = bakery.db().clone();
    let kiwi = Uuid::from_u128(7);

    let mut nested = cake::ActiveModelEx { name: Set("nested".into()), price: Set(0), ..Default::default() };
    nested.fruits.push(grown(7, "kiwi"));
    nested.fillings.push(filling::ActiveModel { name: Set("jam".into()), ..Default::default() });
    let saved = nested.insert(&db).await.unwrap();
    let mut again: cake::ActiveModelEx = saved.into();
    again.fruits.replace_all([]);
    again.fillings.replace_all([]);
    again.clone().save(&db).await.unwrap();
    again.delete(&db).await.unwrap();

    assert_eq!(
        bakery.published().await,
        [
            [
                cake("create", 1, "nested"),
                format!("create fruit/{kiwi} cake_id=1 name=\"kiwi\""),
                "create filling/1 name=\"jam\"".into(),
                "create cake_filling/1,1 cake_id=1 filling_id=1".into(),
            ]
            .join("; "),
            format!("update fruit/{kiwi} cake_id=null name=\"kiwi\"; destroy cake_filling/1,1"),
            "destroy cake/1".into(),
        ]
    );
}

async fn deleting_a_model_with_all_that_belongs_to_it_is_one_message(kind: Kind) {
    let mut bakery = Bakery::open(kind).await;
    let db = bakery.db().clone();
    let mut nested = cake::ActiveModelEx { name: Set("nested".into()), price: Set(0), ..Default::default() };
    nested.fillings.push(filling::ActiveModel { name: Set("jam".into()), ..Default::default() });
    nested.fillings.push(filling::ActiveModel { name: Set("cream".into()), ..Default::default() });
    let saved: cake::ModelEx = nested.insert(&db).await.unwrap();
    bakery.published().await;

    saved.delete(&db).await.unwrap();

    let published = bakery.published().await;
    assert_eq!(published.len(), 1, "{published:?}");
    let mut operations: Vec<&str> = published[0].split("; ").collect();
    assert_eq!(operations.pop(), Some("destroy cake/1"));
    operations.sort_unstable();
    assert_eq!(operations, ["destroy cake_filling/1,1", "destroy cake_filling/1,2"]);
}

async fn a_transaction_is_one_message_of_what_it_committed(kind: Kind) {
    let mut bakery = Bakery::open(kind).await;
    let db = bakery.db().clone();

    // Kept, rolled back and dropped savepoints, and the outermost around them.
    let outer = db.begin().await.unwrap();
    known(1, "outer").insert(&outer).await.unwrap();
    let kept = outer.begin().await.unwrap();
    known(2, "kept").insert(&kept).await.unwrap();
    let inner = kept.begin().await.unwrap();
    renamed(1, "lost").update(&inner).await.unwrap();
    inner.rollback().await.unwrap();
    kept.commit().await.unwrap();
    let dropped = outer.begin().await.unwrap();
    known(3, "dropped").insert(&dropped).await.unwrap();
    drop(dropped);
    renamed(1, "end").update(&outer).await.unwrap();
    outer.commit().await.unwrap();

    // Whole transactions that come to nothing.
    let rolled_back = db.begin().await.unwrap();
    known(4, "rolled back").insert(&rolled_back).await.unwrap();
    rolled_back.rollback().await.unwrap();
    let dropped = db.begin().await.unwrap();
    cake::Entity::delete_many().exec(&dropped).await.unwrap();
    drop(dropped);

    // Closures.
    let failed: Result<(), _> = db
        .transaction_async(async |transaction| {
            known(5, "closure").insert(transaction).await?;
            Err(DbErr::Custom("no".into()))
        })
        .await;
    failed.unwrap_err();
    db.transaction::<_, (), DbErr>(|transaction| {
        Box::pin(async move {
            known(6, "six").insert(transaction).await?;
            cake::Entity::delete_by_id(2).exec(transaction).await?;
            known(7, "seven").insert(transaction).await?.delete(transaction).await?;
            Ok(())
        })
    })
    .await
    .unwrap();

    assert_eq!(
        bakery.published().await,
        [
            [cake("create", 1, "end"), cake("create", 2, "kept")].join("; "),
            [cake("create", 6, "six"), "destroy cake/2".into()].join("; "),
        ]
    );
    assert_eq!(bakery.names().await, ["end", "six"].map(str::to_owned).into());
}

async fn a_failed_write_publishes_nothing(kind: Kind) {
    let mut bakery = Bakery::open(kind).await;
    let db = bakery.db().clone();
    known(1, "one").insert(&db).await.unwrap();

    let taken = known(1, "again").insert(&db).await;
    let half = cake::Entity::insert_many([known(2, "two"), known(1, "again")]).exec(&db).await;
    let orphan = fruit::ActiveModel { cake_id: Set(Some(99)), ..grown(1, "orphan") }.insert(&db).await;
    let clash = db.begin().await.unwrap();
    known(3, "three").insert(&clash).await.unwrap();
    let clashed = known(1, "again").insert(&clash).await;
    drop(clash);

    for failed in [said(taken), said(half), said(orphan), said(clashed)] {
        assert_ne!(failed, "nothing");
        assert!(!failed.contains("refused before it ran"), "{failed}");
    }
    assert_eq!(bakery.published().await, [cake("create", 1, "one")]);
}

async fn what_cannot_be_captured_is_refused_before_it_runs(kind: Kind) {
    let mut bakery = Bakery::open(kind).await;
    let db = bakery.db().clone();
    known(1, "one").insert(&db).await.unwrap();
    let raw = |sql: &str| Statement::from_string(backend(bakery.kind), sql);
    let names =
        Query::select().column(cake::Column::Name).column(cake::Column::Price).from(cake::Entity).take();
    let copy = Query::insert()
        .into_table(cake::Entity)
        .columns([cake::Column::Name, cake::Column::Price])
        .select_from(names)
        .unwrap()
        .take();
    let limited = Query::delete().from_table(cake::Entity).limit(1).take();
    let replace = Query::insert()
        .replace()
        .into_table(cake::Entity)
        .columns([cake::Column::Id, cake::Column::Name, cake::Column::Price])
        .values_panic([Expr::value(1), Expr::value("x"), Expr::value(0)])
        .take();
    let transaction = db.begin().await.unwrap();

    for refused in [
        said(db.execute_unprepared("UPDATE cakes SET name = 'x'").await),
        said(db.execute_unprepared("TRUNCATE TABLE cakes").await),
        said(db.execute_raw(raw("DELETE FROM cakes")).await),
        said(db.query_one_raw(raw("INSERT INTO cakes (name, price) VALUES ('x', 0) RETURNING id")).await),
        said(db.query_all_raw(raw("DELETE FROM cakes RETURNING *")).await),
        said(db.stream_raw(raw("DELETE FROM cakes RETURNING *")).await),
        said(db.stream(Query::delete().from_table(cake::Entity).returning_all()).await),
        said(db.execute(&copy).await),
        said(db.execute(&limited).await),
        said(db.execute(&replace).await),
        said(cake::Entity::update_many().col_expr(cake::Column::Id, Expr::value(5)).exec(&db).await),
        said(transaction.execute_unprepared("DELETE FROM cakes").await),
        said(transaction.execute(&copy).await),
        said(transaction.stream_raw(raw("DELETE FROM cakes RETURNING *")).await),
    ] {
        assert!(refused.contains("refused before it ran"), "{refused}");
    }

    transaction.commit().await.unwrap();
    assert_eq!(bakery.published().await, [cake("create", 1, "one")]);
    assert_eq!(bakery.names().await, ["one".to_owned()].into());
}

async fn rows_that_are_streamed_are_causes_and_no_writes(kind: Kind) {
    let mut bakery = Bakery::open(kind).await;
    let db = bakery.db().with_context(Context::new("streaming"));
    cake::Entity::insert_many([known(1, "one"), known(2, "two")])
        .exec_without_returning(bakery.db())
        .await
        .unwrap();

    let cakes: Vec<cake::Model> =
        cake::Entity::find().limit(10).stream(&db).await.unwrap().try_collect().await.unwrap();
    filling::ActiveModel { id: Set(1), name: Set("jam".into()) }.insert(&db).await.unwrap();

    assert_eq!(cakes.len(), 2);
    let messages = bakery.messages().await;
    let read = &messages[1].dependencies.as_ref().unwrap().read;
    let mut read: Vec<&str> = read.iter().map(|read| read.key.as_str()).collect();
    read.sort_unstable();
    assert_eq!(read, ["shop/cake/1", "shop/cake/2"]);
}

async fn many_writers_of_the_same_rows_leave_the_copy_equal(kind: Kind) {
    // given
    let mut bakery = Bakery::open(kind).await;
    let ids = 1..=4;
    let cakes = ids.clone().map(|id| known(id, "cake"));
    cake::Entity::insert_many(cakes).exec_without_returning(bakery.db()).await.unwrap();

    // when
    let writers = (0..8).map(|writer| {
        let db = bakery.db().clone();
        tokio::spawn(async move {
            let mut raised = 0;
            for n in 0..6 {
                let id = (writer * 7 + n * 3) % 4 + 1;
                let raise = || {
                    cake::Entity::update_many()
                        .col_expr(cake::Column::Price, Expr::col(cake::Column::Price).add(1))
                        .filter(cake::Column::Id.is_in([id, id % 4 + 1]))
                };
                // Two rows each, so that databases see deadlocks: whoever fails has written nothing.
                let result = if n % 2 == 0 {
                    raise().exec(&db).await.map(|result| result.rows_affected)
                } else {
                    let both = async |transaction: &promiscuous_seaorm::PromiscuousTransaction| {
                        let rows = raise().exec(transaction).await?.rows_affected;
                        Ok::<_, DbErr>(rows)
                    };
                    db.transaction_async(both).await.map_err(|error| DbErr::Custom(error.to_string()))
                };
                raised += result.unwrap_or(0);
            }
            raised
        })
    });
    let mut raised = 0;
    for writer in writers.collect::<Vec<_>>() {
        raised += writer.await.unwrap();
    }

    // then
    bakery.messages().await;
    let cakes = cake::Entity::find().all(bakery.replica.plain_there()).await.unwrap();
    assert_eq!(cakes.iter().map(|cake| cake.price as u64).sum::<u64>(), raised);
    assert!(raised > 48, "most writers succeed, but only {raised} of 96 rows were raised");
}

crate::on_each_database! {
    active_models_publish_the_row_as_it_is
    entity_methods_publish_one_message_for_each_statement
    rows_without_a_key_of_their_own_are_published_with_the_generated_one
    keys_of_other_types_are_published_too
    upserts_publish_what_they_inserted_or_updated
    related_models_saved_together_are_one_message
    deleting_a_model_with_all_that_belongs_to_it_is_one_message
    a_transaction_is_one_message_of_what_it_committed
    a_failed_write_publishes_nothing
    what_cannot_be_captured_is_refused_before_it_runs
    rows_that_are_streamed_are_causes_and_no_writes
    many_writers_of_the_same_rows_leave_the_copy_equal
}
