//! `promiscuous publish`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use promiscuous_tests::conformance::step::{create_counter, destroy_counter, increment};
use promiscuous_tests::conformance::{App, Model, Stack};
use promiscuous_tests::deaths::{DOZE_MILLIS, STOP_AT};
use promiscuous_tests::until;
use serde_json::{Value, json};

use super::json;
use crate::apps::{Publishing, SOON, Subscribing, forget};

crate::conformance::over_pairs! {
    what_was_written_behind_everybody_s_back_is_there_after_a_publish
    what_is_written_while_a_table_is_published_is_never_taken_back
    a_write_in_flight_when_the_publisher_s_redis_was_lost_is_not_hidden
}

crate::conformance::over_stacks! {
    what_selects_nothing_sends_nothing
}

/// Counters that no app knows of.
pub async fn insert(publishing: &Publishing, ids: impl IntoIterator<Item = i64>, n: i64) {
    let rows: Vec<String> = ids.into_iter().map(|id| format!("({id}, {n})")).collect();
    publishing.eyes.execute(&format!("INSERT INTO counters (id, n) VALUES {}", rows.join(", "))).await;
}

/// What `promiscuous publish` says, once it has ended well.
async fn publish(publishing: &Publishing, arguments: &[&str]) -> Value {
    let arguments = [&["publish", "--format", "json"], arguments].concat();
    let (mut lines, code) = json(publishing.command(&arguments)).await;
    assert_eq!((lines.len(), code), (1, 0), "{arguments:?}");
    lines.remove(0)
}

pub async fn until_equal(subscribing: &Subscribing, publishing: &Publishing, model: Model) {
    until(SOON, "equal rows", async || {
        let here = publishing.eyes.rows(model, false).await;
        (subscribing.rows(model, false).await == here).then_some(())
    })
    .await;
}

async fn what_was_written_behind_everybody_s_back_is_there_after_a_publish(from: Stack, to: Stack) {
    // given a counter that was replicated, changed since by somebody else, and others that nobody has heard of
    let publishing = Publishing::new(from).await;
    let subscribing = publishing.subscribing(to, &["counter"]).await;
    let _process = subscribing.start().await;
    let shop = publishing.connect(2).await;
    shop.write(create_counter(1)).await.unwrap();
    subscribing.counted(1, 0).await;
    publishing.eyes.execute("UPDATE counters SET n = 7 WHERE id = 1").await;
    insert(&publishing, 2..=250, 3).await;
    // when
    let said =
        publish(&publishing, &["Counter where id <= 100", "counter where id > 90", "--chunk", "7"]).await;
    // then
    assert_eq!(
        said["selections"],
        json!([
            { "selection": "Counter where id <= 100", "sent": 100, "done": true },
            { "selection": "Counter where id > 90", "sent": 160, "done": true },
        ])
    );
    until_equal(&subscribing, &publishing, Model::Counter).await;
    // and what is written after that arrives, as ever
    for id in [1, 2, 250] {
        shop.write(increment(id)).await.unwrap();
    }
    shop.write(destroy_counter(3)).await.unwrap();
    subscribing.counted(1, 8).await;
    until_equal(&subscribing, &publishing, Model::Counter).await;
    // and nothing is left to go on with
    assert_eq!(publishing.eyes.count("promiscuous_sync").await, 0);
}

/// Increments, destroys and creates until it is told to end.
pub(super) async fn write(shop: Arc<dyn App>, task: i64, ended: Arc<AtomicBool>) {
    // Each task has counters of its own to destroy, and all share the first ones.
    let mut alive: Vec<i64> = (0..10).map(|n| 100 + 10 * task + n).collect();
    let mut next = 1_000 * (task + 1);
    for n in 0.. {
        if ended.load(Ordering::SeqCst) {
            return;
        }
        match n % 4 {
            0 => {
                let destroyed = alive.remove(0);
                shop.write(destroy_counter(destroyed)).await.unwrap();
            }
            1 => {
                next += 1;
                alive.push(next);
                shop.write(create_counter(next)).await.unwrap();
            }
            2 => shop.write(increment(alive[0])).await.unwrap(),
            _ => shop.write(increment(1 + n % 9)).await.unwrap(),
        }
    }
}

async fn what_is_written_while_a_table_is_published_is_never_taken_back(from: Stack, to: Stack) {
    // given counters, some of them replicated and others not, and writers
    let publishing = Publishing::new(from).await;
    let subscribing = publishing.subscribing(to, &["counter"]).await;
    let _process = subscribing.start().await;
    insert(&publishing, 1..=9, 0).await;
    insert(&publishing, 100..130, 0).await;
    let ended = Arc::new(AtomicBool::new(false));
    let shop = publishing.connect(4).await;
    let writers: Vec<_> =
        (0..3).map(|task| tokio::spawn(write(Arc::clone(&shop), task, Arc::clone(&ended)))).collect();
    // when they are published again and again, and twice at once
    for _ in 0..3 {
        let (one, other) = tokio::join!(
            publish(&publishing, &["Counter", "--chunk", "3", "--parallel", "2"]),
            publish(&publishing, &["Counter where id < 1000", "--chunk", "50"]),
        );
        assert!(one["selections"][0]["sent"].as_u64() > Some(0) && other["selections"][0]["done"] == true);
    }
    ended.store(true, Ordering::SeqCst);
    for writer in writers {
        writer.await.unwrap();
    }
    // then
    until_equal(&subscribing, &publishing, Model::Counter).await;
    // and the log of what was applied never went back
    for id in 1..=9 {
        let values = subscribing.values("counter", id).await;
        assert!(values.is_sorted(), "counter {id}: {values:?}");
    }
}

async fn a_write_in_flight_when_the_publisher_s_redis_was_lost_is_not_hidden(from: Stack, to: Stack) {
    // given a writer that has bumped and not committed
    let publishing = Publishing::new(from).await;
    let subscribing = publishing.subscribing(to, &["counter"]).await;
    let _process = subscribing.start().await;
    let shop = publishing.connect(2).await;
    shop.write(create_counter(1)).await.unwrap();
    subscribing.counted(1, 0).await;
    publishing.eyes.outbox_is_empty().await;
    let process = publishing.process(&["increment:1"]).env("DEADLINE_SECONDS", "60");
    let mut process = process.env(STOP_AT, "after_outbox_insert").env(DOZE_MILLIS, "3000").spawn();
    process.wait_for_line("reached").await;
    // when Redis loses everything, and the table is published in the next generation
    assert!(forget(&publishing.app).await > 0);
    let said = publish(&publishing, &["Counter"]).await;
    // then the writer was waited for, and what it wrote is there
    process.wait_for_line("done increment:1").await;
    assert_eq!(said["selections"][0]["sent"], 1);
    subscribing.counted(1, 1).await;
    shop.write(increment(1)).await.unwrap();
    subscribing.counted(1, 2).await;
}

async fn what_selects_nothing_sends_nothing(stack: Stack) {
    // given
    let publishing = Publishing::new(stack).await;
    insert(&publishing, 1..=5, 0).await;
    let mut tap = publishing.tap().await;
    let refused = async |arguments: &[&str]| {
        let arguments = [&["publish"], arguments].concat();
        let mut process = publishing.command(&arguments).spawn();
        process.wait().await.code()
    };
    // when and then
    assert_eq!(refused(&["Counters"]).await, Some(2));
    assert_eq!(refused(&["Counter where n = 0; DELETE FROM counters"]).await, Some(2));
    assert_eq!(refused(&["Counter where no_such_column = 0"]).await, Some(1));
    assert_eq!(refused(&["Counter", "--to", "nobody-of-this-name"]).await, Some(1));
    assert_eq!(refused(&["--resume"]).await, Some(1));
    assert_eq!(publishing.eyes.count("counters").await, 5);
    let (lines, code) = json(publishing.command(&[
        "publish",
        "--dry-run",
        "--format",
        "json",
        "Counter where id > 2",
        "User",
    ]))
    .await;
    let counted = [
        json!({ "selection": "Counter where id > 2", "rows": 3 }),
        json!({ "selection": "User", "rows": 0 }),
    ];
    assert_eq!((lines.as_slice(), code), (counted.as_slice(), 0));
    // The first thing that was published is what is published now.
    publish(&publishing, &["Counter where id = 4"]).await;
    let message = tap.message().await;
    assert_eq!((message.operations.len(), message.operations[0].id.as_str()), (1, "4"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_app_that_is_named_gets_it_and_nobody_else_waits_for_it() {
    // given two subscribers
    let publishing = Publishing::new(Stack::SEAORM_POSTGRES).await;
    let one = publishing.subscribing(Stack::DIESEL_SQLITE, &["counter"]).await;
    let other = publishing.subscribing(Stack::SEAORM_SQLITE, &["counter"]).await;
    let _processes = [one.start().await, other.start().await];
    insert(&publishing, 1..=20, 3).await;
    // when
    publish(&publishing, &["Counter", "--to", &one.app]).await;
    // then
    until_equal(&one, &publishing, Model::Counter).await;
    assert_eq!(other.count("counters").await, 0);
    // and a write that follows arrives at the other one, too, which has never seen what it follows
    let shop = publishing.connect(2).await;
    shop.write(increment(5)).await.unwrap();
    one.counted(5, 4).await;
    other.counted(5, 4).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_was_stopped_or_killed_goes_on_where_it_was() {
    for kills in [false, true] {
        // given a run on its way
        let publishing = Publishing::new(Stack::DIESEL_MARIADB).await;
        let subscribing = publishing.subscribing(Stack::SEAORM_POSTGRES, &["counter"]).await;
        let _process = subscribing.start().await;
        insert(&publishing, 1..=300, 3).await;
        let slowly = ["publish", "Counter", "--chunk", "10", "--parallel", "1", "--rate", "60"];
        let mut process = publishing.command(&slowly).spawn();
        until(SOON, "some progress", async || {
            let saved = "promiscuous_sync WHERE position LIKE '%\"after\":\"%'";
            (publishing.eyes.count(saved).await == 1).then_some(())
        })
        .await;
        // when
        if kills {
            process.kill().await;
        } else {
            process.terminate();
            assert_eq!(process.wait().await.code(), Some(1));
        }
        let so_far = subscribing.count("counters").await;
        assert!(so_far < 300, "{so_far}");
        let said = publish(&publishing, &["--resume"]).await;
        // then all of it is there, and what was sent before counts
        assert_eq!(said["selections"], json!([{ "selection": "Counter", "sent": 300, "done": true }]));
        until_equal(&subscribing, &publishing, Model::Counter).await;
        assert_eq!(publishing.eyes.count("promiscuous_sync").await, 0);
    }
}
