//! What each kind of app may do on RabbitMQ and Redis: the commands of docs/security.md, to the letter.

use promiscuous_core::broker::rabbitmq::RabbitMq;
use promiscuous_core::broker::{Broker, BrokerError, Publication, Queue, QueueKind};
use promiscuous_core::key::Endpoint;
use promiscuous_core::version_store::redis::RedisStore;
use promiscuous_core::version_store::{StoreError, VersionStore};
use promiscuous_tests::servers::{PrivateServers, Server};

const PAGE: &str = include_str!("../../../docs/security.md");

/// What the page has below this heading, and what it has without that.
fn section(heading: &str) -> (&'static str, String) {
    let (before, rest) = PAGE.split_once(heading).expect("the page has this heading");
    let (section, after) = rest.split_at(rest.find("\n## ").unwrap_or(rest.len()));
    (section, format!("{before}{after}"))
}

/// What whoever takes part in bootstraps may do besides.
const BOOTSTRAPS: &str = "\n### With bootstraps\n";

/// The commands of a text that begin with these words, as their arguments.
fn commands(text: &str, program: &str) -> Vec<Vec<String>> {
    let lines = text.lines().filter_map(|line| line.strip_prefix(program));
    lines
        .map(|line| line.split_whitespace().map(|word| word.trim_matches('\'').to_owned()).collect())
        .collect()
}

async fn grant(servers: &PrivateServers) {
    let (_, page) = section(BOOTSTRAPS);
    administer(servers, &page).await;
    let admin = redis::Client::open(servers.url(Server::Redis)).unwrap();
    let mut admin = admin.get_multiplexed_async_connection().await.unwrap();
    for command in commands(&page, "redis-cli ") {
        redis::cmd(&command[0]).arg(&command[1..]).exec_async(&mut admin).await.unwrap();
    }
}

/// Does what a text says to RabbitMQ.
async fn administer(servers: &PrivateServers, text: &str) {
    for command in commands(text, "rabbitmqctl ") {
        servers.rabbitmqctl(&command.iter().map(String::as_str).collect::<Vec<_>>()).await;
    }
}

/// The server's address for a user of the page.
fn url_of(user: &str, servers: &PrivateServers, server: Server) -> String {
    let url = servers.url(server);
    let (scheme, rest) = url.split_once("://").unwrap();
    let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
    format!("{scheme}://{user}:PASSWORD@{host}")
}

fn endpoint(name: &str) -> Endpoint {
    Endpoint::parse(name).unwrap()
}

fn publication(to: &str) -> Publication {
    Publication {
        id: uuid::Uuid::now_v7(),
        app: to.split('/').next().unwrap().into(),
        timestamp: 1,
        endpoints: vec![endpoint(to)],
        body: bytes::Bytes::from_static(b"no message"),
        only_to: None,
        traceparent: None,
    }
}

#[track_caller]
fn assert_refused(result: Result<impl Sized, BrokerError>) {
    let error = result.err().expect("it was allowed");
    let text = error.to_string();
    assert!(matches!(error, BrokerError::Refused { .. }), "{error:?}");
    assert!(text.contains("ACCESS_REFUSED") && text.contains("docs/security.md"), "{text}");
    assert!(!text.contains("PASSWORD"), "{text}");
}

mod faults {
    use lapin::options::{BasicGetOptions, BasicPublishOptions};
    use lapin::{BasicProperties, Connection, ConnectionProperties};
    use promiscuous_tests::conformance::tables::{self, Side};
    use promiscuous_tests::conformance::{Eyes, Stack};
    use promiscuous_tests::databases::{Kind, TestDatabase};
    use promiscuous_tests::processes::{Builder, Process};
    use promiscuous_tests::{apps, until};

    use super::*;
    use crate::apps::SOON;

    const STACK: Stack = Stack::SEAORM_SQLITE;

    async fn database(side: Side) -> TestDatabase {
        let database = Kind::Sqlite.create().await;
        tables::create(database.url(), &tables::numbered(Kind::Sqlite, side)).await;
        let config = apps::config("shop", "memory://migrating", "memory://migrating");
        STACK.migrate(&config, database.url()).await;
        database
    }

    /// A process of an app as the page's user of that name.
    fn process(program: &str, app: &str, servers: &PrivateServers, database: &TestDatabase) -> Builder {
        Process::new(program)
            .env("STACK", STACK.to_string())
            .env("PROMISCUOUS_APP", app)
            .env("PROMISCUOUS_CLOCK_SKEW", "0")
            .env("DATABASE_URL", database.url())
            .env("AMQP_URL", url_of(app, servers, Server::RabbitMq))
            .env("REDIS_URL", url_of(app, servers, Server::Redis))
    }

    /// Everything that an app does, with what the page grants it; the lines of its log must have no complaint.
    async fn publish_and_subscribe(servers: &PrivateServers, from: &str, to: &str) {
        // given
        let (here, there) = (database(Side::Publishing).await, database(Side::Subscribing).await);
        let eyes = Eyes::open(there.url()).await;
        let mut worker = process(env!("CARGO_BIN_EXE_command"), to, servers, &there)
            .arg("subscribe")
            .env("SUBSCRIBES", "counter")
            .env("FROM", from)
            .with_log()
            .spawn();
        worker.wait_for_line("consuming").await;
        // when it publishes and subscribes
        let mut writer = process(env!("CARGO_BIN_EXE_publisher"), from, servers, &here)
            .arg("create:1")
            .arg("increment:1")
            .spawn();
        writer.wait_for_line("idle").await;
        until(SOON, "the counter", async || (eyes.count("counters WHERE n = 1").await == 1).then_some(()))
            .await;
        writer.terminate();
        assert!(writer.wait().await.success());
        // and something cannot be applied
        let broker = RabbitMq::new(&url_of(from, servers, Server::RabbitMq)).unwrap();
        broker.publish(vec![publication(&format!("{from}/counter"))]).await.remove(0).unwrap();
        let admin = Connection::connect(&servers.url(Server::RabbitMq), ConnectionProperties::default())
            .await
            .unwrap();
        let admin = admin.create_channel().await.unwrap();
        let letter = until(SOON, "the dead letter", async || {
            let dead = format!("{to}.promiscuous.dead");
            admin.basic_get(dead.into(), BasicGetOptions { no_ack: true }).await.unwrap()
        });
        assert_eq!(letter.await.delivery.data, b"no message");
        worker.terminate();
        assert!(worker.wait().await.success());
        let complaints: Vec<_> =
            worker.said().iter().filter(|line| line.contains("WARN") || line.contains("ERROR")).collect();
        // The body that is no message is one.
        assert_eq!(complaints.len(), 1, "{complaints:#?}");
        // and takes it no more
        let mut unbind = process(env!("CARGO_BIN_EXE_command"), to, servers, &there)
            .arg("unbind")
            .arg(format!("{from}/counter"))
            .arg("--yes")
            .with_log()
            .spawn();
        assert!(unbind.wait().await.success(), "{:#?}", unbind.said());
        // and a process ends the work of others
        let mut recover = process(env!("CARGO_BIN_EXE_command"), from, servers, &here)
            .arg("recover")
            .arg("--once")
            .env("PUBLISHES", "counter")
            .with_log()
            .spawn();
        assert!(recover.wait().await.success(), "{:#?}", recover.said());
        assert!(
            !recover.said().iter().any(|line| line.contains("WARN") || line.contains("ERROR")),
            "{:#?}",
            recover.said()
        );
    }

    #[tokio::test]
    async fn the_permissions_of_the_page_are_enough_and_nothing_else_is_allowed() {
        // given
        let servers = PrivateServers::new(&[Server::Redis, Server::RabbitMq]).await;
        grant(&servers).await;
        // then they are enough,
        publish_and_subscribe(&servers, "shop", "mailer").await;
        publish_and_subscribe(&servers, "shop", "billing").await;
        // also for `promiscuous status`,
        for user in ["shop", "mailer", "billing"] {
            let store = RedisStore::connect(&url_of(user, &servers, Server::Redis), user).unwrap();
            store.survey().await.unwrap();
            store.intents(10).await.unwrap();
        }
        // the app that does both publishes too,
        let [shop, mailer, billing] = ["shop", "mailer", "billing"]
            .map(|user| RabbitMq::new(&url_of(user, &servers, Server::RabbitMq)).unwrap());
        billing.claim("billing", &[endpoint("billing/invoice")]).await.unwrap();
        billing.publish(vec![publication("billing/invoice")]).await.remove(0).unwrap();
        // and nobody writes in another one's name,
        assert_refused(mailer.claim("mailer", &[endpoint("mailer/letter")]).await);
        assert_refused(mailer.publish(vec![publication("shop/counter")]).await.remove(0));
        assert_refused(shop.claim("shop", &[endpoint("billing/invoice")]).await);
        assert_refused(shop.publish(vec![publication("billing/invoice")]).await.remove(0));
        // nor reads what it was not given,
        let queue = |app: &str, binding: &str| Queue {
            app: app.into(),
            bindings: vec![binding.into()],
            kind: QueueKind::Quorum,
        };
        assert_refused(shop.declare(&queue("shop", "billing.*")).await);
        assert_refused(shop.consume(&queue("mailer", "shop.*"), 1).await.map(drop));
        assert_refused(mailer.declare(&queue("mailer", "billing.*")).await);
        // nor writes to another one's queue.
        for user in ["shop", "mailer"] {
            let url = url_of(user, &servers, Server::RabbitMq);
            let raw = Connection::connect(&url, ConnectionProperties::default());
            let raw = raw.await.unwrap().create_channel().await.unwrap();
            let (options, properties) = (BasicPublishOptions::default(), BasicProperties::default());
            let sent =
                raw.basic_publish("".into(), "billing.promiscuous".into(), options, b"", properties).await;
            drop(sent);
            let closed =
                until(SOON, "the channel to be closed", async || (!raw.status().connected()).then_some(()));
            closed.await;
        }
        // Redis lets nobody see another one's keys, or do what is not needed.
        let intruder = RedisStore::connect(&url_of("shop", &servers, Server::Redis), "mailer").unwrap();
        let refused = intruder.generation(0).await.unwrap_err();
        assert!(matches!(refused, StoreError::Unavailable { .. }), "{refused:?}");
        assert!(refused.to_string().contains("docs/security.md"), "{refused}");
        let raw = redis::Client::open(url_of("mailer", &servers, Server::Redis)).unwrap();
        let mut raw = raw.get_multiplexed_async_connection().await.unwrap();
        for command in ["FLUSHALL", "KEYS *", "GET promiscuous:{shop}:generation", "ACL WHOAMI"] {
            let mut words = command.split(' ');
            let mut refused = redis::cmd(words.next().unwrap());
            let refused =
                words.fold(&mut refused, |command, word| command.arg(word)).exec_async(&mut raw).await;
            assert!(refused.unwrap_err().code() == Some("NOPERM"), "{command}");
        }
    }

    #[tokio::test]
    async fn the_permissions_for_bootstraps_are_enough_and_without_them_nobody_gets_a_row() {
        // given rows of before there was a subscriber
        let servers = PrivateServers::new(&[Server::Redis, Server::RabbitMq]).await;
        grant(&servers).await;
        let (here, there) = (database(Side::Publishing).await, database(Side::Subscribing).await);
        let eyes = Eyes::open(there.url()).await;
        let mut writer =
            process(env!("CARGO_BIN_EXE_publisher"), "shop", &servers, &here).arg("create:1").spawn();
        writer.wait_for_line("idle").await;
        writer.terminate();
        assert!(writer.wait().await.success());
        let serve = || {
            let serve = process(env!("CARGO_BIN_EXE_command"), "shop", &servers, &here);
            serve.arg("publish").arg("--serve").env("PUBLISHES", "counter").with_log().spawn()
        };
        let bootstrap = || {
            let bootstrap = process(env!("CARGO_BIN_EXE_command"), "mailer", &servers, &there);
            bootstrap.arg("bootstrap").env("SUBSCRIBES", "counter").env("FROM", "shop").with_log().spawn()
        };
        // when nobody may do more than publish and subscribe, then both say so,
        let mut refused = serve();
        refused.wait_for_line("ACCESS_REFUSED").await;
        assert!(!refused.wait().await.success());
        let mut refused = bootstrap();
        refused.wait_for_line("ACCESS_REFUSED").await;
        refused.terminate();
        refused.wait().await;
        assert_eq!(eyes.count("counters").await, 0);
        // and with the section's permissions it is done.
        administer(&servers, section(BOOTSTRAPS).0).await;
        let mut serving = serve();
        serving.wait_for_line("serving bootstraps").await;
        let mut joining = bootstrap();
        assert!(joining.wait().await.success(), "{:#?}", joining.said());
        assert_eq!(eyes.count("counters").await, 1);
        let verify = process(env!("CARGO_BIN_EXE_command"), "mailer", &servers, &there).arg("verify");
        let mut verifying = verify.env("SUBSCRIBES", "counter").env("FROM", "shop").with_log().spawn();
        assert!(verifying.wait().await.success(), "{:#?}", verifying.said());
        serving.terminate();
        assert!(serving.wait().await.success());
        // It has asked in vain a moment ago, and may be in no hurry to ask again.
        let is_patient = |line: &&String| line.contains("has answered yet");
        for line in joining.said().iter().filter(|line| !is_patient(line)).chain(serving.said()) {
            assert!(!line.contains("WARN") && !line.contains("ERROR"), "{line}");
        }
        // and nobody asks in another one's name
        let mailer = RabbitMq::new(&url_of("mailer", &servers, Server::RabbitMq)).unwrap();
        assert_refused(mailer.publish(vec![publication("billing/promiscuous-bootstrap")]).await.remove(0));
    }
}
