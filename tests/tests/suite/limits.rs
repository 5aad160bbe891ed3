//! Bodies that no publisher of ours would send.

use bytes::Bytes;
use lapin::options::{BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions};
use lapin::types::AMQPValue;
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties};
use promiscuous_core::broker::{EXCHANGE, Queue, QueueKind};
use promiscuous_tests::conformance::Stack;
use promiscuous_tests::{servers, until};

use crate::apps::{Publishing, SOON};

/// The wire, for those who do not keep to its format.
async fn channel() -> Channel {
    let connection = Connection::connect(&servers::amqp_url(), ConnectionProperties::default()).await;
    let channel = connection.unwrap().create_channel().await.unwrap();
    channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
    channel
}

async fn send(channel: &Channel, routing_key: &str, body: &[u8]) {
    let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
    let properties = BasicProperties::default().with_delivery_mode(2);
    let sent = channel.basic_publish(EXCHANGE.into(), routing_key.into(), options, body, properties);
    let confirmed = sent.await.unwrap().await.unwrap();
    assert!(confirmed.is_ack() && confirmed.take_message().is_none(), "nobody wants it");
}

/// A create of the counter 1 whose value is this.
fn with_value(app: &str, value: &str) -> String {
    format!(
        r#"{{"id": "0199f3c2-7d1e-7c55-9a34-0b6a3f5f6a10", "app": "{app}", "timestamp": 1, "generation": 1,
            "operations": [{{"operation": "create", "endpoint": "{app}/counter", "types": ["Counter"], "id": "1",
                             "attributes": {{"n": {value}}}}}],
            "dependencies": {{"write": [{{"key": "{app}/counter/1", "version": 1}}], "read": []}}}}"#
    )
}

async fn what_is_too_large_or_too_deep_goes_to_the_dead_letters(stack: Stack) {
    // given
    let shop = Publishing::new(stack).await;
    let mailer = shop.subscribing(stack, &["counter"]).await;
    let mut worker = mailer.start().await;
    // when
    let (channel, key) = (channel().await, format!("{}.counter", shop.app));
    let deep = |levels| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    let bodies = [
        Bytes::from(vec![b' '; 20 * 1024 * 1024]),
        with_value(&shop.app, &deep(10_000)).into(),
        with_value(&shop.app, &deep(1_000_000)).into(),
        with_value(&shop.app, &r#"{"a":"#.repeat(10_000)).into(),
        Bytes::from_static(b"\xff\xfe\x00"),
    ];
    for body in &bodies {
        send(&channel, &key, body).await;
    }
    let mut publisher = shop.process(&["create:2", "increment:2"]).spawn();
    publisher.wait_for_line("idle").await;
    // then what is sound is applied by the same process,
    until(SOON, "the counter", async || (mailer.count("counters WHERE n = 1").await == 1).then_some(()))
        .await;
    // and the rest is kept as it came, with a reason that quotes nothing of it.
    let queue = Queue { app: mailer.app.clone(), bindings: Vec::new(), kind: QueueKind::Quorum };
    let mut letters = Vec::new();
    while letters.len() < bodies.len() {
        let letter = until(SOON, "a dead letter", async || {
            channel.basic_get(queue.dead_letters().into(), BasicGetOptions { no_ack: true }).await.unwrap()
        });
        let letter = letter.await;
        let headers = letter.properties.headers().clone().unwrap();
        let Some(AMQPValue::LongString(reason)) = headers.inner().get("promiscuous-error") else {
            panic!("it tells no reason: {headers:?}");
        };
        let reason = reason.to_string();
        assert!(reason.starts_with("the message "), "{reason}");
        assert!(!reason.contains("[[") && !reason.contains(r#"{"a"#), "{reason}");
        letters.push(Bytes::from(letter.delivery.data));
    }
    let (mut letters, mut bodies) = (letters, bodies.to_vec());
    letters.sort();
    bodies.sort();
    assert!(letters == bodies, "a dead letter is not what was sent");
    assert!(worker.id().is_some());
    worker.terminate();
    assert!(worker.wait().await.success());
}

#[tokio::test]
async fn what_is_too_large_or_too_deep_goes_to_the_dead_letters_with_seaorm() {
    what_is_too_large_or_too_deep_goes_to_the_dead_letters(Stack::SEAORM_POSTGRES).await;
}

#[tokio::test]
async fn what_is_too_large_or_too_deep_goes_to_the_dead_letters_with_diesel() {
    what_is_too_large_or_too_deep_goes_to_the_dead_letters(Stack::DIESEL_MARIADB).await;
}
