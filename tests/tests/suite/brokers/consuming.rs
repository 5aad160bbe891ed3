//! Queues, deliveries, and what became of them.

use super::*;

pub(super) async fn at_most_prefetch_deliveries_are_under_way(broker: impl TestBroker) {
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

pub(super) async fn deliveries_of_a_dropped_consumer_come_again(broker: impl TestBroker) {
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

pub(super) async fn requeued_deliveries_come_again(broker: impl TestBroker) {
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

pub(super) async fn a_stopped_consumer_s_deliveries_stay_acknowledgeable(broker: impl TestBroker) {
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

pub(super) async fn settling_a_delivery_twice_does_no_harm(broker: impl TestBroker) {
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

pub(super) async fn two_consumers_share_a_queue(broker: impl TestBroker) {
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

pub(super) async fn declaring_again_adds_bindings(broker: impl TestBroker) {
    let (queue, to) = one_queue(&broker).await;
    let app = app();
    let more = Queue { bindings: vec![format!("{app}.user")], ..queue.clone() };

    broker.declare(&queue).await.unwrap();
    broker.declare(&more).await.unwrap();
    publish(&broker, vec![publication(&[&to], "post"), publication(&[&format!("{app}/user")], "user")]).await;

    let mut consumer = broker.consume(&queue, 10).await.unwrap();
    assert_eq!(bodies(&next_many(&mut consumer, 2).await), ["post", "user"]);
}

pub(super) async fn an_undeclared_queue_is_refused(broker: impl TestBroker) {
    let refused = broker.consume(&queue(&[]), 10).await.map(drop);
    assert!(matches!(refused, Err(BrokerError::Refused { .. })), "{refused:?}");
    let (queue, _) = one_queue(&broker).await;
    broker.consume(&queue, 10).await.map(drop).unwrap();
}

pub(super) async fn a_queue_tells_how_much_is_in_it(broker: impl TestBroker) {
    // given
    assert_eq!(broker.depth(&queue(&[])).await.unwrap(), None);
    let (queue, to) = one_queue(&broker).await;
    let empty = QueueDepth { ready: 0, unacked: None, consumers: 0, dead: 0 };
    // What is in hands is told by one broker and not by the other.
    let depth = async || QueueDepth { unacked: None, ..broker.depth(&queue).await.unwrap().unwrap() };
    assert_eq!(depth().await, empty);
    // when
    publish_numbers(&broker, &to, 5).await;
    broker.bury(&queue, letter("dead")).await.unwrap();
    let mut consumer = broker.consume(&queue, 2).await.unwrap();
    next_many(&mut consumer, 2).await;
    // then
    let busy = QueueDepth { ready: 3, consumers: 1, dead: 1, ..empty };
    let told = async || (depth().await == busy).then_some(());
    promiscuous_tests::until(SOON, "what is in the queue", told).await;
}
