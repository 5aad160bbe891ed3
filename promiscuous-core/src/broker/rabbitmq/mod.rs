//! On RabbitMQ, 3.8 or later.
//!
//! * `connection`: one connection, made anew whenever it was lost
//! * `topology`: the exchange, queues, and claims on endpoints
//! * `publishing`: pipelined, with confirms
//! * `consuming`: deliveries and what became of them
//! * `burying`: dead letters, put aside with why
//! * `dead_letters`: dead letters, taken out again
//! * `facts`: what is there for an app
//!
//! **Consumer timeout.** Since 3.8.15 the server closes the channel of a consumer that leaves a delivery
//! unacknowledged for 30 minutes (`consumer_timeout`), and delivers everything it held again. Blocked messages are
//! parked and acknowledged long before; only the applying of a single message may come near. It is a setting of the
//! server: raise it there if your callbacks take that long.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use lapin::protocol::{AMQPErrorKind, AMQPSoftError};
use lapin::types::ShortString;
use lapin::{Channel, ErrorKind};
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::{
    Broker, BrokerError, Consumer, DeadLetter, DeadLetters, Prefetch, Publication, Queue, QueueDepth,
};
use crate::key::Endpoint;
use crate::tls::Authorities;
use connection::Link;

pub use facts::QueueFacts;

mod burying;
mod connection;
mod consuming;
mod dead_letters;
mod facts;
mod prefetch;
mod publishing;
mod topology;

/// How long the answer to a declaration may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a health check may take.
const PING_TIMEOUT: Duration = Duration::from_secs(3);

/// A RabbitMQ server or cluster. A cheap handle: clones share one connection.
#[derive(Clone)]
pub struct RabbitMq {
    shared: Arc<Shared>,
}

struct Shared {
    link: Link,
    /// The channel in confirm mode that all publications go through; replaced once it is closed. An async
    /// lock, held while opening it, so that it is opened once.
    publishing: Mutex<Option<Channel>>,
    /// Whose turn it is to send on that channel, see [`publishing::in_turn`].
    turn: std::sync::Mutex<()>,
}

impl RabbitMq {
    /// A broker at an `amqp://user:password@host:port/vhost` URL (or, with the `tls` feature, `amqps://`). Connects when it is
    /// first used, and again whenever the connection was lost; so this succeeds while the server is away.
    ///
    /// # Errors
    /// [`BrokerError::Refused`] when the text is not such a URL.
    pub fn new(url: &str) -> Result<Self, BrokerError> {
        Self::trusting(url, &Authorities::default())
    }

    /// The same, where certificates must come from these authorities.
    ///
    /// # Errors
    /// [`BrokerError::Refused`] when the text is not such a URL.
    pub fn trusting(url: &str, authorities: &Authorities) -> Result<Self, BrokerError> {
        let link = Link::new(url, authorities)?;
        Ok(Self { shared: Arc::new(Shared { link, publishing: Mutex::new(None), turn: Default::default() }) })
    }

    fn link(&self) -> &Link {
        &self.shared.link
    }

    /// Host and port, for errors.
    fn at(&self) -> &str {
        self.link().at()
    }

    /// Runs declarations on a channel of their own, because a refusal closes it.
    async fn on_own_channel<T>(
        &self,
        work: impl AsyncFnOnce(&Channel) -> Result<T, BrokerError>,
    ) -> Result<T, BrokerError> {
        let in_time = async {
            let channel = self.link().channel().await?;
            let result = work(&channel).await;
            if channel.status().connected() {
                // Whether it closes well no longer matters.
                let _ = channel.close(200, ShortString::default()).await;
            }
            result
        };
        timeout(ANSWER_TIMEOUT, in_time)
            .await
            .unwrap_or_else(|_| Err(self.link().lost(&"it does not answer in time")))
    }
}

#[async_trait]
impl Broker for RabbitMq {
    async fn claim(&self, app: &str, endpoints: &[Endpoint]) -> Result<(), BrokerError> {
        topology::claim(self, app, endpoints).await
    }

    async fn publish(&self, publications: Vec<Publication>) -> Vec<Result<(), BrokerError>> {
        publishing::publish(self, publications).await
    }

    async fn declare(&self, queue: &Queue) -> Result<(), BrokerError> {
        topology::declare(self, queue).await
    }

    async fn unbind(&self, queue: &Queue) -> Result<(), BrokerError> {
        topology::unbind(self, queue).await
    }

    async fn bury(&self, queue: &Queue, letter: DeadLetter) -> Result<(), BrokerError> {
        burying::bury(self, queue, letter).await
    }

    async fn open_dead_letters(&self, queue: &Queue) -> Result<Box<dyn DeadLetters>, BrokerError> {
        dead_letters::open(self, queue).await
    }

    async fn consume_within(
        &self,
        queue: &Queue,
        prefetch: Prefetch,
    ) -> Result<Box<dyn Consumer>, BrokerError> {
        timeout(ANSWER_TIMEOUT, consuming::consume(self, queue, prefetch))
            .await
            .unwrap_or_else(|_| Err(self.link().lost(&"it does not answer in time")))
    }

    async fn depth(&self, queue: &Queue) -> Result<Option<QueueDepth>, BrokerError> {
        topology::depth(self, queue).await
    }

    async fn ping(&self) -> Result<(), BrokerError> {
        // Opening a channel is a round trip: it tells a live server from a connection that looks alive.
        timeout(PING_TIMEOUT, self.on_own_channel(async |_| Ok(())))
            .await
            .unwrap_or_else(|_| Err(self.link().lost(&"it does not answer in time")))
    }
}

/// What the broker's error means to us: a refusal that a retry will not change, or a lost connection.
fn broker_error(at: &str, error: &lapin::Error) -> BrokerError {
    use AMQPSoftError::{ACCESSREFUSED, NOTFOUND, PRECONDITIONFAILED, RESOURCELOCKED};
    let (at, reason) = (at.to_owned(), error.to_string());
    match error.kind() {
        ErrorKind::ProtocolError(error) => match error.kind() {
            AMQPErrorKind::Soft(ACCESSREFUSED) => BrokerError::Refused {
                at,
                reason: format!("{reason}: check user and password, and grant what docs/security.md lists"),
            },
            AMQPErrorKind::Soft(NOTFOUND | PRECONDITIONFAILED | RESOURCELOCKED) => {
                BrokerError::Refused { at, reason }
            }
            _ => BrokerError::Connection { at, reason },
        },
        _ => BrokerError::Connection { at, reason },
    }
}

/// A name as AMQP wants it. Longer ones make the client panic, so they are refused here.
fn short(at: &str, name: impl Into<String>) -> Result<ShortString, BrokerError> {
    let name = name.into();
    ShortString::try_new(name.as_str()).map_err(|_| BrokerError::Refused {
        at: at.to_owned(),
        reason: format!("the name `{name}` is longer than the 255 bytes that AMQP allows: choose shorter app and model names"),
    })
}
