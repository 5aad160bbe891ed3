//! The exchange, the queues and their dead letters, and the claims on endpoints.

use lapin::options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::protocol::{AMQPErrorKind, AMQPSoftError};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{Channel, ErrorKind, ExchangeKind};

use super::{RabbitMq, broker_error, short};
use crate::broker::{BrokerError, EXCHANGE, Queue, QueueDepth, QueueKind, claim_exchange};
use crate::key::Endpoint;

/// How often a quorum queue delivers a message again before it drops it to the dead letters by itself: never, in
/// practice. Each crash of a worker counts, and since RabbitMQ 4.0 the default is 20.
///
/// Dead letters have it for two more reasons: those that are looked at for the 21st time would be thrown away, and without a
/// limit what is put back goes to the end of the queue instead of to its place.
const DELIVERY_LIMIT: i32 = 1_000_000_000;

/// What precedes the owner's name in the `alternate-exchange` of a claim.
const OWNER: &str = "promiscuous.app.";

const DURABLE: ExchangeDeclareOptions = ExchangeDeclareOptions {
    passive: false,
    durable: true,
    auto_delete: false,
    internal: false,
    nowait: false,
};

/// Declares the exchange that messages go through.
pub(super) async fn declare_exchange(broker: &RabbitMq, channel: &Channel) -> Result<(), BrokerError> {
    channel
        .exchange_declare(EXCHANGE.into(), ExchangeKind::Topic, DURABLE, FieldTable::default())
        .await
        .map_err(|error| broker_error(broker.at(), &error))
}

/// Claims endpoints: each is an exchange that says in its arguments which app declared it first. The broker
/// refuses to declare it otherwise, atomically and across its cluster; nothing is ever published to it.
pub(super) async fn claim(broker: &RabbitMq, app: &str, endpoints: &[Endpoint]) -> Result<(), BrokerError> {
    broker
        .on_own_channel(async |channel| {
            declare_exchange(broker, channel).await?;
            for endpoint in endpoints {
                claim_one(broker, channel, app, endpoint).await?;
            }
            Ok(())
        })
        .await
}

async fn claim_one(
    broker: &RabbitMq,
    channel: &Channel,
    app: &str,
    endpoint: &Endpoint,
) -> Result<(), BrokerError> {
    let exchange = claim_exchange(endpoint);
    let mut arguments = FieldTable::default();
    arguments.insert("alternate-exchange".into(), text(format!("{OWNER}{app}")));
    let name = short(broker.at(), exchange.as_str())?;
    match channel.exchange_declare(name, ExchangeKind::Fanout, DURABLE, arguments).await {
        Ok(()) => Ok(()),
        Err(error) if is_soft(&error, AMQPSoftError::PRECONDITIONFAILED) => Err(BrokerError::EndpointTaken {
            endpoint: endpoint.clone(),
            owner: current_owner(&error.to_string()),
            exchange,
        }),
        Err(error) => Err(broker_error(broker.at(), &error)),
    }
}

/// Whether what was asked for is not there.
pub(super) fn not_found(error: &lapin::Error) -> bool {
    is_soft(error, AMQPSoftError::NOTFOUND)
}

fn is_soft(error: &lapin::Error, soft: AMQPSoftError) -> bool {
    matches!(error.kind(), ErrorKind::ProtocolError(error) if *error.kind() == AMQPErrorKind::Soft(soft))
}

/// The app in `… received the value 'promiscuous.app.b' of type 'longstr' but current is the value 'promiscuous.app.a' …`. The
/// broker tells no more than 255 bytes: when endpoint and apps have more than 45 together, the owner's name ends in `...`.
fn current_owner(reason: &str) -> String {
    let current = reason.split("current is").nth(1).and_then(|rest| rest.split(OWNER).nth(1));
    let name = |rest: &str| rest.split('\'').next().unwrap_or_default().to_owned();
    current.map(name).filter(|name| !name.is_empty()).unwrap_or_else(|| "(another app)".into())
}

/// Declares a queue, its dead letters and its bindings.
pub(super) async fn declare(broker: &RabbitMq, queue: &Queue) -> Result<(), BrokerError> {
    let at = broker.at();
    let (name, dead) = (short(at, queue.name())?, short(at, queue.dead_letters())?);
    let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    broker
        .on_own_channel(async |channel| {
            declare_exchange(broker, channel).await?;
            let refused = |error: lapin::Error| broker_error(at, &error);
            let exchange = short(at, queue.exchange())?;
            let declared = channel.exchange_declare(
                exchange.clone(),
                ExchangeKind::Direct,
                DURABLE,
                FieldTable::default(),
            );
            declared.await.map_err(refused)?;
            channel
                .queue_declare(dead.clone(), durable, arguments_of_dead_letters(queue))
                .await
                .map_err(refused)?;
            channel.queue_declare(name.clone(), durable, arguments(queue)).await.map_err(refused)?;
            for own in [&name, &dead] {
                let (options, arguments) = (QueueBindOptions::default(), FieldTable::default());
                let bound =
                    channel.queue_bind(own.clone(), exchange.clone(), own.clone(), options, arguments);
                bound.await.map_err(refused)?;
            }
            for binding in &queue.bindings {
                let (exchange, pattern) = (EXCHANGE.into(), short(at, binding.as_str())?);
                let bound = channel.queue_bind(
                    name.clone(),
                    exchange,
                    pattern,
                    QueueBindOptions::default(),
                    FieldTable::default(),
                );
                bound.await.map_err(refused)?;
            }
            Ok(())
        })
        .await
}

/// Takes bindings back; those that are not there are no error.
pub(super) async fn unbind(broker: &RabbitMq, queue: &Queue) -> Result<(), BrokerError> {
    let at = broker.at();
    let name = short(at, queue.name())?;
    broker
        .on_own_channel(async |channel| {
            for binding in &queue.bindings {
                let (exchange, pattern) = (EXCHANGE.into(), short(at, binding.as_str())?);
                match channel.queue_unbind(name.clone(), exchange, pattern, FieldTable::default()).await {
                    Ok(()) => {}
                    // Neither is the queue, and the channel is closed.
                    Err(error) if not_found(&error) => return Ok(()),
                    Err(error) => return Err(broker_error(at, &error)),
                }
            }
            Ok(())
        })
        .await
}

/// What is in a queue now; none when it or its dead letters are not there.
pub(super) async fn depth(broker: &RabbitMq, queue: &Queue) -> Result<Option<QueueDepth>, BrokerError> {
    let at = broker.at();
    let (name, dead) = (short(at, queue.name())?, short(at, queue.dead_letters())?);
    broker
        .on_own_channel(async |channel| {
            let Some(live) = look(broker, channel, &name).await? else { return Ok(None) };
            let Some(dead) = look(broker, channel, &dead).await? else { return Ok(None) };
            Ok(Some(QueueDepth {
                ready: live.message_count().into(),
                unacked: None,
                consumers: live.consumer_count().into(),
                dead: dead.message_count().into(),
            }))
        })
        .await
}

/// A queue as it is, whatever settings it has; none when it is not there, and then the channel is closed.
pub(super) async fn look(
    broker: &RabbitMq,
    channel: &Channel,
    name: &ShortString,
) -> Result<Option<lapin::Queue>, BrokerError> {
    let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
    match channel.queue_declare(name.clone(), passive, FieldTable::default()).await {
        Ok(queue) => Ok(Some(queue)),
        // The same code is of a queue that is there, and whose node or process is not: who took it for gone would ask for all rows again.
        Err(error) if is_soft(&error, AMQPSoftError::NOTFOUND) => match error.to_string() {
            reason if reason.contains("no queue") => Ok(None),
            reason => Err(BrokerError::Connection { at: broker.at().to_owned(), reason }),
        },
        Err(error) => Err(broker_error(broker.at(), &error)),
    }
}

fn kind(queue: &Queue) -> FieldTable {
    let mut arguments = FieldTable::default();
    let kind = match queue.kind {
        QueueKind::Quorum => "quorum",
        QueueKind::Classic => "classic",
    };
    arguments.insert("x-queue-type".into(), text(kind));
    arguments
}

fn arguments_of_dead_letters(queue: &Queue) -> FieldTable {
    let mut arguments = kind(queue);
    if queue.kind == QueueKind::Quorum {
        arguments.insert("x-delivery-limit".into(), AMQPValue::LongInt(DELIVERY_LIMIT));
    }
    arguments
}

fn arguments(queue: &Queue) -> FieldTable {
    let mut arguments = arguments_of_dead_letters(queue);
    arguments.insert("x-dead-letter-exchange".into(), text(queue.exchange()));
    arguments.insert("x-dead-letter-routing-key".into(), text(queue.dead_letters()));
    if queue.kind == QueueKind::Quorum {
        // A dead letter stays in the queue until the dead letters have confirmed it. That wants this overflow
        // setting, which has no other effect: the queue has no limit.
        arguments.insert("x-dead-letter-strategy".into(), text("at-least-once"));
        arguments.insert("x-overflow".into(), text("reject-publish"));
    }
    arguments
}

/// A text as an argument or a header carries it.
pub(super) fn text(text: impl Into<String>) -> AMQPValue {
    AMQPValue::LongString(text.into().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_owner_is_read_from_what_the_broker_says() {
        let said = "PRECONDITION_FAILED - inequivalent arg 'alternate-exchange' for exchange 'promiscuous.endpoint.a.post' in vhost '/': \
                    received the value 'promiscuous.app.b' of type 'longstr' but current is the value 'promiscuous.app.a' of type 'longstr'";
        assert_eq!(current_owner(said), "a");
        assert_eq!(current_owner(&said[..150]), "(another app)");
        assert_eq!(current_owner(""), "(another app)");
    }
}
