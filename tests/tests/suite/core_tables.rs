//! Core's own tables on every database: migrating, versions that are applied once, dead writers, and waiting for locks.

use std::time::Duration;

use promiscuous_core::broker::{Broker, Publication};
use promiscuous_core::database::{Sql, SqlValue};
use promiscuous_core::operation::{Operation, OperationKind};
use promiscuous_core::publisher::PublisherSettings;
use promiscuous_seaorm::{Config, Models, Promiscuous};
use promiscuous_tests::{unique_app, until};
use sea_orm::{
    ActiveModelTrait, ConnectionTrait, EntityTrait, IntoActiveModel, Set, SqlErr, Statement, Value,
};
use serde_json::json;
use uuid::Uuid;

use crate::observed::publication;
use crate::replica::{Kind, Pair, Replica, SOON, count, said};

/// What the shop publishes.
mod deposit {
    use promiscuous_seaorm::Publish;
    use sea_orm::entity::prelude::*;

    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Publish)]
    #[sea_orm(table_name = "deposits")]
    #[publish(attributes(amount))]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: i64,
        pub amount: i64,
    }

    impl ActiveModelBehavior for ActiveModel {}
}

/// A copy that adds up what it is told, so that being told twice shows.
mod account {
    use promiscuous_seaorm::Subscribe;
    use sea_orm::ActiveValue;
    use sea_orm::entity::prelude::*;

    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Subscribe)]
    #[sea_orm(table_name = "accounts")]
    #[subscribe(from = "shop/deposit", as = "Deposit", virtual_attributes(amount))]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: i64,
        pub total: i64,
    }

    impl ActiveModel {
        fn set_amount(&mut self, amount: i64) {
            let before = match self.total {
                ActiveValue::Unchanged(total) => total,
                _ => 0,
            };
            self.total = sea_orm::Set(before + amount);
        }
    }

    impl ActiveModelBehavior for ActiveModel {}
}

fn tables(_: Kind) -> Vec<String> {
    [
        "deposits (id BIGINT PRIMARY KEY, amount BIGINT NOT NULL)",
        "accounts (id BIGINT PRIMARY KEY, total BIGINT NOT NULL)",
    ]
    .map(|table| format!("CREATE TABLE {table}"))
    .into()
}

pub fn bank(from: Kind, to: Kind) -> Pair {
    let models = [Models::new().publish::<deposit::Entity>(), Models::new().subscribe::<account::Entity>()];
    Pair::new(from, to, models, tables)
}

pub async fn deposit(replica: &Replica, id: i64, amount: i64) {
    let deposit = deposit::Model { id, amount }.into_active_model().reset_all();
    match deposit::Entity::find_by_id(id).one(replica.plain_here()).await.unwrap() {
        Some(_) => deposit.update(&replica.here).await.unwrap(),
        None => deposit.insert(&replica.here).await.unwrap(),
    };
}

pub async fn totals(replica: &Replica) -> Vec<i64> {
    let mut accounts = account::Entity::find().all(replica.plain_there()).await.unwrap();
    accounts.sort_by_key(|account| account.id);
    accounts.into_iter().map(|account| account.total).collect()
}

async fn migrating_again_changes_nothing(kind: Kind) {
    // given
    let mut replica = bank(kind, kind).start().await;
    deposit(&replica, 1, 10).await;
    replica.settle().await;

    // when
    replica.publisher.migrate(replica.plain_here()).await.unwrap();
    replica.publisher.migrate(replica.plain_there()).await.unwrap();

    // then
    assert_eq!(count(replica.plain_there(), "promiscuous_versions").await, 1);
    assert!(count(replica.plain_here(), "promiscuous_meta").await > 0);
    deposit(&replica, 1, 5).await;
    replica.settle().await;
    assert_eq!(totals(&replica).await, [15]);
}

async fn what_is_delivered_often_is_applied_once(kind: Kind) {
    // given: every message twice, in any order
    let mut replica = bank(Kind::Sqlite, kind).start().await;
    replica.broker.duplicate(true);
    replica.broker.reorder(Some(7));
    let total = |id: i64| -> i64 { (0..10).map(|n| 10 * id + n).sum() };
    for n in 0..10 {
        for id in 1..=3 {
            deposit(&replica, id, 10 * id + n).await;
        }
    }
    let bodies = replica.bodies().await;
    replica.applied().await;
    let expected = [total(1), total(2), total(3)];
    assert_eq!(totals(&replica).await, expected);
    assert!(bodies.len() >= 60);

    // when: all of them again, to the same subscriber
    replica.broker.duplicate(false);
    let before = replica.status.borrow().applied;
    let again: Vec<Publication> = bodies.iter().map(|body| publication(body)).collect();
    for published in replica.broker.publish(again.clone()).await {
        published.unwrap();
    }
    // Thirty different ones at least are not held at the same time as their twins.
    let settled = replica.status.wait_for(|status| status.applied >= before + 30 && status.held == 0);
    tokio::time::timeout(SOON, settled).await.expect("not all were applied").unwrap();

    // then
    assert_eq!(totals(&replica).await, expected);

    // when: all of them to one that remembers nothing but its database
    let name = unique_app("forgetful");
    let forgetful = Promiscuous::new(Config::embedded("mirror", &name).unwrap()).unwrap();
    let forgetful = forgetful.models(Models::new().subscribe::<account::Entity>());
    let subscriber = forgetful.subscriber(&replica.there).unwrap();
    let mut status = subscriber.status();
    let running = tokio::spawn(subscriber.run(std::future::pending()));
    status.wait_for(|status| status.consuming).await.unwrap();
    for published in forgetful.links().broker.publish(again).await {
        published.unwrap();
    }
    let settled = status.wait_for(|status| status.applied >= 30 && status.held == 0);
    tokio::time::timeout(SOON, settled).await.expect("not all were applied").unwrap();

    // then
    assert_eq!(totals(&replica).await, expected);
    running.abort();
}

/// A message about deposit 1 without a predecessor: with an amount, or a dummy.
fn crafted(generation: u64, version: u64, amount: Option<i64>) -> Publication {
    let operation = |amount: i64| {
        json!({
            "operation": "update", "endpoint": "shop/deposit", "types": ["Deposit"], "id": "1",
            "attributes": { "amount": amount },
        })
    };
    let write = json!({ "key": "shop/deposit/1", "version": version, "previous": null, "readers": {} });
    let message = json!({
        "id": Uuid::now_v7(), "app": "shop", "timestamp": 0, "generation": generation,
        "operations": amount.map(operation).into_iter().collect::<Vec<_>>(),
        "dependencies": { "write": [write], "read": [] },
    });
    publication(message.to_string().as_bytes())
}

/// The dummy of a chain that began anew (the publisher's Redis was lost, or the key expired there) may overtake the last write of
/// the chain before.
async fn a_dummy_of_a_new_chain_does_not_hide_an_older_write(kind: Kind) {
    // given
    let mut replica = bank(Kind::Sqlite, kind).start().await;
    let steps = [
        // when: the dummy, and then what it has overtaken
        (2, 50, None, None),
        (1, 100, Some(10), Some(10)),
        // then that is applied, and what is older is not
        (1, 99, Some(1_000), Some(10)),
        (1, 100, Some(10), Some(10)),
        // and what follows is
        (2, 51, Some(5), Some(15)),
        (2, 50, Some(2_000), Some(15)),
    ];
    for (applied, (generation, version, amount, total)) in (1..).zip(steps) {
        let published = replica.broker.publish(vec![crafted(generation, version, amount)]).await;
        published.into_iter().for_each(Result::unwrap);
        let settled = replica.status.wait_for(|status| status.applied >= applied && status.held == 0);
        tokio::time::timeout(SOON, settled).await.expect("it was not applied").unwrap();
        assert_eq!(totals(&replica).await.first().copied(), total, "{generation}.{version}");
    }
}

pub fn impatient(settings: &mut PublisherSettings) {
    settings.deadline = Duration::from_millis(200);
    settings.look_every = Duration::from_millis(50);
}

fn statement(replica: &Replica, sql: Sql) -> Statement {
    let values = sql.values.into_iter().map(|value| match value {
        SqlValue::Int(value) => Value::from(value),
        SqlValue::Text(value) => Value::from(value),
        SqlValue::Null => Value::String(None),
    });
    Statement::from_sql_and_values(replica.here.get_database_backend(), sql.text, values)
}

async fn a_writer_that_dies_before_its_commit_is_replaced_by_a_dummy(kind: Kind) {
    // given: a row, and a writer of it that has bumped its version
    let mut pair = bank(kind, Kind::Sqlite);
    pair.adjust = impatient;
    let mut replica = pair.start().await;
    deposit(&replica, 1, 10).await;
    replica.settle().await;
    let operation = Operation {
        operation: OperationKind::Update,
        endpoint: promiscuous_core::key::Endpoint::parse("shop/deposit").unwrap(),
        types: vec!["Deposit".into()],
        id: "1".into(),
        attributes: Some(serde_json::json!({"amount": 99}).as_object().unwrap().clone()),
    };
    let publisher = replica.here.publisher().unwrap().clone();
    let pending = publisher.lock_and_bump(vec![operation], None).await.unwrap().unwrap();

    // when: its deadline passes
    let here = replica.plain_here().clone();
    until(SOON, "a fence", async || {
        (count(&here, "promiscuous_outbox WHERE state = 2").await == 1).then_some(())
    })
    .await;

    // then: a dummy has taken its place, the writer cannot commit any more, and the next write arrives
    let messages = replica.settle().await;
    assert_eq!(messages.len(), 1);
    assert!(messages[0].operations.is_empty());
    let late = replica.plain_here().execute_raw(statement(&replica, pending.outbox_insert())).await;
    let late = late.unwrap_err();
    assert!(matches!(late.sql_err(), Some(SqlErr::UniqueConstraintViolation(_))), "{late}");
    pending.failed();
    deposit(&replica, 1, 5).await;
    replica.settle().await;
    assert_eq!(totals(&replica).await, [15]);
}

async fn an_op_that_commits_after_a_later_one_was_swept_is_swept_too(kind: Kind) {
    // given: two writers that have bumped, the earlier op first, and that tell nobody of their commits
    let mut pair = bank(kind, Kind::Sqlite);
    pair.adjust = |settings| {
        settings.look_every = Duration::from_millis(50);
        settings.sweep_after = Duration::ZERO;
    };
    let replica = pair.start().await;
    let publisher = replica.here.publisher().unwrap().clone();
    let mut ops = Vec::new();
    for id in ["1", "2"] {
        let operation = Operation {
            operation: OperationKind::Create,
            endpoint: promiscuous_core::key::Endpoint::parse("shop/deposit").unwrap(),
            types: vec!["Deposit".into()],
            id: id.into(),
            attributes: Some(serde_json::json!({"amount": 7}).as_object().unwrap().clone()),
        };
        let pending = publisher.lock_and_bump(vec![operation], None).await.unwrap().unwrap();
        ops.push(statement(&replica, pending.outbox_insert()));
        std::mem::forget(pending);
    }
    let [earlier, later] = ops.try_into().unwrap();
    // when: the later one commits and is swept, and then the earlier one commits
    replica.plain_here().execute_raw(later).await.unwrap();
    until(SOON, "the later op", async || (totals(&replica).await == [7]).then_some(())).await;
    let here = replica.plain_here().clone();
    until(SOON, "an empty outbox", async || (count(&here, "promiscuous_outbox").await == 0).then_some(()))
        .await;
    replica.plain_here().execute_raw(earlier).await.unwrap();
    // then: it arrives too
    until(SOON, "the earlier op", async || (totals(&replica).await == [7, 7]).then_some(())).await;
}

async fn a_write_whose_message_cannot_be_kept_fails_and_the_next_one_arrives(kind: Kind) {
    // given: an outbox that is away
    let mut pair = bank(kind, Kind::Sqlite);
    pair.adjust = impatient;
    let mut replica = pair.start().await;
    deposit(&replica, 1, 10).await;
    replica.settle().await;
    let rename = async |from: &str, to: &str| {
        let sql = format!("ALTER TABLE {from} RENAME TO {to}");
        replica.plain_here().execute_unprepared(&sql).await.unwrap();
    };
    rename("promiscuous_outbox", "away").await;

    // when
    let autocommitted = deposit::ActiveModel { id: Set(1), amount: Set(99) }.update(&replica.here).await;
    let transaction = replica.here.begin().await.unwrap();
    deposit::ActiveModel { id: Set(2), amount: Set(99) }.insert(&transaction).await.unwrap();
    let committed = transaction.commit().await;
    rename("away", "promiscuous_outbox").await;

    // then
    assert_ne!(said(autocommitted), "nothing");
    assert_ne!(said(committed), "nothing");
    let here = replica.plain_here().clone();
    until(SOON, "two fences", async || {
        (count(&here, "promiscuous_outbox WHERE state = 2").await == 2).then_some(())
    })
    .await;
    deposit(&replica, 1, 5).await;
    deposit(&replica, 2, 7).await;
    let messages = replica.settle().await;
    assert_eq!(messages.iter().filter(|message| message.operations.is_empty()).count(), 2);
    assert_eq!(totals(&replica).await, [15, 7]);
}

crate::on_each_database! {
    migrating_again_changes_nothing
    what_is_delivered_often_is_applied_once
    a_dummy_of_a_new_chain_does_not_hide_an_older_write
    a_writer_that_dies_before_its_commit_is_replaced_by_a_dummy
    an_op_that_commits_after_a_later_one_was_swept_is_swept_too
    a_write_whose_message_cannot_be_kept_fails_and_the_next_one_arrives
}

/// How long a writer gets to come between, if it is let.
const A_MOMENT: Duration = Duration::from_millis(300);

#[tokio::test]
async fn a_sqlite_transaction_that_reads_first_can_still_write_after_another_writer() {
    // given
    let mut replica = bank(Kind::Sqlite, Kind::Sqlite).start().await;
    deposit(&replica, 1, 10).await;
    let transaction = replica.here.begin().await.unwrap();
    let read = deposit::Entity::find_by_id(1).one(&transaction).await.unwrap().unwrap();

    // when
    let (here, other) = (replica.here.clone(), deposit::ActiveModel { id: Set(2), amount: Set(1) });
    let mut other = tokio::spawn(async move { other.insert(&here).await });
    let _ = tokio::time::timeout(A_MOMENT, &mut other).await;
    let mut changed = read.into_active_model();
    changed.amount = Set(5);
    changed.update(&transaction).await.unwrap();
    transaction.commit().await.unwrap();

    // then
    if !other.is_finished() {
        other.await.unwrap().unwrap();
    }
    replica.settle().await;
    assert_eq!(totals(&replica).await, [15, 1]);
}

#[tokio::test]
async fn one_sqlite_connection_is_enough_to_publish_and_to_subscribe() {
    let mut pair = bank(Kind::Sqlite, Kind::Sqlite);
    pair.connections = 1;
    let mut replica = pair.start().await;

    for n in 0..20 {
        deposit(&replica, n % 4, n).await;
    }
    let transaction = replica.here.begin().await.unwrap();
    deposit::ActiveModel { id: Set(9), amount: Set(1) }.insert(&transaction).await.unwrap();
    transaction.commit().await.unwrap();
    replica.settle().await;

    assert_eq!(totals(&replica).await, [40, 45, 50, 55, 1]);
}
