//! What is there for an app, for those who look whether it fits.

use lapin::options::QueueDeclareOptions;

use super::{RabbitMq, broker_error, short, topology};
use crate::broker::{BrokerError, Queue};

/// What is known of a subscriber's queues.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct QueueFacts {
    /// How many messages are in the queue.
    pub messages: u32,
    /// How many workers consume from it.
    pub consumers: u32,
    /// How many dead letters there are.
    pub dead_letters: u32,
}

impl RabbitMq {
    /// Looks at an app's queue: `None` when it is not there. One that is there is declared again with these settings, as each start of
    /// a worker does. RabbitMQ does not tell its bindings.
    ///
    /// # Errors
    /// [`BrokerError::Refused`] when it was declared with other settings than these.
    pub async fn queue_facts(&self, queue: &Queue) -> Result<Option<QueueFacts>, BrokerError> {
        let Some((messages, consumers)) = self.counts(queue.name()).await? else { return Ok(None) };
        let Some((dead_letters, _)) = self.counts(queue.dead_letters()).await? else { return Ok(None) };
        // Both are there: declaring them creates no queue, and is refused where they differ.
        topology::declare(self, queue).await?;
        Ok(Some(QueueFacts { messages, consumers, dead_letters }))
    }

    async fn counts(&self, name: String) -> Result<Option<(u32, u32)>, BrokerError> {
        let name = short(self.at(), name)?;
        let looked = self
            .on_own_channel(async |channel| {
                let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
                match channel.queue_declare(name, passive, Default::default()).await {
                    Ok(queue) => Ok(Some((queue.message_count(), queue.consumer_count()))),
                    Err(error) if topology::not_found(&error) => Ok(None),
                    Err(error) => Err(broker_error(self.at(), &error)),
                }
            })
            .await?;
        Ok(looked)
    }
}
