//! Somebody who reads every message between a publisher and a subscriber in the test's process, and waits until all of them are
//! applied.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;

use bytes::Bytes;
use futures_util::FutureExt;
use promiscuous_core::broker::memory::MemoryBroker;
use promiscuous_core::broker::{Broker, Consumer, Publication, Queue, QueueKind};
use promiscuous_core::dependency::Version;
use promiscuous_core::health::Health;
use promiscuous_core::key::Key;
use promiscuous_core::message::Message;
use promiscuous_core::operation::{Operation, OperationKind};
use promiscuous_core::subscriber::{Status, Subscriber};
use promiscuous_tests::conformance::Eyes;
use promiscuous_tests::until;
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub use promiscuous_tests::conformance::eyes::SOON;

/// What goes over the wire, and what becomes of it.
pub struct Observed {
    pub broker: MemoryBroker,
    observer: Box<dyn Consumer>,
    /// The newest version of each key that the observer has read of since the last look.
    written: BTreeMap<Key, Version>,
}

impl Observed {
    /// Everything that is published from now on at the embedded broker of this name.
    pub async fn at(name: &str) -> Self {
        let broker = MemoryBroker::named(name);
        let everything =
            Queue { app: "observer".into(), bindings: vec!["*.*".into()], kind: QueueKind::Classic };
        broker.declare(&everything).await.unwrap();
        let observer = broker.consume(&everything, u16::MAX).await.unwrap();
        Self { broker, observer, written: BTreeMap::new() }
    }

    /// Waits until everything written so far in this database is published, and returns it as it went over the wire.
    pub async fn bodies(&mut self, publisher: &Eyes) -> Vec<Vec<u8>> {
        publisher.outbox_is_empty().await;
        let mut bodies = Vec::new();
        for _ in 0..self.broker.len("observer.promiscuous") {
            let delivery = self.observer.next().await.unwrap();
            delivery.acknowledger.ack(&[delivery.tag]).await;
            let message = Message::decode(&delivery.body).unwrap();
            for write in message.dependencies.iter().flat_map(|dependencies| &dependencies.write) {
                let version = Version::new(message.generation, write.version);
                let newest = self.written.entry(write.key.clone()).or_insert(version);
                *newest = version.max(*newest);
            }
            bodies.push(delivery.body.to_vec());
        }
        bodies
    }

    /// Waits until every message that was read from the broker is applied in this database and acknowledged.
    ///
    /// The versions are asked for and not the number of messages: one may come twice.
    pub async fn applied(&mut self, subscriber: &Eyes, status: &mut watch::Receiver<Status>) {
        for (key, version) in std::mem::take(&mut self.written) {
            // A key needs no escaping, see `Key`.
            let newer = format!(
                "promiscuous_versions WHERE object = '{key}' AND (generation > {0} OR (generation = {0} AND version >= {1}))",
                version.generation, version.version
            );
            let applied =
                until(SOON, "a version", async || (subscriber.count(&newer).await == 1).then_some(()));
            if AssertUnwindSafe(applied).catch_unwind().await.is_err() {
                panic!("{key} was published, but not applied: {:?}", *status.borrow());
            }
        }
        let quiet = status.wait_for(|status| status.held == 0);
        tokio::time::timeout(SOON, quiet).await.expect("a message stays held").expect("the subscriber ended");
    }
}

/// A subscriber that runs in this process until it is dropped.
pub struct Running {
    pub status: watch::Receiver<Status>,
    pub health: Health,
    task: JoinHandle<()>,
}

impl Running {
    /// Starts it, and waits until everything published from now on arrives.
    pub async fn start(subscriber: Subscriber) -> Self {
        let (mut status, health) = (subscriber.status(), subscriber.health());
        let task = tokio::spawn(async move {
            subscriber.run(std::future::pending()).await.unwrap();
        });
        status.wait_for(|status| status.consuming).await.expect("the subscriber ended");
        Self { status, health, task }
    }
}

impl Running {
    /// Ends it at once.
    pub async fn stop(&mut self) {
        self.task.abort();
        let _ = (&mut self.task).await;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Publishes bodies that went over another wire.
pub async fn carry(broker: &MemoryBroker, bodies: Vec<Vec<u8>>) {
    for published in broker.publish(bodies.iter().map(|body| publication(body)).collect()).await {
        published.unwrap();
    }
}

/// A message that is published again, as it was.
pub fn publication(body: &[u8]) -> Publication {
    let message = Message::decode(body).unwrap();
    Publication {
        id: message.id,
        app: message.app.clone(),
        timestamp: message.timestamp,
        endpoints: message.endpoints(),
        body: Bytes::copy_from_slice(body),
        only_to: None,
        traceparent: None,
    }
}

/// Messages as they went over the wire, decoded.
pub fn decoded(bodies: Vec<Vec<u8>>) -> Vec<Message> {
    bodies.iter().map(|body| Message::decode(body).unwrap()).collect()
}

/// Messages as `create cake/1; update cake/2`.
pub fn lines(messages: &[Message]) -> Vec<String> {
    let line = |message: &Message| message.operations.iter().map(describe).collect::<Vec<_>>().join("; ");
    messages.iter().map(line).collect()
}

fn describe(operation: &Operation) -> String {
    let kind = match operation.operation {
        OperationKind::Create => "create",
        OperationKind::Update => "update",
        OperationKind::Destroy => "destroy",
        _ => "other",
    };
    let attributes = operation.attributes.as_ref().map(|attributes| {
        attributes.iter().map(|(name, value)| format!(" {name}={value}")).collect::<String>()
    });
    format!("{kind} {}/{}{}", operation.endpoint.model(), operation.id, attributes.unwrap_or_default())
}
