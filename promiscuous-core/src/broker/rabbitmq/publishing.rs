//! Publishing, pipelined and with confirms: everything is sent, then every confirm is awaited.

use std::sync::PoisonError;
use std::time::Duration;

use futures_util::future::join_all;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::types::{FieldArray, FieldTable, ShortString};
use lapin::{BasicProperties, Channel, Confirmation};
use tokio::time::{Instant, timeout_at};

use super::topology::{declare_exchange, text};
use super::{RabbitMq, broker_error, short};
use crate::broker::{BrokerError, EXCHANGE, Publication, Queue, check_size};

/// How long sending and confirming may take, the whole batch together. A broker that is short of memory or disk
/// blocks publishers: then the messages stay in the outbox, and are published again.
pub(super) const CONFIRM_TIMEOUT: Duration = Duration::from_secs(30);

/// How often somebody who waits for confirms looks whether any can still come.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// AMQP's `delivery_mode` for messages that survive a restart of the broker.
pub(super) const PERSISTENT: u8 = 2;

/// Publishes all; one answer for each, in order.
pub(super) async fn publish(
    broker: &RabbitMq,
    publications: Vec<Publication>,
) -> Vec<Result<(), BrokerError>> {
    let deadline = Instant::now() + CONFIRM_TIMEOUT;
    let late = || broker.link().lost(&"it does not confirm in time: it may be short of memory or disk");
    let opened = timeout_at(deadline, channel(broker)).await.unwrap_or_else(|_| Err(late()));
    let channel = match opened {
        Ok(channel) => channel,
        Err(error) => return publications.iter().map(|_| Err(error.clone())).collect(),
    };
    let alone = publications.len() == 1;
    let one = |publication: Publication| {
        let channel = &channel;
        async move {
            let answer = timeout_at(deadline, publish_one(broker, channel, publication)).await;
            answer.unwrap_or_else(|_| Err(Failure::Channel(late())))
        }
    };
    let count = publications.len();
    let mut results = tokio::select! {
        results = join_all(publications.into_iter().map(one)) => results,
        () = gone(&channel) => {
            (0..count).map(|_| Err(Failure::Channel(broker.link().lost(&"the channel was closed")))).collect()
        }
    };
    if results.iter().any(|result| matches!(result, Err(Failure::Channel(_)))) {
        discard(broker, &channel).await;
    }
    results
        .drain(..)
        .map(|result| match result {
            // A refusal closes the channel, and then all that was under way fails with one's refusal: not theirs.
            Err(Failure::Channel(BrokerError::Refused { at, reason })) if !alone => {
                Err(BrokerError::Connection { at, reason })
            }
            Err(Failure::Channel(error) | Failure::Message(error)) => Err(error),
            Ok(()) => Ok(()),
        })
        .collect()
}

/// Resolves a while after a channel was closed. As a rule the client tells everybody who waits; who begins at the wrong moment it
/// forgets.
async fn gone(channel: &Channel) {
    let mut looks = 0;
    while looks < 2 {
        tokio::time::sleep(LOOK_EVERY).await;
        looks = if channel.status().connected() { 0 } else { looks + 1 };
    }
}

/// Why a publication failed.
enum Failure {
    /// The channel is of no use any more.
    Channel(BrokerError),
    /// This message only.
    Message(BrokerError),
}

async fn publish_one(broker: &RabbitMq, channel: &Channel, publication: Publication) -> Result<(), Failure> {
    let at = broker.at();
    let id = publication.id;
    let lost = |error: lapin::Error| Failure::Channel(broker_error(at, &error));
    let Address { exchange, routing_key, properties } =
        address(at, &publication).map_err(Failure::Message)?;
    // A message that nobody wants yet is confirmed and forgotten; one for a certain app is not.
    let mandatory = publication.only_to.is_some();
    let options = BasicPublishOptions { mandatory, ..BasicPublishOptions::default() };
    let sent = channel.basic_publish(exchange, routing_key, options, &publication.body, properties);
    let confirm = in_turn(broker, sent).await.map_err(lost)?;
    fail::fail_point!("before_confirm");
    match confirm.await.map_err(lost)? {
        // The client gives what was returned to whoever is confirmed next, who may be somebody else.
        Confirmation::Ack(Some(_)) if mandatory => {
            let app = publication.only_to.as_deref().unwrap_or_default();
            let reason = format!("there is no queue {}", Queue::of(app).name());
            Err(Failure::Message(BrokerError::Refused { at: at.to_owned(), reason }))
        }
        Confirmation::Ack(_) => Ok(()),
        Confirmation::Nack(_) => Err(Failure::Message(BrokerError::Nacked { id })),
        Confirmation::NotRequested => Err(Failure::Channel(broker.link().lost(&"it is not in confirm mode"))),
    }
}

/// Sends one message while nobody else does.
///
/// The client counts a message first, and then hands its frames on; the broker counts messages as they come. **Were two threads
/// between these two steps at the same time, each would get the other's confirm**, and a connection that is lost between the two
/// messages would leave one confirmed that never arrived. Both steps are done when the future is polled for the first time.
pub(super) async fn in_turn<T>(broker: &RabbitMq, sending: impl Future<Output = T>) -> T {
    let mut sending = std::pin::pin!(sending);
    let mut has_begun = false;
    std::future::poll_fn(|context| {
        if has_begun {
            return sending.as_mut().poll(context);
        }
        has_begun = true;
        let _turn = broker.shared.turn.lock().unwrap_or_else(PoisonError::into_inner);
        sending.as_mut().poll(context)
    })
    .await
}

/// What the envelope says.
struct Address {
    exchange: ShortString,
    routing_key: ShortString,
    properties: BasicProperties,
}

fn address(at: &str, publication: &Publication) -> Result<Address, BrokerError> {
    let refused = |reason: String| BrokerError::Refused { at: at.to_owned(), reason };
    let Some((first, others)) = publication.endpoints.split_first() else {
        return Err(refused(format!("the message {} has no endpoint to go to", publication.id)));
    };
    check_size(at, publication)?;
    let mut headers = FieldTable::default();
    let only = publication.only_to.as_deref().map(Queue::of);
    if !others.is_empty() && only.is_none() {
        let others: Vec<_> = others.iter().map(|endpoint| text(endpoint.routing_key())).collect();
        headers.insert("CC".into(), FieldArray::from(others).into());
    }
    if let Some(traceparent) = &publication.traceparent {
        headers.insert("traceparent".into(), text(traceparent.as_str()));
    }
    let properties = BasicProperties::default()
        .with_delivery_mode(PERSISTENT)
        .with_content_type("application/json".into())
        .with_message_id(short(at, publication.id.to_string())?)
        .with_app_id(short(at, publication.app.as_str())?)
        // AMQP counts in seconds.
        .with_timestamp(publication.timestamp / 1_000)
        .with_headers(headers);
    // An app's own exchange leads to its queue by the queue's name.
    let (exchange, routing_key) = match only {
        Some(queue) => (short(at, queue.exchange())?, short(at, queue.name())?),
        None => (EXCHANGE.into(), short(at, first.routing_key())?),
    };
    Ok(Address { exchange, routing_key, properties })
}

/// The channel to publish on, in confirm mode; opened if there is none or it was closed.
pub(super) async fn channel(broker: &RabbitMq) -> Result<Channel, BrokerError> {
    let mut current = broker.shared.publishing.lock().await;
    if let Some(channel) = current.as_ref().filter(|channel| channel.status().connected()) {
        return Ok(channel.clone());
    }
    *current = None;
    let channel = broker.link().channel().await?;
    // A missing exchange would close the channel at the first message.
    declare_exchange(broker, &channel).await?;
    let confirming = channel.confirm_select(ConfirmSelectOptions::default()).await;
    confirming.map_err(|error| broker_error(broker.at(), &error))?;
    Ok(current.insert(channel).clone())
}

/// Has the next call open another channel, unless someone has by now.
pub(super) async fn discard(broker: &RabbitMq, failed: &Channel) {
    let mut current = broker.shared.publishing.lock().await;
    current.take_if(|channel| channel.id() == failed.id() || !channel.status().connected());
}
