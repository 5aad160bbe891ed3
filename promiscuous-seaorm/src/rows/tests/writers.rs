//! Rows that somebody is changing.

use std::time::Duration;

use promiscuous_core::sync::Stretch;
use sea_orm::{ActiveModelTrait, ConnectionTrait, DatabaseTransaction, DbBackend, TransactionTrait};

use super::library::{Library, author, everywhere};

/// A transaction that has changed Bob, deleted Cem, and inserted Eve.
async fn open_transaction(library: &Library) -> DatabaseTransaction {
    let transaction = library.db.begin().await.unwrap();
    transaction.execute_unprepared("UPDATE authors SET name = 'Ben' WHERE id = 2").await.unwrap();
    transaction.execute_unprepared("DELETE FROM authors WHERE id = 3").await.unwrap();
    author(5, "Eve").insert(&transaction).await.unwrap();
    transaction
}

#[tokio::test]
async fn what_an_open_transaction_has_changed_is_left_out_until_it_is_committed() {
    everywhere(async |library| {
        // given
        library.write_authors(&["Ann", "Bob", "Cem", "Dan"]).await;
        let transaction = open_transaction(library).await;
        if library.backend() == DbBackend::Sqlite {
            // when, on SQLite, then it waits for the writer,
            let reading = library.authors("1", "9", true);
            tokio::pin!(reading);
            let early = tokio::time::timeout(Duration::from_millis(200), &mut reading).await;
            assert!(early.is_err(), "{early:?}");
            // and sees what it has committed.
            transaction.commit().await.unwrap();
            assert_eq!(reading.await, ["1 Ann", "2 Ben", "4 Dan", "5 Eve"]);
            return;
        }
        // when, then
        assert_eq!(library.authors("1", "9", true).await, ["1 Ann", "4 Dan"]);
        assert!(library.authors("2", "2", true).await.is_empty());
        // when, then
        transaction.commit().await.unwrap();
        assert_eq!(library.authors("1", "9", true).await, ["1 Ann", "2 Ben", "4 Dan", "5 Eve"]);
    })
    .await;
}

#[tokio::test]
async fn what_an_open_transaction_has_changed_is_read_as_it_was_where_nothing_is_said_of_it() {
    everywhere(async |library| {
        // given
        library.write_authors(&["Ann", "Bob", "Cem", "Dan"]).await;
        let transaction = open_transaction(library).await;
        // when, then
        assert_eq!(library.authors("1", "9", false).await, ["1 Ann", "2 Bob", "3 Cem", "4 Dan"]);
        let model = library.model("Author");
        assert_eq!(library.rows.ids_after(model, None, None, 9).await.unwrap(), ["1", "2", "3", "4"]);
        assert_eq!(library.rows.count(model, None).await.unwrap(), 4);
        // when, then
        transaction.rollback().await.unwrap();
        assert_eq!(library.authors("1", "9", true).await, ["1 Ann", "2 Bob", "3 Cem", "4 Dan"]);
    })
    .await;
}

#[tokio::test]
async fn a_writer_need_not_wait_for_a_read_that_is_done() {
    everywhere(async |library| {
        // given a writer without patience, whose transaction is open already
        library.write_authors(&["Ann", "Bob"]).await;
        let model = library.model("Author");
        let impatient = match library.backend() {
            DbBackend::Postgres => "SET LOCAL lock_timeout = '1ms'",
            DbBackend::MySql => "SET SESSION innodb_lock_wait_timeout = 0",
            _ => "PRAGMA busy_timeout = 0",
        };
        let writer = library.db.begin().await.unwrap();
        writer.execute_unprepared(impatient).await.unwrap();
        // when
        let all = Stretch { first: "1", last: "9" };
        let read = library.rows.read(model, None, all, true).await.unwrap();
        assert_eq!(read.len(), 2);
        // then
        writer.execute_unprepared("UPDATE authors SET name = 'Ben' WHERE id = 2").await.unwrap();
        author(3, "new").insert(&writer).await.unwrap();
        writer.commit().await.unwrap();
        assert_eq!(library.authors("1", "9", true).await, ["1 Ann", "2 Ben", "3 new"]);
    })
    .await;
}

#[tokio::test]
async fn readers_of_the_same_rows_leave_nothing_out() {
    everywhere(async |library| {
        // given somebody who only refers to a row, or reads it as we do
        library.write_authors(&["Ann", "Bob"]).await;
        let lock = match library.backend() {
            DbBackend::Postgres => "SELECT id FROM authors FOR SHARE",
            DbBackend::MySql => "SELECT id FROM authors LOCK IN SHARE MODE",
            _ => "SELECT id FROM authors",
        };
        let reader = library.db.begin().await.unwrap();
        let lock = sea_orm::Statement::from_string(library.backend(), lock);
        assert_eq!(reader.query_all_raw(lock).await.unwrap().len(), 2);
        // when, then
        assert_eq!(library.authors("1", "9", true).await, ["1 Ann", "2 Bob"]);
        reader.rollback().await.unwrap();
    })
    .await;
}
