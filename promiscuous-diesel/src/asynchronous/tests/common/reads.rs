//! What is read becomes a cause of what is written.

use diesel::{ExpressionMethods, OptionalExtension, QueryDsl, SelectableHelper};
use diesel_async::RunQueryDsl;
use futures_util::TryStreamExt;

use super::*;
use crate::Context;
use crate::connection_tests::fixtures::*;
use crate::connection_tests::taken;

#[tokio::test]
async fn rows_are_remembered_however_they_are_read() {
    let Some(Kitchen { mut db, mut bakery }) = kitchen().await else { return };
    bake(&mut bakery, &["one", "two"]);
    for (id, name, cake_id) in [("7", "kiwi", Some(1)), ("8", "fig", None)] {
        let values = (fruit::id.eq(id), fruit::name.eq(name), fruit::cake_id.eq(cake_id));
        diesel::RunQueryDsl::execute(diesel::insert_into(fruit::table).values(values), bakery.db.inner())
            .unwrap();
    }
    let context = Context::new("test");
    db.set_context(Some(context.clone()));
    let db = &mut db;
    let read = || taken(&context);

    let _: Cake = cake::table.find(1).first(db).await.unwrap();
    assert_eq!(read(), ["cake/1"]);
    assert_eq!(cake::table.find(99).first::<Cake>(db).await.optional(), Ok(None));
    assert_eq!(read(), [""; 0]);
    let _: Vec<Cake> = cake::table.select(Cake::as_select()).order(cake::name).get_results(db).await.unwrap();
    assert_eq!(read(), ["cake/1", "cake/2"]);
    let _: Vec<Cake> = cake::table.filter(cake::name.eq("one")).into_boxed().load(db).await.unwrap();
    assert_eq!(read(), ["cake/1"]);
    let _: Vec<(Fruit, Option<Cake>)> = fruit::table.left_join(cake::table).load(db).await.unwrap();
    assert_eq!(read(), ["cake/1", "fruit/7", "fruit/8"]);
    let mut rows = cake::table.order(cake::id).load_stream::<Cake>(db).await.unwrap();
    assert_eq!(rows.try_next().await.unwrap().map(|cake| cake.name).as_deref(), Some("one"));
    drop(rows);
    assert_eq!(read(), ["cake/1"], "what was not read is no cause");
    let count: i64 = cake::table.count().get_result(db).await.unwrap();
    assert_eq!((count, read()), (2, Vec::new()));
}

#[tokio::test]
async fn reads_belong_to_the_tasks_context_and_become_causes() {
    let Some(Kitchen { mut db, mut bakery }) = kitchen().await else { return };
    bake(&mut bakery, &["one", "two"]);
    let request = Context::new("request");
    request
        .scope(async {
            let _: Cake = cake::table.find(1).first(&mut db).await.unwrap();
            diesel::update(cake::table.find(2)).set(cake::name.eq("dos")).execute(&mut db).await.unwrap();
        })
        .await;
    // Outside of any context.
    let _: Cake = cake::table.find(1).first(&mut db).await.unwrap();
    diesel::update(cake::table.find(2)).set(cake::name.eq("zwei")).execute(&mut db).await.unwrap();
    let messages = bakery.messages();
    assert_eq!(messages[0].context.as_deref(), Some("request"));
    assert_eq!(messages[0].reads, ["app/cake/1"]);
    assert_eq!((&messages[1].context, messages[1].reads.len()), (&None, 0));
}

#[tokio::test]
async fn what_a_transaction_reads_is_a_cause_of_what_it_writes() {
    let Some(Kitchen { mut db, mut bakery }) = kitchen().await else { return };
    bake(&mut bakery, &["one", "two"]);
    let done = db
        .transaction::<_, diesel::result::Error, _>(async |db: &mut Db| {
            let _: Cake = cake::table.find(1).first(db).await?;
            diesel::update(cake::table.find(2)).set(cake::name.eq("dos")).execute(db).await
        })
        .await;
    assert_eq!(done, Ok(1));
    assert_eq!(bakery.messages()[0].reads, ["app/cake/1"]);
}
