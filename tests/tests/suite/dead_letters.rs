//! What cannot be applied goes to the dead letters, and only what follows from it is concerned.

use std::time::Duration;

use bytes::Bytes;
use promiscuous_core::broker::{Broker, Publication};
use promiscuous_core::subscriber::{OnDead, SubscriberSettings};
use promiscuous_tests::until;

use crate::core_tables::{bank, totals};
use crate::parking::deposit;
use crate::replica::{Kind, Replica, SOON, count};

/// The mirror's accounts hold less than 1,000.
fn tables(_: Kind) -> Vec<String> {
    [
        "deposits (id BIGINT PRIMARY KEY, amount BIGINT NOT NULL)",
        "accounts (id BIGINT PRIMARY KEY, total BIGINT NOT NULL CHECK (total < 1000))",
    ]
    .map(|table| format!("CREATE TABLE {table}"))
    .into()
}

async fn mirror(kind: Kind, subscribing: fn(&mut SubscriberSettings)) -> Replica {
    let mut pair = bank(Kind::Sqlite, kind);
    pair.tables = tables;
    pair.subscribing = subscribing;
    pair.start().await
}

fn three_times(settings: &mut SubscriberSettings) {
    settings.max_attempts = 3;
    settings.retry_first = Duration::from_millis(1);
}

async fn publish(replica: &Replica, deposits: Vec<Publication>) {
    replica.broker.publish(deposits).await.into_iter().for_each(Result::unwrap);
}

async fn until_dead(replica: &mut Replica, dead: u64) {
    let died = replica.status.wait_for(|status| status.dead == dead);
    tokio::time::timeout(SOON, died).await.expect("nothing has died").unwrap();
}

async fn until_totals(replica: &Replica, expected: &[i64]) {
    until(SOON, "the totals", async || (totals(replica).await == expected).then_some(())).await;
}

async fn what_fails_for_the_last_time_is_buried_and_its_successors_go_on(kind: Kind) {
    // given
    let mut replica = mirror(kind, three_times).await;
    let impossible = deposit(1, 0, 5_000);
    // when
    publish(&replica, vec![impossible.clone(), deposit(2, 0, 7)]).await;
    until_dead(&mut replica, 1).await;
    // then other processes know as well that its version is consumed, and that nothing of it was applied;
    let consumed =
        "promiscuous_versions WHERE object = 'shop/deposit/1' AND version > 0 AND content_version = 0";
    assert_eq!(count(replica.plain_there(), consumed).await, 1);
    // and its successors go on
    publish(&replica, vec![deposit(1, 1, 5)]).await;
    until_totals(&replica, &[5, 7]).await;
    let letters = replica.broker.dead_letters("mirror.promiscuous");
    assert_eq!(letters.len(), 1);
    assert_eq!((letters[0].id, letters[0].attempts), (Some(impossible.id), 3));
    assert_eq!(letters[0].body, impossible.body);
    assert!(letters[0].error.contains("deposit"), "{}", letters[0].error);
    let quiet = replica.status.wait_for(|status| status.held == 0);
    tokio::time::timeout(SOON, quiet).await.expect("a message stays held").unwrap();
    // when it comes again, then it is too late for it: the row is newer.
    let applied = replica.status.borrow().applied;
    publish(&replica, vec![impossible]).await;
    let skipped = replica.status.wait_for(|status| status.applied > applied && status.held == 0);
    tokio::time::timeout(SOON, skipped).await.expect("it was not skipped").unwrap();
    assert_eq!(totals(&replica).await, [5, 7]);
    assert_eq!(replica.status.borrow().dead, 1);
}

async fn successors_wait_for_a_dead_letter_where_that_is_wanted(kind: Kind) {
    // given
    let blocking = |settings: &mut SubscriberSettings| {
        three_times(settings);
        settings.on_dead = OnDead::Block;
    };
    let mut replica = mirror(kind, blocking).await;
    // when
    publish(&replica, vec![deposit(1, 0, 5_000), deposit(1, 1, 5), deposit(2, 0, 7)]).await;
    // then
    until_dead(&mut replica, 1).await;
    until_totals(&replica, &[7]).await;
    let blocked = replica.status.wait_for(|status| status.blocked == 1 && status.held == 1);
    tokio::time::timeout(SOON, blocked).await.expect("the successor does not wait").unwrap();
    // when it comes in a form that fits (as if the cause of the failure were mended), then they go on.
    publish(&replica, vec![deposit(1, 0, 100)]).await;
    until_totals(&replica, &[105, 7]).await;
}

async fn what_is_no_message_is_buried_at_once(kind: Kind) {
    let replica = mirror(kind, |_| ()).await;
    let mut nonsense = deposit(1, 0, 1);
    nonsense.body = Bytes::from_static(b"no message");
    publish(&replica, vec![nonsense, deposit(2, 0, 7)]).await;
    until_totals(&replica, &[7]).await;
    let letters = replica.broker.dead_letters("mirror.promiscuous");
    assert_eq!(letters.iter().map(|letter| (letter.id, letter.attempts)).collect::<Vec<_>>(), [(None, 0)]);
    assert_eq!(letters[0].body, "no message");
}

crate::on_each_database! {
    what_fails_for_the_last_time_is_buried_and_its_successors_go_on
    successors_wait_for_a_dead_letter_where_that_is_wanted
    what_is_no_message_is_buried_at_once
}
