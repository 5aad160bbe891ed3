//! What a broker may do, and what others may send: messages come twice, late and shuffled, and some are no messages.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use fastrand::Rng;
use futures_util::{FutureExt, StreamExt};
use lapin::options::{
    BasicConsumeOptions, BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions, QueueBindOptions,
    QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::world::World;
use promiscuous_core::message::Message;
use promiscuous_tests::servers::Server;

/// Copies that wait for their time at the most.
const KEPT: usize = 400;

/// What was sent besides.
#[derive(Debug, Default)]
pub struct Sent {
    /// Copies of messages.
    pub copies: AtomicUsize,
    /// Garbage that the broker has confirmed.
    pub garbage: AtomicUsize,
    /// Garbage that was sent.
    pub garbage_at_most: AtomicUsize,
}

/// Makes noise until it is told to end. Copies that wait by then are sent.
pub async fn make(world: Arc<World>, sent: Arc<Sent>, mut random: Rng, mut ended: watch::Receiver<bool>) {
    let mut copies: Vec<(Instant, Vec<u8>)> = Vec::new();
    while !*ended.borrow() {
        let making = make_on_one_connection(&world, &sent, &mut random, &mut copies, ended.clone());
        if making.await.is_err() {
            // The broker is being restarted.
            let _ = tokio::time::timeout(Duration::from_secs(1), ended.wait_for(|ended| *ended)).await;
        }
    }
}

/// All that still waits.
async fn make_on_one_connection(
    world: &World,
    sent: &Sent,
    random: &mut Rng,
    copies: &mut Vec<(Instant, Vec<u8>)>,
    ended: watch::Receiver<bool>,
) -> lapin::Result<()> {
    let url = world.servers.url(Server::RabbitMq);
    let connection = Connection::connect(&url, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    let queue = format!("{}.copies", world.publisher.app);
    let mut limits = FieldTable::default();
    limits.insert("x-max-length".into(), AMQPValue::LongInt(10_000));
    let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    channel.queue_declare(queue.as_str().into(), options, limits).await?;
    let pattern = format!("{}.*", world.publisher.app);
    channel
        .queue_bind(
            queue.as_str().into(),
            "promiscuous".into(),
            pattern.as_str().into(),
            QueueBindOptions::default(),
            FieldTable::default(),
        )
        .await?;
    let options = BasicConsumeOptions { no_ack: true, ..BasicConsumeOptions::default() };
    let mut deliveries =
        channel.basic_consume(queue.as_str().into(), "".into(), options, FieldTable::default()).await?;
    loop {
        // Whatever has come.
        while let Some(Some(delivery)) = deliveries.next().now_or_never() {
            let delivery = delivery?;
            if copies.len() < KEPT && random.u8(..12) == 0 {
                // Most at once or soon, some much later.
                let late = if random.bool() { random.u64(..300) } else { random.u64(..40_000) };
                copies.push((Instant::now() + Duration::from_millis(late), delivery.data));
            }
        }
        let over = *ended.borrow();
        let due = |at: &Instant| over || *at <= Instant::now();
        let (now, later): (Vec<_>, Vec<_>) = copies.drain(..).partition(|(at, _)| due(at));
        *copies = later;
        for (place, (at, body)) in now.iter().enumerate() {
            let to = &world.subscribers[random.usize(..world.subscribers.len())];
            if let Err(error) = publish(&channel, &to.queue(), body).await {
                copies.extend(now[place..].iter().map(|(_, body)| (*at, body.clone())));
                return Err(error);
            }
            sent.copies.fetch_add(1, Ordering::SeqCst);
        }
        if over {
            return Ok(());
        }
        if random.u8(..40) == 0 {
            let to = &world.subscribers[random.usize(..world.subscribers.len())];
            sent.garbage_at_most.fetch_add(1, Ordering::SeqCst);
            publish(&channel, &to.queue(), &garbage(random)).await?;
            sent.garbage.fetch_add(1, Ordering::SeqCst);
        }
        sleep(Duration::from_millis(50)).await;
    }
}

async fn publish(channel: &Channel, queue: &str, body: &[u8]) -> lapin::Result<()> {
    let properties = BasicProperties::default().with_delivery_mode(2);
    let options = BasicPublishOptions::default();
    channel.basic_publish("".into(), queue.into(), options, body, properties).await?.await.map(drop)
}

fn garbage(random: &mut Rng) -> Vec<u8> {
    match random.u8(..5) {
        0 => b"this is no message".to_vec(),
        1 => vec![b'['; 10_000],
        2 => br#"{"id": 5, "operations": "none"}"#.to_vec(),
        3 => (0..100).map(|_| random.u8(..)).collect(),
        _ => Vec::new(),
    }
}

/// How many messages are in a queue, not counting those that are under way to a consumer. None when the broker does not say.
pub async fn length(world: &World, queue: &str) -> Option<u32> {
    ask(world, queue).await.map(|queue| queue.message_count())
}

/// How many consume from it.
pub async fn consumers(world: &World, queue: &str) -> Option<u32> {
    ask(world, queue).await.map(|queue| queue.consumer_count())
}

async fn ask(world: &World, queue: &str) -> Option<lapin::Queue> {
    let url = world.servers.url(Server::RabbitMq);
    let connection = Connection::connect(&url, ConnectionProperties::default()).await.ok()?;
    let channel = connection.create_channel().await.ok()?;
    let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
    channel.queue_declare(queue.into(), passive, FieldTable::default()).await.ok()
}

/// How many dead letters there are, and how many of them are messages after all. They are gone afterwards.
pub async fn read_dead_letters(world: &World, queue: &str) -> lapin::Result<[usize; 2]> {
    let url = world.servers.url(Server::RabbitMq);
    let connection = Connection::connect(&url, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    let mut counts = [0, 0];
    while let Some(letter) = channel.basic_get(queue.into(), BasicGetOptions { no_ack: true }).await? {
        counts[0] += 1;
        counts[1] += usize::from(Message::decode(&letter.delivery.data).is_ok());
    }
    Ok(counts)
}
