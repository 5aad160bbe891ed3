//! A chain of three services: what one writes because of what it received is never seen before its cause (feature 16).

use std::sync::Arc;

use promiscuous_core::broker::memory::MemoryBroker;
use promiscuous_core::config::Config;
use promiscuous_tests::conformance::step::{save_user, transaction};
use promiscuous_tests::conformance::tables::{self, Side};
use promiscuous_tests::conformance::{App, Blueprint, Eyes, Model, Stack};
use promiscuous_tests::databases::TestDatabase;
use promiscuous_tests::entities::answering::answer_id;
use promiscuous_tests::unique_app;

use super::causal::run_until;
use crate::observed::{Observed, decoded};

/// A service of the chain.
struct Service {
    app: Arc<dyn App>,
    eyes: Eyes,
    queue: String,
    _database: TestDatabase,
}

impl Service {
    /// On the broker of this name.
    async fn new(
        stack: Stack,
        name: &str,
        app: &str,
        side: Side,
        models: impl FnOnce(Blueprint) -> Blueprint,
    ) -> Self {
        let database = stack.kind.create().await;
        tables::create(database.url(), &tables::numbered(stack.kind, side)).await;
        let mut config = Config::embedded(app, name).unwrap();
        config.workers = 4;
        stack.migrate(&config, database.url()).await;
        let mut blueprint = models(Blueprint::new(config, database.url()));
        blueprint.connections = 8;
        let queue = format!("{app}.promiscuous");
        let app = stack.start(&blueprint).await.unwrap();
        Self { app, eyes: Eyes::open(database.url()).await, queue, _database: database }
    }

    /// Applies everything that waits for it.
    async fn catch_up(&self, broker: &MemoryBroker) {
        run_until(self.app.subscriber(), |status| {
            status.consuming && status.held == 0 && status.applied > 0 && broker.is_empty(&self.queue)
        })
        .await;
    }
}

const USERS: i64 = 40;
const REVISIONS: i64 = 3;

/// `first` publishes users; `second` answers each state of each user that arrives with a message of its own, from inside of the
/// transaction that applies it; `third` keeps both, and looks whether a message's user is there in that state or a later one.
async fn an_answer_is_never_seen_before_what_it_answers(first: Stack, second: Stack, third: Stack) {
    let seed = uuid::Uuid::now_v7().as_u64_pair().1 % 1_000_000;
    let seed = std::env::var("SEED").map_or(seed, |seed| seed.parse().unwrap());
    println!("SEED={seed}");
    // Given three services; the third has subscribed, and is away.
    let name = unique_app("chain");
    let third = Service::new(third, &name, "third", Side::Subscribing, |third| {
        third.subscribing(&["user"], "first").subscribing(&["message"], "second")
    })
    .await;
    run_until(third.app.subscriber(), |status| status.consuming).await;
    let second = Service::new(second, &name, "second", Side::Subscribing, |second| {
        second.subscribing(&["answered user"], "first").publishing(&["message"])
    })
    .await;
    run_until(second.app.subscriber(), |status| status.consuming).await;
    let first =
        Service::new(first, &name, "first", Side::Publishing, |first| first.publishing(&["user"])).await;
    let mut observed = Observed::at(&name).await;
    let broker = MemoryBroker::named(&name);

    // When users change, alone and together, and each change is answered.
    for revision in 0..REVISIONS {
        for id in 1..=USERS / 2 {
            first.app.request("save", [save_user(id, "joe", revision)]).await.unwrap();
        }
        let together = (USERS / 2 + 1..=USERS).map(|id| save_user(id, "ann", revision));
        first.app.request("save", [transaction(together)]).await.unwrap();
    }
    observed.bodies(&first.eyes).await;
    second.catch_up(&broker).await;
    let answers = decoded(observed.bodies(&second.eyes).await);
    assert_eq!(second.eyes.count("messages").await, usize::try_from(USERS * REVISIONS).unwrap());

    // Then each answer carries what it answers,
    let operations: usize = answers.iter().map(|message| message.operations.len()).sum();
    assert_eq!(operations, usize::try_from(USERS * REVISIONS).unwrap());
    for answer in &answers {
        let external = &answer.dependencies.as_ref().unwrap().external;
        assert!(external.iter().all(|cause| cause.key.as_str().starts_with("first/user/")), "{external:?}");
        assert!(!external.is_empty());
    }

    // and however answers overtake their causes on the way to the third service, it never sees one without its cause,
    broker.reorder(Some(seed));
    third.catch_up(&broker).await;
    assert_eq!(third.eyes.violations().await, [""; 0], "seed {seed}");

    // and in the end it has everything.
    third.eyes.assert_equals(&first.eyes, Model::User).await;
    third.eyes.assert_equals(&second.eyes, Model::Message).await;
    second.eyes.assert_equals(&first.eyes, Model::User).await;
    for (id, revision) in (1..=USERS).flat_map(|id| (0..REVISIONS).map(move |revision| (id, revision))) {
        assert_eq!(third.eyes.values("message", answer_id(id, revision)).await, [0], "{id} {revision}");
    }
}

/// The same when the answer is all that has arrived so far: it waits for its cause, which is still on its way.
async fn an_answer_waits_for_a_cause_that_is_late(first: Stack, second: Stack, third: Stack) {
    // Given a third service at another broker than the first two, to which somebody carries their messages.
    let (near, far) = (unique_app("near"), unique_app("far"));
    let third = Service::new(third, &far, "third", Side::Subscribing, |third| {
        third.subscribing(&["user"], "first").subscribing(&["message"], "second")
    })
    .await;
    run_until(third.app.subscriber(), |status| status.consuming).await;
    let second = Service::new(second, &near, "second", Side::Subscribing, |second| {
        second.subscribing(&["answered user"], "first").publishing(&["message"])
    })
    .await;
    run_until(second.app.subscriber(), |status| status.consuming).await;
    let first =
        Service::new(first, &near, "first", Side::Publishing, |first| first.publishing(&["user"])).await;
    let mut observed = Observed::at(&near).await;
    first.app.request("save", [save_user(1, "joe", 0)]).await.unwrap();
    let cause = observed.bodies(&first.eyes).await;
    second.catch_up(&MemoryBroker::named(&near)).await;
    let answer = observed.bodies(&second.eyes).await;
    assert_eq!((cause.len(), answer.len()), (1, 1));

    // When the answer comes first,
    let subscriber = third.app.subscriber();
    let mut status = subscriber.status();
    let running = tokio::spawn(subscriber.run(std::future::pending()));
    crate::observed::carry(&MemoryBroker::named(&far), answer).await;
    status.wait_for(|status| status.held == 1).await.unwrap();
    assert_eq!(third.eyes.count("messages").await, 0);
    // then it is applied when its cause has come.
    crate::observed::carry(&MemoryBroker::named(&far), cause).await;
    status.wait_for(|status| status.applied == 2 && status.held == 0).await.unwrap();
    assert_eq!(third.eyes.violations().await, [""; 0]);
    third.eyes.assert_equals(&second.eyes, Model::Message).await;
    running.abort();
}

macro_rules! chains {
    ($($scenario:ident)*) => {
        $(mod $scenario {
            use promiscuous_tests::conformance::Stack;

            crate::conformance::chain::chains! { $scenario:
                seaorm_postgres_to_seaorm_mariadb_to_seaorm_sqlite: SEAORM_POSTGRES SEAORM_MARIADB SEAORM_SQLITE,
                seaorm_postgres_to_diesel_mariadb_to_seaorm_sqlite: SEAORM_POSTGRES DIESEL_MARIADB SEAORM_SQLITE,
                seaorm_mariadb_to_diesel_sqlite_to_seaorm_postgres: SEAORM_MARIADB DIESEL_SQLITE SEAORM_POSTGRES,
                seaorm_sqlite_to_diesel_postgres_to_seaorm_mariadb: SEAORM_SQLITE DIESEL_POSTGRES SEAORM_MARIADB,
                diesel_postgres_to_seaorm_sqlite_to_diesel_mariadb: DIESEL_POSTGRES SEAORM_SQLITE DIESEL_MARIADB,
                diesel_mariadb_to_seaorm_postgres_to_diesel_sqlite: DIESEL_MARIADB SEAORM_POSTGRES DIESEL_SQLITE,
                diesel_sqlite_to_seaorm_mariadb_to_diesel_postgres: DIESEL_SQLITE SEAORM_MARIADB DIESEL_POSTGRES,
                diesel_postgres_to_diesel_mariadb_to_diesel_sqlite: DIESEL_POSTGRES DIESEL_MARIADB DIESEL_SQLITE,
            }
        })*
    };
    ($scenario:ident: $($name:ident: $first:ident $second:ident $third:ident,)*) => {
        $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            Box::pin(super::$scenario(Stack::$first, Stack::$second, Stack::$third)).await;
        })*
    };
}

use chains;

chains! {
    an_answer_is_never_seen_before_what_it_answers
    an_answer_waits_for_a_cause_that_is_late
}
