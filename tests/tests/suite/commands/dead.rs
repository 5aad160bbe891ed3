//! `promiscuous dead`.

use bytes::Bytes;
use promiscuous_core::broker::{Broker, DeadLetter, Queue, QueueKind};
use promiscuous_tests::conformance::Stack;
use promiscuous_tests::conformance::step::create_counter;
use promiscuous_tests::until;
use serde_json::Value;

use crate::apps::{Publishing, SOON, Subscribing};

/// A subscriber that gives up at once, and whose table is away.
async fn two_counters_have_died(publishing: &Publishing) -> Subscribing {
    let subscribing = publishing.subscribing(Stack::SEAORM_POSTGRES, &["counter"]).await;
    subscribing.eyes.execute("ALTER TABLE counters RENAME TO away").await;
    let mut dying = subscribing.process().env("PROMISCUOUS_MAX_ATTEMPTS", "1").spawn();
    subscribing.bound().await;
    let shop = publishing.connect(2).await;
    for id in [1, 2] {
        shop.write(create_counter(id)).await.unwrap();
    }
    until(SOON, "two dead letters", async || (listed(&subscribing, &[]).await.len() == 2).then_some(()))
        .await;
    dying.terminate();
    assert!(dying.wait().await.success());
    subscribing.eyes.execute("ALTER TABLE away RENAME TO counters").await;
    subscribing
}

async fn listed(subscribing: &Subscribing, arguments: &[&str]) -> Vec<Value> {
    let arguments = [&["dead", "list", "--format", "json"], arguments].concat();
    let lines = subscribing.told(&arguments).await;
    lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn id_of(letter: &Value) -> &str {
    letter["id"].as_str().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_letter_is_found_shown_retried_and_applied_and_another_one_dropped() {
    // given
    let publishing = Publishing::new(Stack::SEAORM_SQLITE).await;
    let subscribing = two_counters_have_died(&publishing).await;
    let endpoint = format!("{}/counter", publishing.app);
    // when they are listed, then each says what it is and why it died, but no value;
    let letters = listed(&subscribing, &["--endpoint", &endpoint, "--newer-than", "1h"]).await;
    assert_eq!(letters.len(), 2);
    let second =
        letters.iter().find(|letter| letter["operations"][0] == format!("create {endpoint}/2")).unwrap();
    assert!(second["error"].as_str().unwrap().contains("database failed"), "{second}");
    assert_eq!(second["attempts"], 1);
    assert!(second.get("body").is_none());
    // what does not concern anybody is not listed;
    for nobody in [["--endpoint", "shop/nothing"], ["--older-than", "1h"], ["--error", "nonsense"]] {
        assert_eq!(listed(&subscribing, &nobody).await.len(), 0, "{nobody:?}");
    }
    assert_eq!(listed(&subscribing, &["--limit", "1"]).await.len(), 1);
    // and one can be shown as it is.
    let shown = subscribing.told(&["dead", "show", id_of(second)]).await.join("\n");
    assert!(shown.contains("error ") && shown.contains(r#""n":0"#), "{shown}");
    // When one is retried, then that one is applied
    let _process = subscribing.process().spawn();
    subscribing.told(&["dead", "retry", "--id", id_of(second), "--yes"]).await;
    subscribing.counted(2, 0).await;
    // and the other one is where it was,
    let left = listed(&subscribing, &[]).await;
    assert_eq!(left.iter().map(id_of).filter(|id| *id == id_of(second)).count(), 0);
    assert_eq!(left.len(), 1);
    // until it is dropped.
    subscribing.told(&["dead", "drop", "--all", "--yes"]).await;
    assert_eq!(listed(&subscribing, &[]).await.len(), 0);
    assert_eq!(subscribing.eyes.counter(1).await, None);
}

/// A queue without a worker, and a letter in it that is no message.
async fn garbage(publishing: &Publishing) -> Subscribing {
    let subscribing = publishing.subscribing(Stack::SEAORM_SQLITE, &["counter"]).await;
    let queue = Queue { app: subscribing.app.clone(), bindings: Vec::new(), kind: QueueKind::Quorum };
    let broker = publishing.broker();
    broker.declare(&queue).await.unwrap();
    let body = Bytes::from_static(b"\xFF\x1b[2J no message");
    let letter = DeadLetter { body, id: None, error: "not JSON: \u{1b}[31m".into(), attempts: 0 };
    broker.bury(&queue, letter).await.unwrap();
    subscribing
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_message_has_a_name_and_is_shown_without_harm() {
    let publishing = Publishing::new(Stack::SEAORM_SQLITE).await;
    let subscribing = garbage(&publishing).await;
    let letters = listed(&subscribing, &[]).await;
    let id = id_of(&letters[0]);
    assert!(id.starts_with("body-"), "{id}");
    let lines = subscribing.told(&["dead", "list"]).await;
    assert!(lines[0].contains("no message: not JSON: \\u{1b}[31m"), "{lines:?}");
    let shown = subscribing.told(&["dead", "show", id]).await.join("\n");
    assert!(shown.ends_with("\u{fffd}\\u{1b}[2J no message"), "{shown}");
    subscribing.told(&["dead", "drop", "--id", id, "--yes"]).await;
    assert_eq!(listed(&subscribing, &[]).await.len(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_settled_that_nobody_has_asked_for() {
    let publishing = Publishing::new(Stack::SEAORM_SQLITE).await;
    let subscribing = garbage(&publishing).await;
    for (arguments, code, says) in [
        (["dead", "drop", "--yes"].as_slice(), 2, "--all"),
        (&["dead", "drop", "--all"], 2, "--yes"),
        (&["dead", "retry", "--all"], 2, "--yes"),
        (&["dead", "drop", "--all", "--error", "x", "--yes"], 2, "--all"),
        (&["dead", "drop", "--older-than", "7", "--yes"], 2, "90s"),
        (&["dead", "retry", "--id", "body-0", "--yes"], 1, "dead list"),
        (&["dead", "show", "body-0"], 1, "dead list"),
    ] {
        let mut process = subscribing.command(arguments).with_log().spawn();
        let status = process.wait().await;
        assert_eq!(status.code(), Some(code), "{arguments:?}");
        assert!(process.said().join("\n").contains(says), "{arguments:?}: {:?}", process.said());
    }
    assert_eq!(listed(&subscribing, &[]).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_app_that_never_subscribed_is_told_so() {
    let publishing = Publishing::new(Stack::SEAORM_SQLITE).await;
    let mut process = publishing.command(&["dead", "list"]).with_log().spawn();
    assert_eq!(process.wait().await.code(), Some(1));
    assert!(process.said().join("\n").contains("`promiscuous subscribe` creates it"), "{:?}", process.said());
}

/// nextest runs one of these at a time.
mod faults {
    use promiscuous_tests::deaths::STOP_AT;

    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_retry_that_is_killed_in_the_middle_loses_nothing_and_applies_nothing_twice() {
        // given
        let publishing = Publishing::new(Stack::SEAORM_SQLITE).await;
        let subscribing = two_counters_have_died(&publishing).await;
        // when it is killed after the letters are back in the queue, and before they are dead no more,
        let retrying = subscribing.command(&["dead", "retry", "--all", "--yes"]);
        let mut retrying = retrying.env(STOP_AT, "before_letters_are_acked").spawn();
        retrying.wait_for_line("reached").await;
        assert_eq!(listed(&subscribing, &[]).await.len(), 0, "it has them in hands");
        retrying.kill().await;
        // then they are in both places,
        let both = async || (listed(&subscribing, &[]).await.len() == 2).then_some(());
        until(SOON, "the letters to come back", both).await;
        let _process = subscribing.process().spawn();
        for id in [1, 2] {
            subscribing.counted(id, 0).await;
        }
        // and when they are retried once more, then what was applied is skipped.
        subscribing.told(&["dead", "retry", "--all", "--yes"]).await;
        let shop = publishing.connect(2).await;
        shop.write(create_counter(3)).await.unwrap();
        subscribing.counted(3, 0).await;
        for id in [1, 2] {
            assert_eq!(subscribing.values("counter", id).await, [0]);
        }
        assert_eq!(listed(&subscribing, &[]).await.len(), 0);
    }
}
