//! Single writes, outside of a transaction.

use diesel::{BoolExpressionMethods, ExpressionMethods, QueryDsl, TextExpressionMethods};
use diesel_async::{RunQueryDsl, SaveChangesDsl, SimpleAsyncConnection};

use super::*;
use crate::connection_tests::fixtures::*;
use crate::connection_tests::{said, taken};
use crate::error::promiscuous_error;
use crate::{Bulk, Context, Error};

#[tokio::test]
async fn each_write_is_published_with_the_row_as_it_is() {
    let Some(Kitchen { mut db, bakery }) = kitchen().await else { return };
    let db = &mut db;
    assert_eq!(diesel::insert_into(cake::table).values(coded("one", "c1")).execute(db).await, Ok(1));
    let renamed = diesel::update(cake::table.find(1)).set(cake::name.eq("uno")).execute(db).await;
    assert_eq!(renamed, Ok(1));
    assert_eq!(diesel::delete(cake::table.find(1)).execute(db).await, Ok(1));
    let messages = bakery.messages();
    let attributes = messages[1].operations[0].attributes.clone().unwrap();
    assert_eq!((&attributes["name"], &attributes["code"]), (&"uno".into(), &"c1".into()));
    let lines: Vec<_> =
        messages.iter().flat_map(|m| &m.operations).map(crate::connection_tests::describe).collect();
    assert_eq!(lines, ["create cake/1 one", "update cake/1 uno", "destroy cake/1"]);
    assert_eq!(outbox(&bakery), 3);
}

#[tokio::test]
async fn inserts_of_every_form_publish_each_row() {
    let Some(Kitchen { mut db, bakery }) = kitchen().await else { return };
    let db = &mut db;
    let both = vec![named("a"), named("b")];
    assert_eq!(diesel::insert_into(cake::table).values(both).execute(db).await, Ok(2));
    assert_eq!(diesel::insert_into(cake::table).values(known(70, "c")).execute(db).await, Ok(1));
    let both = vec![known(80, "d"), known(90, "e")];
    assert_eq!(diesel::insert_into(cake::table).values(both).execute(db).await, Ok(2));
    let link = |filling_id| CakeFilling { cake_id: 1, filling_id, amount: 5 };
    assert_eq!(diesel::insert_into(cake_filling::table).values(link(1)).execute(db).await, Ok(1));
    let both = vec![link(2), link(3)];
    assert_eq!(diesel::insert_into(cake_filling::table).values(&both).execute(db).await, Ok(2));
    let kiwi = (fruit::id.eq("a kiwi"), fruit::name.eq("kiwi"), fruit::cake_id.eq(None::<i32>));
    assert_eq!(diesel::insert_into(fruit::table).values(kiwi).execute(db).await, Ok(1));
    assert_eq!(
        bakery.published(),
        [
            "create cake/1 a; create cake/2 b",
            "create cake/70 c",
            "create cake/80 d; create cake/90 e",
            "create cake_filling/1,1 5",
            "create cake_filling/1,2 5; create cake_filling/1,3 5",
            "create fruit/a%20kiwi kiwi",
        ]
    );
}

#[tokio::test]
async fn what_matches_a_condition_is_published_row_by_row() {
    let Some(Kitchen { mut db, mut bakery }) = kitchen().await else { return };
    bake(&mut bakery, &["ab", "ac", "bc"]);
    let db = &mut db;
    let rename = |name: &'static str| cake::name.eq(name);
    let some = cake::table.filter(cake::name.like("a%"));
    assert_eq!(diesel::update(some).set(rename("x")).execute(db).await, Ok(2));
    let some = cake::table.filter(cake::id.eq_any([2, 3]));
    assert_eq!(diesel::update(some).set(rename("y")).execute(db).await, Ok(2));
    assert_eq!(diesel::update(cake::table.find(99)).set(rename("z")).execute(db).await, Ok(0));
    let both = cake::table.filter(cake::name.eq("y").and(cake::id.gt(1)));
    let changes = (cake::name.eq("w"), cake::code.eq(None::<String>), cake::notes.eq("n"));
    assert_eq!(diesel::update(both).set(changes).execute(db).await, Ok(2));
    assert_eq!(diesel::delete(cake::table.filter(cake::id.gt(1))).execute(db).await, Ok(2));
    assert_eq!(diesel::delete(cake::table).execute(db).await, Ok(1));
    for (id, name) in [("k", "kiwi"), ("it's; ?", "fig")] {
        let values = (fruit::id.eq(id), fruit::name.eq(name));
        diesel::insert_into(fruit::table).values(values).execute(db).await.unwrap();
    }
    diesel::delete(fruit::table.filter(fruit::cake_id.is_null())).execute(db).await.unwrap();
    let link = |cake_id, filling_id| CakeFilling { cake_id, filling_id, amount: 1 };
    let links = vec![link(1, 2), link(1, 3), link(2, 3)];
    diesel::insert_into(cake_filling::table).values(links).execute(db).await.unwrap();
    let some = cake_filling::table.filter(cake_filling::filling_id.eq(3));
    diesel::update(some).set(cake_filling::amount.eq(cake_filling::amount + 1)).execute(db).await.unwrap();
    diesel::delete(cake_filling::table.find((1, 2))).execute(db).await.unwrap();
    assert_eq!(
        bakery.published(),
        [
            "update cake/1 x; update cake/2 x",
            "update cake/2 y; update cake/3 y",
            "update cake/2 w; update cake/3 w",
            "destroy cake/2; destroy cake/3",
            "destroy cake/1",
            "create fruit/k kiwi",
            "create fruit/it%27s%3B%20%3F fig",
            "destroy fruit/it%27s%3B%20%3F; destroy fruit/k",
            "create cake_filling/1,2 1; create cake_filling/1,3 1; create cake_filling/2,3 1",
            "update cake_filling/1,3 2; update cake_filling/2,3 2",
            "destroy cake_filling/1,2",
        ]
    );
}

#[tokio::test]
async fn save_changes_publishes_the_row_and_answers_with_it() {
    let Some(Kitchen { mut db, mut bakery }) = kitchen().await else { return };
    bake(&mut bakery, &["one"]);
    let context = Context::new("test");
    db.set_context(Some(context.clone()));
    let mut one: Cake = cake::table.find(1).first(&mut db).await.unwrap();
    assert_eq!(taken(&context), ["cake/1"]);
    one.name = "uno".into();
    one.code = Some("c".into());
    let saved: Cake = one.save_changes(&mut db).await.unwrap();
    assert_eq!(saved, one);
    assert_eq!(bakery.published(), ["update cake/1 uno"]);
    assert_eq!(taken(&context), [""; 0], "what was just written is not a read");
    let gone = Cake { id: 99, ..one };
    assert_eq!(gone.save_changes::<Cake>(&mut db).await, Err(diesel::result::Error::NotFound));
    assert!(bakery.published().is_empty());
}

#[tokio::test]
async fn a_write_that_changes_no_published_attribute_passes() {
    let Some(Kitchen { mut db, mut bakery }) = kitchen().await else { return };
    bake(&mut bakery, &["one"]);
    let db = &mut db;
    diesel::update(cake::table.find(1)).set(cake::notes.eq("secret")).execute(db).await.unwrap();
    diesel::insert_into(pan::table).values(pan::name.eq("iron")).execute(db).await.unwrap();
    diesel::delete(pan::table).execute(db).await.unwrap();
    assert!(bakery.published().is_empty());
    assert_eq!(outbox(&bakery), 0);
}

#[tokio::test]
async fn what_cannot_be_captured_is_refused_before_it_runs() {
    let Some(Kitchen { mut db, mut bakery }) = kitchen().await else { return };
    bake(&mut bakery, &["one"]);
    let db = &mut db;
    for refused in [
        diesel::update(cake::table.find(1)).set(cake::id.eq(5)).execute(db).await,
        diesel::sql_query("TRUNCATE TABLE cake").execute(db).await,
        diesel::sql_query("BEGIN").execute(db).await,
        db.batch_execute("COMMIT").await.map(|()| 0),
        db.batch_execute("SELECT 1; DELETE FROM cake; SELECT 2").await.map(|()| 0),
    ] {
        let error = refused.unwrap_err();
        let ours = promiscuous_error(&error);
        let refused = matches!(ours, Some(Error::UnsupportedWrite { .. } | Error::Configuration(_)));
        assert!(refused && error.to_string().contains("refused before it ran"), "{error}");
    }
    let none: Result<Vec<Cake>, _> =
        diesel::sql_query("TRUNCATE TABLE cake").load::<Named>(db).await.map(|_| vec![]);
    assert!(said(none).contains("refused before it ran"));
    assert!(bakery.published().is_empty());
    assert_eq!(cakes(&bakery), ["one"]);
}

#[derive(diesel::QueryableByName)]
#[diesel(table_name = cake)]
#[allow(dead_code)]
struct Named {
    name: String,
}

#[tokio::test]
async fn too_many_rows_are_refused_and_nothing_is_written() {
    let mut settings = CaptureSettings::default();
    settings.bulk_limit = 2;
    let Some(Kitchen { mut db, mut bakery }) = kitchen_with(settings.clone()).await else { return };
    bake(&mut bakery, &["a", "b", "c"]);
    let db = &mut db;
    for refused in [
        said(diesel::update(cake::table).set(cake::name.eq("x")).execute(db).await),
        said(diesel::delete(cake::table).execute(db).await),
        said(
            diesel::insert_into(cake::table)
                .values(vec![named("d"), named("e"), named("f")])
                .execute(db)
                .await,
        ),
    ] {
        assert!(refused.contains("more than 2 rows"), "{refused}");
    }
    let few = cake::table.filter(cake::id.lt(3));
    assert_eq!(diesel::update(few).set(cake::name.eq("x")).execute(db).await, Ok(2));
    assert_eq!(bakery.published(), ["update cake/1 x; update cake/2 x"]);
    assert_eq!(cakes(&bakery), ["x", "x", "c"]);

    settings.bulk = Bulk::Refuse;
    let Some(Kitchen { mut db, bakery }) = kitchen_with(settings).await else { return };
    let refused = diesel::delete(cake::table.filter(cake::name.eq("a"))).execute(&mut db).await;
    assert!(said(refused).contains("refused before it ran"));
    assert!(bakery.published().is_empty());
}

#[tokio::test]
async fn without_promiscuous_nothing_is_published() {
    let Some(Kitchen { mut db, bakery }) = kitchen().await else { return };
    let quiet = db
        .without_promiscuous::<usize, diesel::result::Error, _>(async |plain: &mut Inner| {
            diesel::insert_into(cake::table).values(named("quiet")).execute(plain).await
        })
        .await;
    assert_eq!(quiet, Ok(1));
    assert!(bakery.published().is_empty());
    assert_eq!(cakes(&bakery), ["quiet"]);
    diesel::insert_into(cake::table).values(known(7, "loud")).execute(&mut db).await.unwrap();
    assert_eq!(bakery.published(), ["create cake/7 loud"]);
}

#[tokio::test]
async fn raw_statements_are_captured_like_others() {
    let Some(Kitchen { mut db, mut bakery }) = kitchen().await else { return };
    bake(&mut bakery, &["one", "two"]);
    let db = &mut db;
    let raw = diesel::sql_query("UPDATE cake SET name = 'x'\n  WHERE id > 1");
    assert_eq!(raw.execute(db).await, Ok(1));
    assert_eq!(diesel::sql_query("DELETE FROM cake WHERE name = 'one'").execute(db).await, Ok(1));
    assert_eq!(bakery.published(), ["update cake/2 x", "destroy cake/1"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tasks_can_take_their_connection_to_other_threads() {
    let Some(Kitchen { mut db, bakery }) = kitchen().await else { return };
    let context = Context::new("task");
    let task = context.spawn(async move {
        diesel::insert_into(cake::table).values(known(1, "one")).execute(&mut db).await?;
        db.transaction::<_, diesel::result::Error, _>(async |db: &mut Db| {
            let all: Vec<Cake> = cake::table.load(db).await?;
            diesel::update(cake::table).set(cake::name.eq("uno")).execute(db).await?;
            Ok(all.len())
        })
        .await
    });
    assert_eq!(task.await.unwrap(), Ok(1));
    let messages = bakery.messages();
    assert!(messages.iter().all(|message| message.context.as_deref() == Some("task")), "{messages:?}");
    assert_eq!(messages.len(), 2);
}
