//! Messages that fail wait for their next attempt in the database, and hold up only what follows from them, however many they are.

use std::time::Duration;

use promiscuous_core::broker::{Broker, Publication};
use promiscuous_core::subscriber::SubscriberSettings;
use promiscuous_tests::until;
use sea_orm::ConnectionTrait;

use crate::core_tables::{bank, totals};
use crate::observed::Running;
use crate::parking::deposit;
use crate::replica::{Kind, Replica, SOON, count};

/// What the account has before that a deposit of 50 does not fit into.
const FULL: i64 = 995;

/// The mirror's accounts hold less than 1,000.
fn tables(_: Kind) -> Vec<String> {
    [
        "deposits (id BIGINT PRIMARY KEY, amount BIGINT NOT NULL)",
        "accounts (id BIGINT PRIMARY KEY, total BIGINT NOT NULL CHECK (total < 1000))",
    ]
    .map(|table| format!("CREATE TABLE {table}"))
    .into()
}

/// A mirror whose first accounts are full.
async fn mirror(kind: Kind, full: u64, subscribing: fn(&mut SubscriberSettings)) -> Replica {
    let mut pair = bank(Kind::Sqlite, kind);
    pair.tables = tables;
    pair.subscribing = subscribing;
    let replica = pair.start().await;
    for id in 1..=full {
        execute(&replica, &format!("INSERT INTO accounts VALUES ({id}, {FULL})")).await;
    }
    replica
}

async fn execute(replica: &Replica, sql: &str) {
    replica.plain_there().execute_unprepared(sql).await.unwrap();
}

/// Takes the reason away for which deposits fail.
async fn mend(replica: &Replica) {
    execute(replica, &format!("UPDATE accounts SET total = 0 WHERE total = {FULL}")).await;
}

async fn publish(replica: &Replica, deposits: Vec<Publication>) {
    replica.broker.publish(deposits).await.into_iter().for_each(Result::unwrap);
}

async fn until_totals(replica: &Replica, expected: &[i64]) {
    until(SOON, "the totals", async || (totals(replica).await == expected).then_some(())).await;
}

async fn until_parked(replica: &Replica, which: &str, expected: i64) {
    let parked = format!("promiscuous_parked WHERE {which}");
    until(SOON, "parked messages", async || {
        (count(replica.plain_there(), &parked).await == expected).then_some(())
    })
    .await;
}

async fn more_messages_than_the_prefetch_may_fail_and_others_are_applied(kind: Kind) {
    // given a subscriber that is given few messages at a time
    const FAILING: u64 = 40;
    let few = |settings: &mut SubscriberSettings| {
        settings.prefetch = 5;
        settings.retry_first = Duration::from_millis(50);
        settings.retry_longest = Duration::from_secs(2);
    };
    let mut replica = mirror(kind, FAILING, few).await;
    // when far more come that cannot be applied, each with one that follows it
    let failing = |number| (1..=FAILING).map(move |id| deposit(id, number, 50));
    publish(&replica, failing(0).chain(failing(1)).collect()).await;
    // then others are applied,
    publish(&replica, vec![deposit(101, 0, 7), deposit(102, 0, 8)]).await;
    let mut expected = vec![FULL; usize::try_from(FAILING).unwrap()];
    expected.extend([7, 8]);
    until_totals(&replica, &expected).await;
    // and those that failed are told of.
    let failing = usize::try_from(FAILING).unwrap();
    let told = replica.status.wait_for(|status| status.failing == failing);
    tokio::time::timeout(SOON, told).await.expect("not all are told of").unwrap();
    assert!(replica.health.report().to_string().contains("failed and are tried again"));
    // when the reason is mended
    mend(&replica).await;
    // then they are applied, and their successors.
    let mut expected = vec![100; failing];
    expected.extend([7, 8]);
    until_totals(&replica, &expected).await;
    until_parked(&replica, "1 = 1", 0).await;
    let quiet = replica.status.wait_for(|status| status.held == 0 && status.failing == 0);
    tokio::time::timeout(SOON, quiet).await.expect("a message stays held").unwrap();
    assert_eq!(replica.status.borrow().dead, 0);
}

async fn attempts_in_the_database_count_until_the_last_one(kind: Kind) {
    // given a subscriber that takes one message at a time
    let four_times = |settings: &mut SubscriberSettings| {
        settings.prefetch = 1;
        settings.max_attempts = 4;
        settings.retry_first = Duration::from_millis(200);
    };
    let mut replica = mirror(kind, 1, four_times).await;
    // when one fails for good,
    publish(&replica, vec![deposit(1, 0, 50), deposit(1, 1, 1), deposit(2, 0, 7)]).await;
    // then it waits in the database in between, and others are applied;
    until_parked(&replica, "attempts = 2 AND retry_at > 0 AND waits_for = ''", 1).await;
    until_totals(&replica, &[FULL, 7]).await;
    // and it dies of its last attempt, and its successor goes on.
    until_totals(&replica, &[FULL + 1, 7]).await;
    let letters = replica.broker.dead_letters("mirror.promiscuous");
    assert_eq!(letters.iter().map(|letter| letter.attempts).collect::<Vec<_>>(), [4]);
    until_parked(&replica, "1 = 1", 0).await;
    let quiet = replica.status.wait_for(|status| status.held == 0 && status.failing == 0);
    tokio::time::timeout(SOON, quiet).await.expect("a message stays held").unwrap();
}

async fn another_process_tries_again_what_has_failed(kind: Kind) {
    // given a message that has failed, and a process that ends
    let one = |settings: &mut SubscriberSettings| settings.prefetch = 1;
    let mut replica = mirror(kind, 1, one).await;
    publish(&replica, vec![deposit(1, 0, 50)]).await;
    until_parked(&replica, "attempts > 1", 1).await;
    replica.stop().await;
    mend(&replica).await;
    // when another one starts
    let mut settings = SubscriberSettings::new("mirror");
    settings.clock_skew = Duration::ZERO;
    let subscriber = replica.subscriber.subscriber_with(&replica.there, settings).unwrap();
    let _running = Running::start(subscriber).await;
    // then
    until_totals(&replica, &[50]).await;
    until_parked(&replica, "1 = 1", 0).await;
}

crate::on_each_database! {
    more_messages_than_the_prefetch_may_fail_and_others_are_applied
    attempts_in_the_database_count_until_the_last_one
    another_process_tries_again_what_has_failed
}
