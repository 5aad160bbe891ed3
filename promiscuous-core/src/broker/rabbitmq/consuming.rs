//! Deliveries, and what became of them.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use futures_util::StreamExt;
use futures_util::future::{BoxFuture, join_all};
use lapin::options::{
    BasicAckOptions, BasicCancelOptions, BasicConsumeOptions, BasicNackOptions, BasicQosOptions,
};
use lapin::types::{FieldTable, ShortString};
use lapin::{Channel, Consumer as Stream};

use super::prefetch::Window;
use super::{RabbitMq, broker_error, short};
use crate::broker::{Acknowledger, BrokerError, Consumer, Delivery, Prefetch, Queue};

/// Consumes on a channel of its own.
pub(super) async fn consume(
    broker: &RabbitMq,
    queue: &Queue,
    prefetch: Prefetch,
) -> Result<Box<dyn Consumer>, BrokerError> {
    let at = broker.at();
    let channel = broker.link().channel().await?;
    let (window, queue) = (Window::new(prefetch), short(at, queue.name())?);
    let stream = begin(&channel, queue.clone(), window.now()).await;
    let stream = stream.map_err(|error| broker_error(at, &error))?;
    let acknowledger = RabbitAcknowledger { channel: channel.clone(), unsettled: Mutex::default() };
    Ok(Box::new(RabbitConsumer {
        at: at.to_owned(),
        queue,
        channel,
        window,
        streams: VecDeque::from([stream]),
        change: None,
        acknowledger: Arc::new(acknowledger),
    }))
}

/// A prefetch is that of the consumers that begin after it was set.
async fn begin(channel: &Channel, queue: ShortString, prefetch: u16) -> lapin::Result<Stream> {
    channel.basic_qos(prefetch, BasicQosOptions::default()).await?;
    let (tag, options) = (ShortString::default(), BasicConsumeOptions::default());
    channel.basic_consume(queue, tag, options, FieldTable::default()).await
}

/// Ends a consumer, whose deliveries stay, and begins another one.
async fn change(
    channel: Channel,
    tag: ShortString,
    queue: ShortString,
    prefetch: u16,
) -> lapin::Result<Stream> {
    channel.basic_cancel(tag, BasicCancelOptions::default()).await?;
    begin(&channel, queue, prefetch).await
}

struct RabbitConsumer {
    /// Host and port, for errors.
    at: String,
    /// Its name.
    queue: ShortString,
    /// Closed when the consumer is dropped, which returns what is unacknowledged to the queue.
    channel: Channel,
    /// How many deliveries are asked for.
    window: Window,
    /// The last one goes on; those before it have ended, and still hold deliveries of before that. Each holds at most as many as were asked for then.
    streams: VecDeque<Stream>,
    /// The next one, while it begins. It is kept here, so that a dropped call goes on with it.
    change: Option<BoxFuture<'static, lapin::Result<Stream>>>,
    acknowledger: Arc<RabbitAcknowledger>,
}

impl RabbitConsumer {
    fn lost(&self, reason: impl ToString) -> BrokerError {
        BrokerError::Connection { at: self.at.clone(), reason: reason.to_string() }
    }

    fn deliver(&mut self, delivery: lapin::message::Delivery) -> Delivery {
        // One change at a time: until it is made, `window` says what will be.
        if self.change.is_none()
            && let (Some(prefetch), Some(stream)) =
                (self.window.arrived(delivery.data.len()), self.streams.back())
        {
            tracing::debug!(prefetch, "messages have another size: another number of them is asked for");
            let change = change(self.channel.clone(), stream.tag(), self.queue.clone(), prefetch);
            self.change = Some(Box::pin(change));
        }
        self.acknowledger.unsettled().insert(delivery.delivery_tag);
        Delivery {
            body: delivery.data.into(),
            redelivered: delivery.redelivered,
            tag: delivery.delivery_tag,
            acknowledger: self.acknowledger.clone(),
        }
    }
}

/// The next one that begins; never, when none does.
async fn begun(change: &mut Option<BoxFuture<'static, lapin::Result<Stream>>>) -> lapin::Result<Stream> {
    match change {
        Some(begins) => {
            let stream = begins.await;
            *change = None;
            stream
        }
        None => std::future::pending().await,
    }
}

/// The next delivery of the oldest stream; none at its end.
async fn oldest(streams: &mut VecDeque<Stream>) -> Option<lapin::Result<lapin::message::Delivery>> {
    match streams.front_mut() {
        Some(stream) => stream.next().await,
        None => std::future::pending().await,
    }
}

#[async_trait]
impl Consumer for RabbitConsumer {
    async fn next(&mut self) -> Result<Delivery, BrokerError> {
        loop {
            tokio::select! {
                biased;
                stream = begun(&mut self.change) => match stream {
                    Ok(stream) => self.streams.push_back(stream),
                    Err(error) => return Err(self.lost(error)),
                },
                delivery = oldest(&mut self.streams) => match delivery {
                    Some(Ok(delivery)) => return Ok(self.deliver(delivery)),
                    // Even a refusal (a consumer timeout, say) is over once one consumes anew.
                    Some(Err(error)) => return Err(self.lost(error)),
                    None if self.streams.len() > 1 || self.change.is_some() => drop(self.streams.pop_front()),
                    None => return Err(self.lost("the broker ended the consumer: its queue may have been deleted")),
                },
            }
        }
    }

    fn prefetch(&self) -> u16 {
        self.window.now()
    }

    async fn stop(&mut self) {
        if let Some(begins) = self.change.take() {
            match begins.await {
                Ok(stream) => self.streams.push_back(stream),
                Err(error) => {
                    tracing::debug!(%error, "a consumer did not begin, because its connection was lost")
                }
            }
        }
        let Some(stream) = self.streams.back() else { return };
        let cancelled = self.channel.basic_cancel(stream.tag(), BasicCancelOptions::default()).await;
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
