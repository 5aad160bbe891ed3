//! A transaction is one message.

use diesel::result::Error;
use diesel::{ExpressionMethods, QueryDsl, TextExpressionMethods};
use diesel_async::{AsyncConnection, RunQueryDsl, TransactionManager};

use super::*;
use crate::connection_tests::fixtures::*;

async fn add(db: &mut Db, new: NewCake) -> Result<usize, Error> {
    diesel::insert_into(cake::table).values(new).execute(db).await
}

#[tokio::test]
async fn a_transaction_is_one_message_and_savepoints_count_when_all_commits() {
    let Some(Kitchen { mut db, bakery }) = kitchen().await else { return };
    let done = db
        .transaction::<_, Error, _>(async |db: &mut Db| {
            add(db, known(1, "one")).await?;
            let inner = db.transaction::<(), Error, _>(async |db: &mut Db| {
                add(db, known(2, "lost")).await?;
                Err(Error::RollbackTransaction)
            });
            assert_eq!(inner.await, Err(Error::RollbackTransaction));
            db.transaction::<_, Error, _>(async |db: &mut Db| add(db, known(3, "three")).await).await?;
            diesel::update(cake::table.find(1)).set(cake::name.eq("uno")).execute(db).await
        })
        .await;
    assert_eq!(done, Ok(1));
    let left = db.transaction::<(), Error, _>(async |db: &mut Db| {
        add(db, known(4, "lost")).await?;
        Err(Error::NotFound)
    });
    assert_eq!(left.await, Err(Error::NotFound));
    assert_eq!(bakery.published(), ["create cake/1 uno; create cake/3 three"]);
    assert_eq!(cakes(&bakery), ["uno", "three"]);
    assert_eq!(outbox(&bakery), 1);
}

#[tokio::test]
async fn transactions_of_code_that_is_generic_over_its_connection_are_messages_too() {
    async fn twice<C>(db: &mut C) -> Result<(), Error>
    where
        C: AsyncConnection<Backend = <Inner as diesel_async::AsyncConnectionCore>::Backend>,
    {
        db.transaction(async |db: &mut C| {
            diesel::insert_into(cake::table).values(known(1, "one")).execute(db).await?;
            diesel::insert_into(cake::table).values(known(2, "two")).execute(db).await.map(drop)
        })
        .await
    }
    let Some(Kitchen { mut db, bakery }) = kitchen().await else { return };
    assert_eq!(twice(&mut db).await, Ok(()));
    assert_eq!(bakery.published(), ["create cake/1 one; create cake/2 two"]);
}

#[tokio::test]
async fn a_test_transaction_publishes_nothing() {
    let Some(Kitchen { mut db, bakery }) = kitchen().await else { return };
    db.begin_test_transaction().await.unwrap();
    add(&mut db, known(1, "one")).await.unwrap();
    let inner = db.transaction::<_, Error, _>(async |db: &mut Db| add(db, known(2, "two")).await).await;
    assert_eq!(inner, Ok(1));
    assert_eq!(cake::table.count().get_result::<i64>(&mut db).await, Ok(2));
    drop(db);
    assert!(bakery.published().is_empty());
    assert_eq!(cakes(&bakery), [""; 0]);
}

#[tokio::test]
async fn ending_what_was_never_begun_is_diesels_own_error() {
    let Some(Kitchen { mut db, .. }) = kitchen().await else { return };
    let commit = <Db as AsyncConnection>::TransactionManager::commit_transaction(&mut db).await;
    assert!(matches!(commit, Err(Error::NotInTransaction)));
    let rollback = <Db as AsyncConnection>::TransactionManager::rollback_transaction(&mut db).await;
    assert!(matches!(rollback, Err(Error::NotInTransaction)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_want_one_row_publish_it_in_the_order_of_their_commits() {
    let Some(Kitchen { db, mut bakery }) = kitchen().await else { return };
    bake(&mut bakery, &["one"]);
    let mut tasks = Vec::new();
    for mut db in [db, connect(&bakery).await, connect(&bakery).await] {
        tasks.push(tokio::spawn(async move {
            for _ in 0..20 {
                let more = diesel::update(cake::table.filter(cake::name.like("one%")));
                more.set(cake::name.eq(cake::name.concat("+"))).execute(&mut db).await.unwrap();
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    let published = bakery.published();
    let distinct: std::collections::HashSet<_> = published.iter().collect();
    assert_eq!((published.len(), distinct.len()), (60, 60), "each saw the row as the one before had left it");
    assert!(published.contains(&format!("update cake/1 one{}", "+".repeat(60))));
}
