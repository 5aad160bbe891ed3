use std::time::Duration;

use super::*;
use crate::{App, Config, Context};

on_each! {
    what_goes_and_comes_in_between_is_not_read_and_read = between;
    without_a_wish_rows_are_read_as_they_were_committed_and_nobody_is_waited_for = committed;
    rows_that_a_transaction_is_writing_are_left_out_and_come_with_its_commit = unwritten;
    whoever_writes_next_does_not_wait_for_what_was_read = released;
}

/// What another transaction does to the items 1 to 5.
const WRITES: &str = "UPDATE items SET name = 'changed' WHERE id = 2; DELETE FROM items WHERE id = 4; \
                      INSERT INTO items VALUES (6, 'new')";
const BEFORE: [&str; 5] = ["1 item 1", "2 item 2", "3 item 3", "4 item 4", "5 item 5"];
const AFTER: [&str; 5] = ["1 item 1", "2 changed", "3 item 3", "5 item 5", "6 new"];

async fn between<DB: Tested>(test: TestDatabase) {
    let rows = prepare::<DB>(&test);
    let mut writer = fill::<DB>(&test, 5);
    // Given the ids of a stretch, when rows of it go and others come.
    let ids = rows.ids_after(ITEM, None, None, 3).await.unwrap();
    assert_eq!(ids, ["1", "2", "3"]);
    writer
        .batch_execute("DELETE FROM items WHERE id IN (1, 2); UPDATE items SET id = 2 WHERE id = 5")
        .unwrap();
    for unless_written in [false, true] {
        // Then what is read is what is there; the ends need not be.
        assert_eq!(names(&rows, ("1", "3"), unless_written).await, ["2 item 5", "3 item 3"]);
    }
    assert_eq!(rows.ids_after(ITEM, None, Some("1"), 9).await.unwrap(), ["2", "3", "4"]);
}

async fn committed<DB: Tested>(test: TestDatabase) {
    let rows = prepare::<DB>(&test);
    let mut writer = fill::<DB>(&test, 5);
    writer.batch_execute("BEGIN").unwrap();
    writer.batch_execute(WRITES).unwrap();
    let read = tokio::time::timeout(Duration::from_secs(3), names(&rows, ("1", "9"), false)).await;
    assert_eq!(read.unwrap(), BEFORE);
    assert_eq!(paged(&rows, ITEM, None, 2).await.len(), 5);
    writer.batch_execute("COMMIT").unwrap();
    assert_eq!(names(&rows, ("1", "9"), false).await, AFTER);
}

async fn unwritten<DB: Tested>(test: TestDatabase) {
    let rows = prepare::<DB>(&test);
    let mut writer = fill::<DB>(&test, 5);
    writer.batch_execute("BEGIN").unwrap();
    writer.batch_execute(WRITES).unwrap();
    let mut reading = Box::pin(names(&rows, ("1", "9"), true));
    let early = tokio::time::timeout(Duration::from_millis(1500), &mut reading).await;
    if DB::DIALECT == Dialect::Sqlite {
        // It has one writer at a time, and whoever reads for it waits: the writer may not be done.
        assert!(early.is_err(), "{early:?}");
        writer.batch_execute("COMMIT").unwrap();
        assert_eq!(reading.await, AFTER);
    } else {
        assert_eq!(early.unwrap(), ["1 item 1", "3 item 3", "5 item 5"]);
        writer.batch_execute("COMMIT").unwrap();
    }
    assert_eq!(names(&rows, ("1", "9"), true).await, AFTER);
    // Given a transaction that gives up, then nothing of it is seen.
    writer.batch_execute("BEGIN; UPDATE items SET name = 'never'; ROLLBACK").unwrap();
    assert_eq!(names(&rows, ("1", "9"), true).await, AFTER);
}

async fn released<DB: Tested>(test: TestDatabase) {
    let rows = prepare::<DB>(&test);
    let mut writer = fill::<DB>(&test, 5);
    writer
        .batch_execute(match DB::DIALECT {
            Dialect::Postgres => "SET lock_timeout = 50",
            Dialect::Mysql => "SET innodb_lock_wait_timeout = 0",
            Dialect::Sqlite => "PRAGMA busy_timeout = 0",
        })
        .unwrap();
    for _ in 0..3 {
        assert_eq!(names(&rows, ("1", "9"), true).await.len(), 5);
        writer.batch_execute("UPDATE items SET name = 'x' WHERE id <= 5; INSERT INTO items VALUES (9, 'x'); DELETE FROM items WHERE id = 9").unwrap();
        // Also after a statement that failed.
        let wrong = condition::<DB>("id / colour = 1");
        let all = Stretch { first: "1", last: "9" };
        assert!(rows.read(ITEM, Some(&wrong), all, true).await.is_err());
        writer.batch_execute("UPDATE items SET name = 'y' WHERE id <= 5").unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_a_running_app_reads_to_publish_it_again_is_nobody_s_cause() {
    // Given an app that publishes.
    let test = TestDatabase::sqlite();
    prepare::<Sqlite>(&test);
    fill::<Sqlite>(&test, 3);
    let config = Config::embedded("shop", &format!("rows-{}", uuid::Uuid::now_v7())).unwrap();
    let models = Models::<Sqlite>::new().publish::<Item>();
    let url = test.url.clone();
    let (running, rows) = tokio::task::spawn_blocking(move || {
        let running = App::new(config).models(models).start(&url).unwrap();
        let rows = running.rows(running.core_pool(2).unwrap());
        (running, rows)
    })
    .await
    .unwrap();
    // When its rows are read inside of a context, then the context knows nothing of them.
    let context = Context::new("publish");
    let read = async {
        assert_eq!(rows.ids_after(0, None, None, 9).await.unwrap(), ["1", "2", "3"]);
        rows.read(0, None, Stretch { first: "1", last: "3" }, true).await.unwrap()
    };
    assert_eq!(context.scope(read).await.len(), 3);
    assert!(context.causes().reads.is_empty());
    tokio::task::spawn_blocking(move || running.shut_down(Duration::from_secs(1))).await.unwrap();
}
