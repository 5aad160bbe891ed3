//! The dead letters of this app.

use std::sync::Arc;

use crate::broker::{Broker, BrokerError, DeadLetters, Queue, QueueKind};
use crate::config::Config;
use crate::error::Error;
use crate::links::Links;

/// This app's queue, whatever it is bound to: to look at it, not to declare it.
pub(in crate::cli) fn queue_of(config: &Config) -> Queue {
    let kind = if config.classic_queue { QueueKind::Classic } else { QueueKind::Quorum };
    Queue { app: config.app.clone(), bindings: Vec::new(), kind }
}

/// Where this app's dead letters are.
pub(super) struct Graveyard {
    broker: Arc<dyn Broker>,
    queue: Queue,
}

impl Graveyard {
    /// Of this app. Connects when it is opened.
    pub(super) fn of(config: &Config, links: &Links) -> Self {
        Self { broker: Arc::clone(&links.broker), queue: queue_of(config) }
    }

    /// Takes them in hands.
    pub(super) async fn open(&self) -> Result<Box<dyn DeadLetters>, Error> {
        match self.broker.open_dead_letters(&self.queue).await {
            Err(BrokerError::Refused { at, reason }) => Err(Error::Configuration(format!(
                "the queue {} at {at} cannot be opened ({reason}): `promiscuous subscribe` creates it",
                self.queue.dead_letters()
            ))),
            opened => Ok(opened?),
        }
    }

    pub(super) fn app(&self) -> &str {
        &self.queue.app
    }
}
