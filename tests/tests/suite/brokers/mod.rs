//! What every broker must do, run against the one in the process and RabbitMQ.

use std::collections::BTreeSet;
use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use lapin::types::AMQPValue;
use promiscuous_core::broker::memory::MemoryBroker;
use promiscuous_core::broker::rabbitmq::RabbitMq;
use promiscuous_core::broker::{
    Broker, BrokerError, Consumer, DeadLetter, DeadLetters, Delivery, Prefetch, Publication, Queue,
    QueueDepth, QueueKind, TakenLetter,
};
use promiscuous_core::key::Endpoint;
use uuid::Uuid;

/// How long something that must happen may take.
const SOON: Duration = Duration::from_secs(20);

/// How long nothing must happen.
const A_MOMENT: Duration = Duration::from_millis(200);

/// What a test asks of a broker besides the trait.
trait TestBroker: Broker + Clone {
    fn fresh() -> Self;
    /// Takes a queue's dead letters out, once there are that many.
    fn dead_letters(&self, queue: &Queue, count: usize) -> impl Future<Output = Vec<DeadLetter>> + Send;
}

impl TestBroker for MemoryBroker {
    fn fresh() -> Self {
        MemoryBroker::new()
    }

    async fn dead_letters(&self, queue: &Queue, _count: usize) -> Vec<DeadLetter> {
        self.dead_letters(&queue.name())
    }
}

fn amqp_url() -> String {
    std::env::var("TEST_AMQP_URL").expect(
        "TEST_AMQP_URL is not set: run the tests with `scripts/test`, or start the servers with `scripts/servers`",
    )
}

async fn amqp_channel() -> lapin::Channel {
    let properties = lapin::ConnectionProperties::default();
    lapin::Connection::connect(&amqp_url(), properties).await.unwrap().create_channel().await.unwrap()
}

impl TestBroker for RabbitMq {
    fn fresh() -> Self {
        RabbitMq::new(&amqp_url()).unwrap()
    }

    async fn dead_letters(&self, queue: &Queue, count: usize) -> Vec<DeadLetter> {
        let channel = amqp_channel().await;
        let options = lapin::options::BasicGetOptions { no_ack: true };
        let mut letters = Vec::new();
        let all = async {
            while letters.len() < count {
                match channel.basic_get(queue.dead_letters().into(), options).await.unwrap() {
                    Some(message) => letters.push(read_letter(&message)),
                    None => tokio::time::sleep(Duration::from_millis(20)).await,
                }
            }
        };
        tokio::time::timeout(SOON, all).await.expect("not enough dead letters");
        letters
    }
}

/// What RabbitMQ says of a dead letter.
fn read_letter(message: &lapin::message::BasicGetMessage) -> DeadLetter {
    let headers = message.properties.headers().as_ref().expect("a dead letter says why");
    let header = |name: &str| headers.inner().get(name).unwrap_or_else(|| panic!("no header {name}"));
    let AMQPValue::LongString(error) = header("promiscuous-error") else { panic!("the error is no text") };
    let AMQPValue::LongLongInt(attempts) = header("promiscuous-attempts") else {
        panic!("the attempts are no number")
    };
    let id = message.properties.message_id().as_ref();
    DeadLetter {
        body: Bytes::from(message.data.clone()),
        id: id.map(|id| Uuid::parse_str(id.as_str()).unwrap()),
        error: error.to_string(),
        attempts: u32::try_from(*attempts).unwrap(),
    }
}

/// Makes a test of each broker out of each generic body.
macro_rules! conformance {
    ($($name:ident)*) => {
        mod memory {
            $(#[tokio::test] async fn $name() { super::$name(<super::MemoryBroker as super::TestBroker>::fresh()).await; })*
        }
        mod rabbitmq {
            $(#[tokio::test] async fn $name() { super::$name(<super::RabbitMq as super::TestBroker>::fresh()).await; })*
        }
    };
}

mod consuming;
mod dead_letters;
mod faults_in_memory;
mod publishing;
mod rabbitmq_windows;
mod rabbitmq_wire;

use consuming::*;
use dead_letters::*;
use publishing::*;

conformance! {
    messages_go_where_they_are_bound
    what_was_unbound_goes_nowhere_any_more
    a_message_of_several_endpoints_reaches_a_queue_once
    what_nobody_is_bound_to_is_confirmed
    five_hundred_publications_are_confirmed_pipelined
    a_message_that_is_too_large_is_refused_alone
    at_most_prefetch_deliveries_are_under_way
    deliveries_of_a_dropped_consumer_come_again
    requeued_deliveries_come_again
    a_stopped_consumer_s_deliveries_stay_acknowledgeable
    settling_a_delivery_twice_does_no_harm
    dead_letters_are_kept_aside_with_what_is_known_of_them
    an_endless_error_is_cut
    dead_letters_are_read_oldest_first_and_stay_in_their_order
    a_dead_letter_says_what_it_was_buried_with_and_when
    what_a_lost_reader_had_in_hands_comes_back
    a_retried_letter_goes_to_its_own_app_only_and_is_dead_no_more
    a_deleted_letter_is_gone_and_the_others_keep_their_order
    a_letter_that_dies_while_one_reads_does_not_come_round
    dead_letters_of_an_undeclared_queue_are_refused
    two_consumers_share_a_queue
    declaring_again_adds_bindings
    a_classic_queue_works_too
    an_undeclared_queue_is_refused
    a_queue_tells_how_much_is_in_it
    an_endpoint_belongs_to_the_app_that_claimed_it_first
    a_broker_that_is_there_answers_a_ping
}

/// Short, because RabbitMQ's refusals tell no more than 255 bytes; the end of the id is random.
fn app() -> String {
    format!("t{}", &Uuid::now_v7().simple().to_string()[20..])
}

fn queue(bindings: &[&str]) -> Queue {
    Queue {
        app: app(),
        bindings: bindings.iter().map(|&binding| binding.to_owned()).collect(),
        kind: QueueKind::Quorum,
    }
}

fn endpoint(text: &str) -> Endpoint {
    Endpoint::parse(text).unwrap()
}

fn publication(endpoints: &[&str], body: &str) -> Publication {
    Publication {
        id: Uuid::now_v7(),
        app: "publisher".into(),
        timestamp: 1_763_690_000_123,
        endpoints: endpoints.iter().map(|text| endpoint(text)).collect(),
        body: Bytes::copy_from_slice(body.as_bytes()),
        only_to: None,
        traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into()),
    }
}

async fn publish(broker: &impl Broker, publications: Vec<Publication>) {
    let count = publications.len();
    let results = tokio::time::timeout(SOON, broker.publish(publications)).await.expect("publishing hangs");
    assert_eq!(results.len(), count);
    for result in results {
        result.unwrap();
    }
}

/// Publishes bodies `0` to `count - 1` to one endpoint.
async fn publish_numbers(broker: &impl Broker, to: &str, count: usize) {
    publish(broker, (0..count).map(|n| publication(&[to], &n.to_string())).collect()).await;
}

fn text(body: &Bytes) -> String {
    String::from_utf8_lossy(body).into_owned()
}

async fn next(consumer: &mut Box<dyn Consumer>) -> Delivery {
    tokio::time::timeout(SOON, consumer.next()).await.expect("nothing is delivered").unwrap()
}

async fn next_many(consumer: &mut Box<dyn Consumer>, count: usize) -> Vec<Delivery> {
    let mut deliveries = Vec::with_capacity(count);
    for _ in 0..count {
        deliveries.push(next(consumer).await);
    }
    deliveries
}

async fn assert_silent(consumer: &mut Box<dyn Consumer>) {
    if let Ok(delivery) = tokio::time::timeout(A_MOMENT, consumer.next()).await {
        panic!("got {:?}", delivery.map(|delivery| text(&delivery.body)));
    }
}

fn bodies(deliveries: &[Delivery]) -> Vec<String> {
    deliveries.iter().map(|delivery| text(&delivery.body)).collect()
}

async fn ack(deliveries: &[Delivery]) {
    if let Some(first) = deliveries.first() {
        let tags: Vec<u64> = deliveries.iter().map(|delivery| delivery.tag).collect();
        first.acknowledger.ack(&tags).await;
    }
}

/// A declared queue that is bound to one endpoint which no other test uses, and that endpoint.
async fn one_queue(broker: &impl Broker) -> (Queue, String) {
    let app = app();
    let queue = queue(&[&format!("{app}.post")]);
    broker.declare(&queue).await.unwrap();
    (queue, format!("{app}/post"))
}
