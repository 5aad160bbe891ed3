//! How the programs behave towards people: at the start, when told to end, and when something is wrong.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use promiscuous_core::broker::{Broker, Publication};
use promiscuous_core::key::Endpoint;
use promiscuous_tests::conformance::step::{create_counter, increment, save_user};
use promiscuous_tests::conformance::{App, Blueprint, Model, Stack, Step};
use promiscuous_tests::processes::Process;
use promiscuous_tests::proxy::Proxy;
use promiscuous_tests::{apps, servers, unique_app, until};
use sea_orm::ConnectionTrait;
use serde_json::{Value as Json, json};
use uuid::Uuid;

use crate::apps::{Publishing, SOON, Subscribing, forget};

/// Makes a test of each scenario for each adapter.
macro_rules! over_adapters {
    ($($scenario:ident)*) => {
        $(mod $scenario {
            crate::conformance::stacks! { $scenario:
                seaorm: SEAORM_POSTGRES,
                diesel: DIESEL_POSTGRES,
            }
        })*
    };
}

over_adapters! {
    an_app_that_claims_another_app_s_endpoint_is_refused_at_its_start
    a_message_that_does_not_fit_is_named_tried_again_and_blocks_only_its_successors
    servers_that_are_away_are_named_once_and_waited_for
    sigterm_finishes_what_has_begun
    a_second_signal_ends_it_at_once_and_nothing_is_lost
    wrong_usage_is_2_and_failure_is_1
    a_cause_that_arrives_last_does_not_meet_a_full_prefetch_window
}

async fn an_app_that_claims_another_app_s_endpoint_is_refused_at_its_start(stack: Stack) {
    // Given nobody who publishes the endpoint, and then one app. Each adapter's model has its own: tests run side by side.
    let endpoint = stack.claimed_endpoint();
    let properties = lapin::ConnectionProperties::default();
    let connection = lapin::Connection::connect(&servers::amqp_url(), properties).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    let exchange = format!("promiscuous.endpoint.{}", endpoint.replace('/', "."));
    channel.exchange_delete(exchange.as_str().into(), Default::default()).await.unwrap();

    let app = async |name: &str| {
        let database = stack.kind.create().await;
        let config = apps::config(name, &servers::amqp_url(), &servers::redis_url());
        stack.migrate(&config, database.url()).await;
        let blueprint = Blueprint::new(config, database.url()).publishing(&["claimed"]);
        (stack.start(&blueprint).await, database)
    };
    let (first, second) = (unique_app("first"), unique_app("second"));
    let (owner, _database) = app(&first).await;
    let _owner = owner.unwrap();
    // When a second app publishes it, then it is told whose it is, and what to do.
    let (refused, _database) = app(&second).await;
    let Err(refused) = refused else { panic!("it must be refused") };
    let error = promiscuous_core::error::chain(&refused);
    println!("{error}");
    for part in [endpoint, &format!("`{first}`"), "to = \"…\"", &exchange] {
        assert!(error.contains(part), "{error}");
    }
    // While the first may start again.
    app(&first).await.0.unwrap();
}

/// Publishes messages that nobody's ORM has written.
struct Forger<'a> {
    publishing: &'a Publishing,
    broker: promiscuous_core::broker::rabbitmq::RabbitMq,
}

impl<'a> Forger<'a> {
    async fn new(publishing: &'a Publishing) -> Self {
        let broker = publishing.broker();
        broker.claim(&publishing.app, &[]).await.unwrap();
        Self { publishing, broker }
    }

    /// Version `version` of an object, after `previous`.
    async fn publish(
        &self,
        (model, type_name, id): (&str, &str, i64),
        attributes: Json,
        (previous, version): (Option<u64>, u64),
    ) {
        let (app, message) = (&self.publishing.app, Uuid::now_v7());
        let endpoint = format!("{app}/{model}");
        let operation = if previous.is_some() { "update" } else { "create" };
        let body = json!({
            "id": message, "app": app, "timestamp": 1, "generation": 1,
            "operations": [{
                "operation": operation, "endpoint": endpoint, "types": [type_name], "id": id.to_string(),
                "attributes": attributes,
            }],
            "dependencies": {
                "write": [{
                    "key": format!("{endpoint}/{id}"), "version": version, "previous": previous, "readers": {},
                }],
                "read": [],
            },
        });
        let publication = Publication {
            id: message,
            app: app.clone(),
            timestamp: 1,
            endpoints: vec![Endpoint::parse(&endpoint).unwrap()],
            body: Bytes::from(body.to_string()),
            only_to: None,
            traceparent: None,
        };
        for published in self.broker.publish(vec![publication]).await {
            published.unwrap();
        }
    }
}

/// A version after everything that was bound.
const LATER: u64 = 4_000_000_000_000_000;

async fn a_message_that_does_not_fit_is_named_tried_again_and_blocks_only_its_successors(stack: Stack) {
    // Given a subscriber,
    let publishing = Publishing::new(stack).await;
    let subscribing = publishing.subscribing(stack, &["counter", "user", "photo"]).await;
    let mut process = subscribing.process().env("NO_COLOR", "1").with_log().spawn();
    subscribing.bound().await;
    let forger = Forger::new(&publishing).await;
    let app = &publishing.app;
    // When messages come with an attribute too few, a value of another type, and a type that it does not know,
    forger.publish(("counter", "Counter", 1), json!({}), (None, LATER)).await;
    let lines = [process.wait_for_line("attempt=1").await, process.wait_for_line("attempt=2").await];
    for line in lines {
        let told = line.contains(&format!("{app}/counter 1: the attribute `n` is not in the message"));
        assert!(told && line.contains("--relaxed-schema"), "{line}");
    }
    forger.publish(("user", "User", 1), json!({"name": "joe", "revision": "s3cret"}), (None, LATER)).await;
    let line = process.wait_for_line(&format!("{app}/user 1")).await;
    assert!(line.contains("`revision` does not fit: expected ") && !line.contains("s3cret"), "{line}");
    forger.publish(("photo", "Alien", 1), json!({"friendship_id": 1}), (None, LATER)).await;
    let line = process.wait_for_line(&format!("{app}/photo 1")).await;
    assert!(line.contains("none of the types [\"Alien\"] is known here"), "{line}");

    // Then their successors wait,
    forger.publish(("counter", "Counter", 1), json!({"n": 8}), (Some(LATER), LATER + 1)).await;
    // while others arrive.
    forger.publish(("counter", "Counter", 2), json!({"n": 5}), (None, LATER)).await;
    forger.publish(("counter", "Counter", 2), json!({"n": 6}), (Some(LATER), LATER + 1)).await;
    subscribing.counted(2, 6).await;
    assert_eq!(subscribing.values("counter", 2).await, [5, 6]);
    assert_eq!(subscribing.values("counter", 1).await, [0; 0]);

    // When it is started again and told to pass over what is missing, then the message is applied, and its successor.
    process.terminate();
    assert!(process.wait().await.success());
    let default = "ALTER TABLE counters ALTER COLUMN n SET DEFAULT 7";
    subscribing.execute(default).await;
    let _relaxed = subscribing.process().arg("--relaxed-schema").spawn();
    subscribing.counted(1, 8).await;
    assert_eq!(subscribing.values("counter", 1).await, [7, 8]);
    assert_eq!(subscribing.log("user").await.len() + subscribing.log("photo").await.len(), 0);
}

async fn servers_that_are_away_are_named_once_and_waited_for(stack: Stack) {
    // Given a subscriber that starts before its servers.
    let publishing = Publishing::new(stack).await;
    let subscribing = publishing.subscribing(stack, &["counter"]).await;
    let (rabbitmq, amqp_url) = Proxy::to_url(&servers::amqp_url()).await;
    let (redis, redis_url) = Proxy::to_url(&servers::redis_url()).await;
    let (postgres, database_url) = Proxy::to_url(subscribing.database.url()).await;
    let proxies = [&rabbitmq, &redis, &postgres];
    for proxy in proxies {
        proxy.cut().await;
    }
    let mut process = subscribing
        .process()
        .env("AMQP_URL", amqp_url)
        .env("REDIS_URL", redis_url)
        .env("DATABASE_URL", database_url.replace("postgres@", "postgres:s3cret@"))
        .env("NO_COLOR", "1")
        .env("RUST_LOG", "info,lapin=off,sqlx=off")
        .with_log()
        .spawn();
    // When it has named the last of them, and they come up,
    process.wait_for_line(&postgres.address().to_string()).await;
    for proxy in proxies {
        proxy.resume().await;
    }
    // Then it works.
    subscribing.bound().await;
    let shop = publishing.connect(2).await;
    shop.write(create_counter(1)).await.unwrap();
    subscribing.counted(1, 0).await;
    // And each of them was named in one line.
    process.terminate();
    assert!(process.wait().await.success());
    let said = process.said();
    for proxy in proxies {
        let lines: Vec<_> = said
            .iter()
            .filter(|line| line.contains("ERROR") && line.contains(&proxy.address().to_string()))
            .collect();
        assert_eq!(lines.len(), 1, "{said:#?}");
    }
    assert!(!said.iter().any(|line| line.contains("s3cret") || line.contains("guest@")), "{said:#?}");
}

/// A subscriber in the middle of a transaction: somebody else holds the row that it wants to change.
async fn in_the_middle(stack: Stack) -> (Publishing, Subscribing, Process, sea_orm::DatabaseTransaction) {
    let publishing = Publishing::new(stack).await;
    let subscribing = publishing.subscribing(stack, &["counter"]).await;
    let process = subscribing.process().env("RUST_LOG", "info").with_log().spawn();
    subscribing.bound().await;
    let shop = publishing.connect(2).await;
    shop.write(create_counter(1)).await.unwrap();
    subscribing.counted(1, 0).await;
    let holder = sea_orm::TransactionTrait::begin(&subscribing.eyes.db).await.unwrap();
    holder.execute_unprepared("SELECT * FROM counters FOR UPDATE").await.unwrap();
    shop.write(increment(1)).await.unwrap();
    until(SOON, "the subscriber to wait for the row", async || {
        let sql = "SELECT COUNT(*) AS count FROM pg_stat_activity \
                   WHERE wait_event_type = 'Lock' AND datname = current_database()";
        (subscribing.row(sql).await.try_get::<i64>("", "count").unwrap() > 0).then_some(())
    })
    .await;
    (publishing, subscribing, process, holder)
}

async fn sigterm_finishes_what_has_begun(stack: Stack) {
    let (_publishing, subscribing, mut process, holder) = in_the_middle(stack).await;
    process.terminate();
    process.wait_for_line("once more to stop at once").await;
    holder.rollback().await.unwrap();
    assert_eq!(process.wait().await.code(), Some(0));
    assert_eq!(subscribing.values("counter", 1).await, [0, 1]);
}

async fn a_second_signal_ends_it_at_once_and_nothing_is_lost(stack: Stack) {
    let (_publishing, subscribing, mut process, holder) = in_the_middle(stack).await;
    process.terminate();
    process.wait_for_line("once more to stop at once").await;
    process.terminate();
    assert_eq!(process.wait().await.code(), Some(1));
    holder.rollback().await.unwrap();
    let _next = subscribing.process().spawn();
    subscribing.counted(1, 1).await;
    assert_eq!(subscribing.values("counter", 1).await, [0, 1]);
}

async fn wrong_usage_is_2_and_failure_is_1(stack: Stack) {
    let command = || {
        Process::new(env!("CARGO_BIN_EXE_command")).env("STACK", stack.to_string()).env("SUBSCRIBES", "user")
    };
    let command = || command().env("FROM", "shop");
    let unknown = command().arg("subscribe").arg("--nonsense").with_log().spawn().wait().await;
    assert_eq!(unknown.code(), Some(2));
    assert_eq!(command().with_log().spawn().wait().await.code(), Some(2));
    let mut nameless = command().arg("subscribe").with_log().spawn();
    nameless.wait_for_line("PROMISCUOUS_APP").await;
    assert_eq!(nameless.wait().await.code(), Some(1));
    let help = command().arg("subscribe").arg("--help").env("DATABASE_URL", "postgres://u:s3cret@db/x");
    let mut help = help.with_log().spawn();
    assert_eq!(help.wait().await.code(), Some(0));
    assert!(!help.said().iter().any(|line| line.contains("s3cret")));
}

async fn a_cause_that_arrives_last_does_not_meet_a_full_prefetch_window(stack: Stack) {
    const MESSAGES: i64 = 20;
    // Given a subscriber that holds one message,
    let publishing = Publishing::new(stack).await;
    let subscribing = publishing.subscribing(stack, &["user", "message"]).await;
    let _process = subscribing.process().arg("--prefetch").arg("1").spawn();
    subscribing.bound().await;
    let forger = Forger::new(&publishing).await;
    // When twenty messages come before their users,
    for id in 0..MESSAGES {
        let attributes = json!({"user_id": 1, "user_revision": 1, "text": "unchecked"});
        forger.publish(("message", "Message", id), attributes, (Some(LATER), LATER + 1)).await;
    }
    for id in 0..MESSAGES {
        let attributes = json!({"user_id": 1, "user_revision": 1, "text": "unchecked"});
        forger.publish(("message", "Message", id), attributes, (None, LATER)).await;
    }
    // Then all of them arrive.
    subscribing.has_rows(Model::Message, usize::try_from(MESSAGES).unwrap()).await;
}

mod faults;
