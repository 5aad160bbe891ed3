//! What every broker must do, run against the one in the process and RabbitMQ.

use std::collections::BTreeSet;
use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use lapin::types::AMQPValue;
use promiscuous_core::broker::memory::MemoryBroker;
use promiscuous_core::broker::rabbitmq::RabbitMq;
use promiscuous_core::broker::{
    Broker, BrokerError, Consumer, DeadLetter, Delivery, Publication, Queue, QueueKind,
};
use promiscuous_core::key::Endpoint;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
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

conformance! {
    messages_go_where_they_are_bound
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
    two_consumers_share_a_queue
    declaring_again_adds_bindings
    a_classic_queue_works_too
    an_undeclared_queue_is_refused
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

async fn messages_go_where_they_are_bound(broker: impl TestBroker) {
    // given
    let (one, other) = (app(), app());
    let model = format!("m{one}");
    let exact = queue(&[&format!("{one}.{model}")]);
    let any = queue(&[&format!("*.{model}")]);
    broker.declare(&exact).await.unwrap();
    broker.declare(&any).await.unwrap();

    // when
    let all = [(&one, &model), (&other, &model), (&one, &"comment".to_owned())]
        .map(|(app, model)| publication(&[&format!("{app}/{model}")], &format!("{app}/{model}")));
    publish(&broker, all.into()).await;

    // then
    let mut exact = broker.consume(&exact, 10).await.unwrap();
    let mut any = broker.consume(&any, 10).await.unwrap();
    assert_eq!(bodies(&next_many(&mut exact, 1).await), [format!("{one}/{model}")]);
    assert_eq!(bodies(&next_many(&mut any, 2).await), [format!("{one}/{model}"), format!("{other}/{model}")]);
    assert_silent(&mut exact).await;
    assert_silent(&mut any).await;
}

async fn a_message_of_several_endpoints_reaches_a_queue_once(broker: impl TestBroker) {
    // given
    let app = app();
    let (post, user) = (format!("{app}/post"), format!("{app}/user"));
    let both = queue(&[&format!("{app}.post"), &format!("{app}.user")]);
    let second = queue(&[&format!("{app}.user")]);
    broker.declare(&both).await.unwrap();
    broker.declare(&second).await.unwrap();

    // when
    publish(&broker, vec![publication(&[&post, &user], "x")]).await;

    // then
    for queue in [&both, &second] {
        let mut consumer = broker.consume(queue, 10).await.unwrap();
        assert_eq!(bodies(&next_many(&mut consumer, 1).await), ["x"]);
        assert_silent(&mut consumer).await;
    }
}

async fn what_nobody_is_bound_to_is_confirmed(broker: impl TestBroker) {
    publish_numbers(&broker, &format!("{}/post", app()), 3).await;
    assert!(broker.publish(vec![]).await.is_empty());
}

async fn five_hundred_publications_are_confirmed_pipelined(broker: impl TestBroker) {
    // given
    let (queue, to) = one_queue(&broker).await;

    // when: one round trip each would take longer than this, let alone one disk sync each
    let begin = std::time::Instant::now();
    publish_numbers(&broker, &to, 500).await;
    println!("500 publications confirmed in {:?}", begin.elapsed());

    // then
    let mut consumer = broker.consume(&queue, 500).await.unwrap();
    let expected: Vec<String> = (0..500).map(|n| n.to_string()).collect();
    assert_eq!(bodies(&next_many(&mut consumer, 500).await), expected);
}

async fn a_message_that_is_too_large_is_refused_alone(broker: impl TestBroker) {
    let (queue, to) = one_queue(&broker).await;
    let large = "x".repeat(promiscuous_core::message::MAX_MESSAGE_BYTES + 1);

    let results = broker
        .publish(vec![publication(&[&to], "a"), publication(&[&to], &large), publication(&[&to], "b")])
        .await;

    assert!(results[0].is_ok() && results[2].is_ok());
    assert!(matches!(&results[1], Err(BrokerError::Refused { .. })), "{:?}", results[1]);
    let mut consumer = broker.consume(&queue, 10).await.unwrap();
    assert_eq!(bodies(&next_many(&mut consumer, 2).await), ["a", "b"]);
}

async fn at_most_prefetch_deliveries_are_under_way(broker: impl TestBroker) {
    let (queue, to) = one_queue(&broker).await;
    publish_numbers(&broker, &to, 10).await;

    let mut consumer = broker.consume(&queue, 3).await.unwrap();
    let first = next_many(&mut consumer, 3).await;
    assert_silent(&mut consumer).await;
    ack(&first[..2]).await;
    let more = next_many(&mut consumer, 2).await;

    assert_eq!(bodies(&more), ["3", "4"]);
    assert_silent(&mut consumer).await;
}

async fn deliveries_of_a_dropped_consumer_come_again(broker: impl TestBroker) {
    // given
    let (queue, to) = one_queue(&broker).await;
    publish_numbers(&broker, &to, 5).await;
    let mut consumer = broker.consume(&queue, 3).await.unwrap();
    let held = next_many(&mut consumer, 3).await;
    assert!(held.iter().all(|delivery| !delivery.redelivered));
    ack(&held[1..2]).await;

    // when
    drop(consumer);

    // then
    let mut consumer = broker.consume(&queue, 10).await.unwrap();
    let again = next_many(&mut consumer, 4).await;
    let of_held: Vec<&Delivery> =
        again.iter().filter(|delivery| ["0", "2"].contains(&&*text(&delivery.body))).collect();
    assert_eq!(
        bodies(&again).into_iter().collect::<BTreeSet<_>>(),
        ["0", "2", "3", "4"].map(str::to_owned).into()
    );
    assert!(of_held.iter().all(|delivery| delivery.redelivered));
    // What the dropped consumer held is no longer its to acknowledge.
    ack(&held).await;
    ack(&again).await;
    assert_silent(&mut consumer).await;
}

async fn requeued_deliveries_come_again(broker: impl TestBroker) {
    let (queue, to) = one_queue(&broker).await;
    publish_numbers(&broker, &to, 3).await;
    let mut consumer = broker.consume(&queue, 3).await.unwrap();
    let held = next_many(&mut consumer, 3).await;

    held[0].acknowledger.requeue(&[held[0].tag, held[2].tag]).await;

    let again = next_many(&mut consumer, 2).await;
    assert!(again.iter().all(|delivery| delivery.redelivered));
    assert_eq!(bodies(&again).into_iter().collect::<BTreeSet<_>>(), ["0", "2"].map(str::to_owned).into());
    ack(&again).await;
    ack(&held[1..2]).await;
    assert_silent(&mut consumer).await;
}

async fn a_stopped_consumer_s_deliveries_stay_acknowledgeable(broker: impl TestBroker) {
    // given
    let (queue, to) = one_queue(&broker).await;
    publish_numbers(&broker, &to, 4).await;
    let mut stopping = broker.consume(&queue, 2).await.unwrap();
    let held = next_many(&mut stopping, 2).await;

    // when
    stopping.stop().await;
    ack(&held).await;
    drop(stopping);

    // then
    let mut consumer = broker.consume(&queue, 10).await.unwrap();
    assert_eq!(bodies(&next_many(&mut consumer, 2).await), ["2", "3"]);
    assert_silent(&mut consumer).await;
}

async fn settling_a_delivery_twice_does_no_harm(broker: impl TestBroker) {
    let (queue, to) = one_queue(&broker).await;
    publish_numbers(&broker, &to, 2).await;
    let mut consumer = broker.consume(&queue, 1).await.unwrap();
    let first = next(&mut consumer).await;

    first.acknowledger.ack(&[first.tag, first.tag]).await;
    first.acknowledger.requeue(&[first.tag]).await;
    first.acknowledger.ack(&[first.tag + 1_000]).await;

    let second = next(&mut consumer).await;
    assert_eq!(text(&second.body), "1");
    ack(&[second]).await;
    assert_silent(&mut consumer).await;
}

/// A letter about a delivery.
fn letter(body: &str) -> DeadLetter {
    let error = "it does not fit: ßé\u{1F600}".to_owned();
    DeadLetter { body: Bytes::from(body.to_owned()), id: Some(Uuid::now_v7()), error, attempts: 25 }
}

async fn dead_letters_are_kept_aside_with_what_is_known_of_them(broker: impl TestBroker) {
    let (queue, to) = one_queue(&broker).await;
    publish_numbers(&broker, &to, 3).await;
    let mut consumer = broker.consume(&queue, 10).await.unwrap();
    let held = next_many(&mut consumer, 3).await;

    let known = letter("1");
    let unknown = DeadLetter { id: None, attempts: 0, ..letter("no message") };
    broker.bury(&queue, known.clone()).await.unwrap();
    broker.bury(&queue, unknown.clone()).await.unwrap();
    ack(&held).await;

    assert_eq!(broker.dead_letters(&queue, 2).await, [known, unknown]);
    assert_silent(&mut consumer).await;
}

async fn an_endless_error_is_cut(broker: impl TestBroker) {
    let (queue, _) = one_queue(&broker).await;
    broker.bury(&queue, DeadLetter { error: "é".repeat(300_000), ..letter("1") }).await.unwrap();
    let buried = broker.dead_letters(&queue, 1).await;
    assert!(buried[0].error.starts_with("éé"));
}

async fn two_consumers_share_a_queue(broker: impl TestBroker) {
    // given
    let (queue, to) = one_queue(&broker).await;
    let mut one = broker.consume(&queue, 2).await.unwrap();
    let mut other = broker.consume(&queue, 2).await.unwrap();

    // when
    publish_numbers(&broker, &to, 4).await;

    // then
    let got = [next_many(&mut one, 2).await, next_many(&mut other, 2).await];
    let all: BTreeSet<String> = got.iter().flat_map(|deliveries| bodies(deliveries)).collect();
    assert_eq!(all, ["0", "1", "2", "3"].map(str::to_owned).into());
}

async fn declaring_again_adds_bindings(broker: impl TestBroker) {
    let (queue, to) = one_queue(&broker).await;
    let app = app();
    let more = Queue { bindings: vec![format!("{app}.user")], ..queue.clone() };

    broker.declare(&queue).await.unwrap();
    broker.declare(&more).await.unwrap();
    publish(&broker, vec![publication(&[&to], "post"), publication(&[&format!("{app}/user")], "user")]).await;

    let mut consumer = broker.consume(&queue, 10).await.unwrap();
    assert_eq!(bodies(&next_many(&mut consumer, 2).await), ["post", "user"]);
}

async fn a_classic_queue_works_too(broker: impl TestBroker) {
    let app = app();
    let queue = Queue { kind: QueueKind::Classic, ..queue(&[&format!("{app}.post")]) };
    broker.declare(&queue).await.unwrap();
    publish_numbers(&broker, &format!("{app}/post"), 2).await;

    let mut consumer = broker.consume(&queue, 10).await.unwrap();
    let held = next_many(&mut consumer, 2).await;
    broker.bury(&queue, letter("0")).await.unwrap();
    ack(&held).await;
    assert_eq!(text(&broker.dead_letters(&queue, 1).await[0].body), "0");
}

async fn an_undeclared_queue_is_refused(broker: impl TestBroker) {
    let refused = broker.consume(&queue(&[]), 10).await.map(drop);
    assert!(matches!(refused, Err(BrokerError::Refused { .. })), "{refused:?}");
    let (queue, _) = one_queue(&broker).await;
    broker.consume(&queue, 10).await.map(drop).unwrap();
}

async fn an_endpoint_belongs_to_the_app_that_claimed_it_first(broker: impl TestBroker) {
    // given
    let (owner, other) = (app(), app());
    let (post, user) = (endpoint(&format!("{owner}/post")), endpoint(&format!("{owner}/user")));
    broker.claim(&owner, &[post.clone(), user.clone()]).await.unwrap();

    // when
    let again = broker.claim(&owner, std::slice::from_ref(&user)).await;
    let taken = broker.claim(&other, std::slice::from_ref(&user)).await;

    // then
    again.unwrap();
    match taken {
        Err(BrokerError::EndpointTaken { endpoint, owner: named, exchange }) => {
            assert_eq!((endpoint, named), (user, owner.clone()));
            assert_eq!(exchange, format!("promiscuous.endpoint.{owner}.user"));
        }
        other => panic!("{other:?}"),
    }
    broker.claim(&other, &[endpoint(&format!("{other}/user"))]).await.unwrap();
}

async fn a_broker_that_is_there_answers_a_ping(broker: impl TestBroker) {
    broker.ping().await.unwrap();
}

/// What only a broker in the process can be told to do.
mod faults_in_memory {
    use super::*;

    #[tokio::test]
    async fn ten_thousand_shuffled_deliveries_all_come_out_of_order_but_within_the_prefetch() {
        // given
        let broker = MemoryBroker::new();
        broker.reorder(Some(7));
        let (queue, to) = one_queue(&broker).await;
        publish_numbers(&broker, &to, 10_000).await;

        // when
        let mut consumer = broker.consume(&queue, 100).await.unwrap();
        let mut order = Vec::new();
        for _ in 0..10_000 {
            let delivery = next(&mut consumer).await;
            order.push(text(&delivery.body).parse::<usize>().unwrap());
            ack(&[delivery]).await;
        }

        // then
        assert!(order.windows(2).filter(|pair| pair[0] > pair[1]).count() > 3_000, "hardly shuffled");
        assert!(
            order.iter().enumerate().all(|(at, &number)| number < at + 100),
            "shuffled beyond the prefetch"
        );
        assert_eq!(order.into_iter().collect::<BTreeSet<_>>().len(), 10_000);
    }

    #[tokio::test]
    async fn duplicates_are_delivered_twice() {
        let broker = MemoryBroker::new();
        broker.duplicate(true);
        let (queue, to) = one_queue(&broker).await;
        publish_numbers(&broker, &to, 2).await;
        assert_eq!(broker.len(&queue.name()), 4);
        let mut consumer = broker.consume(&queue, 10).await.unwrap();
        assert_eq!(bodies(&next_many(&mut consumer, 4).await), ["0", "0", "1", "1"]);
    }

    #[tokio::test]
    async fn returned_deliveries_take_their_old_places() {
        let broker = MemoryBroker::new();
        let (queue, to) = one_queue(&broker).await;
        publish_numbers(&broker, &to, 6).await;
        let mut consumer = broker.consume(&queue, 4).await.unwrap();
        let held = next_many(&mut consumer, 4).await;
        ack(&held[1..2]).await;
        drop(consumer);
        let mut consumer = broker.consume(&queue, 10).await.unwrap();
        let again = next_many(&mut consumer, 5).await;
        assert_eq!(bodies(&again), ["0", "2", "3", "4", "5"]);
        assert_eq!(again.iter().filter(|delivery| delivery.redelivered).count(), 3);
    }

    #[tokio::test]
    async fn a_lost_connection_ends_consumers_and_returns_what_they_held() {
        // given
        let broker = MemoryBroker::named(&app());
        let (queue, to) = one_queue(&broker).await;
        publish_numbers(&broker, &to, 1).await;
        let mut consumer = broker.consume(&queue, 10).await.unwrap();
        let held = next(&mut consumer).await;

        // when
        broker.set_away(true);

        // then
        assert!(matches!(consumer.next().await, Err(BrokerError::Connection { .. })));
        assert!(
            broker.ping().await.is_err() && broker.publish(vec![publication(&[&to], "x")]).await[0].is_err()
        );
        broker.set_away(false);
        ack(&[held]).await;
        assert_eq!(broker.len(&queue.name()), 1);
    }
}

/// What happens on the wire to RabbitMQ.
mod rabbitmq_wire {
    use super::*;

    /// A TCP proxy in front of the server whose connections can be cut.
    struct Wire {
        url: String,
        cut: watch::Sender<u64>,
    }

    impl Wire {
        async fn new() -> Self {
            let url = amqp_url();
            let (scheme, rest) = url.split_once("://").unwrap();
            let (user, address) = rest.rsplit_once('@').unwrap_or(("guest:guest", rest));
            let (server, path) = address.split_once('/').unwrap_or((address, "%2f"));
            let server = if server.contains(':') { server.to_owned() } else { format!("{server}:5672") };
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let url = format!("{scheme}://{user}@{}/{path}", listener.local_addr().unwrap());
            let cut = watch::Sender::new(0);
            let cuts = cut.clone();
            tokio::spawn(async move {
                while let Ok((mut client, _)) = listener.accept().await {
                    let (server, mut cut) = (server.clone(), cuts.subscribe());
                    tokio::spawn(async move {
                        let mut server = TcpStream::connect(server).await.unwrap();
                        tokio::select! {
                            _ = copy_bidirectional(&mut client, &mut server) => {}
                            _ = cut.changed() => {}
                        }
                    });
                }
            });
            Self { url, cut }
        }

        fn cut(&self) {
            self.cut.send_modify(|count| *count += 1);
        }
    }

    /// Publishes until it is confirmed, as the outbox does.
    async fn publish_until_confirmed(broker: &RabbitMq, publication: Publication) {
        let confirmed = async {
            while let Err(error) = broker.publish(vec![publication.clone()]).await.remove(0) {
                assert!(matches!(error, BrokerError::Connection { .. }), "{error}");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(SOON, confirmed).await.expect("the connection does not come back");
    }

    #[tokio::test]
    async fn a_cut_connection_ends_consumers_returns_deliveries_and_comes_back_in_confirm_mode() {
        // given
        let wire = Wire::new().await;
        let broker = RabbitMq::new(&wire.url).unwrap();
        let (queue, to) = one_queue(&broker).await;
        publish_numbers(&broker, &to, 1).await;
        let mut consumer = broker.consume(&queue, 10).await.unwrap();
        let held = next(&mut consumer).await;

        // when
        wire.cut();

        // then
        let ended = tokio::time::timeout(SOON, consumer.next()).await.expect("the consumer does not end");
        assert!(matches!(ended, Err(BrokerError::Connection { .. })), "{ended:?}");
        ack(&[held]).await;
        for n in 0..3 {
            publish_until_confirmed(&broker, publication(&[&to], &format!("after {n}"))).await;
            let mut consumer = broker.consume(&queue, 10).await.unwrap();
            let mut got = bodies(&next_many(&mut consumer, 2 + n).await);
            got.sort_unstable();
            got.dedup();
            assert!(got.contains(&"0".to_owned()) && got.contains(&format!("after {n}")), "{got:?}");
            drop(consumer);
            wire.cut();
        }
    }

    #[tokio::test]
    async fn publications_under_way_when_the_connection_is_cut_all_get_an_answer() {
        // given
        let wire = Wire::new().await;
        let broker = RabbitMq::new(&wire.url).unwrap();
        let (queue, to) = one_queue(&broker).await;
        publish_numbers(&broker, &to, 1).await;

        // when
        let many: Vec<Publication> = (0..2_000).map(|n| publication(&[&to], &n.to_string())).collect();
        let publishing = tokio::spawn({
            let (broker, many) = (broker.clone(), many.clone());
            async move { broker.publish(many).await }
        });
        let mut watching = RabbitMq::fresh().consume(&queue, 5_000).await.unwrap();
        next_many(&mut watching, 200).await;
        wire.cut();
        drop(watching);
        let answers = tokio::time::timeout(SOON, publishing).await.expect("publishing hangs").unwrap();

        // then: what was confirmed is there, and the rest can be published again
        let again: Vec<Publication> = many
            .iter()
            .zip(&answers)
            .filter(|(_, answer)| answer.is_err())
            .map(|(publication, _)| publication.clone())
            .collect();
        println!("{} of 2000 were confirmed before the cut", answers.len() - again.len());
        for publication in again {
            publish_until_confirmed(&broker, publication).await;
        }
        let mut consumer = RabbitMq::fresh().consume(&queue, 5_000).await.unwrap();
        let mut missing: BTreeSet<String> = (0..2_000).map(|n| n.to_string()).collect();
        while !missing.is_empty() {
            missing.remove(&text(&next(&mut consumer).await.body));
        }
    }

    #[tokio::test]
    async fn the_envelope_says_what_the_protocol_promises() {
        // given
        let broker = RabbitMq::fresh();
        let (queue, to) = one_queue(&broker).await;
        let sent = publication(&[&to, "x/user"], "{}");

        // when
        publish(&broker, vec![sent.clone()]).await;

        // then
        let channel = amqp_channel().await;
        let got = channel.basic_get(queue.name().into(), Default::default()).await.unwrap().unwrap();
        let properties = &got.properties;
        assert_eq!(got.routing_key.as_str(), to.replace('/', "."));
        assert_eq!(*properties.delivery_mode(), Some(2));
        assert_eq!(properties.content_type().as_ref().unwrap().as_str(), "application/json");
        assert_eq!(properties.message_id().as_ref().unwrap().as_str(), sent.id.to_string());
        assert_eq!(properties.app_id().as_ref().unwrap().as_str(), "publisher");
        assert_eq!(*properties.timestamp(), Some(1_763_690_000));
        let headers = properties.headers().as_ref().unwrap().inner();
        assert!(headers.contains_key("CC") && headers.contains_key("traceparent"));
    }

    #[tokio::test]
    async fn wrong_credentials_are_refused_without_telling_them() {
        let url = amqp_url();
        let server = url.trim_start_matches("amqp://").rsplit('@').next().unwrap().to_owned();
        let broker = RabbitMq::new(&format!("amqp://guest:wrong-secret@{server}")).unwrap();
        let error = broker.ping().await.unwrap_err();
        assert!(!error.to_string().contains("wrong-secret"), "{error}");
        assert!(matches!(error, BrokerError::Refused { .. }), "{error:?}");
    }

    #[test]
    fn names_that_amqp_cannot_carry_are_refused_and_not_a_panic() {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let long = endpoint(&format!("{}/x", "a".repeat(245)));
        let refused = runtime.block_on(RabbitMq::fresh().claim("a", &[long]));
        assert!(matches!(refused, Err(BrokerError::Refused { .. })), "{refused:?}");
    }
}
