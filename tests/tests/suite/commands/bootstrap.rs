//! `promiscuous bootstrap`, `promiscuous publish --serve`, and what a subscriber does by itself when messages were lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use promiscuous_tests::conformance::step::{create_counter, destroy_counter, increment};
use promiscuous_tests::conformance::{Model, Stack};
use promiscuous_tests::deaths::STOP_AT;
use promiscuous_tests::processes::Process;
use promiscuous_tests::until;
use serde_json::json;

use super::json;
use super::publish::{insert, until_equal, write};
use crate::apps::{Publishing, SOON, Subscribing};

crate::conformance::over_pairs! {
    a_new_subscriber_is_given_everything_while_writes_go_on_and_is_live_then
}

/// `promiscuous publish --serve`.
pub(super) fn serve(publishing: &Publishing, arguments: &[&str]) -> Process {
    publishing.command(&[&["publish", "--serve"], arguments].concat()).spawn()
}

async fn until_all_are(subscribing: &Subscribing, state: &str) {
    until(SOON, "every source to be in its state", async || {
        let others = format!("promiscuous_subscriptions WHERE state <> '{state}'");
        (subscribing.count(&others).await == 0).then_some(())
    })
    .await;
}

async fn a_new_subscriber_is_given_everything_while_writes_go_on_and_is_live_then(from: Stack, to: Stack) {
    // given counters of before there was a subscriber, some of which nobody has ever heard of, and writers
    let publishing = Publishing::new(from).await;
    let subscribing = publishing.subscribing(to, &["counter"]).await;
    insert(&publishing, 1..=9, 0).await;
    insert(&publishing, 100..130, 0).await;
    insert(&publishing, 500..900, 5).await;
    let shop = publishing.connect(4).await;
    shop.write(create_counter(50)).await.unwrap();
    shop.write(destroy_counter(50)).await.unwrap();
    let ended = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> =
        (0..3).map(|task| tokio::spawn(write(Arc::clone(&shop), task, Arc::clone(&ended)))).collect();
    let _serving = serve(&publishing, &["--chunk", "20"]);
    // when
    let (said, code) = json(subscribing.command(&["bootstrap", "--format", "json"])).await;
    // then it says so,
    assert_eq!(code, 0, "{said:?}");
    assert_eq!((&said[0]["waiting"], &said[0]["endpoints"][0]["done"]), (&json!([]), &json!(true)));
    assert!(said[0]["endpoints"][0]["rows"].as_u64() > Some(400), "{said:?}");
    until_all_are(&subscribing, "live").await;
    // and whoever subscribes now goes on from there
    let _process = subscribing.start().await;
    ended.store(true, Ordering::SeqCst);
    for writer in writers {
        writer.await.unwrap();
    }
    until_equal(&subscribing, &publishing, Model::Counter).await;
    for id in 1..=9 {
        let values = subscribing.values("counter", id).await;
        assert!(values.is_sorted(), "counter {id}: {values:?}");
    }
    shop.write(increment(500)).await.unwrap();
    subscribing.counted(500, 6).await;
    assert_eq!(subscribing.count("promiscuous_parked").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_starts_while_another_worker_binds_the_queue_for_the_first_time_has_lost_nothing() {
    // given a worker that has declared the queue, and has not recorded since when it is bound
    let publishing = Publishing::new(Stack::SEAORM_SQLITE).await;
    let subscribing = publishing.subscribing(Stack::DIESEL_POSTGRES, &["counter"]).await;
    let mut first = subscribing.process().env(STOP_AT, "after_declare").spawn();
    first.wait_for_line("reached").await;
    // when
    let mut second = subscribing.process().env("RUST_LOG", "info").with_log().spawn();
    second.wait_for_line("consuming").await;
    // then
    assert_eq!(subscribing.count("promiscuous_subscriptions WHERE state = 'live'").await, 1);
    assert_eq!(subscribing.count("promiscuous_sync").await, 0);
    // and if the first one dies there, nobody takes that for a loss
    first.kill().await;
    second.kill().await;
    let mut third = subscribing.process().env("RUST_LOG", "info").with_log().spawn();
    third.wait_for_line("consuming").await;
    assert_eq!(subscribing.count("promiscuous_sync").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_that_start_at_once_for_the_first_time_have_lost_nothing() {
    // given
    let publishing = Publishing::new(Stack::DIESEL_SQLITE).await;
    let subscribing = publishing.subscribing(Stack::SEAORM_POSTGRES, &["counter", "user"]).await;
    // when
    let mut workers: Vec<_> =
        (0..4).map(|_| subscribing.process().env("RUST_LOG", "info").with_log().spawn()).collect();
    for worker in &mut workers {
        worker.wait_for_line("consuming").await;
    }
    // then
    assert_eq!(subscribing.count("promiscuous_subscriptions WHERE state = 'live'").await, 2);
    assert_eq!(subscribing.count("promiscuous_sync").await, 0);
}

pub mod faults {
    use std::time::Duration;

    use lapin::options::QueueDeleteOptions;
    use lapin::{Connection, ConnectionProperties};
    use promiscuous_core::broker::Queue;
    use promiscuous_tests::servers;

    use super::*;

    crate::conformance::over_pairs! {
        a_queue_that_was_deleted_while_its_subscriber_was_down_costs_nothing
    }

    pub async fn delete_queue(app: &str) {
        let uri = servers::amqp_url();
        let connection = Connection::connect(&uri, ConnectionProperties::default()).await.unwrap();
        let channel = connection.create_channel().await.unwrap();
        let name = Queue::of(app).name();
        channel.queue_delete(name.as_str().into(), QueueDeleteOptions::default()).await.unwrap();
    }

    async fn a_queue_that_was_deleted_while_its_subscriber_was_down_costs_nothing(from: Stack, to: Stack) {
        // given a subscriber that is up to date, and goes down
        let publishing = Publishing::new(from).await;
        let subscribing = publishing.subscribing(to, &["counter"]).await;
        let mut process = subscribing.start().await;
        let shop = publishing.connect(2).await;
        for id in 1..=6 {
            shop.write(create_counter(id)).await.unwrap();
        }
        until_equal(&subscribing, &publishing, Model::Counter).await;
        process.terminate();
        process.wait().await;
        // when its queue is deleted with what is in it, and writes go on
        shop.write(increment(1)).await.unwrap();
        shop.write(destroy_counter(2)).await.unwrap();
        publishing.eyes.outbox_is_empty().await;
        delete_queue(&subscribing.app).await;
        shop.write(increment(3)).await.unwrap();
        shop.write(destroy_counter(4)).await.unwrap();
        shop.write(create_counter(7)).await.unwrap();
        shop.write(destroy_counter(5)).await.unwrap();
        shop.write(create_counter(5)).await.unwrap();
        publishing.eyes.outbox_is_empty().await;
        // then it finds that out by itself, and does not wait for what was lost,
        let _process = subscribing.start().await;
        until_all_are(&subscribing, "joining").await;
        let bound = "promiscuous_sync WHERE position LIKE '%\"is_bound\":true%'";
        until(SOON, "its queue", async || (subscribing.count(bound).await == 1).then_some(())).await;
        shop.write(increment(1)).await.unwrap();
        shop.write(increment(1)).await.unwrap();
        subscribing.counted(1, 3).await;
        // and what it lacks comes from whoever serves it, and what is gone goes,
        let _serving = serve(&publishing, &[]);
        until_all_are(&subscribing, "live").await;
        until_equal(&subscribing, &publishing, Model::Counter).await;
        assert_eq!(subscribing.count("counters").await, 5);
        // and order is kept again
        for id in [1, 3, 5, 7] {
            shop.write(increment(id)).await.unwrap();
        }
        shop.write(create_counter(2)).await.unwrap();
        until_equal(&subscribing, &publishing, Model::Counter).await;
        assert_eq!(subscribing.count("promiscuous_parked").await, 0);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_queue_that_is_deleted_under_a_running_subscriber_costs_nothing() {
        // given
        let publishing = Publishing::new(Stack::SEAORM_POSTGRES).await;
        let subscribing = publishing.subscribing(Stack::DIESEL_POSTGRES, &["counter"]).await;
        let _processes = [subscribing.start().await, subscribing.start().await];
        let _serving = serve(&publishing, &[]);
        insert(&publishing, 1..=9, 0).await;
        insert(&publishing, 100..130, 0).await;
        let shop = publishing.connect(4).await;
        let ended = Arc::new(AtomicBool::new(false));
        let writers: Vec<_> =
            (0..3).map(|task| tokio::spawn(write(Arc::clone(&shop), task, Arc::clone(&ended)))).collect();
        for _ in 0..2 {
            let before = subscribing.count("promiscuous_versions").await;
            until(SOON, "messages", async || {
                (subscribing.count("promiscuous_versions").await > before + 10).then_some(())
            })
            .await;
            // when
            delete_queue(&subscribing.app).await;
            // then
            let asked = "promiscuous_sync WHERE name = 'bootstrap'";
            until(SOON, "a bootstrap", async || (subscribing.count(asked).await > 0).then_some(())).await;
            until_all_are(&subscribing, "live").await;
        }
        ended.store(true, Ordering::SeqCst);
        for writer in writers {
            writer.await.unwrap();
        }
        until_equal(&subscribing, &publishing, Model::Counter).await;
        assert_eq!(subscribing.count("promiscuous_parked").await, 0);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_database_that_was_lost_is_filled_again() {
        // given
        let publishing = Publishing::new(Stack::DIESEL_POSTGRES).await;
        let subscribing = publishing.subscribing(Stack::SEAORM_MARIADB, &["counter"]).await;
        let mut process = subscribing.start().await;
        let shop = publishing.connect(2).await;
        for id in 1..=5 {
            shop.write(create_counter(id)).await.unwrap();
        }
        until_equal(&subscribing, &publishing, Model::Counter).await;
        process.kill().await;
        // when everything in it is gone, and messages wait in the queue that follow on what it had
        shop.write(increment(1)).await.unwrap();
        shop.write(destroy_counter(2)).await.unwrap();
        for table in ["counters", "promiscuous_versions", "promiscuous_subscriptions", "promiscuous_parked"] {
            subscribing.execute(&format!("DELETE FROM {table}")).await;
        }
        crate::apps::forget(&subscribing.app).await;
        let _serving = serve(&publishing, &[]);
        let _process = subscribing.start().await;
        // then
        until_equal(&subscribing, &publishing, Model::Counter).await;
        until_all_are(&subscribing, "live").await;
        shop.write(increment(5)).await.unwrap();
        subscribing.counted(5, 1).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_lost_queue_does_not_end_a_total_order() {
        // given a subscriber that takes everything in one order
        let publishing = Publishing::new(Stack::DIESEL_MARIADB).await.in_a_total_order();
        let subscribing = publishing.subscribing(Stack::SEAORM_SQLITE, &["counter"]).await;
        let start = || subscribing.process().env("PROMISCUOUS_CONSISTENCY", "global").spawn();
        let mut process = start();
        subscribing.bound().await;
        let shop = publishing.connect(2).await;
        shop.write(create_counter(1)).await.unwrap();
        subscribing.counted(1, 0).await;
        process.kill().await;
        // when
        shop.write(create_counter(2)).await.unwrap();
        publishing.eyes.outbox_is_empty().await;
        delete_queue(&subscribing.app).await;
        shop.write(increment(1)).await.unwrap();
        publishing.eyes.outbox_is_empty().await;
        let _serving = serve(&publishing, &[]);
        let _process = start();
        // then
        until_equal(&subscribing, &publishing, Model::Counter).await;
        until_all_are(&subscribing, "live").await;
        shop.write(increment(1)).await.unwrap();
        subscribing.counted(1, 2).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_bootstrap_goes_on_whoever_dies() {
        // given one that takes its time
        let publishing = Publishing::new(Stack::SEAORM_MARIADB).await;
        let subscribing = publishing.subscribing(Stack::DIESEL_POSTGRES, &["counter"]).await;
        insert(&publishing, 1..=9, 0).await;
        insert(&publishing, 100..400, 0).await;
        let shop = publishing.connect(4).await;
        let ended = Arc::new(AtomicBool::new(false));
        let writers: Vec<_> =
            (0..2).map(|task| tokio::spawn(write(Arc::clone(&shop), task, Arc::clone(&ended)))).collect();
        let slowly = ["--chunk", "10", "--parallel", "1", "--rate", "60"];
        let mut serving = serve(&publishing, &slowly);
        let mut joining = subscribing.command(&["bootstrap"]).deadline(Duration::from_secs(120)).spawn();
        let mut sent = String::new();
        for death in 0..5 {
            // when some rows have come, and one of the two is killed
            until(SOON, "more rows", async || {
                let so_far =
                    "promiscuous_sync WHERE name LIKE 'bootstrap/%' AND position NOT LIKE '%\"sent\":0,%'";
                let more = format!("{so_far} AND position <> '{sent}'");
                if subscribing.count(&more).await == 0 {
                    return None;
                }
                let row = subscribing.row(&format!("SELECT position FROM {so_far}")).await;
                sent = row.try_get("", "position").unwrap();
                Some(())
            })
            .await;
            if death % 2 == 0 {
                joining.kill().await;
                joining = subscribing.command(&["bootstrap"]).deadline(Duration::from_secs(120)).spawn();
            } else {
                serving.kill().await;
                serving = serve(&publishing, &slowly);
            }
        }
        // then
        assert!(joining.wait().await.success());
        until_all_are(&subscribing, "live").await;
        let _process = subscribing.start().await;
        ended.store(true, Ordering::SeqCst);
        for writer in writers {
            writer.await.unwrap();
        }
        until_equal(&subscribing, &publishing, Model::Counter).await;
    }
}
