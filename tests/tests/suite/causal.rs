//! Causal order (the protocol's promises 3, 4 and 6).

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use promiscuous_core::broker::memory::MemoryBroker;
use promiscuous_seaorm::{Config, Promiscuous, PromiscuousConnection};
use promiscuous_tests::databases::TestDatabase;
use promiscuous_tests::entities::publishing::{counter, friendship, photo};
use promiscuous_tests::entities::{publishing, subscribing};
use promiscuous_tests::{apps, unique_app};
use sea_orm::{ActiveModelTrait, DbErr, EntityTrait, IntoActiveModel, QuerySelect, Set};
use tokio::task::JoinSet;

use crate::apps::{Publishing, create_counter, increment, request};

const OBJECTS: i64 = 3;
const WRITERS: i64 = 10;
const INCREMENTS: i64 = 10;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_increments_arrive_in_order_each_once() {
    // Given two processes that share a queue.
    let publishing = Publishing::new().await;
    let subscribing = publishing.subscribing(&["counter"]).await;
    let shared = || subscribing.process().arg("--workers").arg("4").arg("--prefetch").arg("20");
    let _processes = [shared().spawn(), shared().spawn()];
    subscribing.bound().await;
    let db = publishing.connect(12).await;
    for id in 1..=OBJECTS {
        create_counter(&db, id).await.unwrap();
    }

    // When ten writers increment three counters ten times each.
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let db = db.clone();
        writers.spawn(request("increment", async move {
            for turn in 0..INCREMENTS {
                for id in 1..=OBJECTS {
                    if (writer + turn) % 2 == 0 {
                        increment(&db, id).await.unwrap();
                    } else {
                        increment_after_reading(&db, id).await.unwrap();
                    }
                }
            }
        }));
    }
    while let Some(written) = writers.join_next().await {
        written.unwrap();
    }

    // Then each step of each counter was applied, once, in order, and both processes took part.
    let last = WRITERS * INCREMENTS;
    for id in 1..=OBJECTS {
        subscribing.counted(id, last).await;
        assert_eq!(subscribing.values("counter", id).await, (0..=last).collect::<Vec<_>>());
    }
    let log = subscribing.log("counter").await;
    let processes: BTreeSet<i64> = log.iter().map(|line| line.process).collect();
    assert_eq!(processes.len(), 2);
}

async fn increment_after_reading(db: &PromiscuousConnection, id: i64) -> Result<(), DbErr> {
    let transaction = db.begin().await?;
    let counter = counter::Entity::find_by_id(id).lock_exclusive().one(&transaction).await?.unwrap();
    let n = counter.n + 1;
    let mut counter = counter.into_active_model();
    counter.n = Set(n);
    counter.update(&transaction).await?;
    transaction.commit().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_is_never_applied_before_its_user_nor_a_comment_before_its_message() {
    const USERS: i64 = 20;
    const REVISIONS: i64 = 4;
    // Given two processes to which users are slow, and the rest is not.
    let publishing = Publishing::new().await;
    let subscribing = publishing.subscribing(&["user", "message", "comment"]).await;
    let _processes = [subscribing.process().spawn(), subscribing.process().spawn()];
    subscribing.bound().await;
    let db = publishing.connect(8).await;

    // When each user is changed, and after each change writes a message that others comment on.
    let mut chains = JoinSet::new();
    for id in 1..=USERS {
        chains.spawn(chain(db.clone(), id, REVISIONS));
    }
    while let Some(written) = chains.join_next().await {
        written.unwrap();
    }

    // Then every message met its user in the state in which it was written.
    let messages = u64::try_from(USERS * REVISIONS).unwrap();
    subscribing.rows(subscribing::message::Entity, messages).await;
    subscribing.rows(subscribing::comment::Entity, messages).await;
    assert_eq!(subscribing.violations().await, [""; 0]);
    for id in 1..=USERS {
        assert_eq!(subscribing.values("user", id).await, (0..REVISIONS).collect::<Vec<_>>());
    }
}

async fn chain(db: PromiscuousConnection, id: i64, revisions: i64) {
    let checked = || Set(subscribing::CHECKED.to_owned());
    for revision in 0..revisions {
        // Each step is a request of its own: only what it reads ties it to the one before.
        request("users/save", async {
            let user = publishing::user::ActiveModel {
                id: Set(id),
                name: Set(subscribing::SLOW.to_owned()),
                revision: Set(revision),
                secret: Set("none".to_owned()),
            };
            match revision {
                0 => user.insert(&db).await.unwrap(),
                _ => user.update(&db).await.unwrap(),
            }
        })
        .await;
        let message = id * 100 + revision;
        request("messages/create", async {
            let user = publishing::user::Entity::find_by_id(id).one(&db).await.unwrap().unwrap();
            publishing::message::ActiveModel {
                id: Set(message),
                user_id: Set(user.id),
                user_revision: Set(user.revision),
                text: checked(),
            }
            .insert(&db)
            .await
            .unwrap();
        })
        .await;
        request("comments/create", async {
            let message = publishing::message::Entity::find_by_id(message).one(&db).await.unwrap().unwrap();
            let comment = publishing::comment::ActiveModel {
                id: Set(message.id),
                message_id: Set(message.id),
                text: checked(),
            };
            comment.insert(&db).await.unwrap();
        })
        .await;
    }
}

/// Friendships that end before a photo is posted.
const PAIRS: i64 = 420;

/// Each is delivered in another order.
const SUBSCRIBERS: u64 = 4;

/// 420 pairs of three messages, each delivered twice to four apps: 10,080 deliveries.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_photo_is_never_seen_by_a_removed_friend_however_deliveries_are_shuffled() {
    let name = unique_app("shuffled");
    let shop = unique_app("shop");
    let seed: u64 = std::env::var("SEED").map_or_else(|_| random(), |seed| seed.parse().unwrap());
    println!("SEED={seed}");

    // Given apps that have subscribed, and are away.
    let mut subscribers = Vec::new();
    for _ in 0..SUBSCRIBERS {
        let database = TestDatabase::postgres().await;
        let plain = database.connect(9).await;
        apps::create_subscribed_tables(&plain).await;
        let mut config = Config::embedded(&unique_app("mailer"), &name).unwrap();
        config.workers = 4;
        let models = apps::subscribed(&["friendship", "photo"], &shop);
        let app = Promiscuous::new(config).unwrap().models(models);
        app.migrate(&plain).await.unwrap();
        let db = app.wrap(plain.clone()).await.unwrap();
        run_until(&app, &db, |status| status.consuming).await;
        subscribers.push((app, db, plain, database));
    }
    let broker = MemoryBroker::named(&name);
    broker.duplicate(true);

    // When friends are removed, and photos posted.
    let database = TestDatabase::postgres().await;
    let plain = database.connect(8).await;
    apps::create_published_tables(&plain).await;
    let app = Promiscuous::new(Config::embedded(&shop, &name).unwrap()).unwrap().models(apps::published());
    app.migrate(&plain).await.unwrap();
    let db = app.wrap(plain).await.unwrap();
    let mut writers = JoinSet::new();
    for writer in 0..7 {
        let db = db.clone();
        writers.spawn(async move {
            for id in (0..PAIRS).filter(|id| id % 7 == writer) {
                let friend = friendship::ActiveModel { id: Set(id), friend: Set("ex".into()) };
                request("befriend", friend.insert(&db)).await.unwrap();
                request("remove and post", async {
                    friendship::Entity::delete_by_id(id).exec(&db).await.unwrap();
                    photo::ActiveModel { id: Set(id), friendship_id: Set(id) }.insert(&db).await.unwrap();
                })
                .await;
            }
        });
    }
    while let Some(written) = writers.join_next().await {
        written.unwrap();
    }
    db.publisher().unwrap().shut_down(Duration::from_secs(10)).await;

    // Then no app has ever seen a photo before the end of the friendship.
    for (position, (app, db, plain, _)) in (0..).zip(&subscribers) {
        let queue = format!("{}.promiscuous", app.config().app);
        assert_eq!(i64::try_from(broker.len(&queue)).unwrap(), PAIRS * 3 * 2);
        broker.reorder(Some(seed + position));
        let began = Instant::now();
        run_until(app, db, |status| {
            status.consuming && status.held == 0 && broker.is_empty(&queue) && status.applied > 0
        })
        .await;
        println!("seed {}: {} deliveries in {:?}", seed + position, PAIRS * 6, began.elapsed());
        assert_eq!(log_of(plain, subscribing::VIOLATION).await, [], "seed {}", seed + position);
        let friendships = log_of(plain, "friendship").await;
        for id in 0..PAIRS {
            let values: Vec<_> = friendships.iter().filter(|line| line.0 == id).map(|line| line.1).collect();
            assert_eq!(values, [0, -1], "friendship {id}, seed {}", seed + position);
        }
        assert_eq!(log_of(plain, "photo").await.len(), usize::try_from(PAIRS).unwrap());
    }
}

fn random() -> u64 {
    uuid::Uuid::now_v7().as_u64_pair().1 % 1_000_000
}

/// Runs the subscriber in this process until its status is as wished.
async fn run_until(
    app: &Promiscuous,
    db: &PromiscuousConnection,
    wished: impl FnMut(&promiscuous_core::subscriber::Status) -> bool,
) {
    let subscriber = app.subscriber(db).unwrap();
    let mut status = subscriber.status();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let running = tokio::spawn(subscriber.run(async { drop(stopped.await) }));
    let reached = tokio::time::timeout(Duration::from_secs(60), status.wait_for(wished)).await.is_ok();
    assert!(reached, "it stalls: {:?}", status.borrow().clone());
    stop.send(()).unwrap();
    running.await.unwrap().unwrap();
}

/// Object and value of each line of the log, in order.
async fn log_of(db: &sea_orm::DatabaseConnection, kind: &str) -> Vec<(i64, i64)> {
    use sea_orm::{ColumnTrait, QueryFilter, QueryOrder};
    use subscribing::applied::{Column, Entity};
    let lines = Entity::find().filter(Column::Kind.eq(kind)).order_by_asc(Column::Position);
    lines.all(db).await.unwrap().into_iter().map(|line| (line.object, line.value)).collect()
}
