//! What a subscriber makes of objects that are sent again.

use promiscuous_core::broker::{Broker, Publication};
use promiscuous_seaorm::Models;
use promiscuous_tests::databases::Kind;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::core_tables::{bank, totals};
use crate::observed::publication;
use crate::replica::{Replica, SOON, count};

/// What is said of deposit 1. An account adds up what it is told, so that being told twice shows.
#[derive(Clone, Copy)]
struct Said {
    what: &'static str,
    generation: u64,
    version: u64,
    previous: Option<u64>,
    /// Of the version before.
    readers: u64,
    unwritten: bool,
    amount: i64,
}

fn sync(generation: u64, version: u64, amount: i64) -> Said {
    Said { what: "sync", generation, version, previous: None, readers: 0, unwritten: false, amount }
}

fn update(version: u64, previous: Option<u64>, amount: i64) -> Said {
    Said { what: "update", generation: 1, version, previous, readers: 0, unwritten: false, amount }
}

impl Said {
    fn message(self) -> Publication {
        let Self { what, generation, version, previous, readers, unwritten, amount } = self;
        let mut operation =
            json!({ "operation": what, "endpoint": "shop/deposit", "types": ["Deposit"], "id": "1" });
        if what != "destroy" {
            operation["attributes"] = json!({ "amount": amount });
        }
        let write = json!({
            "key": "shop/deposit/1", "version": version, "previous": previous, "readers": { "shop/deposit": readers },
            "unwritten": unwritten,
        });
        let message: Value = json!({
            "id": Uuid::now_v7(), "app": "shop", "timestamp": 0, "generation": generation,
            "operations": [operation], "dependencies": { "write": [write], "read": [] },
        });
        publication(message.to_string().as_bytes())
    }
}

/// Says these things one after the other, and looks at the account after each: it may not be there.
async fn told(replica: &mut Replica, steps: &[(Said, Option<i64>)]) {
    for (position, (said, total)) in steps.iter().enumerate() {
        let before = replica.status.borrow().applied;
        replica.broker.publish(vec![said.message()]).await.into_iter().for_each(Result::unwrap);
        let settled = replica.status.wait_for(|status| status.applied > before && status.held == 0);
        let settled = tokio::time::timeout(SOON, settled).await;
        settled.unwrap_or_else(|_| panic!("step {position} was not applied")).unwrap();
        assert_eq!(totals(replica).await.first(), total.as_ref(), "step {position}");
    }
}

/// Versions as they come in life: later than everything that was bound.
const NOW: u64 = 4_000_000_000_000_000;

async fn a_sync_takes_the_place_of_whatever_is_not_newer(kind: Kind) {
    let mut replica = bank(Kind::Sqlite, kind).start().await;
    let steps = [
        (sync(1, NOW, 10), Some(10)),
        // The same version again: perhaps it was changed behind everybody's back.
        (sync(1, NOW, 1), Some(11)),
        (sync(1, NOW - 1, 1_000), Some(11)),
        // What has made that version, late.
        (update(NOW, None, 1_000), Some(11)),
        // What follows on it is what is waited for.
        (update(NOW + 1, Some(NOW), 4), Some(15)),
        (sync(1, NOW, 1_000), Some(15)),
        // A new generation is newer.
        (sync(2, NOW - 5, 5), Some(20)),
        (update(NOW + 9, None, 1_000), Some(20)),
    ];
    told(&mut replica, &steps).await;
}

async fn what_was_destroyed_is_not_brought_back_by_an_older_sync(kind: Kind) {
    let mut replica = bank(Kind::Sqlite, kind).start().await;
    let steps = [
        (sync(1, NOW, 10), Some(10)),
        (Said { what: "destroy", ..update(NOW + 1, Some(NOW), 0) }, None),
        (sync(1, NOW, 1_000), None),
        (sync(1, NOW + 2, 7), Some(7)),
    ];
    told(&mut replica, &steps).await;
}

async fn a_version_that_nobody_has_written_is_what_changes_must_be_newer_than_and_what_nobody_waits_for(
    kind: Kind,
) {
    // given a write that was applied, whose key has expired at the publisher since
    let mut replica = bank(Kind::Sqlite, kind).start().await;
    let unwritten = Said { unwritten: true, ..sync(1, NOW + 10, 5) };
    let steps = [(update(NOW, None, 10), Some(10)), (unwritten, Some(15))];
    told(&mut replica, &steps).await;
    // when what was written before that comes late, then it is older
    told(&mut replica, &[(update(NOW + 5, Some(NOW), 1_000), Some(15))]).await;
    // and what is known to others is what was written
    let consumed = format!("promiscuous_versions WHERE object = 'shop/deposit/1' AND version = {}", NOW + 5);
    assert_eq!(count(replica.plain_there(), &consumed).await, 1);
    told(&mut replica, &[(unwritten, Some(20)), (update(NOW + 11, None, 1), Some(21))]).await;
    // and it is the same for an object that was never heard of
    let other = bank(Kind::Sqlite, kind).start().await;
    other.broker.publish(vec![unwritten.message()]).await.into_iter().for_each(Result::unwrap);
    promiscuous_tests::until(SOON, "the account", async || (totals(&other).await == [5]).then_some(())).await;
    let nothing = "promiscuous_versions WHERE object = 'shop/deposit/1' AND version = 0";
    assert_eq!(count(other.plain_there(), nothing).await, 1);
}

async fn readers_of_a_version_that_a_sync_brought_are_not_waited_for(kind: Kind) {
    // They may have come before it, when nobody counted them.
    let mut replica = bank(Kind::Sqlite, kind).start().await;
    let steps =
        [(sync(1, NOW, 10), Some(10)), (Said { readers: 3, ..update(NOW + 1, Some(NOW), 4) }, Some(14))];
    told(&mut replica, &steps).await;
}

async fn a_sync_of_the_version_that_is_known_forgets_none_of_its_readers(kind: Kind) {
    // given a version that three have read, of whom none has come
    let mut replica = bank(Kind::Sqlite, kind).start().await;
    let steps = [(update(NOW, None, 10), Some(10)), (sync(1, NOW, 1), Some(11))];
    told(&mut replica, &steps).await;
    // when
    let blocked = Said { readers: 3, ..update(NOW + 1, Some(NOW), 1_000) };
    replica.broker.publish(vec![blocked.message()]).await.into_iter().for_each(Result::unwrap);
    // then
    let waits = replica.status.wait_for(|status| status.blocked == 1);
    tokio::time::timeout(SOON, waits).await.expect("it does not wait").unwrap();
    assert_eq!(totals(&replica).await, [11]);
}

/// An account that sees to it that the next one is there, as a row may that refers to another one.
mod linked {
    use promiscuous_seaorm::Subscribe;
    use sea_orm::entity::prelude::*;
    use sea_orm::{Set, entity::prelude::async_trait::async_trait};

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
            self.total = Set(amount);
        }
    }

    #[async_trait]
    impl ActiveModelBehavior for ActiveModel {
        async fn before_save<C: ConnectionTrait>(self, db: &C, _: bool) -> Result<Self, DbErr> {
            let id = *self.id.as_ref();
            if id < 3 && Entity::find_by_id(id + 1).one(db).await?.is_none() {
                let stub = ActiveModel { id: Set(id + 1), total: Set(0) };
                Entity::insert(stub).exec_without_returning(db).await?;
            }
            Ok(self)
        }
    }
}

async fn a_row_that_the_model_s_own_code_writes_beforehand_is_no_obstacle(kind: Kind) {
    // given
    let mut pair = bank(Kind::Sqlite, kind);
    pair.subscribed = Models::new().subscribe::<linked::Entity>();
    let mut replica = pair.start().await;
    // when a message sends rows again, of which each but the last is written after the next one
    let operations = [1, 2, 3].map(|id| {
        json!({
            "operation": "sync", "endpoint": "shop/deposit", "types": ["Deposit"], "id": id.to_string(),
            "attributes": { "amount": 10 * id },
        })
    });
    let writes = [1, 2, 3].map(
        |id| json!({ "key": format!("shop/deposit/{id}"), "version": NOW, "previous": null, "readers": {} }),
    );
    let message = json!({
        "id": Uuid::now_v7(), "app": "shop", "timestamp": 0, "generation": 1,
        "operations": operations, "dependencies": { "write": writes, "read": [] },
    });
    replica
        .broker
        .publish(vec![publication(message.to_string().as_bytes())])
        .await
        .into_iter()
        .for_each(Result::unwrap);
    // then all are as they were sent, at the first attempt
    let settled = replica.status.wait_for(|status| status.applied > 0 || status.failing > 0);
    let status = tokio::time::timeout(SOON, settled).await.expect("it is applied").unwrap().clone();
    assert_eq!((status.applied, status.failing), (1, 0));
    assert_eq!(totals(&replica).await, [10, 20, 30]);
}

macro_rules! on_every_database {
    ($($scenario:ident)*) => {
        $(mod $scenario {
            use promiscuous_tests::databases::Kind;

            #[tokio::test]
            async fn postgres() {
                super::$scenario(Kind::Postgres).await;
            }

            #[tokio::test]
            async fn mariadb() {
                super::$scenario(Kind::MariaDb).await;
            }

            #[tokio::test]
            async fn sqlite() {
                super::$scenario(Kind::Sqlite).await;
            }
        })*
    };
}

on_every_database! {
    a_row_that_the_model_s_own_code_writes_beforehand_is_no_obstacle
    a_sync_takes_the_place_of_whatever_is_not_newer
    what_was_destroyed_is_not_brought_back_by_an_older_sync
    a_version_that_nobody_has_written_is_what_changes_must_be_newer_than_and_what_nobody_waits_for
    readers_of_a_version_that_a_sync_brought_are_not_waited_for
    a_sync_of_the_version_that_is_known_forgets_none_of_its_readers
}
