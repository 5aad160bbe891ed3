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

/// Servers that are killed and started again; nextest runs one of these at a time.
mod faults {
    use std::time::Instant;

    use promiscuous_core::context::Context;
    use promiscuous_tests::servers::{PrivateServers, Server};
    use tokio::sync::watch;

    use super::*;

    over_adapters! {
        the_subscriber_s_redis_keys_may_vanish_under_load
        the_publisher_s_redis_keys_may_vanish_under_load
        a_redis_that_is_killed_and_comes_back_empty_loses_no_write
    }

    const COUNTERS: i64 = 4;

    /// Writes until told to stop; answers with how often each counter was incremented.
    async fn load(shop: &Arc<dyn App>, stop: watch::Receiver<bool>, may_fail: bool) -> (Vec<i64>, usize) {
        let mut writers = Vec::new();
        for id in 1..=COUNTERS {
            let (shop, mut stop) = (Arc::clone(shop), stop.clone());
            writers.push(tokio::spawn(async move {
                let context = Context::new("load");
                let (mut written, mut failed) = (0, 0);
                while !*stop.borrow_and_update() {
                    match shop.run(Some(&context), vec![increment(id)]).await {
                        Ok(()) => written += 1,
                        Err(error) if may_fail => {
                            println!("refused: {error}");
                            failed += 1;
                        }
                        Err(error) => panic!("a write failed: {error}"),
                    }
                    // A reader makes causes between the counters.
                    shop.run(Some(&context), vec![Step::Find(Model::User, 1)]).await.unwrap();
                }
                (written, failed)
            }));
        }
        let (mut all, mut failures) = (Vec::new(), 0);
        for writer in writers {
            let (written, failed) = writer.await.unwrap();
            all.push(written);
            failures += failed;
        }
        (all, failures)
    }

    /// A publisher and a subscriber on these servers, four counters and a user.
    async fn given(
        stack: Stack,
        amqp_url: &str,
        redis_url: &str,
    ) -> (Publishing, Arc<dyn App>, Subscribing, Process) {
        let publishing = Publishing::on(stack, amqp_url, redis_url).await;
        let subscribing = publishing.subscribing(stack, &["counter", "user"]).await;
        let process = subscribing.process().spawn();
        subscribing.bound().await;
        let shop = publishing.connect(8).await;
        for id in 1..=COUNTERS {
            shop.write(create_counter(id)).await.unwrap();
        }
        shop.write(save_user(1, "joe", 0)).await.unwrap();
        for id in 1..=COUNTERS {
            subscribing.counted(id, 0).await;
        }
        (publishing, shop, subscribing, process)
    }

    /// Waits until a counter has gone on by at least ten since it was looked at first.
    async fn goes_on(subscribing: &Subscribing) {
        let before = subscribing.values("counter", 1).await.len();
        until(SOON, "the counters to go on", async || {
            (subscribing.values("counter", 1).await.len() >= before + 10).then_some(())
        })
        .await;
    }

    /// How many rows of the publisher's table were counted.
    async fn truth(publishing: &Publishing, id: i64) -> i64 {
        publishing.eyes.counter(id).await.unwrap()
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn no_write_fails_while_rabbitmq_restarts_and_everything_arrives_when_it_is_back() {
        let servers = PrivateServers::new(&[Server::RabbitMq]).await;
        rabbitmq_goes_and_comes(&servers, async || servers.shut_down(Server::RabbitMq).await).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn no_write_fails_while_rabbitmq_is_dead_and_everything_arrives_when_it_is_back() {
        let servers = PrivateServers::new(&[Server::RabbitMq]).await;
        rabbitmq_goes_and_comes(&servers, async || {
            // RabbitMQ 3.10 registers a new quorum queue in a file that it caches for about three seconds. A node that is killed
            // within them forgets the registration, and its queue never finds a leader. Nothing tells when it is written.
            tokio::time::sleep(Duration::from_secs(6)).await;
            servers.kill(&[Server::RabbitMq]).await;
        })
        .await;
    }

    async fn rabbitmq_goes_and_comes(servers: &PrivateServers, go: impl AsyncFnOnce()) {
        let amqp_url = servers.url(Server::RabbitMq);
        let (publishing, shop, subscribing, _process) =
            given(Stack::SEAORM_POSTGRES, &amqp_url, &servers::redis_url()).await;
        let (stop, stopped) = watch::channel(false);
        let (written, ()) = tokio::join!(load(&shop, stopped, false), async {
            goes_on(&subscribing).await;
            go().await;
            let before = truth(&publishing, 1).await;
            until(SOON, "writes to go on", async || {
                (truth(&publishing, 1).await > before + 20).then_some(())
            })
            .await;
            servers.start(&[Server::RabbitMq]).await;
            let back = Instant::now();
            goes_on(&subscribing).await;
            println!("it goes on {:?} after RabbitMQ is back", back.elapsed());
            stop.send_replace(true);
        });
        arrived(&publishing, &subscribing, &written.0).await;
    }

    /// Where what has not come is: for whoever reads the failure.
    async fn explain(publishing: &Publishing, subscribing: &Subscribing) {
        for mut process in [
            publishing.command(&["status"]).spawn(),
            subscribing.command(&["status"]).spawn(),
            subscribing.command(&["blocked"]).spawn(),
        ] {
            process.wait().await;
            println!("{}", process.said().join("\n"));
        }
    }

    /// Everything, each once, in order.
    async fn arrived(publishing: &Publishing, subscribing: &Subscribing, written: &[i64]) {
        println!("written: {written:?}");
        for (id, &count) in (1..).zip(written) {
            assert_eq!(truth(publishing, id).await, count);
            let arrives = subscribing.counted_within(Duration::from_secs(60), id, count);
            let explains = async {
                tokio::time::sleep(Duration::from_secs(55)).await;
                explain(publishing, subscribing).await;
            };
            tokio::select! {
                () = arrives => {}
                () = async { explains.await; std::future::pending().await } => {}
            }
            assert_eq!(subscribing.values("counter", id).await, (0..=count).collect::<Vec<_>>(), "{id}");
        }
    }

    async fn the_subscriber_s_redis_keys_may_vanish_under_load(stack: Stack) {
        let (publishing, shop, subscribing, _process) =
            given(stack, &servers::amqp_url(), &servers::redis_url()).await;
        let (stop, stopped) = watch::channel(false);
        let (written, ()) = tokio::join!(load(&shop, stopped, false), async {
            for _ in 0..5 {
                goes_on(&subscribing).await;
                println!("{} keys vanish", forget(&subscribing.app).await);
            }
            goes_on(&subscribing).await;
            stop.send_replace(true);
        });
        arrived(&publishing, &subscribing, &written.0).await;
    }

    async fn the_publisher_s_redis_keys_may_vanish_under_load(stack: Stack) {
        let (publishing, shop, subscribing, _process) =
            given(stack, &servers::amqp_url(), &servers::redis_url()).await;
        let (stop, stopped) = watch::channel(false);
        let ((written, failed), ()) = tokio::join!(load(&shop, stopped, true), async {
            for _ in 0..5 {
                goes_on(&subscribing).await;
                println!("{} keys vanish", forget(&publishing.app).await);
            }
            goes_on(&subscribing).await;
            stop.send_replace(true);
        });
        println!("written: {written:?}, {failed} refused");
        // A new generation is newer than everything before it: a step may be skipped, never undone or done twice.
        for (id, &count) in (1..).zip(&written) {
            let truth = truth(&publishing, id).await;
            assert_eq!(truth, count);
            subscribing.counted_within(Duration::from_secs(60), id, truth).await;
            let values = subscribing.values("counter", id).await;
            assert!(values.windows(2).all(|pair| pair[0] < pair[1]), "{values:?}");
            println!("counter {id}: {} of {} steps were applied", values.len(), count + 1);
        }
        // And nothing is held up afterwards.
        shop.write(increment(1)).await.unwrap();
        subscribing.counted_within(Duration::from_secs(5), 1, written[0] + 1).await;
    }

    async fn a_redis_that_is_killed_and_comes_back_empty_loses_no_write(stack: Stack) {
        let servers = PrivateServers::new(&[Server::Redis]).await;
        let (publishing, shop, subscribing, _process) =
            given(stack, &servers::amqp_url(), &servers.url(Server::Redis)).await;
        let (stop, stopped) = watch::channel(false);
        let ((written, failed), ()) = tokio::join!(load(&shop, stopped, true), async {
            goes_on(&subscribing).await;
            servers.kill(&[Server::Redis]).await;
            servers.start(&[Server::Redis]).await;
            goes_on(&subscribing).await;
            stop.send_replace(true);
        });
        println!("written: {written:?}, {failed} refused");
        for (id, &count) in (1..).zip(&written) {
            let truth = truth(&publishing, id).await;
            assert!(truth >= count, "acknowledged writes are in the database");
            subscribing.counted_within(Duration::from_secs(60), id, truth).await;
            let values = subscribing.values("counter", id).await;
            assert!(values.windows(2).all(|pair| pair[0] < pair[1]), "{values:?}");
        }
    }
}
