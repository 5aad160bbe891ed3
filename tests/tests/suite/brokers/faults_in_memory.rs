//! What only a broker in the process can be told to do.

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
    assert!(order.iter().enumerate().all(|(at, &number)| number < at + 100), "shuffled beyond the prefetch");
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
    assert!(broker.ping().await.is_err() && broker.publish(vec![publication(&[&to], "x")]).await[0].is_err());
    broker.set_away(false);
    ack(&[held]).await;
    assert_eq!(broker.len(&queue.name()), 1);
}

#[tokio::test]
async fn a_lost_connection_takes_dead_letters_out_of_hands() {
    let broker = MemoryBroker::new();
    let (queue, _) = one_queue(&broker).await;
    for body in ["a", "b"] {
        broker.bury(&queue, letter(body)).await.unwrap();
    }
    let mut letters = broker.open_dead_letters(&queue).await.unwrap();
    let taken = letters.next().await.unwrap().unwrap();
    broker.disconnect();
    assert!(matches!(letters.next().await, Err(BrokerError::Connection { .. })));
    assert!(letters.retry(&[taken]).await[0].is_err());
    let bodies: Vec<String> =
        broker.dead_letters(&queue.name()).iter().map(|letter| text(&letter.body)).collect();
    assert_eq!(bodies, ["a", "b"]);
    assert_eq!(broker.len(&queue.name()), 0);
}
