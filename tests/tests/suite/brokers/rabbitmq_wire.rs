//! What happens on the wire to RabbitMQ.

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

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

/// A queue for this endpoint that refuses every message, as long as the connection lives.
async fn refuse(to: &str) -> lapin::Connection {
    use lapin::types::{AMQPValue, FieldTable};
    let connection = lapin::Connection::connect(&amqp_url(), Default::default()).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    let mut limits = FieldTable::default();
    limits.insert("x-max-length".into(), AMQPValue::LongInt(0));
    limits.insert("x-overflow".into(), AMQPValue::LongString("reject-publish".into()));
    let exclusive = lapin::options::QueueDeclareOptions {
        exclusive: true,
        ..lapin::options::QueueDeclareOptions::default()
    };
    let full = app();
    channel.queue_declare(full.as_str().into(), exclusive, limits).await.unwrap();
    let key = endpoint(to).routing_key();
    let bound = channel.queue_bind(
        full.as_str().into(),
        "promiscuous".into(),
        key.as_str().into(),
        Default::default(),
        FieldTable::default(),
    );
    bound.await.unwrap();
    connection
}

/// Confirms are counted, not named. Were two mixed up, one that never arrived would be taken for safe when the connection is lost between
/// them; and its message would be lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_message_gets_its_own_confirm_though_several_threads_publish() {
    // given an endpoint whose messages are refused, and one whose messages are taken
    let broker = RabbitMq::fresh();
    let (taken, refused) = (format!("{}/post", app()), format!("{}/post", app()));
    publish(&broker, vec![publication(&[&taken], "the exchange is there")]).await;
    let _refuses = refuse(&refused).await;
    // when both are published at the same time
    let mut publishing = tokio::task::JoinSet::new();
    for (to, is_taken) in [(&taken, true), (&refused, false), (&taken, true), (&refused, false)] {
        let (broker, to) = (broker.clone(), to.clone());
        publishing.spawn(async move {
            let mut mixed_up = 0;
            for _ in 0..100 {
                let batch = (0..50).map(|n| publication(&[&to], &n.to_string())).collect();
                for answer in broker.publish(batch).await {
                    match answer {
                        Ok(()) if is_taken => {}
                        Err(BrokerError::Nacked { .. }) if !is_taken => {}
                        Ok(()) | Err(BrokerError::Nacked { .. }) => mixed_up += 1,
                        Err(error) => panic!("{error}"),
                    }
                }
            }
            mixed_up
        });
    }
    // then nobody gets another one's answer
    assert_eq!(publishing.join_all().await.into_iter().sum::<u32>(), 0);
}

#[tokio::test]
async fn a_cut_connection_takes_dead_letters_out_of_hands() {
    // given
    let wire = Wire::new().await;
    let broker = RabbitMq::new(&wire.url).unwrap();
    let (queue, _) = one_queue(&broker).await;
    for body in ["a", "b"] {
        broker.bury(&queue, letter(body)).await.unwrap();
    }
    let mut letters = broker.open_dead_letters(&queue).await.unwrap();
    let taken = letters.next().await.unwrap().unwrap();
    // when
    wire.cut();
    // then
    let ended = tokio::time::timeout(SOON, letters.next()).await.expect("nobody says that it was cut");
    assert!(matches!(ended, Err(BrokerError::Connection { .. })), "{ended:?}");
    assert!(letters.delete(&[taken.tag]).await.is_err());
    promiscuous_tests::until(SOON, "the letters to come back", async || {
        let depth = RabbitMq::fresh().depth(&queue).await.unwrap().unwrap();
        (depth.dead == 2).then_some(())
    })
    .await;
}
