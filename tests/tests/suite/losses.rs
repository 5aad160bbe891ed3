//! What the loss of a publisher's version store costs: nothing but order across the loss.

use std::time::Duration;

use promiscuous_core::key::Endpoint;
use promiscuous_core::operation::{Operation, OperationKind};
use promiscuous_seaorm::Context;
use promiscuous_tests::until;
use sea_orm::{ActiveModelTrait, EntityTrait, Set};
use serde_json::json;

use crate::both_ways;
use crate::core_tables::{bank, deposit, impatient, totals};
use crate::replica::{Kind, Pair, Replica, SOON, count};

/// A writer of deposit 1 that has bumped its version, and dies.
async fn dies_after_its_bump(replica: &Replica) {
    let operation = Operation {
        operation: OperationKind::Update,
        endpoint: Endpoint::parse("shop/deposit").unwrap(),
        types: vec!["Deposit".into()],
        id: "1".into(),
        attributes: Some(json!({ "amount": 99 }).as_object().unwrap().clone()),
    };
    let publisher = replica.here.publisher().unwrap().clone();
    let pending = publisher.lock_and_bump(vec![operation], None).await.unwrap().unwrap();
    // The dead tell nobody.
    std::mem::forget(pending);
}

async fn until_total(replica: &Replica, total: i64) {
    until(SOON, "the total", async || (totals(replica).await == [total]).then_some(())).await;
}

#[tokio::test]
async fn who_follows_a_dead_writer_goes_on_although_its_intent_was_lost() {
    // given
    let mut pair = bank(Kind::Sqlite, Kind::Sqlite);
    pair.adjust = impatient;
    pair.subscribing = |settings| settings.lost_after = Duration::from_millis(100);
    let mut replica = pair.start().await;
    deposit(&replica, 1, 10).await;
    replica.settle().await;

    // when: another writer follows the dead one, and then the store loses everything, and nobody writes any more
    dies_after_its_bump(&replica).await;
    deposit(&replica, 1, 5).await;
    replica.versions.flush();

    // then
    until_total(&replica, 15).await;
    let raised = "promiscuous_meta WHERE name = 'announced' AND value = 2";
    assert_eq!(count(replica.plain_here(), raised).await, 1);
    deposit(&replica, 1, 7).await;
    until_total(&replica, 22).await;
}

/// Published and subscribed alike.
mod note {
    use promiscuous_seaorm::{Publish, Subscribe};
    use sea_orm::entity::prelude::*;

    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Publish, Subscribe)]
    #[sea_orm(table_name = "notes")]
    #[publish(attributes(number))]
    #[subscribe(from = "shop/note", attributes(number))]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: i64,
        pub number: i64,
    }

    impl ActiveModelBehavior for ActiveModel {}
}

#[tokio::test]
async fn writes_go_on_while_both_stores_are_flushed_again_and_again() {
    // given
    let notes = |_| vec!["CREATE TABLE notes (id BIGINT PRIMARY KEY, number BIGINT NOT NULL)".into()];
    // Not on SQLite: a writer there has to be refused, because the generation cannot be raised beside its transaction.
    let mut pair = Pair::new(Kind::Postgres, Kind::Postgres, both_ways!(note), notes);
    pair.adjust = impatient;
    pair.subscribing = |settings| settings.lost_after = Duration::from_millis(100);
    let replica = pair.start().await;
    for id in 0..7 {
        note::ActiveModel { id: Set(id), number: Set(0) }.insert(&replica.here).await.unwrap();
    }

    // when: each write in a context that has read another row
    for n in 1..=300 {
        let write = async {
            note::Entity::find_by_id((n + 1) % 7).one(&replica.here).await?;
            note::ActiveModel { id: Set(n % 7), number: Set(n) }.update(&replica.here).await
        };
        Context::new("tests/losses").scope(write).await.unwrap();
        if n % 20 == 0 {
            replica.versions.flush();
        }
        if n % 30 == 0 {
            replica.applied_versions.flush();
        }
    }

    // then
    until(SOON, "equal rows", async || {
        let [here, there] = replica.rows::<note::Entity>().await;
        (here == there).then_some(())
    })
    .await;
}
