//! Old and new workers of one app on one queue: an old one leaves the messages of a model that is new to it, in the database, and counts what it applies
//! as the new one does.

use std::time::Duration;

use promiscuous_core::broker::{Broker, Publication, Queue, QueueKind};
use promiscuous_core::subscriber::SubscriberSettings;
use promiscuous_seaorm::{Config, Models, Promiscuous};
use promiscuous_tests::until;
use sea_orm::ConnectionTrait;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::observed::{Running, publication};
use crate::replica::{Kind, Pair, Replica, SOON, count};

/// What both versions of the app take.
mod order {
    use promiscuous_seaorm::{Publish, Subscribe};
    use sea_orm::entity::prelude::*;

    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Publish, Subscribe)]
    #[sea_orm(table_name = "orders")]
    #[publish(attributes(amount))]
    #[subscribe(from = "shop/order", attributes(amount))]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: i64,
        pub amount: i64,
    }

    impl ActiveModelBehavior for ActiveModel {}
}

/// What only the new one takes.
mod member {
    use promiscuous_seaorm::Subscribe;
    use sea_orm::entity::prelude::*;

    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Subscribe)]
    #[sea_orm(table_name = "members")]
    #[subscribe(from = "shop/member", attributes(points))]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: i64,
        pub points: i64,
    }

    impl ActiveModelBehavior for ActiveModel {}
}

fn tables(_: Kind) -> Vec<String> {
    [
        "orders (id BIGINT PRIMARY KEY, amount BIGINT NOT NULL)",
        "members (id BIGINT PRIMARY KEY, points BIGINT NOT NULL)",
    ]
    .map(|table| format!("CREATE TABLE {table}"))
    .into()
}

/// The first version that the tests speak of; later than any that passes for the past.
const FIRST: u64 = 4_000_000_000_000_000;

/// A worker of the old version, which runs.
async fn old(kind: Kind) -> Replica {
    let [published, subscribed] = crate::both_ways![order];
    let mut pair = Pair::new(Kind::Sqlite, kind, [published, subscribed], tables);
    pair.subscribing = few;
    pair.start().await
}

/// Messages that wait fill the window soon.
fn few(settings: &mut SubscriberSettings) {
    settings.clock_skew = Duration::ZERO;
    settings.prefetch = 4;
}

/// Starts a worker of the new version.
async fn new(replica: &Replica) -> Running {
    let models = Models::new().subscribe::<order::Entity>().subscribe::<member::Entity>();
    let app = Promiscuous::new(Config::embedded("mirror", &replica.name).unwrap()).unwrap().models(models);
    let there = app.wrap(replica.plain_there().clone()).await.unwrap();
    let mut settings = SubscriberSettings::new("mirror");
    few(&mut settings);
    Running::start(app.subscriber_with(&there, settings).unwrap()).await
}

/// An object at this version, the first being 0; its values are the version.
struct At(&'static str, u64, u64);

impl At {
    fn key(&self) -> String {
        format!("shop/{}/{}", self.0, self.1)
    }
}

/// A message that writes these objects, having read those.
fn message(writes: &[At], reads: &[At]) -> Value {
    let operation = |At(model, id, version): &At| {
        let (model, attribute) = if *model == "order" { ("Order", "amount") } else { ("Member", "points") };
        json!({
            "operation": "update", "endpoint": format!("shop/{}", model.to_lowercase()), "types": [model],
            "id": id.to_string(), "attributes": { attribute: version },
        })
    };
    let write = |at: &At| {
        let previous = (at.2 > 0).then(|| FIRST + at.2 - 1);
        json!({ "key": at.key(), "version": FIRST + at.2, "previous": previous, "readers": {} })
    };
    let read = |at: &At| {
        let ordinals: serde_json::Map<String, Value> =
            writes.iter().map(|write| (format!("shop/{}", write.0), json!(1))).collect();
        json!({ "key": at.key(), "version": FIRST + at.2, "ordinals": ordinals })
    };
    json!({
        "id": Uuid::now_v7(), "app": "shop", "timestamp": 0, "generation": 1,
        "operations": writes.iter().map(operation).collect::<Vec<_>>(),
        "dependencies": {
            "write": writes.iter().map(write).collect::<Vec<_>>(),
            "read": reads.iter().map(read).collect::<Vec<_>>(),
        },
    })
}

/// Goes to both endpoints, as a message would that writes both.
async fn publish(replica: &Replica, messages: Vec<Value>) {
    let publications: Vec<Publication> =
        messages.iter().map(|message| publication(message.to_string().as_bytes())).collect();
    replica.broker.publish(publications).await.into_iter().for_each(Result::unwrap);
}

async fn until_rows(replica: &Replica, of: &str, expected: i64) {
    let there = async || (count(replica.plain_there(), of).await == expected).then_some(());
    until(SOON, of, there).await;
}

/// Whether both are at these versions, by their ids from 1.
async fn until_at(replica: &Replica, orders: &[u64], members: &[u64]) {
    for (table, attribute, versions) in [("orders", "amount", orders), ("members", "points", members)] {
        for (id, version) in (1..).zip(versions) {
            until_rows(replica, &format!("{table} WHERE id = {id} AND {attribute} = {version}"), 1).await;
        }
        until_rows(replica, table, i64::try_from(versions.len()).unwrap()).await;
    }
}

async fn until_quiet(running: &Running) {
    let mut status = running.status.clone();
    let quiet = status.wait_for(|status| status.held == 0 && status.failing == 0);
    tokio::time::timeout(SOON, quiet).await.expect("a message stays held").unwrap();
    assert_eq!(running.status.borrow().dead, 0);
}

async fn an_old_worker_leaves_the_messages_of_a_new_model_to_a_new_one(kind: Kind) {
    // given an old worker, and a new one that has bound its model and is away
    let replica = old(kind).await;
    new(&replica).await.stop().await;
    // when
    publish(
        &replica,
        vec![
            message(&[At("order", 1, 0)], &[]),
            message(&[At("member", 1, 0)], &[]),
            message(&[At("member", 1, 1)], &[]),
            // both at once, and what follows from that
            message(&[At("member", 2, 0), At("order", 2, 0)], &[]),
            message(&[At("order", 2, 1)], &[]),
            // what has read one that is not there yet
            message(&[At("order", 3, 0)], &[At("member", 1, 1)]),
            message(&[At("order", 4, 0)], &[]),
            message(&[At("order", 4, 1)], &[]),
        ],
    )
    .await;
    // then what does not follow from it is applied, and the rest waits for the new one,
    until_rows(&replica, "orders WHERE id = 4 AND amount = 1", 1).await;
    until(SOON, "what is left", async || {
        let left = count(replica.plain_there(), "promiscuous_parked WHERE waits_for = '=shop/member'").await;
        // The second version of the member is left with the first, or waits for it.
        (left == 2 || left == 3).then_some(())
    })
    .await;
    until_rows(&replica, "orders", 2).await;
    // of which is told.
    let told = async || replica.health.report().to_string().contains("shop/member").then_some(());
    until(SOON, "a word about it", told).await;
    // when it is there
    let new = new(&replica).await;
    // then
    until_at(&replica, &[0, 1, 0, 1], &[1, 0]).await;
    until_rows(&replica, "promiscuous_parked", 0).await;
    until_quiet(&new).await;
    assert_eq!(replica.status.borrow().dead, 0);
}

async fn side_by_side_they_lose_nothing_and_each_waits_for_what_the_other_applies(kind: Kind) {
    // given
    const OBJECTS: u64 = 30;
    const LAST: u64 = 4;
    let replica = old(kind).await;
    let new = new(&replica).await;
    // when each order has read what its member is by then, and each member's next version waits for that
    for version in 0..=LAST {
        let mut messages = Vec::new();
        for id in 1..=OBJECTS {
            let mut member = message(&[At("member", id, version)], &[]);
            if version > 0 {
                member["dependencies"]["write"][0]["readers"] = json!({ "shop/order": 1 });
            }
            messages.push(member);
            messages.push(message(&[At("order", id, version)], &[At("member", id, version)]));
        }
        publish(&replica, messages).await;
    }
    // then
    let last = vec![LAST; usize::try_from(OBJECTS).unwrap()];
    until_at(&replica, &last, &last).await;
    until_rows(&replica, "promiscuous_parked", 0).await;
    until_quiet(&new).await;
}

async fn what_an_old_worker_has_applied_counts_for_the_new_one(kind: Kind) {
    // given a member that came by the new worker, which is away now
    let replica = old(kind).await;
    let mut first = new(&replica).await;
    publish(&replica, vec![message(&[At("member", 1, 0)], &[])]).await;
    until_at(&replica, &[], &[0]).await;
    first.stop().await;
    // when the old one applies what has read it, and a dummy of it,
    let mut dummy = message(&[At("member", 2, 0)], &[]);
    dummy["operations"] = json!([]);
    publish(&replica, vec![message(&[At("order", 1, 0)], &[At("member", 1, 0)]), dummy]).await;
    until_rows(&replica, "orders", 1).await;
    until_rows(&replica, "promiscuous_versions WHERE object = 'shop/member/2'", 1).await;
    // then the next versions wait for nothing in the new one.
    let _second = new(&replica).await;
    let mut next = message(&[At("member", 1, 1)], &[]);
    next["dependencies"]["write"][0]["readers"] = json!({ "shop/order": 1 });
    publish(&replica, vec![next, message(&[At("member", 2, 1)], &[])]).await;
    until_at(&replica, &[0], &[1, 1]).await;
}

async fn what_is_about_to_be_bound_is_left_already(kind: Kind) {
    // given a worker of a new version that died before it could say since when its queue is bound
    let replica = old(kind).await;
    let row = "INSERT INTO promiscuous_subscriptions (endpoint, state, bound_since) VALUES ('shop/member', 'binding', 5)";
    replica.plain_there().execute_unprepared(row).await.unwrap();
    let bindings = vec!["shop.member".to_owned()];
    let queue = Queue { app: "mirror".into(), bindings, kind: QueueKind::Quorum };
    replica.broker.declare(&queue).await.unwrap();
    // when its messages come, one of them after the one that nobody has
    publish(
        &replica,
        vec![message(&[At("member", 1, 0)], &[]), message(&[At("order", 1, 0)], &[At("member", 7, 3)])],
    )
    .await;
    // then the old one leaves what it does not take, and waits for nothing of it.
    until_rows(&replica, "promiscuous_parked WHERE waits_for = '=shop/member'", 1).await;
    until_at(&replica, &[0], &[]).await;
    let _new = new(&replica).await;
    until_at(&replica, &[0], &[0]).await;
}

async fn what_is_bound_no_more_is_passed_over(kind: Kind) {
    // given messages that were left for a version which is given up, and one that follows from them
    let replica = old(kind).await;
    new(&replica).await.stop().await;
    let both = message(&[At("member", 1, 0), At("order", 1, 0)], &[]);
    publish(&replica, vec![both, message(&[At("order", 1, 1)], &[])]).await;
    until_rows(&replica, "promiscuous_parked WHERE waits_for = '=shop/member'", 1).await;
    // when it is unbound
    let bindings = vec!["shop.member".to_owned()];
    let queue = Queue { app: "mirror".into(), bindings, kind: QueueKind::Quorum };
    replica.broker.unbind(&queue).await.unwrap();
    let gone = "DELETE FROM promiscuous_subscriptions WHERE endpoint = 'shop/member'";
    replica.plain_there().execute_unprepared(gone).await.unwrap();
    // then the old worker applies of them what it takes.
    until_at(&replica, &[1], &[]).await;
    until_rows(&replica, "promiscuous_parked", 0).await;
}

crate::on_each_database! {
    an_old_worker_leaves_the_messages_of_a_new_model_to_a_new_one
    side_by_side_they_lose_nothing_and_each_waits_for_what_the_other_applies
    what_an_old_worker_has_applied_counts_for_the_new_one
    what_is_about_to_be_bound_is_left_already
    what_is_bound_no_more_is_passed_over
}
