//! Deliveries, and what became of them.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use futures_util::StreamExt;
use futures_util::future::join_all;
use lapin::options::{
    BasicAckOptions, BasicCancelOptions, BasicConsumeOptions, BasicNackOptions, BasicQosOptions,
};
use lapin::types::{FieldTable, ShortString};
use lapin::{Channel, Consumer as Stream};

use super::{RabbitMq, broker_error, short};
use crate::broker::{Acknowledger, BrokerError, Consumer, Delivery, Queue};

/// Consumes on a channel of its own.
pub(super) async fn consume(
    broker: &RabbitMq,
    queue: &Queue,
    prefetch: u16,
) -> Result<Box<dyn Consumer>, BrokerError> {
    let at = broker.at();
    let failed = |error: lapin::Error| broker_error(at, &error);
    let channel = broker.link().channel().await?;
    channel.basic_qos(prefetch, BasicQosOptions::default()).await.map_err(failed)?;
    let stream = channel.basic_consume(
        short(at, queue.name())?,
        ShortString::default(),
        BasicConsumeOptions::default(),
        FieldTable::default(),
    );
    let stream = stream.await.map_err(failed)?;
    let acknowledger = RabbitAcknowledger { channel: channel.clone(), unsettled: Mutex::default() };
    Ok(Box::new(RabbitConsumer { at: at.to_owned(), channel, stream, acknowledger: Arc::new(acknowledger) }))
}

struct RabbitConsumer {
    /// Host and port, for errors.
    at: String,
    /// Closed when the consumer is dropped, which returns what is unacknowledged to the queue.
    channel: Channel,
    /// Holds at most `prefetch` deliveries that were not asked for yet.
    stream: Stream,
    acknowledger: Arc<RabbitAcknowledger>,
}

#[async_trait]
impl Consumer for RabbitConsumer {
    async fn next(&mut self) -> Result<Delivery, BrokerError> {
        match self.stream.next().await {
            Some(Ok(delivery)) => {
                self.acknowledger.unsettled().insert(delivery.delivery_tag);
                Ok(Delivery {
                    body: delivery.data.into(),
                    redelivered: delivery.redelivered,
                    tag: delivery.delivery_tag,
                    acknowledger: self.acknowledger.clone(),
                })
            }
            // Even a refusal (a consumer timeout, say) is over once one consumes anew.
            Some(Err(error)) => {
                Err(BrokerError::Connection { at: self.at.clone(), reason: error.to_string() })
            }
            None => Err(BrokerError::Connection {
                at: self.at.clone(),
                reason: "the broker ended the consumer: its queue may have been deleted".into(),
            }),
        }
    }

    async fn stop(&mut self) {
        let cancelled = self.channel.basic_cancel(self.stream.tag(), BasicCancelOptions::default()).await;
        if let Err(error) = cancelled {
            tracing::debug!(%error, "could not stop a consumer, because its connection was lost");
        }
    }
}

impl Drop for RabbitConsumer {
    fn drop(&mut self) {
        // Acknowledgers hold the channel as well, so that it would not close by itself.
        if let Ok(runtime) = tokio::runtime::Handle::try_current()
            && self.channel.status().connected()
        {
            let channel = self.channel.clone();
            runtime.spawn(async move {
                // An error only says that it is closed.
                let _ = channel.close(200, ShortString::default()).await;
            });
        }
    }
}

/// Settles the deliveries of one channel. After that is lost everything is a no-op.
struct RabbitAcknowledger {
    channel: Channel,
    /// Tags that were delivered and not settled: settling one twice would make the broker close the channel.
    unsettled: Mutex<BTreeSet<u64>>,
}

impl RabbitAcknowledger {
    fn unsettled(&self) -> std::sync::MutexGuard<'_, BTreeSet<u64>> {
        self.unsettled.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Those of these tags that were not settled before, which they are now.
    fn settle(&self, tags: &[u64]) -> Vec<u64> {
        let mut unsettled = self.unsettled();
        tags.iter().copied().filter(|tag| unsettled.remove(tag)).collect()
    }

    /// Sends the frames; all are on their way once this is polled for the first time.
    async fn send(answers: impl Iterator<Item = impl Future<Output = lapin::Result<()>>>) {
        for answer in join_all(answers).await {
            if let Err(error) = answer {
                tracing::debug!(%error, "a delivery could not be settled, because its connection was lost: it will come again");
            }
        }
    }
}

#[async_trait]
impl Acknowledger for RabbitAcknowledger {
    async fn ack(&self, tags: &[u64]) {
        let options = BasicAckOptions { multiple: false };
        Self::send(self.settle(tags).into_iter().map(|tag| self.channel.basic_ack(tag, options))).await;
    }

    async fn requeue(&self, tags: &[u64]) {
        let options = BasicNackOptions { multiple: false, requeue: true };
        Self::send(self.settle(tags).into_iter().map(|tag| self.channel.basic_nack(tag, options))).await;
    }
}
