//! Blocked messages wait in the database, and memory stays small.

use std::time::Duration;

use promiscuous_core::broker::{Broker, Publication};
use promiscuous_core::consistency::Consistency;
use promiscuous_core::subscriber::SubscriberSettings;
use promiscuous_tests::until;
use sea_orm::ConnectionTrait;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::core_tables::{bank, totals};
use crate::observed::{Running, publication};
use crate::replica::{Kind, Pair, Replica, SOON, count};

/// The first version that the tests speak of; later than any that passes for the past.
const FIRST: u64 = 4_000_000_000_000_000;

/// A deposit that follows the one before it; the first one has none before it.
pub fn deposit(id: u64, number: u64, amount: i64) -> Publication {
    publication(deposit_message(id, number, amount).to_string().as_bytes())
}

/// The same, and the dummy of its op: its publisher's Redis came back older than it was, and its recoverer took the writer for dead.
fn deposit_and_dummy(id: u64, number: u64, amount: i64) -> [Publication; 2] {
    let message = deposit_message(id, number, amount);
    let mut dummy = message.clone();
    dummy["operations"] = json!([]);
    [message, dummy].map(|message| publication(message.to_string().as_bytes()))
}

fn deposit_message(id: u64, number: u64, amount: i64) -> Value {
    let previous = (number > 0).then(|| FIRST + number - 1);
    let operation = json!({
        "operation": "update", "endpoint": "shop/deposit", "types": ["Deposit"], "id": id.to_string(),
        "attributes": { "amount": amount },
    });
    let write = json!({
        "key": format!("shop/deposit/{id}"), "version": FIRST + number, "previous": previous, "readers": {},
    });
    json!({
        "id": Uuid::now_v7(), "app": "shop", "timestamp": 0, "generation": 1,
        "operations": [operation], "dependencies": { "write": [write], "read": [] },
    })
}

fn holding(kind: Kind, subscribing: fn(&mut SubscriberSettings)) -> Pair {
    let mut pair = bank(Kind::Sqlite, kind);
    pair.subscribing = subscribing;
    pair
}

async fn publish(replica: &Replica, deposits: Vec<Publication>) {
    replica.broker.publish(deposits).await.into_iter().for_each(Result::unwrap);
}

async fn until_parked(replica: &Replica, expected: i64) {
    let parked = async || {
        let parked = count(replica.plain_there(), "promiscuous_parked").await;
        (parked == expected).then_some(())
    };
    until(SOON, "parked messages", parked).await;
}

async fn until_totals(replica: &Replica, expected: &[i64]) {
    until(SOON, "the totals", async || (totals(replica).await == expected).then_some(())).await;
}

async fn with_a_prefetch_of_one_a_chain_that_comes_backwards_is_applied(kind: Kind) {
    a_chain_comes_backwards(holding(kind, |settings| settings.prefetch = 1)).await;
}

async fn in_a_window_of_one_byte_a_chain_that_comes_backwards_is_applied(kind: Kind) {
    a_chain_comes_backwards(holding(kind, |settings| settings.window_bytes = 1)).await;
}

async fn where_the_broker_gives_fewer_than_the_prefetch_a_chain_that_comes_backwards_is_applied(kind: Kind) {
    let replica = holding(kind, |_| {}).start().await;
    replica.broker.narrow(Some(3));
    a_chain_comes_backwards_to(replica).await;
}

async fn a_chain_comes_backwards(pair: Pair) {
    a_chain_comes_backwards_to(pair.start().await).await;
}

async fn a_chain_comes_backwards_to(mut replica: Replica) {
    // given
    const LENGTH: u64 = 40;
    // when
    publish(&replica, (0..LENGTH).rev().map(|number| deposit(1, number, 1 << number)).collect()).await;
    // then
    until_totals(&replica, &[(1 << LENGTH) - 1]).await;
    until_parked(&replica, 0).await;
    let quiet = replica.status.wait_for(|status| status.held == 0);
    tokio::time::timeout(SOON, quiet).await.expect("a message stays held").unwrap();
}

async fn a_dummy_takes_nothing_away_from_the_message_in_whose_place_it_stands(kind: Kind) {
    for prefetch in
        [|_: &mut SubscriberSettings| {}, |settings: &mut SubscriberSettings| settings.prefetch = 1]
    {
        // given writes that wait for their causes, in memory or parked, and the dummy of each, after it and before it
        let replica = holding(kind, prefetch).start().await;
        let [first, dummy_of_first] = deposit_and_dummy(1, 1, 2);
        let [second, dummy_of_second] = deposit_and_dummy(2, 1, 2);
        publish(&replica, vec![first, dummy_of_first, dummy_of_second, second]).await;
        // when their causes come
        publish(&replica, vec![deposit(1, 0, 1), deposit(2, 0, 1)]).await;
        // then
        until_totals(&replica, &[3, 3]).await;
        until_parked(&replica, 0).await;
        // and what follows from them goes on
        publish(&replica, vec![deposit(1, 2, 4), deposit(2, 2, 4)]).await;
        until_totals(&replica, &[7, 7]).await;
    }
}

/// A deposit to an account of its own, in its place of the app's total order.
fn placed(number: u64) -> Publication {
    let operation = json!({
        "operation": "update", "endpoint": "shop/deposit", "types": ["Deposit"], "id": number.to_string(),
        "attributes": { "amount": 1 },
    });
    let write = |key: String, previous: Option<u64>| {
        json!({
            "key": key, "version": FIRST + number, "previous": previous, "readers": {},
        })
    };
    let place = write("shop/*".to_owned(), number.checked_sub(1).map(|before| FIRST + before));
    let message = json!({
        "id": Uuid::now_v7(), "app": "shop", "timestamp": 0, "generation": 1, "operations": [operation],
        "dependencies": { "write": [write(format!("shop/deposit/{number}"), None), place], "read": [] },
    });
    publication(message.to_string().as_bytes())
}

async fn what_waits_and_what_fails_leaves_room_for_others_in_a_small_window(kind: Kind) {
    // given a subscriber that takes one message at a time, as long as that has any bytes
    let replica = holding(kind, |settings| settings.window_bytes = 1).start().await;
    // when one comes that cannot be applied, and some that follow it
    let unfit = deposit(1, 0, 1).body.to_vec();
    let unfit = String::from_utf8(unfit).unwrap().replace(r#""amount":1"#, r#""amount":"much""#);
    publish(&replica, vec![publication(unfit.as_bytes()), deposit(1, 1, 2), deposit(1, 2, 4)]).await;
    // then others are applied all the same
    publish(&replica, vec![deposit(2, 0, 7), deposit(3, 0, 8)]).await;
    until_totals(&replica, &[7, 8]).await;
}

async fn a_total_order_that_is_parked_comes_back_many_at_a_time(kind: Kind) {
    // given very many messages in a total order, of which the first is late
    const WAITING: u64 = 2_000;
    let replica = holding(kind, |settings| {
        settings.prefetch = 100;
        settings.consistency = Consistency::Global;
    });
    let mut replica = replica.start().await;
    publish(&replica, (1..=WAITING).map(placed).collect()).await;
    until(SOON, "parked messages", async || {
        let parked = count(replica.plain_there(), "promiscuous_parked").await;
        (parked >= i64::try_from(WAITING).unwrap() - 100).then_some(())
    })
    .await;
    // when it comes
    let began = std::time::Instant::now();
    publish(&replica, vec![placed(0)]).await;
    // then all follow
    until_totals(&replica, &vec![1; usize::try_from(WAITING + 1).unwrap()]).await;
    println!("{WAITING} parked messages in {:?}", began.elapsed());
    // One after the other they take half a minute on an idle machine; like this, three seconds.
    assert!(began.elapsed() < Duration::from_secs(25), "{:?}", began.elapsed());
    until_parked(&replica, 0).await;
    let quiet = replica.status.wait_for(|status| status.held == 0);
    tokio::time::timeout(SOON, quiet).await.expect("a message stays held").unwrap();
}

async fn what_waits_for_a_late_cause_is_not_in_memory(kind: Kind) {
    // given a subscriber that holds few messages
    const WAITING: u64 = 500;
    let mut replica = holding(kind, |settings| settings.prefetch = 20).start().await;
    // when very many wait for their causes
    publish(&replica, (1..=WAITING).map(|id| deposit(id, 1, 1)).collect()).await;
    // then they are in the database, except for those that fit,
    until(SOON, "parked messages", async || {
        let parked = count(replica.plain_there(), "promiscuous_parked").await;
        (parked >= i64::try_from(WAITING).unwrap() - 20).then_some(())
    })
    .await;
    assert!(replica.status.borrow().held <= 20 + 20, "{:?}", *replica.status.borrow());
    // when something comes that waits for nothing, then it goes on;
    publish(&replica, vec![deposit(900, 0, 7)]).await;
    until_totals(&replica, &[7]).await;
    // when the causes come, then all are applied.
    publish(&replica, (1..=WAITING).map(|id| deposit(id, 0, 2)).collect()).await;
    let mut expected = vec![3; usize::try_from(WAITING).unwrap()];
    expected.push(7);
    until_totals(&replica, &expected).await;
    until_parked(&replica, 0).await;
    let quiet = replica.status.wait_for(|status| status.held == 0);
    tokio::time::timeout(SOON, quiet).await.expect("a message stays held").unwrap();
}

async fn of_large_messages_few_come_back_at_a_time(kind: Kind) {
    // given large messages that wait in the database, and a process that ends
    const WAITING: u64 = 40;
    const LARGE: usize = 100_000;
    let small = |settings: &mut SubscriberSettings| settings.window_bytes = 2 * LARGE;
    let mut replica = holding(kind, small).start().await;
    let large = |id| {
        let mut message = deposit_message(id, 1, 1);
        message["note"] = json!("x".repeat(LARGE));
        publication(message.to_string().as_bytes())
    };
    publish(&replica, (1..=WAITING).map(large).collect()).await;
    until(SOON, "parked messages", async || {
        let parked = count(replica.plain_there(), "promiscuous_parked").await;
        (parked >= i64::try_from(WAITING).unwrap() - 3).then_some(())
    })
    .await;
    replica.stop().await;
    // when their causes are all there, and another process starts
    for id in 1..=WAITING {
        let cause = format!(
            "INSERT INTO promiscuous_versions (object, generation, version, content_generation, content_version) \
             VALUES ('shop/deposit/{id}', 1, {FIRST}, 1, {FIRST})"
        );
        replica.plain_there().execute_unprepared(&cause).await.unwrap();
    }
    replica.applied_versions.flush();
    let mut settings = SubscriberSettings::new("mirror");
    settings.clock_skew = Duration::ZERO;
    small(&mut settings);
    let subscriber = replica.subscriber.subscriber_with(&replica.there, settings).unwrap();
    let mut status = subscriber.status();
    let _running = Running::start(subscriber).await;
    // then all are applied, and at no time are more of them in memory than two windows have
    let expected = vec![1; usize::try_from(WAITING).unwrap()];
    tokio::select! {
        crowded = status.wait_for(|status| status.held > 6) => panic!("{:?}", *crowded.unwrap()),
        () = until_totals(&replica, &expected) => {}
    }
    until_parked(&replica, 0).await;
}

async fn another_process_goes_on_with_what_was_parked(kind: Kind) {
    // given messages that are parked, and a process that ends
    let mut replica = holding(kind, |settings| settings.prefetch = 1).start().await;
    publish(&replica, (1..=5).rev().map(|number| deposit(1, number, 1 << number)).collect()).await;
    until_parked(&replica, 4).await;
    replica.stop().await;
    // when the cause comes to another one, and one of the messages comes once more
    let mut settings = SubscriberSettings::new("mirror");
    settings.clock_skew = Duration::ZERO;
    settings.prefetch = 3;
    let subscriber = replica.subscriber.subscriber_with(&replica.there, settings).unwrap();
    let _running = Running::start(subscriber).await;
    publish(&replica, vec![deposit(1, 3, 1 << 3), deposit(1, 0, 1)]).await;
    // then each is applied once
    until_totals(&replica, &[(1 << 6) - 1]).await;
    until_parked(&replica, 0).await;
}

async fn whoever_has_waited_long_enough_is_given_up_in_the_database_too(kind: Kind) {
    // given
    let replica = holding(kind, |settings| {
        settings.prefetch = 1;
        settings.wait_timeout = Some(Duration::from_millis(300));
    });
    let replica = replica.start().await;
    // when the cause never comes
    publish(&replica, (1..=4).map(|id| deposit(id, 1, 5)).collect()).await;
    // then
    until_totals(&replica, &[5, 5, 5, 5]).await;
    until_parked(&replica, 0).await;
}

async fn what_waits_for_a_generation_that_is_over_is_given_up_in_the_database_too(kind: Kind) {
    // given a message that waits for a version which was lost with the publisher's Redis, and is parked
    let lost = |settings: &mut SubscriberSettings| {
        settings.prefetch = 1;
        settings.lost_after = Duration::from_millis(100);
    };
    let replica = holding(kind, lost).start().await;
    publish(&replica, vec![deposit(1, 1, 5)]).await;
    until_parked(&replica, 1).await;
    // when the publisher announces its next generation
    let write = json!({ "key": "shop/deposit/%%", "version": FIRST, "previous": null, "readers": {} });
    let announcement = json!({
        "id": Uuid::now_v7(), "app": "shop", "timestamp": 0, "generation": 2, "operations": [],
        "dependencies": { "write": [write], "read": [] },
    });
    publish(&replica, vec![publication(announcement.to_string().as_bytes())]).await;
    // then
    until_totals(&replica, &[5]).await;
    until_parked(&replica, 0).await;
}

crate::on_each_database! {
    with_a_prefetch_of_one_a_chain_that_comes_backwards_is_applied
    in_a_window_of_one_byte_a_chain_that_comes_backwards_is_applied
    where_the_broker_gives_fewer_than_the_prefetch_a_chain_that_comes_backwards_is_applied
    a_dummy_takes_nothing_away_from_the_message_in_whose_place_it_stands
    what_waits_and_what_fails_leaves_room_for_others_in_a_small_window
    what_waits_for_a_late_cause_is_not_in_memory
    a_total_order_that_is_parked_comes_back_many_at_a_time
    of_large_messages_few_come_back_at_a_time
    another_process_goes_on_with_what_was_parked
    whoever_has_waited_long_enough_is_given_up_in_the_database_too
    what_waits_for_a_generation_that_is_over_is_given_up_in_the_database_too
}
