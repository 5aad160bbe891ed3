//! What is in the databases in the end, and whether the end has come.

use std::sync::Arc;
use std::time::Duration;

use sea_orm::{ConnectionTrait, EntityTrait, QueryOrder};
use tokio::time::{Instant, sleep};

use super::accounts::{Line, Truth};
use super::noise;
use super::slot::Slot;
use super::world::{Service, World};
use promiscuous_tests::conformance::{Eyes, Model};
use promiscuous_tests::databases::Kind;
use promiscuous_tests::entities::subscribing::{applied, comment, counter, friendship, message, photo};

/// The publisher's rows.
pub async fn of(eyes: &Eyes) -> Truth {
    let db = &eyes.db;
    let mut truth = Truth::default();
    let backend = db.get_database_backend();
    let users = sea_orm::Statement::from_string(backend, "SELECT id, revision FROM users");
    for row in db.query_all_raw(users).await.expect("Users can be read.") {
        let revision = row.try_get("", "revision").expect("A revision is a number.");
        truth.users.insert(row.try_get("", "id").expect("An id is a number."), revision);
    }
    for row in message::Entity::find().all(db).await.expect("Messages can be read.") {
        truth.messages.insert(row.id, (row.user_id, row.user_revision));
    }
    for row in comment::Entity::find().all(db).await.expect("Comments can be read.") {
        truth.comments.insert(row.id);
    }
    for row in counter::Entity::find().all(db).await.expect("Counters can be read.") {
        truth.counters.insert(row.id, row.n);
    }
    for row in friendship::Entity::find().all(db).await.expect("Friendships can be read.") {
        truth.friendships.insert(row.id);
    }
    for row in photo::Entity::find().all(db).await.expect("Photos can be read.") {
        truth.photos.insert(row.id);
    }
    truth
}

/// What a subscriber has applied, in order.
pub async fn log(eyes: &Eyes) -> Vec<Line> {
    let lines = applied::Entity::find().order_by_asc(applied::Column::Position).all(&eyes.db).await;
    let lines = lines.expect("The log can be read.");
    let read = |line: applied::Model| Line {
        kind: line.kind,
        object: line.object,
        value: line.value,
        at: u64::try_from(line.applied_at).unwrap_or(0),
    };
    lines.into_iter().map(read).collect()
}

/// The tables of a subscriber that are not those of the publisher, and the first rows that differ.
pub async fn differences(world: &World, subscriber: &Service) -> Vec<String> {
    let mut found = Vec::new();
    for model in subscriber.models.iter().map(|name| model(name)) {
        let original = world.publisher.eyes.rows(model, false).await;
        let copy = subscriber.eyes.rows(model, false).await;
        if original != copy {
            let missing: Vec<_> = original.iter().filter(|row| !copy.contains(row)).take(5).collect();
            let extra: Vec<_> = copy.iter().filter(|row| !original.contains(row)).take(5).collect();
            let (table, stack) = (model.table(), subscriber.stack);
            found.push(format!("{table} of {stack} differ: missing {missing:?}, extra {extra:?}"));
        }
    }
    found
}

fn model(name: &str) -> Model {
    match name {
        "user" => Model::User,
        "message" => Model::Message,
        "comment" => Model::Comment,
        "counter" => Model::Counter,
        "friendship" => Model::Friendship,
        "photo" => Model::Photo,
        other => panic!("A soak does not know {other:?}."),
    }
}

/// Waits until nothing is left to publish, no queue holds anything, nothing is parked, and every table is the same, twice in a row.
pub async fn everything_has_arrived(
    world: &Arc<World>,
    subscribing: &[Arc<Slot>],
    patience: Duration,
) -> bool {
    let end = Instant::now() + patience;
    let mut calm = 0;
    while Instant::now() < end {
        calm = if is_calm(world).await { calm + 1 } else { 0 };
        if calm >= 2 {
            break;
        }
        sleep(Duration::from_secs(1)).await;
    }
    if calm < 2 {
        return false;
    }
    // What a worker still holds goes back to its queue: then a length of nothing is the truth.
    for slot in subscribing {
        slot.stop();
    }
    let returned =
        tokio::time::timeout(Duration::from_secs(60), async {
            loop {
                let consumed =
                    futures_util::future::join_all(world.subscribers.iter().map(async |subscriber| {
                        noise::consumers(world, &subscriber.queue()).await == Some(0)
                    }));
                if consumed.await.into_iter().all(|gone| gone) {
                    return;
                }
                sleep(Duration::from_millis(500)).await;
            }
        });
    returned.await.is_ok() && is_calm(world).await
}

async fn is_calm(world: &Arc<World>) -> bool {
    if world.publisher.eyes.count("promiscuous_outbox WHERE state < 2").await > 0 {
        return false;
    }
    for subscriber in &world.subscribers {
        if subscriber.eyes.count("promiscuous_parked").await > 0 {
            return false;
        }
        if noise::length(world, &subscriber.queue()).await != Some(0) {
            return false;
        }
        if !same_rows(world, subscriber).await {
            return false;
        }
    }
    true
}

/// Cheaper than comparing the tables: how many rows there are, and how far they have come.
async fn same_rows(world: &World, subscriber: &Service) -> bool {
    for name in &subscriber.models {
        let model = model(name);
        let column = match model {
            Model::User => "revision",
            Model::Counter => "n",
            _ => "id",
        };
        // Sums have other types on each database.
        let text = |kind: Kind| if kind == Kind::MariaDb { "CHAR(60)" } else { "TEXT" };
        let ask = async |service: &Service| -> (i64, String) {
            let (table, text) = (model.table(), text(service.stack.kind));
            let sum = format!("CAST(COALESCE(SUM({column}), 0) AS {text})");
            let row = service.eyes.row(&format!("SELECT COUNT(*) AS n, {sum} AS total FROM {table}")).await;
            (row.try_get("", "n").expect("A number."), row.try_get("", "total").expect("A text."))
        };
        if ask(&world.publisher).await != ask(subscriber).await {
            return false;
        }
    }
    true
}
