//! Dead letters, put aside with why in their headers.

use bytes::Bytes;
use lapin::message::BasicGetMessage;
use lapin::options::BasicPublishOptions;
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Confirmation};
use tokio::time::timeout;
use uuid::Uuid;

use super::publishing::{CONFIRM_TIMEOUT, PERSISTENT, channel, discard, in_turn};
use super::topology::text;
use super::{RabbitMq, broker_error, short};
use crate::broker::{BrokerError, DeadLetter, Queue, TakenLetter};
use crate::clock;

/// How much of an error goes with a dead letter.
const ERROR_CHARS: usize = 4_000;

/// The header that says why.
const ERROR: &str = "promiscuous-error";

/// The header that says how often it was tried.
const ATTEMPTS: &str = "promiscuous-attempts";

/// Puts a message among the dead letters of a queue, with why in its headers.
pub(super) async fn bury(broker: &RabbitMq, queue: &Queue, letter: DeadLetter) -> Result<(), BrokerError> {
    let mut headers = FieldTable::default();
    // A header that is too long would make the broker close the connection.
    let error: String = letter.error.chars().take(ERROR_CHARS).collect();
    headers.insert(ERROR.into(), text(error));
    headers.insert(ATTEMPTS.into(), AMQPValue::LongLongInt(letter.attempts.into()));
    let properties = properties(broker.at(), letter.id)?;
    let properties = properties.with_timestamp(clock::millis() / 1_000).with_headers(headers);
    put(broker, queue, &queue.dead_letters(), &letter.body, properties).await
}

/// What every message says that is put into one queue.
pub(super) fn properties(at: &str, id: Option<Uuid>) -> Result<BasicProperties, BrokerError> {
    let properties = BasicProperties::default()
        .with_delivery_mode(PERSISTENT)
        .with_content_type("application/json".into());
    Ok(match id {
        Some(id) => properties.with_message_id(short(at, id.to_string())?),
        None => properties,
    })
}

/// Puts a message into one of an app's own two queues, through its own exchange, and waits for the confirm.
pub(super) async fn put(
    broker: &RabbitMq,
    app: &Queue,
    queue: &str,
    body: &Bytes,
    properties: BasicProperties,
) -> Result<(), BrokerError> {
    let putting = async {
        let channel = channel(broker).await?;
        let result = put_on(broker, &channel, app, queue, body, properties).await;
        if result.is_err() {
            discard(broker, &channel).await;
        }
        result
    };
    let late = || broker.link().lost(&"it does not confirm in time: it may be short of memory or disk");
    timeout(CONFIRM_TIMEOUT, putting).await.unwrap_or_else(|_| Err(late()))
}

async fn put_on(
    broker: &RabbitMq,
    channel: &Channel,
    app: &Queue,
    queue: &str,
    body: &Bytes,
    properties: BasicProperties,
) -> Result<(), BrokerError> {
    let at = broker.at();
    let lost = |error: lapin::Error| broker_error(at, &error);
    // Returned rather than lost, when somebody has deleted the queue.
    let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
    let sent =
        channel.basic_publish(short(at, app.exchange())?, short(at, queue)?, options, body, properties);
    match in_turn(broker, sent).await.map_err(lost)?.await.map_err(lost)? {
        Confirmation::Ack(None) => Ok(()),
        Confirmation::Ack(Some(_)) => {
            let reason = format!("there is no queue {queue}");
            Err(BrokerError::Connection { at: at.to_owned(), reason })
        }
        Confirmation::Nack(_) => {
            let reason = format!("it did not take a message for the queue {queue}");
            Err(BrokerError::Connection { at: at.to_owned(), reason })
        }
        Confirmation::NotRequested => Err(broker.link().lost(&"it is not in confirm mode")),
    }
}

/// A letter as it is among the dead.
pub(super) fn read(message: BasicGetMessage) -> TakenLetter {
    let delivery = message.delivery;
    let properties = &delivery.properties;
    let header = |name: &str| properties.headers().as_ref().and_then(|headers| headers.inner().get(name));
    let error = match header(ERROR) {
        Some(AMQPValue::LongString(error)) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
        // RabbitMQ, or a person, put it there.
        _ => String::new(),
    };
    let attempts = match header(ATTEMPTS) {
        Some(AMQPValue::LongLongInt(attempts)) => u32::try_from(*attempts).unwrap_or(0),
        _ => 0,
    };
    let id = properties.message_id().as_ref().and_then(|id| Uuid::parse_str(id.as_str()).ok());
    // AMQP counts in seconds.
    let died_at = properties.timestamp().map(|seconds| seconds.saturating_mul(1_000));
    let tag = delivery.delivery_tag;
    let letter = DeadLetter { id, error, attempts, body: delivery.data.into() };
    TakenLetter { letter, died_at, tag }
}
