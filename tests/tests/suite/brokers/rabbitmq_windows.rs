//! How much RabbitMQ gives out at a time, where messages are large.

use futures_util::FutureExt;

use super::*;

const WITHIN: Prefetch = Prefetch { messages: 400, bytes: 1 << 20 };

/// A message that begins with its number.
fn numbered(to: &str, number: usize, bytes: usize) -> Publication {
    publication(&[to], &format!("{number}{}", " ".repeat(bytes)))
}

fn number(delivery: &Delivery) -> usize {
    text(&delivery.body).trim().parse().unwrap()
}

async fn until_ready(broker: &RabbitMq, queue: &Queue, expected: impl Fn(u64) -> bool) {
    let probe = async || {
        let depth = broker.depth(queue).await.unwrap().unwrap();
        expected(depth.ready).then_some(())
    };
    promiscuous_tests::until(SOON, "the messages that nobody was given", probe).await;
}

#[tokio::test]
async fn of_large_messages_fewer_are_given_out_than_the_prefetch() {
    // given
    let broker = RabbitMq::fresh();
    let (queue, to) = one_queue(&broker).await;
    publish(&broker, (0..300).map(|n| numbered(&to, n, 30_000)).collect()).await;
    // when
    let mut consumer = broker.consume_within(&queue, WITHIN).await.unwrap();
    let mut taken = next_many(&mut consumer, 60).await;
    // then
    until_ready(&broker, &queue, |ready| ready == 300 - 64).await;
    assert_eq!(consumer.prefetch(), 64);
    // and each comes once, in order, for nothing has changed
    for at in 0..300 {
        if at + 60 < 300 {
            taken.push(next(&mut consumer).await);
        }
        assert_eq!(number(&taken[at]), at);
        ack(&taken[at..=at]).await;
    }
    assert_silent(&mut consumer).await;
    until_ready(&broker, &queue, |ready| ready == 0).await;
}

#[tokio::test]
async fn of_small_messages_the_whole_prefetch_is_given_out() {
    // given
    let broker = RabbitMq::fresh();
    let (queue, to) = one_queue(&broker).await;
    publish(&broker, (0..1_000).map(|n| numbered(&to, n, 100)).collect()).await;
    // when
    let mut consumer = broker.consume_within(&queue, WITHIN).await.unwrap();
    let taken = next_many(&mut consumer, 64).await;
    // then the rest of the prefetch comes, with nothing acknowledged
    let more = next_many(&mut consumer, 336).await;
    assert_eq!(consumer.prefetch(), 400);
    until_ready(&broker, &queue, |ready| ready == 1_000 - 464).await;
    assert!(taken.iter().chain(&more).map(number).eq(0..400), "{:?}", bodies(&more));
    // and what was given out before can still be settled
    ack(&taken[..32]).await;
    ack(&more).await;
    until_ready(&broker, &queue, |ready| ready == 1_000 - 800).await;
    // and what is not settled comes again, whenever it was given out
    drop(consumer);
    until_ready(&broker, &queue, |ready| ready == 1_000 - 32 - 336).await;
}

#[tokio::test]
async fn sizes_that_change_lose_and_repeat_nothing_whenever_a_call_is_dropped() {
    // given
    const SIZES: [usize; 5] = [100, 30_000, 100, 30_000, 100];
    const EACH: usize = 600;
    let broker = RabbitMq::fresh();
    let (queue, to) = one_queue(&broker).await;
    let mut consumer = broker.consume_within(&queue, WITHIN).await.unwrap();
    let mut prefetches = Vec::new();
    let mut expected = 0;
    let mut came = BTreeSet::new();
    for bytes in SIZES {
        // when
        publish(&broker, (0..EACH).map(|n| numbered(&to, expected + n, bytes)).collect()).await;
        let until = expected + EACH;
        let deadline = std::time::Instant::now() + SOON;
        while expected < until {
            assert!(std::time::Instant::now() < deadline, "{expected} of {until} came");
            // A call that is dropped wherever it waits.
            let Some(delivery) = consumer.next().now_or_never() else {
                tokio::time::sleep(Duration::from_micros(50)).await;
                continue;
            };
            let delivery = delivery.unwrap();
            // then. What was on its way while a consumer ended comes to the next one, perhaps behind others.
            assert!(came.insert(number(&delivery)), "{} came twice", number(&delivery));
            expected += 1;
            ack(&[delivery]).await;
        }
        prefetches.push(consumer.prefetch());
    }
    assert!(matches!(prefetches[..], [400, 64..=128, 400, 64..=128, 400]), "{prefetches:?}");
    assert_silent(&mut consumer).await;
    // and it ends for good
    consumer.stop().await;
    publish(&broker, vec![numbered(&to, 0, 10)]).await;
    until_ready(&broker, &queue, |ready| ready == 1).await;
    let depth = broker.depth(&queue).await.unwrap().unwrap();
    assert_eq!(depth.consumers, 0);
}
