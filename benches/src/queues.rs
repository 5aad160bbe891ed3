//! Queues of RabbitMQ, for what is written by hand and for tidying up.

use std::sync::OnceLock;

use lapin::options::{QueueBindOptions, QueueDeclareOptions, QueueDeleteOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, Connection, ConnectionProperties};

use crate::Outcome;
use crate::stage::{SHOP, server};

/// A channel of the benchmark's own.
pub async fn channel() -> Outcome<Channel> {
    static CONNECTION: OnceLock<Connection> = OnceLock::new();
    if CONNECTION.get().is_none() {
        let connection =
            Connection::connect(&server("TEST_AMQP_URL")?, ConnectionProperties::default()).await?;
        let _ = CONNECTION.set(connection);
    }
    let connection = CONNECTION.get().ok_or("there is no connection to RabbitMQ")?;
    Ok(connection.create_channel().await?)
}

/// A quorum queue with copies of the shop's posts, for a loop written by hand.
pub async fn queue_of_posts(name: &str) -> Outcome<()> {
    let channel = channel().await?;
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    channel.queue_declare(name.into(), options, arguments).await?;
    let (exchange, key) = ("promiscuous".into(), format!("{SHOP}.post").into());
    channel
        .queue_bind(name.into(), exchange, key, QueueBindOptions::default(), FieldTable::default())
        .await?;
    Ok(())
}

/// Removes a queue, so that later parts do not fill it.
pub async fn remove_queue(name: &str) -> Outcome<()> {
    channel().await?.queue_delete(name.into(), QueueDeleteOptions::default()).await?;
    Ok(())
}

/// The queue of a subscribing app.
pub fn queue_of(app: &str) -> String {
    format!("{app}.promiscuous")
}
