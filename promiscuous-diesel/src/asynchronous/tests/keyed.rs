//! What is different on MariaDB.

use std::sync::Arc;

use diesel::dsl::DuplicatedKeys;
use diesel::mysql::Mysql;
use diesel::{ExpressionMethods, QueryDsl};
use diesel_async::{
    AsyncConnection, AsyncMysqlConnection, RunQueryDsl, SimpleAsyncConnection, TransactionManager,
};
use promiscuous_core::capture::CaptureSettings;

use super::common::{Db, Kitchen, cakes, connect, kitchen};
use crate::AsyncPromiscuous;
use crate::capture::Capture;
use crate::commit::CommitPath;
use crate::connection_tests::fixtures::*;
use crate::connection_tests::said;
use crate::model::PublishedModels;

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

/// Keys come in eight bytes, or as text, or as moments, and are sent back as the type that they have.
#[tokio::test]
async fn keys_of_every_type_are_found_again() {
    let Some(Kitchen { mut db, bakery }) = kitchen().await else { return };
    let kinds = [
        ("TINYINT", "-5"),
        ("TINYINT UNSIGNED", "200"),
        ("SMALLINT", "-300"),
        ("SMALLINT UNSIGNED", "60000"),
        ("MEDIUMINT", "-70000"),
        ("INT", "-5"),
        ("INT UNSIGNED", "4000000000"),
        ("BIGINT", "-5000000000"),
        ("BIGINT UNSIGNED", "18000000000000000000"),
        ("DECIMAL(20,5)", "12.5"),
        ("YEAR", "2024"),
        ("DATE", "'2024-02-29'"),
        ("DATETIME(6)", "'2024-02-29 12:34:56.789012'"),
        ("TIMESTAMP(6)", "'2024-02-29 12:34:56.789012'"),
        ("TIME(6)", "'12:34:56.5'"),
        ("VARCHAR(20)", "'x y'"),
        ("VARBINARY(20)", "x'00ff'"),
        ("ENUM('a','b')", "'b'"),
    ];
    let tables: Vec<String> = (0..kinds.len()).map(|at| format!("kind_{at}")).collect();
    let models = PublishedModels::new(tables.iter().map(|table| {
        model::<Mysql>(
            table,
            &["id"],
            &["name"],
            |_| Ok(Some("1".into())),
            |row| Ok(attributes([("name", text(row, 0)?)])),
        )
    }));
    let path = CommitPath::Recorded(Arc::clone(&bakery.recorded));
    let capture = Capture::new(models, path, CaptureSettings::default()).unwrap();
    let inner = AsyncMysqlConnection::establish(&bakery.url).await.unwrap();
    let mut wrapped = AsyncPromiscuous::with_capture(inner, capture);
    for (table, (kind, value)) in tables.iter().zip(kinds) {
        let create = format!("CREATE TABLE {table} (id {kind} NOT NULL PRIMARY KEY, name TEXT NOT NULL)");
        db.plain().batch_execute(&create).await.unwrap();
        db.plain().batch_execute(&format!("INSERT INTO {table} VALUES ({value}, 'old')")).await.unwrap();
        let update = diesel::sql_query(format!("UPDATE {table} SET name = 'new' WHERE name = 'old'"));
        assert_eq!(update.execute(&mut wrapped).await, Ok(1), "{kind}");
        let delete = diesel::sql_query(format!("DELETE FROM {table} WHERE name = 'new'"));
        assert_eq!(delete.execute(&mut wrapped).await, Ok(1), "{kind}");
        assert_eq!(
            bakery.published(),
            [format!("update {table}/1 new"), format!("destroy {table}/1")],
            "{kind}"
        );
    }
}
