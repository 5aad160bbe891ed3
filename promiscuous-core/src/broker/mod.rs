//! The message broker: publishing with confirms, consuming with acknowledgements, dead letters.
//!
//! [`rabbitmq`] is the real one, [`memory`] runs in the process. `tests/` holds the conformance suite that both must pass.

use async_trait::async_trait;
use bytes::Bytes;
use std::sync::Arc;
use uuid::Uuid;

use crate::key::Endpoint;
use crate::message::MAX_MESSAGE_BYTES;

mod dead_letters;
pub mod memory;
#[cfg(feature = "rabbitmq")]
pub mod rabbitmq;

pub use dead_letters::{DeadLetter, DeadLetters, TakenLetter};

/// The topic exchange that all messages go through.
pub const EXCHANGE: &str = "promiscuous";

/// The exchange that records which app owns an endpoint: the first to declare it does.
pub(crate) fn claim_exchange(endpoint: &Endpoint) -> String {
    format!("promiscuous.endpoint.{}", endpoint.routing_key())
}

/// Refuses a message that subscribers would not read; RabbitMQ itself would answer by closing the channel, with all that is under way on it.
pub(crate) fn check_size(at: &str, publication: &Publication) -> Result<(), BrokerError> {
    let bytes = publication.body.len();
    if bytes <= MAX_MESSAGE_BYTES {
        return Ok(());
    }
    let reason = format!(
        "the message {} has {bytes} bytes, more than the {MAX_MESSAGE_BYTES} allowed: write fewer rows in one transaction, or publish fewer attributes",
        publication.id
    );
    Err(BrokerError::Refused { at: at.to_owned(), reason })
}

/// A message on its way to the broker.
#[derive(Debug, Clone)]
pub struct Publication {
    /// The AMQP `message_id`.
    pub id: Uuid,
    /// The AMQP `app_id`.
    pub app: String,
    /// The AMQP `timestamp`, here in milliseconds since 1970.
    pub timestamp: u64,
    /// Where it goes: the first becomes the routing key, the others the `CC` header. Never empty.
    pub endpoints: Vec<Endpoint>,
    /// The only app that gets it; none is every app that is bound to an endpoint.
    pub only_to: Option<String>,
    /// The encoded message.
    pub body: Bytes,
    /// The W3C trace context, if the writer was traced.
    pub traceparent: Option<String>,
}

/// A subscriber's queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Queue {
    /// The subscribing app; the queue is `<app>.promiscuous`, its dead letters go to `<app>.promiscuous.dead`.
    pub app: String,
    /// Routing patterns to bind: `*.post` or `crowdtap.post`.
    pub bindings: Vec<String>,
    /// A replicated quorum queue (the default) or a classic one.
    pub kind: QueueKind,
}

impl Queue {
    /// The queue of an app, to look at.
    pub fn of(app: &str) -> Self {
        Self { app: app.to_owned(), bindings: Vec::new(), kind: QueueKind::default() }
    }

    /// `<app>.promiscuous`.
    pub fn name(&self) -> String {
        format!("{}.promiscuous", self.app)
    }

    /// The exchange that leads to the app's own two queues, by their names: `<app>.promiscuous`, like the queue. What goes there goes
    /// nowhere else, so that nobody needs the right to write to every queue, which is what the default exchange asks for.
    pub fn exchange(&self) -> String {
        self.name()
    }

    /// `<app>.promiscuous.dead`.
    pub fn dead_letters(&self) -> String {
        format!("{}.promiscuous.dead", self.app)
    }
}

/// How much is in a subscriber's queue at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueDepth {
    /// Messages that nobody has been given.
    pub ready: u64,
    /// Messages that were given to a consumer, and not acknowledged; none where the broker does not tell (AMQP does not).
    pub unacked: Option<u64>,
    /// Who consumes from it.
    pub consumers: u64,
    /// Dead letters, but for those in somebody's hands.
    pub dead: u64,
}

/// How the broker keeps a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum QueueKind {
    /// Replicated over a cluster's nodes, and always on disk.
    #[default]
    Quorum,
    /// On one node.
    Classic,
}

/// Why the broker did not do what it was asked to.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum BrokerError {
    /// The broker could not be reached, or the connection was lost. Whether a publication arrived is unknown: publish it again.
    #[error("the broker at {at} could not be reached: {reason}")]
    Connection {
        /// Host and port, never a password.
        at: String,
        /// What the client said.
        reason: String,
    },
    /// The broker said no to a publication (a nack): publish it again.
    #[error("the broker did not take the message {id}")]
    Nacked {
        /// The message.
        id: Uuid,
    },
    /// Another app owns an endpoint.
    #[error(
        "the endpoint {endpoint} is published by the app `{owner}` already: publish yours under another name (`to = \"…\"`), or, if `{owner}` is gone for good, delete the exchange `{exchange}`"
    )]
    EndpointTaken {
        /// The contested endpoint.
        endpoint: Endpoint,
        /// The app that claimed it first.
        owner: String,
        /// What records the claim on the broker.
        exchange: String,
    },
    /// The broker refuses for good: wrong permissions, or a queue that exists with other settings.
    #[error("the broker at {at} refuses: {reason}")]
    Refused {
        /// Host and port.
        at: String,
        /// What the broker said.
        reason: String,
    },
}

/// A delivered message. Dropping it without a word leaves it unacknowledged: it comes again when the consumer is gone.
pub struct Delivery {
    /// The body as it came.
    pub body: Bytes,
    /// Whether the broker delivered it before; false is no promise.
    pub redelivered: bool,
    /// Names the delivery to `acknowledger`.
    pub tag: u64,
    /// The connection it came over.
    pub acknowledger: Arc<dyn Acknowledger>,
}

impl std::fmt::Debug for Delivery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Delivery")
            .field("tag", &self.tag)
            .field("bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

/// Says what became of deliveries. When the connection that delivered them is lost, all of it is a no-op: the
/// broker delivers them again.
#[async_trait]
pub trait Acknowledger: Send + Sync {
    /// Done: the broker forgets these deliveries.
    async fn ack(&self, tags: &[u64]);
    /// Back to the queue, for whoever comes next: how a stopping worker returns what it did not begin.
    async fn requeue(&self, tags: &[u64]);
}

/// A stream of deliveries. Ends with an error when the connection is lost; then consume anew.
#[async_trait]
pub trait Consumer: Send {
    /// The next delivery. Cancellation-safe: a dropped call loses none.
    async fn next(&mut self) -> Result<Delivery, BrokerError>;
    /// How many unacknowledged deliveries there may be now, at the most.
    fn prefetch(&self) -> u16;
    /// Stops new deliveries; those already received stay acknowledgeable.
    async fn stop(&mut self);
}

/// How much a consumer is given before it acknowledges any of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prefetch {
    /// Messages, at the most.
    pub messages: u16,
    /// Bytes of their bodies that are aimed at. A broker that counts messages only (AMQP) gives fewer of them where they are large, but 64 in any case; it learns
    /// their size from those that come, so that sizes which change all of a sudden go beyond. Where it changes their number, those that it gave before come on top
    /// of the new number until they are settled (64 at first).
    pub bytes: usize,
}

/// A message broker.
#[async_trait]
pub trait Broker: Send + Sync + 'static {
    /// Declares the exchange and claims these endpoints for an app.
    ///
    /// # Errors
    /// [`BrokerError::EndpointTaken`] when another app claimed one before.
    async fn claim(&self, app: &str, endpoints: &[Endpoint]) -> Result<(), BrokerError>;

    /// Publishes all of them, pipelined, and answers for each, in order, once its confirm has come (or the connection was lost).
    /// A publication that no queue is bound to is confirmed: nobody wants it yet. One that only goes to an app which has no queue is refused.
    async fn publish(&self, publications: Vec<Publication>) -> Vec<Result<(), BrokerError>>;

    /// Declares a queue, its bindings and its dead letters; bindings that it has beyond those stay, see [`unbind`](Broker::unbind).
    async fn declare(&self, queue: &Queue) -> Result<(), BrokerError>;

    /// Takes the bindings of a queue back that are named in it; what it has received by them stays in it. Nothing happens where there is no such binding, or no
    /// such queue.
    async fn unbind(&self, queue: &Queue) -> Result<(), BrokerError>;

    /// Puts a message among the dead letters of a declared queue, and waits for the confirm. The delivery it came with is acknowledged
    /// by the caller, after that.
    async fn bury(&self, queue: &Queue, letter: DeadLetter) -> Result<(), BrokerError>;

    /// Opens the dead letters of a declared queue, to look at them and to settle them.
    ///
    /// # Errors
    /// [`BrokerError::Refused`] when the queue was never declared.
    async fn open_dead_letters(&self, queue: &Queue) -> Result<Box<dyn DeadLetters>, BrokerError>;

    /// Consumes from a declared queue with at most `prefetch` unacknowledged deliveries.
    async fn consume(&self, queue: &Queue, prefetch: u16) -> Result<Box<dyn Consumer>, BrokerError> {
        self.consume_within(queue, Prefetch { messages: prefetch, bytes: usize::MAX }).await
    }

    /// The same; where messages are large, with fewer.
    async fn consume_within(
        &self,
        queue: &Queue,
        prefetch: Prefetch,
    ) -> Result<Box<dyn Consumer>, BrokerError>;

    /// How much is in a queue; none when it was never declared.
    async fn depth(&self, queue: &Queue) -> Result<Option<QueueDepth>, BrokerError>;

    /// Whether the broker can be reached now.
    async fn ping(&self) -> Result<(), BrokerError>;
}
