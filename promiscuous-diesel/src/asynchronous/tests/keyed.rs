//! What is different on MariaDB.

use diesel::dsl::DuplicatedKeys;
use diesel::{ExpressionMethods, QueryDsl};
use diesel_async::{AsyncConnection, RunQueryDsl, TransactionManager};

use super::common::{Db, Kitchen, cakes, connect, kitchen};
use crate::connection_tests::fixtures::*;
use crate::connection_tests::said;

type Manager = <Db as AsyncConnection>::TransactionManager;

#[tokio::test]
async fn upserts_publish_the_row_that_they_met() {
    let Some(Kitchen { mut db, bakery }) = kitchen().await else { return };
    let db = &mut db;
    for name in ["one", "uno"] {
        let upsert = diesel::insert_into(cake::table)
            .values(coded(name, "c"))
            .on_conflict(DuplicatedKeys)
            .do_update()
            .set(cake::name.eq(name));
        upsert.execute(db).await.unwrap();
    }
    assert_eq!(bakery.published(), ["update cake/1 one", "update cake/1 uno"]);
    assert_eq!(cakes(&bakery), ["uno"]);
}

#[tokio::test]
async fn a_definition_of_a_table_does_not_commit_published_rows() {
    let Some(Kitchen { mut db, bakery }) = kitchen().await else { return };
    let result = db.transaction::<_, diesel::result::Error, _>(async |db: &mut Db| {
        diesel::insert_into(cake::table).values(known(1, "one")).execute(db).await?;
        let refused = diesel::sql_query("CREATE TABLE other (id INT)").execute(db).await;
        assert!(said(refused).contains("would commit the open transaction"));
        Err::<(), _>(diesel::result::Error::RollbackTransaction)
    });
    assert!(result.await.is_err());
    assert_eq!(cakes(&bakery), [""; 0]);
    diesel::sql_query("CREATE TABLE other (id INT)").execute(&mut db).await.unwrap();
    assert!(bakery.published().is_empty());
}

#[tokio::test]
async fn a_deadlock_is_noticed_although_the_driver_does_not_name_it() {
    let Some(Kitchen { mut db, bakery }) = kitchen().await else { return };
    for id in [1, 2] {
        diesel::insert_into(cake::table).values(known(id, "cake")).execute(&mut db).await.unwrap();
    }
    let mut other = connect(&bakery).await;
    let rename = async |db: &mut Db, id: i32, name: &str| {
        diesel::update(cake::table.find(id)).set(cake::name.eq(name.to_owned())).execute(db).await
    };
    let barrier = std::sync::Arc::new(tokio::sync::Barrier::new(2));
    let crossed = async |db: &mut Db, first: i32, then: i32, name: &str| {
        Manager::begin_transaction(db).await.unwrap();
        rename(db, first, name).await.unwrap();
        barrier.wait().await;
        // The loser goes on regardless.
        let lost = rename(db, then, name).await.is_err();
        let more = diesel::insert_into(pan::table).values(pan::name.eq(name)).execute(db).await;
        let commit = Manager::commit_transaction(db).await;
        assert_eq!((lost, lost), (more.is_err(), commit.is_err()), "{more:?} {commit:?}");
        lost
    };
    let (one, two) = tokio::join!(crossed(&mut db, 1, 2, "first"), crossed(&mut other, 2, 1, "second"));
    assert!(one != two, "one of them was the deadlock's victim");
    let winner = if one { "second" } else { "first" };
    assert_eq!(cakes(&bakery), [winner, winner]);
    assert_eq!(bakery.messages().len(), 3);
}
