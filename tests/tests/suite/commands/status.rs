//! `promiscuous status`.

use promiscuous_tests::conformance::Stack;
use promiscuous_tests::conformance::step::create_counter;
use promiscuous_tests::deaths::STOP_AT;
use promiscuous_tests::until;
use serde_json::{Value, json};

use super::json;
use crate::apps::{Publishing, SOON, Subscribing};
use crate::conformance::over_stacks;

over_stacks! {
    an_app_that_is_well_is_told_so_on_both_sides
    what_dead_writers_have_left_is_told_until_it_is_recovered
}

const STATUS: [&str; 3] = ["status", "--format", "json"];

async fn of_publisher(publishing: &Publishing) -> Value {
    let (mut lines, code) = json(publishing.command(&STATUS)).await;
    assert_eq!((lines.len(), code), (1, 0));
    lines.remove(0)
}

async fn of_subscriber(subscribing: &Subscribing) -> Value {
    let (mut lines, code) = json(subscribing.command(&STATUS)).await;
    assert_eq!((lines.len(), code), (1, 0));
    lines.remove(0)
}

async fn an_app_that_is_well_is_told_so_on_both_sides(stack: Stack) {
    // given a message that has arrived
    let publishing = Publishing::new(stack).await;
    let subscribing = publishing.subscribing(stack, &["counter"]).await;
    let endpoint = format!("{}/counter", publishing.app);
    let before = of_subscriber(&subscribing).await;
    assert_eq!(before["subscriptions"][0]["state"], Value::Null);
    assert!(before["advice"][0].as_str().unwrap().contains("not bound yet"), "{before}");
    let mut process = subscribing.start().await;
    let shop = publishing.connect(2).await;
    shop.write(create_counter(1)).await.unwrap();
    subscribing.counted(1, 0).await;
    publishing.eyes.outbox_is_empty().await;
    // then
    let publisher = until(SOON, "a writer to finish", async || {
        let status = of_publisher(&publishing).await;
        (status["versions"]["intents"] == 0).then_some(status)
    })
    .await;
    assert_eq!(publisher["outbox"], json!({ "waiting": 0, "oldest_at": null, "fences": 0 }));
    assert_eq!(
        publisher["versions"],
        json!({ "generation": 1, "is_trusted": true, "intents": 0, "overdue": 0 })
    );
    assert_eq!((&publisher["generation"], &publisher["advice"]), (&json!(1), &json!([])));
    let subscriber = of_subscriber(&subscribing).await;
    assert_eq!(subscriber["queue"], json!({ "ready": 0, "unacked": null, "consumers": 1, "dead": 0 }));
    assert_eq!(subscriber["parked"], json!({ "count": 0, "oldest_at": null, "failing": 0, "left": 0 }));
    let subscription = &subscriber["subscriptions"][0];
    assert_eq!((&subscription["endpoint"], &subscription["state"]), (&json!(endpoint), &json!("live")));
    let [since, at] = [&subscription["bound_since"], &subscriber["at"]].map(|at| at.as_u64().unwrap());
    assert!(since <= at && at - since < 600_000, "{subscriber}");
    assert_eq!((&subscriber["advice"], &subscriber["problems"]), (&json!([]), &json!([])));
    // when nobody consumes, then that is told.
    process.terminate();
    assert!(process.wait().await.success());
    shop.write(create_counter(2)).await.unwrap();
    until(SOON, "a message that nobody takes", async || {
        let status = of_subscriber(&subscribing).await;
        let advice = status["advice"].to_string();
        (status["queue"]["ready"] == 1 && advice.contains("start `promiscuous subscribe`")).then_some(())
    })
    .await;
}

async fn what_dead_writers_have_left_is_told_until_it_is_recovered(stack: Stack) {
    // given a writer that died before its commit, whose deadline the next process does not live to see, and one that died after
    let publishing = Publishing::new(stack).await;
    let mut dying =
        publishing.process(&["create:2"]).env(STOP_AT, "after_bump").env("DEADLINE_SECONDS", "8").spawn();
    dying.wait_for_line("reached").await;
    dying.kill().await;
    publishing.die_at("after_commit", &["create:1"]).await;
    // then
    until(SOON, "both to be overdue", async || {
        let status = of_publisher(&publishing).await;
        assert_eq!((&status["outbox"]["waiting"], &status["versions"]["intents"]), (&json!(1), &json!(2)));
        assert!(status["outbox"]["oldest_at"].as_u64() <= status["at"].as_u64(), "{status}");
        let is_told = status["advice"].to_string().contains("recover --once");
        (status["versions"]["overdue"] == 2 && is_told).then_some(())
    })
    .await;
    // when
    assert!(publishing.command(&["recover", "--once"]).spawn().wait().await.success());
    // then nothing is left but a fence.
    let status = of_publisher(&publishing).await;
    assert_eq!(status["outbox"], json!({ "waiting": 0, "oldest_at": null, "fences": 1 }));
    assert_eq!((&status["versions"]["intents"], &status["advice"]), (&json!(0), &json!([])));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_away_hides_nothing_of_the_others() {
    let publishing = Publishing::new(Stack::SEAORM_POSTGRES).await;
    for (variable, url, named, unknown) in [
        ("REDIS_URL", "redis://user:secret@127.0.0.1:1/", "Redis", "versions"),
        ("AMQP_URL", "amqp://user:secret@127.0.0.1:1/%2f", "RabbitMQ", "queue"),
        ("DATABASE_URL", "postgres://user:secret@127.0.0.1:1/x", "the database", "outbox"),
    ] {
        let (lines, code) = json(publishing.command(&STATUS).env(variable, url)).await;
        let status = &lines[0];
        assert_eq!(code, 1, "{status}");
        let problems = status["problems"].as_array().unwrap();
        assert!(problems.len() == 1 && problems[0].as_str().unwrap().starts_with(named), "{status}");
        assert!(!status.to_string().contains("secret"), "{status}");
        for part in ["versions", "queue", "outbox"] {
            assert_eq!(status[part].is_null(), part == unknown, "{part}: {status}");
        }
        let mut process = publishing.command(&["status"]).env(variable, url).spawn();
        assert_eq!(process.wait().await.code(), Some(1));
        let said = process.said().join("\n");
        assert!(said.contains(&format!("\n! {named}: ")) && said.contains("unknown"), "{said}");
    }
}
