//! Subscriptions that ask for less order than the causal one, or for more.

use std::time::{Duration, Instant};

use promiscuous_core::broker::Broker;
use promiscuous_core::broker::rabbitmq::RabbitMq;
use promiscuous_core::consistency::Consistency;
use promiscuous_tests::conformance::step::{create_counter, increment, save_user, transaction};
use promiscuous_tests::conformance::{Model, Stack, Step};
use promiscuous_tests::deaths::STOP_AT;
use serde_json::{Value as Json, json};
use uuid::Uuid;

use super::causal::run_until;
use crate::apps::Publishing;
use crate::observed::publication;

over_stacks! {
    a_weak_subscription_applies_the_newest_at_once_and_nothing_older
    what_was_caused_by_something_weak_waits_for_it
    what_was_weak_is_waited_for_from_the_moment_on_when_it_is_not
}

over_pairs! {
    a_total_order_is_that_of_the_versions
    a_dead_writer_holds_up_a_total_order_until_its_deadline
    a_global_subscriber_of_a_causal_publisher_goes_on_causally
}

/// The first version that the tests speak of; later than any that passes for the past.
const FIRST: u64 = 4_000_000_000_000_000;

/// A written key with its version after [`FIRST`], and the one that it follows on.
fn write(key: &str, version: u64) -> Json {
    let previous = version.checked_sub(1).map(|previous| FIRST + previous);
    json!({"key": key, "version": FIRST + version, "previous": previous, "readers": {}})
}

async fn publish(broker: &RabbitMq, app: &str, operation: Json, dependencies: Json) {
    let message = json!({
        "id": Uuid::now_v7(), "app": app, "timestamp": 0, "generation": 1,
        "operations": [operation], "dependencies": dependencies,
    });
    let published = broker.publish(vec![publication(message.to_string().as_bytes())]).await;
    published.into_iter().for_each(|published| published.unwrap());
}

/// The counter 1 becomes `n` at a version of that number.
async fn count(broker: &RabbitMq, app: &str, n: u64) {
    let endpoint = format!("{app}/counter");
    let operation = json!({
        "operation": "update", "endpoint": endpoint, "types": ["Counter"], "id": "1", "attributes": {"n": n},
    });
    publish(broker, app, operation, json!({"write": [write(&format!("{endpoint}/1"), n)]})).await;
}

async fn a_weak_subscription_applies_the_newest_at_once_and_nothing_older(stack: Stack) {
    // Given a weak subscription,
    let publishing = Publishing::new(stack).await;
    let subscribing = publishing.subscribing(stack, &["weak counter"]).await;
    let _process = subscribing.start().await;
    let (broker, app) = (publishing.broker(), publishing.app.as_str());
    // when a version comes before the one that it follows on,
    count(&broker, app, 2).await;
    // then it is applied,
    subscribing.counted(1, 2).await;
    // and what comes too late is not.
    for n in [0, 1, 4, 3] {
        count(&broker, app, n).await;
    }
    subscribing.counted(1, 4).await;
    count(&broker, app, 5).await;
    subscribing.counted(1, 5).await;
    let values = subscribing.values("counter", 1).await;
    assert!(values.is_sorted() && values.starts_with(&[2]) && !values.contains(&1), "{values:?}");
}

async fn what_was_caused_by_something_weak_waits_for_it(stack: Stack) {
    // Given a causal subscription beside a weak one, by what the configuration says,
    let publishing = Publishing::new(stack).await;
    let subscribing = publishing.subscribing(stack, &["causal user", "counter"]).await;
    let _process = subscribing.process().env("PROMISCUOUS_CONSISTENCY", "weak").spawn();
    subscribing.bound().await;
    let (broker, app) = (publishing.broker(), publishing.app.as_str());
    // when a user was written by somebody who had read a counter that comes later,
    let operation = json!({
        "operation": "update", "endpoint": format!("{app}/user"), "types": ["User"], "id": "1",
        "attributes": {"name": "joe", "revision": 7},
    });
    let key = format!("{app}/counter/1");
    let read = json!({"key": key, "version": FIRST + 2, "ordinals": {format!("{app}/user"): 1}});
    let dependencies = json!({"write": [write(&format!("{app}/user/1"), 0)], "read": [read]});
    publish(&broker, app, operation, dependencies).await;
    count(&broker, app, 1).await;
    subscribing.counted(1, 1).await;
    // then the user comes after it.
    count(&broker, app, 3).await;
    subscribing.has_rows(Model::User, 1).await;
    let (users, counters) = (subscribing.log("user").await, subscribing.log("counter").await);
    assert_eq!(subscribing.values("counter", 1).await, [1, 3]);
    assert!(users[0].position > counters[1].position, "{users:?}, {counters:?}");
}

/// How often each of two tasks writes.
const WRITES: i64 = 100;

async fn a_total_order_is_that_of_the_versions(from: Stack, to: Stack) {
    // Given a publisher with a total order, and a subscriber to a part of what it publishes,
    let publishing = Publishing::new(from).await.in_a_total_order();
    let subscribing = publishing.subscribing(to, &["global counter"]).await;
    let mut tap = publishing.tap().await;
    let _process = subscribing.process().env("PROMISCUOUS_WORKERS", "4").spawn();
    subscribing.bound().await;
    let shop = publishing.connect(4).await;
    // when two tasks write rows that have nothing to do with each other, and others that nobody wants,
    let writers = [1, 2].map(|id| {
        let shop = shop.clone();
        tokio::spawn(async move {
            shop.write(create_counter(id)).await.unwrap();
            for n in 1..WRITES {
                let step = if n % 10 == 0 { save_user(id, "joe", n / 10 - 1) } else { increment(id) };
                shop.write(step).await.unwrap();
            }
        })
    });
    for writer in writers {
        writer.await.unwrap();
    }
    let both = transaction([increment(1), increment(2)]);
    shop.write(both).await.unwrap();
    // then they are applied in the order of the app's versions, and nothing else.
    let last = WRITES - WRITES / 10 + 1;
    subscribing.counted(1, last).await;
    subscribing.counted(2, last).await;
    let order = format!("{}/*", publishing.app);
    let mut expected = Vec::new();
    for _ in 0..2 * WRITES + 1 {
        let message = tap.message().await;
        let place = message.dependencies.iter().flat_map(|d| d.write.last()).next().unwrap();
        assert_eq!(place.key.as_str(), order);
        for operation in message.operations.iter().filter(|o| o.endpoint.model() == "counter") {
            let n = operation.attributes.as_ref().unwrap()["n"].as_i64().unwrap();
            expected.push((place.version, operation.id.parse::<i64>().unwrap(), n));
        }
    }
    expected.sort_by_key(|(version, ..)| *version);
    let expected: Vec<_> = expected.into_iter().map(|(_, id, n)| (id, n)).collect();
    let applied = subscribing.log("counter").await;
    let applied: Vec<_> = applied.into_iter().map(|line| (line.object, line.value)).collect();
    assert_eq!(applied, expected);
}

async fn a_dead_writer_holds_up_a_total_order_until_its_deadline(from: Stack, to: Stack) {
    // Given a publisher with a total order, of which one process has died with a place in it,
    let publishing = Publishing::new(from).await.in_a_total_order();
    let subscribing = publishing.subscribing(to, &["global counter"]).await;
    let _process = subscribing.start().await;
    let mut dead = publishing.process(&["create:1", "increment:1"]);
    dead = dead.env(STOP_AT, "after_bump:2").env("DEADLINE_SECONDS", "4");
    let mut dead = dead.spawn();
    dead.wait_for_line("reached").await;
    dead.kill().await;
    let died = Instant::now();
    // when another one writes other rows,
    let shop = publishing.connect(2).await;
    for step in [create_counter(2), increment(2), Step::Find(Model::Counter, 2)] {
        shop.write(step).await.unwrap();
    }
    // then they arrive when the deadline has passed, whoever would have to be asked about the dead one's row.
    subscribing.counted_within(Duration::from_secs(20), 2, 1).await;
    println!("they had arrived after {:?}", died.elapsed());
    assert!(died.elapsed() > Duration::from_secs(2), "nobody waited for the dead one's place");
    let lines = subscribing.log("counter").await;
    let applied: Vec<_> = lines.into_iter().map(|line| (line.object, line.value)).collect();
    assert_eq!(applied, [(1, 0), (2, 0), (2, 1)]);
    subscribing.assert_equals(&publishing.eyes, Model::Counter).await;
}

async fn a_global_subscriber_of_a_causal_publisher_goes_on_causally(from: Stack, to: Stack) {
    let publishing = Publishing::new(from).await;
    let subscribing = publishing.subscribing(to, &["counter", "user"]).await;
    let _process = subscribing.process().env("PROMISCUOUS_CONSISTENCY", "global").spawn();
    subscribing.bound().await;
    let shop = publishing.connect(2).await;
    for step in [create_counter(1), save_user(1, "joe", 0), increment(1), increment(1)] {
        shop.write(step).await.unwrap();
    }
    subscribing.counted(1, 2).await;
    assert_eq!(subscribing.values("counter", 1).await, [0, 1, 2]);
}

async fn what_was_weak_is_waited_for_from_the_moment_on_when_it_is_not(stack: Stack) {
    // Given a subscription,
    let publishing = Publishing::new(stack).await;
    let subscribing = publishing.subscribing(stack, &["counter"]).await;
    let since = async |rows: &str| -> i64 {
        let sql = format!("SELECT bound_since FROM promiscuous_subscriptions WHERE {rows}");
        subscribing.row(&sql).await.try_get("", "bound_since").unwrap()
    };
    let bound_as = async |consistency: Consistency| {
        let app = subscribing.connect(consistency).await;
        run_until(app.subscriber(), |status| status.consuming).await;
        app.shut_down().await;
        let state = if consistency == Consistency::Weak { "weak" } else { "live" };
        since(&format!("endpoint LIKE '%/counter' AND state = '{state}'")).await
    };
    let orders = async || subscribing.count("promiscuous_subscriptions WHERE endpoint LIKE '%/*'").await;
    // when it is causal, then messages of before it was bound are not waited for;
    let bound = bound_as(Consistency::Causal).await;
    assert_eq!(bound_as(Consistency::Causal).await, bound);
    // when it is weak for a time, whose readers nobody counts, then those of that time are not either;
    assert_eq!(bound_as(Consistency::Weak).await, bound);
    let causal_again = bound_as(Consistency::Causal).await;
    assert!(causal_again > bound);
    // and a total order, too, holds from when it was asked for the last time.
    assert_eq!(bound_as(Consistency::Global).await, causal_again);
    let order = since("endpoint LIKE '%/*'").await;
    assert_eq!(bound_as(Consistency::Causal).await, causal_again);
    assert_eq!(orders().await, 0);
    assert_eq!(bound_as(Consistency::Global).await, causal_again);
    assert!(since("endpoint LIKE '%/*'").await > order);
}
