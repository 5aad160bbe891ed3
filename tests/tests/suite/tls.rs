//! Connections with TLS, and servers that must not be believed.

use promiscuous_core::broker::rabbitmq::RabbitMq;
use promiscuous_core::broker::{Broker, BrokerError};
use promiscuous_core::tls::Authorities;
use promiscuous_core::version_store::redis::RedisStore;
use promiscuous_core::version_store::{StoreError, VersionStore};
use promiscuous_tests::certificates::Authority;
use promiscuous_tests::servers::{amqp_url, redis_url};
use promiscuous_tests::unique_app;

/// What the broker at this address says to whoever trusts these authorities.
async fn broker(url: &str, authorities: &Authorities) -> Result<(), BrokerError> {
    RabbitMq::trusting(url, authorities).unwrap().ping().await
}

async fn store(url: &str, authorities: &Authorities) -> Result<(), StoreError> {
    let store = RedisStore::connect_trusting(url, &unique_app("tls"), authorities).unwrap();
    store.check().await.map(drop)
}

fn trusting(authority: &Authority) -> Authorities {
    Authorities::new(Some(&authority.file())).unwrap()
}

/// The same address with this password, which no error may tell.
fn with_secret(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap();
    let server = rest.rsplit_once('@').map_or(rest, |(_, server)| server);
    format!("{scheme}://someone:s3cret@{server}")
}

#[track_caller]
fn assert_says(error: &impl ToString, words: &[&str]) {
    let text = error.to_string();
    assert!(words.iter().all(|word| text.contains(word)), "{text}");
    assert!(!text.contains("s3cret"), "{text}");
}

#[tokio::test]
async fn a_server_that_speaks_no_tls_is_refused_when_it_is_asked_for() {
    let authorities = trusting(&Authority::new());
    for authorities in [&authorities, &Authorities::default()] {
        let amqps = with_secret(&amqp_url()).replacen("amqp:", "amqps:", 1);
        let refused = broker(&amqps, authorities).await.unwrap_err();
        assert_says(&refused, &["does not speak TLS", "the port that does"]);

        let rediss = with_secret(&redis_url()).replacen("redis:", "rediss:", 1);
        let refused = store(&rediss, authorities).await.unwrap_err();
        assert_says(&refused, &["does not speak TLS", "the port that does"]);
    }
}

mod faults {
    use promiscuous_core::config::SecretUrl;
    use promiscuous_tests::conformance::stack::Adapter;
    use promiscuous_tests::conformance::tables::{self, Side};
    use promiscuous_tests::conformance::{Eyes, Stack};
    use promiscuous_tests::databases::{Kind, TestDatabase};
    use promiscuous_tests::processes::{Builder, Process};
    use promiscuous_tests::servers::{PrivateServers, Server};
    use promiscuous_tests::{apps, until};

    use super::*;
    use crate::apps::SOON;

    #[tokio::test]
    async fn only_a_certificate_of_the_named_authority_is_believed() {
        // given servers with a private authority
        let authority = Authority::new();
        let servers = PrivateServers::with_tls(&[Server::Redis, Server::RabbitMq], &authority).await;
        let (amqps, rediss) = (servers.url(Server::RabbitMq), servers.url(Server::Redis));
        // then whoever was told of it connects,
        broker(&amqps, &trusting(&authority)).await.unwrap();
        store(&rediss, &trusting(&authority)).await.unwrap();
        // and nobody who trusts another one, or those of the system.
        for authorities in [trusting(&Authority::new()), Authorities::default()] {
            let refused = broker(&with_secret(&amqps), &authorities).await.unwrap_err();
            assert_says(&refused, &["no authority that is trusted here", "PROMISCUOUS_TLS_CA"]);
            let refused = store(&with_secret(&rediss), &authorities).await.unwrap_err();
            assert_says(&refused, &["no authority that is trusted here", "PROMISCUOUS_TLS_CA"]);
        }
        // The certificate is for localhost as well.
        let local = amqps.replacen("127.0.0.1", "localhost", 1);
        broker(&local, &trusting(&authority)).await.unwrap();
    }

    /// The database's address for whoever wants its certificate to come from this authority.
    fn checked(stack: Stack, url: &str, authority: &Authority) -> String {
        let ca = authority.file();
        let ca = ca.display();
        match (stack.kind, stack.adapter) {
            (Kind::Postgres, _) => format!("{url}?sslmode=verify-full&sslrootcert={ca}"),
            (Kind::MariaDb, Adapter::SeaOrm) => {
                format!("{url}?ssl-mode=VERIFY_IDENTITY&ssl-ca={ca}")
            }
            (Kind::MariaDb, Adapter::Diesel) => format!("{url}?ssl_ca={ca}"),
            (Kind::Sqlite, _) => panic!("SQLite is no server."),
        }
    }

    fn server_of(stack: Stack) -> Server {
        if stack.kind == Kind::Postgres { Server::Postgres } else { Server::MariaDb }
    }

    /// What every process of an app is told.
    fn environment(
        process: Builder,
        servers: &PrivateServers,
        stack: Stack,
        app: &str,
        url: &str,
        ca: &Authority,
    ) -> Builder {
        process
            .env("STACK", stack.to_string())
            .env("PROMISCUOUS_APP", app)
            .env("PROMISCUOUS_CLOCK_SKEW", "0")
            .env("PROMISCUOUS_TLS_CA", ca.file())
            .env("DATABASE_URL", url)
            .env("AMQP_URL", servers.url(Server::RabbitMq))
            .env("REDIS_URL", servers.url(Server::Redis))
    }

    async fn database(stack: Stack, servers: &PrivateServers, side: Side) -> TestDatabase {
        let database = TestDatabase::on(servers.url(server_of(stack))).await;
        tables::create(database.url(), &tables::numbered(stack.kind, side)).await;
        let config = apps::config("shop", "memory://migrating", "memory://migrating");
        stack.migrate(&config, database.url()).await;
        database
    }

    /// One app publishes and the other subscribes, and every connection of theirs has TLS.
    async fn replicates_over_tls(
        servers: &PrivateServers,
        authority: &Authority,
        publisher: Stack,
        subscriber: Stack,
    ) {
        // given
        let (shop, mailer) = (unique_app("shop"), unique_app("mailer"));
        let here = database(publisher, servers, Side::Publishing).await;
        let there = database(subscriber, servers, Side::Subscribing).await;
        let eyes = Eyes::open(there.url()).await;
        let worker = Process::new(env!("CARGO_BIN_EXE_command")).arg("subscribe").with_log();
        let url = checked(subscriber, there.url(), authority);
        let mut worker = environment(worker, servers, subscriber, &mailer, &url, authority)
            .env("SUBSCRIBES", "counter")
            .env("FROM", &shop)
            .spawn();
        worker.wait_for_line("consuming").await;
        // when
        let url = checked(publisher, here.url(), authority);
        let writer = Process::new(env!("CARGO_BIN_EXE_publisher")).arg("create:1").arg("increment:1");
        let mut writer = environment(writer, servers, publisher, &shop, &url, authority).spawn();
        writer.wait_for_line("idle").await;
        // then
        until(SOON, "the counter", async || (eyes.count("counters WHERE n = 1").await == 1).then_some(()))
            .await;
        writer.terminate();
        worker.terminate();
        assert!(writer.wait().await.success() && worker.wait().await.success());
    }

    /// `promiscuous migrate`, which fails and says so without the password.
    async fn refuses(stack: Stack, servers: &PrivateServers, url: &str, authority: &Authority) {
        let migrate = Process::new(env!("CARGO_BIN_EXE_command")).arg("migrate").with_log();
        let mut migrate = environment(migrate, servers, stack, "shop", url, authority).spawn();
        let status = migrate.wait().await;
        let said = migrate.said().join("\n");
        assert!(!status.success(), "{stack}: {}: {said}", SecretUrl::new(url));
        assert!(said.contains("ERROR") && !said.contains("s3cret"), "{stack}: {said}");
    }

    #[tokio::test]
    async fn every_connection_of_an_app_can_have_tls() {
        let authority = Authority::new();
        let all = [Server::Redis, Server::RabbitMq, Server::Postgres, Server::MariaDb];
        let servers = PrivateServers::with_tls(&all, &authority).await;
        replicates_over_tls(&servers, &authority, Stack::SEAORM_POSTGRES, Stack::DIESEL_MARIADB).await;
        replicates_over_tls(&servers, &authority, Stack::DIESEL_POSTGRES, Stack::SEAORM_MARIADB).await;
    }

    #[tokio::test]
    async fn a_database_with_another_certificate_or_none_is_refused() {
        let (authority, other) = (Authority::new(), Authority::new());
        let databases = [Server::Postgres, Server::MariaDb];
        let servers = PrivateServers::with_tls(&[Server::Redis, Server::RabbitMq], &authority).await;
        let encrypted = PrivateServers::with_tls(&databases, &authority).await;
        for stack in
            [Stack::SEAORM_POSTGRES, Stack::SEAORM_MARIADB, Stack::DIESEL_POSTGRES, Stack::DIESEL_MARIADB]
        {
            let url = checked(stack, &with_secret(&encrypted.url(server_of(stack))), &other);
            refuses(stack, &servers, &url, &other).await;
            // The shared servers have none.
            let database = stack.kind.create().await;
            refuses(stack, &servers, &checked(stack, database.url(), &authority), &authority).await;
        }
        // MariaDB's library passes over what it does not know.
        let url = format!("{}?ssl_mode=required", Kind::MariaDb.create().await.url());
        refuses(Stack::DIESEL_MARIADB, &servers, &url, &authority).await;
    }
}
