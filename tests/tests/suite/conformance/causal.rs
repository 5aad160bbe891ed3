//! Causal order (the protocol's promises 3, 4 and 6).

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use promiscuous_core::broker::memory::MemoryBroker;
use promiscuous_core::config::Config;
use promiscuous_core::subscriber::Subscriber;
use promiscuous_tests::conformance::step::{create_counter, increment, save_user};
use promiscuous_tests::conformance::tables::{self, Side};
use promiscuous_tests::conformance::{App, Blueprint, Eyes, Key, Model, Row, Stack, Step};
use promiscuous_tests::databases::TestDatabase;
use promiscuous_tests::entities::subscribing::{CHECKED, SLOW};
use promiscuous_tests::{apps, unique_app};
use tokio::task::JoinSet;

use crate::apps::{Publishing, SOON};

over_pairs! {
    concurrent_increments_arrive_in_order_each_once
    a_message_is_never_applied_before_its_user_nor_a_comment_before_its_message
    a_photo_is_never_seen_by_a_removed_friend_however_deliveries_are_shuffled
}

const OBJECTS: i64 = 3;
const WRITERS: i64 = 10;
const INCREMENTS: i64 = 10;

async fn concurrent_increments_arrive_in_order_each_once(from: Stack, to: Stack) {
    // Given two processes that share a queue.
    let publishing = Publishing::new(from).await;
    let subscribing = publishing.subscribing(to, &["counter"]).await;
    let shared = || subscribing.process().arg("--workers").arg("4").arg("--prefetch").arg("20");
    let _processes = [shared().spawn(), shared().spawn()];
    subscribing.bound().await;
    let shop = publishing.connect(12).await;
    for id in 1..=OBJECTS {
        shop.write(create_counter(id)).await.unwrap();
    }

    // When ten writers increment three counters ten times each.
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let shop = Arc::clone(&shop);
        let turns = (0..INCREMENTS).flat_map(move |turn| {
            (1..=OBJECTS).map(move |id| {
                if (writer + turn) % 2 == 0 { increment(id) } else { Step::IncrementAfterReading(id) }
            })
        });
        writers.spawn(async move { shop.request("increment", turns).await });
    }
    while let Some(written) = writers.join_next().await {
        written.unwrap().unwrap();
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
    subscribing.assert_equals(&publishing.eyes, Model::Counter).await;
}

async fn a_message_is_never_applied_before_its_user_nor_a_comment_before_its_message(from: Stack, to: Stack) {
    const USERS: i64 = 20;
    const REVISIONS: i64 = 4;
    // Given two processes to which users are slow, and the rest is not.
    let publishing = Publishing::new(from).await;
    let subscribing = publishing.subscribing(to, &["user", "message", "comment"]).await;
    let _processes = [subscribing.process().spawn(), subscribing.process().spawn()];
    subscribing.bound().await;
    let shop = publishing.connect(8).await;

    // When each user is changed, and after each change writes a message that others comment on.
    let mut chains = JoinSet::new();
    for id in 1..=USERS {
        chains.spawn(chain(Arc::clone(&shop), id, REVISIONS));
    }
    while let Some(written) = chains.join_next().await {
        written.unwrap();
    }

    // Then every message met its user in the state in which it was written.
    let messages = usize::try_from(USERS * REVISIONS).unwrap();
    subscribing.has_rows(Model::Message, messages).await;
    subscribing.has_rows(Model::Comment, messages).await;
    assert_eq!(subscribing.violations().await, [""; 0]);
    for id in 1..=USERS {
        assert_eq!(subscribing.values("user", id).await, (0..REVISIONS).collect::<Vec<_>>());
    }
    for model in [Model::User, Model::Message, Model::Comment] {
        subscribing.assert_equals(&publishing.eyes, model).await;
    }
}

async fn chain(shop: Arc<dyn App>, id: i64, revisions: i64) {
    let checked = || CHECKED.to_owned();
    for revision in 0..revisions {
        let message = id * 100 + revision;
        // Each step is a request of its own: only what it reads ties it to the one before.
        shop.request("users/save", [save_user(id, SLOW, revision)]).await.unwrap();
        let wrote = Step::MessageOf { id: message, user: id, text: checked() };
        shop.request("messages/create", [wrote]).await.unwrap();
        let commented = Step::CommentOn { message, text: checked() };
        shop.request("comments/create", [commented]).await.unwrap();
    }
}

/// Friendships that end before a photo is posted.
const PAIRS: i64 = 420;

/// Each is delivered in another order.
const SUBSCRIBERS: u64 = 4;

/// 420 pairs of three messages, each delivered twice to four apps: 10,080 deliveries.
async fn a_photo_is_never_seen_by_a_removed_friend_however_deliveries_are_shuffled(from: Stack, to: Stack) {
    let name = unique_app("shuffled");
    let shop = unique_app("shop");
    let seed: u64 = std::env::var("SEED").map_or_else(|_| random(), |seed| seed.parse().unwrap());
    println!("SEED={seed}");

    // Given apps that have subscribed, and are away.
    let mut subscribers = Vec::new();
    for _ in 0..SUBSCRIBERS {
        let copy = Copy::new(to, &name, &shop).await;
        run_until(copy.app.subscriber(), |status| status.consuming).await;
        subscribers.push(copy);
    }
    let broker = MemoryBroker::named(&name);
    broker.duplicate(true);

    // When friends are removed, and photos posted.
    let database = from.kind.create().await;
    tables::create(database.url(), &tables::numbered(from.kind, Side::Publishing)).await;
    let config = Config::embedded(&shop, &name).unwrap();
    from.migrate(&config, database.url()).await;
    let mut blueprint = Blueprint::new(config, database.url()).publishing(&apps::PUBLISHED);
    blueprint.connections = 8;
    let shop = from.start(&blueprint).await.unwrap();
    let mut writers = JoinSet::new();
    for writer in 0..7 {
        let shop = Arc::clone(&shop);
        writers.spawn(async move {
            for id in (0..PAIRS).filter(|id| id % 7 == writer) {
                let friends = Step::Insert(Row::Friendship { id, friend: "ex".into() });
                shop.request("befriend", [friends]).await.unwrap();
                let removed = Step::Destroy(Key::Number(Model::Friendship, id));
                let posted = Step::Insert(Row::Photo { id, friendship_id: id });
                shop.request("remove and post", [removed, posted]).await.unwrap();
            }
        });
    }
    while let Some(written) = writers.join_next().await {
        written.unwrap();
    }
    shop.shut_down().await;

    // Then no app has ever seen a photo before the end of the friendship.
    for (position, copy) in (0..).zip(&subscribers) {
        let seed = seed + position;
        assert_eq!(i64::try_from(broker.len(&copy.queue)).unwrap(), PAIRS * 3 * 2);
        broker.reorder(Some(seed));
        let began = Instant::now();
        run_until(copy.app.subscriber(), |status| {
            status.consuming && status.held == 0 && broker.is_empty(&copy.queue) && status.applied > 0
        })
        .await;
        println!("seed {seed}: {} deliveries in {:?}", PAIRS * 6, began.elapsed());
        assert_eq!(copy.eyes.violations().await, [""; 0], "seed {seed}");
        let friendships = copy.eyes.log("friendship").await;
        for id in 0..PAIRS {
            let lines = friendships.iter().filter(|line| line.object == id);
            assert_eq!(
                lines.map(|line| line.value).collect::<Vec<_>>(),
                [0, -1],
                "friendship {id}, seed {seed}"
            );
        }
        assert_eq!(copy.eyes.log("photo").await.len(), usize::try_from(PAIRS).unwrap());
    }
}

/// An app that subscribes to friendships and photos.
struct Copy {
    app: Arc<dyn App>,
    eyes: Eyes,
    queue: String,
    _database: TestDatabase,
}

impl Copy {
    async fn new(stack: Stack, name: &str, shop: &str) -> Self {
        let database = stack.kind.create().await;
        tables::create(database.url(), &tables::numbered(stack.kind, Side::Subscribing)).await;
        let mut config = Config::embedded(&unique_app("mailer"), name).unwrap();
        config.workers = 4;
        let queue = format!("{}.promiscuous", config.app);
        stack.migrate(&config, database.url()).await;
        let mut blueprint =
            Blueprint::new(config, database.url()).subscribing(&["friendship", "photo"], shop);
        blueprint.connections = 9;
        let app = stack.start(&blueprint).await.unwrap();
        Self { app, eyes: Eyes::open(database.url()).await, queue, _database: database }
    }
}

fn random() -> u64 {
    uuid::Uuid::now_v7().as_u64_pair().1 % 1_000_000
}

/// Runs a subscriber in this process until its status is as wished.
pub async fn run_until(
    subscriber: Subscriber,
    wished: impl FnMut(&promiscuous_core::subscriber::Status) -> bool,
) {
    let mut status = subscriber.status();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let running = tokio::spawn(subscriber.run(async { drop(stopped.await) }));
    let reached = tokio::time::timeout(SOON, status.wait_for(wished)).await.is_ok();
    assert!(reached, "it stalls: {:?}", status.borrow().clone());
    stop.send(()).unwrap();
    running.await.unwrap().unwrap();
}
