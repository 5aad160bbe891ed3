//! `promiscuous blocked`.

use std::collections::BTreeMap;
use std::time::Duration;

use promiscuous_core::broker::{Broker, DeadLetter, Publication, Queue, QueueKind};
use promiscuous_core::key::{Endpoint, Key};
use promiscuous_core::message::Message;
use promiscuous_core::version_store::redis::RedisStore;
use promiscuous_core::version_store::{Bump, VersionStore};
use promiscuous_tests::conformance::Stack;
use promiscuous_tests::{servers, until};
use serde_json::{Value, json};
use uuid::Uuid;

use super::json;
use crate::apps::{Publishing, SOON, Subscribing};
use crate::conformance::over_stacks;
use crate::observed::publication;

over_stacks! {
    each_blocked_message_is_told_with_where_its_cause_is
    a_cause_in_the_app_s_own_outbox_is_found_there_and_one_that_has_come_is_told
    what_has_failed_is_told_with_its_next_attempt_and_is_found_as_a_cause
}

const BLOCKED: [&str; 3] = ["blocked", "--format", "json"];

/// The first version that the tests speak of; later than any that passes for the past.
const FIRST: u64 = 4_000_000_000_000_000;

/// Changes a counter, after what has made the version before and read it so often.
fn change(app: &str, id: u64, version: u64, previous: Option<u64>, readers: u64) -> Publication {
    let endpoint = format!("{app}/counter");
    let readers = if readers > 0 { json!({ &endpoint: readers }) } else { json!({}) };
    let write = json!({
        "key": format!("{endpoint}/{id}"), "version": version, "previous": previous, "readers": readers,
    });
    let operation = json!({
        "operation": "update", "endpoint": endpoint, "types": ["Counter"], "id": id.to_string(),
        "attributes": { "n": version - FIRST },
    });
    let message = json!({
        "id": Uuid::now_v7(), "app": app, "timestamp": 1, "generation": 1,
        "operations": [operation], "dependencies": { "write": [write], "read": [] },
    });
    publication(message.to_string().as_bytes())
}

async fn causes(subscribing: &Subscribing) -> BTreeMap<String, Value> {
    let (lines, code) = json(subscribing.command(&BLOCKED)).await;
    assert_eq!(code, 0);
    lines.into_iter().map(|line| (line["id"].as_str().unwrap().to_owned(), line)).collect()
}

async fn each_blocked_message_is_told_with_where_its_cause_is(stack: Stack) {
    // given a subscriber whose memory is full at once,
    let publishing = Publishing::new(stack).await;
    let subscribing = publishing.subscribing(stack, &["counter"]).await;
    let _process = subscribing.process().env("PROMISCUOUS_PREFETCH", "1").spawn();
    subscribing.bound().await;
    assert_eq!(causes(&subscribing).await.len(), 0);
    let (broker, app) = (publishing.broker(), publishing.app.as_str());
    let _shop = publishing.connect(2).await;
    // a writer that has its version and has not committed,
    let store = RedisStore::connect(&servers::redis_url(), app).unwrap();
    let bump = Bump {
        op: Uuid::now_v7(),
        generation: 1,
        deadline: Duration::from_secs(3_600),
        endpoints: vec![Endpoint::parse(&format!("{app}/counter")).unwrap()],
        write: vec![Key::parse(&format!("{app}/counter/3")).unwrap()],
        read: Vec::new(),
    };
    let flying = store.lock_and_bump(&bump).await.unwrap().write[0].version;
    // a dead letter that was not skipped,
    let queue = Queue { app: subscribing.app.clone(), bindings: Vec::new(), kind: QueueKind::Quorum };
    let dead = change(app, 2, FIRST, None, 0);
    let letter = DeadLetter { body: dead.body.clone(), id: Some(dead.id), error: "x".into(), attempts: 25 };
    broker.bury(&queue, letter).await.unwrap();
    // and messages whose causes are nowhere, parked, dead, and in flight; and one whose cause's readers are nowhere.
    let nowhere = change(app, 1, FIRST + 1, Some(FIRST), 0);
    let after_parked = change(app, 1, FIRST + 2, Some(FIRST + 1), 0);
    let after_dead = change(app, 2, FIRST + 1, Some(FIRST), 0);
    let mut in_flight = change(app, 3, FIRST + 1, Some(FIRST), 0);
    let text = String::from_utf8(in_flight.body.to_vec()).unwrap();
    in_flight.body = text.replace(&format!("\"previous\":{FIRST}"), &format!("\"previous\":{flying}")).into();
    let read = change(app, 4, FIRST, None, 0);
    let after_readers = change(app, 4, FIRST + 1, Some(FIRST), 1);
    let all = [&nowhere, &after_parked, &after_dead, &in_flight, &read, &after_readers].map(Clone::clone);
    for published in broker.publish(all.into()).await {
        published.unwrap();
    }
    until(SOON, "five parked messages", async || {
        (subscribing.eyes.count("promiscuous_parked").await == 5).then_some(())
    })
    .await;
    // when
    let told = causes(&subscribing).await;
    // then
    assert_eq!(told.len(), 5, "{told:?}");
    let of = |message: &Publication| &told[&message.id.to_string()];
    assert_eq!(of(&nowhere)["cause"], "nowhere");
    let first = of(&nowhere);
    assert_eq!(first["waits_for"], format!("{app}/counter/1"));
    assert_eq!(
        (&first["generation"], &first["version"], &first["readers"]),
        (&json!(1), &json!(FIRST), &json!(false))
    );
    assert_eq!(first["operations"], json!([format!("update {app}/counter/1")]));
    assert!(first["arrived_at"].as_u64().unwrap() > 1_700_000_000_000, "{first}");
    let parked = of(&after_parked);
    assert_eq!((&parked["cause"], &parked["cause_id"]), (&json!("parked"), &json!(nowhere.id)));
    let after = of(&after_dead);
    assert_eq!((&after["cause"], &after["cause_id"]), (&json!("dead"), &json!(dead.id)));
    assert_eq!(of(&in_flight)["cause"], "in_flight");
    let readers = of(&after_readers);
    assert_eq!((&readers["cause"], &readers["readers"]), (&json!("nowhere"), &json!(true)));
    assert_eq!(
        (&readers["version"], &readers["waits_for"]),
        (&json!(FIRST), &json!(format!("{app}/counter/4")))
    );
    // and people are told what to do,
    let lines = subscribing.told(&["blocked"]).await.join("\n");
    assert!(lines.contains(&format!("promiscuous dead retry --id {}", dead.id)), "{lines}");
    assert!(lines.contains(&format!("the readers of {app}/counter/4 at 1:{FIRST}")), "{lines}");
    assert_eq!(subscribing.told(&["blocked", "--limit", "2"]).await.len(), 2);
    // and nothing was changed by looking.
    assert_eq!(subscribing.told(&["dead", "list"]).await.len(), 1);
    assert_eq!(causes(&subscribing).await.len(), 5);
}

async fn a_cause_in_the_app_s_own_outbox_is_found_there_and_one_that_has_come_is_told(stack: Stack) {
    // given an app that waits for what it has not published itself
    let publishing = Publishing::new(stack).await;
    publishing.die_at("after_commit", &["create:1"]).await;
    let row = publishing.eyes.row("SELECT message FROM promiscuous_outbox").await;
    let body: String = row.try_get("", "message").unwrap();
    let message = Message::decode(body.as_bytes()).unwrap();
    let write = &message.dependencies.as_ref().unwrap().write[0];
    let park = format!(
        "INSERT INTO promiscuous_parked (id, arrived_at, parked_at, waits_for, endpoint, generation, version, message) \
         VALUES ('{}', 1, 1, '{1}', '{1}', {2}, {3}, 'nothing')",
        Uuid::now_v7(),
        write.key,
        message.generation,
        write.version
    );
    publishing.eyes.execute(&park).await;
    // then
    let (lines, code) = json(publishing.command(&BLOCKED)).await;
    assert_eq!((&lines[0]["cause"], code), (&json!("outbox"), 0));
    assert_eq!(lines[0]["operations"], json!([]));
    // when it has come, though nobody has looked yet
    let applied = format!(
        "INSERT INTO promiscuous_versions VALUES ('{}', 1, {v}, 1, {v})",
        write.key,
        v = write.version
    );
    publishing.eyes.execute(&applied).await;
    // then
    let (lines, _) = json(publishing.command(&BLOCKED)).await;
    assert_eq!(lines[0]["cause"], "applied");
}

async fn what_has_failed_is_told_with_its_next_attempt_and_is_found_as_a_cause(stack: Stack) {
    // given a message that cannot be applied, and one that follows it
    let publishing = Publishing::new(stack).await;
    let subscribing = publishing.subscribing(stack, &["counter"]).await;
    let _process = subscribing.process().env("PROMISCUOUS_PREFETCH", "1").spawn();
    subscribing.bound().await;
    let mut unfit = change(&publishing.app, 1, FIRST, None, 0);
    unfit.body = String::from_utf8(unfit.body.to_vec()).unwrap().replace(r#""n":0"#, r#""n":"none""#).into();
    let follows = change(&publishing.app, 1, FIRST + 1, Some(FIRST), 0);
    for published in publishing.broker().publish(vec![unfit.clone(), follows.clone()]).await {
        published.unwrap();
    }
    // when it waits for its fourth attempt, for nearly half a second
    let told = until(SOON, "both, parked", async || {
        let told = causes(&subscribing).await;
        let attempts = told.get(&unfit.id.to_string())?["attempts"].as_u64()?;
        (told.len() == 2 && attempts > 2).then_some(told)
    })
    .await;
    // then
    let failing = &told[&unfit.id.to_string()];
    assert!(failing["retry_at"].as_u64() > failing["arrived_at"].as_u64(), "{failing}");
    assert_eq!(failing.get("cause"), None);
    assert!(failing["advice"].as_str().unwrap().contains("the log"), "{failing}");
    let follows = &told[&follows.id.to_string()];
    assert_eq!((&follows["cause"], &follows["cause_id"]), (&json!("failing"), &json!(unfit.id)));
    let lines = subscribing.told(&["blocked"]).await.join("\n");
    assert!(lines.contains(&format!("{}  update {}/counter/1 came", unfit.id, publishing.app)), "{lines}");
    let (status, _) = json(subscribing.command(&["status", "--format", "json"])).await;
    assert_eq!((&status[0]["parked"]["count"], &status[0]["parked"]["failing"]), (&json!(1), &json!(1)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_the_publisher_s_redis_cannot_be_looked_at_a_cause_is_unknown() {
    // given a message that waits
    let publishing = Publishing::new(Stack::SEAORM_SQLITE).await;
    let subscribing = publishing.subscribing(Stack::SEAORM_SQLITE, &["counter"]).await;
    let _process = subscribing.process().env("PROMISCUOUS_PREFETCH", "1").spawn();
    subscribing.bound().await;
    let waits = change(&publishing.app, 1, FIRST + 1, Some(FIRST), 0);
    publishing.broker().publish(vec![waits]).await.remove(0).unwrap();
    until(SOON, "a parked message", async || {
        (subscribing.eyes.count("promiscuous_parked").await == 1).then_some(())
    })
    .await;
    // then: here the publisher has a Redis, but nothing in it; there is no Redis; and no RabbitMQ.
    for (variable, url, code) in [
        ("REDIS_URL", servers::redis_url(), 0),
        ("REDIS_URL", "redis://127.0.0.1:1/".to_owned(), 1),
        ("AMQP_URL", "amqp://127.0.0.1:1/%2f".to_owned(), 1),
    ] {
        let (lines, ended) = json(subscribing.command(&BLOCKED).env(variable, url)).await;
        assert_eq!((&lines[0]["cause"], ended), (&json!("unknown"), code));
    }
}
