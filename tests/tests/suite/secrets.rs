//! No password is ever told: not by a log line, not by an error, not by `--help`, however a connection fails.

use promiscuous_tests::conformance::Stack;
use promiscuous_tests::conformance::stack::Adapter;
use promiscuous_tests::databases::Kind;
use promiscuous_tests::processes::{Builder, Process};
use promiscuous_tests::servers::{PrivateServers, Server};

/// In every password, and nowhere else.
const MARK: &str = "m4rked";

/// Everything that this project's own crates say, and what others say unasked.
const LOG: &str =
    "warn,promiscuous=trace,promiscuous_core=trace,promiscuous_seaorm=trace,promiscuous_diesel=trace";

const STACKS: [Stack; 4] =
    [Stack::SEAORM_POSTGRES, Stack::SEAORM_MARIADB, Stack::DIESEL_POSTGRES, Stack::DIESEL_MARIADB];

/// How an app's three URLs are written.
#[derive(Clone, Copy, Debug)]
enum Urls {
    /// As they should be.
    Right,
    /// With another password.
    WrongPassword,
    /// Of servers that are away.
    Away,
    /// With a password whose special characters are not percent-encoded.
    Nonsense,
    /// With TLS, which the servers do not speak.
    Tls,
}

impl Urls {
    /// A server's address, for the user `marked`.
    fn of(self, stack: Stack, server: Server, address: &str) -> String {
        let (scheme, rest) = address.split_once("://").unwrap();
        let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
        let (host, path) = host.split_once('/').unwrap();
        match (self, server) {
            (Self::Right, _) => format!("{scheme}://marked:{MARK}@{host}/{path}"),
            (Self::WrongPassword, _) => format!("{scheme}://marked:wrong-{MARK}@{host}/{path}"),
            (Self::Away, _) => format!("{scheme}://marked:{MARK}@127.0.0.1:1/{path}"),
            (Self::Nonsense, _) => format!("{scheme}://marked:{MARK}#1/{MARK}@{host}/{path}"),
            (Self::Tls, Server::Redis | Server::RabbitMq) => {
                format!("{scheme}s://marked:{MARK}@{host}/{path}")
            }
            (Self::Tls, Server::Postgres) => {
                format!("{scheme}://marked:{MARK}@{host}/{path}?sslmode=require")
            }
            (Self::Tls, Server::MariaDb) if stack.adapter == Adapter::SeaOrm => {
                format!("{scheme}://marked:{MARK}@{host}/{path}?ssl-mode=REQUIRED")
            }
            (Self::Tls, Server::MariaDb) => {
                format!("{scheme}://marked:{MARK}@{host}/{path}?ssl_mode=required")
            }
        }
    }
}

/// Which URLs are not right: where the database cannot be reached, nobody asks for the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Which {
    Database,
    Others,
}

#[track_caller]
fn assert_unmarked(what: &str, said: &[String]) {
    let told: Vec<_> = said.iter().filter(|line| line.contains(MARK)).collect();
    assert!(told.is_empty(), "{what} tells its password: {told:#?}");
}

/// Runs a program until it says this, or else until it ends, and hands back everything that it said.
async fn said(program: Builder, until: &str) -> Vec<String> {
    let mut process = program.with_log().spawn();
    if !until.is_empty() {
        process.wait_for_line(until).await;
        process.terminate();
    }
    process.wait().await;
    process.said().to_vec()
}

mod faults {
    use promiscuous_tests::conformance::tables::{self, Side};
    use promiscuous_tests::databases::TestDatabase;
    use promiscuous_tests::{apps, unique_app};

    use super::*;

    const ALL: [Server; 4] = [Server::Redis, Server::RabbitMq, Server::Postgres, Server::MariaDb];

    /// Servers that know the user `marked` by its password.
    async fn guarded() -> PrivateServers {
        let servers = PrivateServers::new(&ALL).await;
        servers.rabbitmqctl(&["add_user", "marked", MARK]).await;
        servers.rabbitmqctl(&["set_permissions", "marked", ".*", ".*", ".*"]).await;
        let redis = redis::Client::open(servers.url(Server::Redis)).unwrap();
        let password = format!(">{MARK}");
        redis::cmd("ACL")
            .arg(&["SETUSER", "marked", "on", &password, "~*", "&*", "+@all"])
            .exec_async(&mut redis.get_multiplexed_async_connection().await.unwrap())
            .await
            .unwrap();
        let postgres = promiscuous_tests::databases::connect(&servers.url(Server::Postgres), 1).await;
        let mariadb = promiscuous_tests::databases::connect(&servers.url(Server::MariaDb), 1).await;
        use sea_orm::ConnectionTrait;
        for sql in
            ["CREATE ROLE guarded", &format!("CREATE ROLE marked LOGIN PASSWORD '{MARK}' IN ROLE guarded")]
        {
            postgres.execute_unprepared(sql).await.unwrap();
        }
        for sql in [&format!("CREATE USER marked IDENTIFIED BY '{MARK}'"), "GRANT ALL ON *.* TO marked"] {
            mariadb.execute_unprepared(sql).await.unwrap();
        }
        servers
    }

    async fn database(stack: Stack, servers: &PrivateServers) -> TestDatabase {
        let server = if stack.kind == Kind::Postgres { Server::Postgres } else { Server::MariaDb };
        let database = TestDatabase::on(servers.url(server)).await;
        tables::create(database.url(), &tables::numbered(stack.kind, Side::Publishing)).await;
        stack
            .migrate(&apps::config("shop", "memory://migrating", "memory://migrating"), database.url())
            .await;
        if stack.kind == Kind::Postgres {
            use sea_orm::ConnectionTrait;
            let db = promiscuous_tests::databases::connect(database.url(), 1).await;
            for sql in
                ["GRANT ALL ON ALL TABLES IN SCHEMA public TO marked", "GRANT ALL ON SCHEMA public TO marked"]
            {
                db.execute_unprepared(sql).await.unwrap();
            }
        }
        database
    }

    async fn tells_nothing(stack: Stack, urls: Urls, which: Which, servers: &PrivateServers) {
        let database = database(stack, servers).await;
        let server = if stack.kind == Kind::Postgres { Server::Postgres } else { Server::MariaDb };
        let (shop, mailer) = (unique_app("shop"), unique_app("mailer"));
        let [of_database, of_others] =
            [Which::Database, Which::Others].map(|this| if this == which { urls } else { Urls::Right });
        let environment = |program: Builder, app: &str| {
            program
                .env("STACK", stack.to_string())
                .env("PROMISCUOUS_APP", app)
                .env("DATABASE_URL", of_database.of(stack, server, database.url()))
                .env("AMQP_URL", of_others.of(stack, Server::RabbitMq, &servers.url(Server::RabbitMq)))
                .env("REDIS_URL", of_others.of(stack, Server::Redis, &servers.url(Server::Redis)))
                .env("PUBLISHES", "counter")
                .env("FROM", "shop")
                .env("RUST_LOG", LOG)
                .env("RUST_BACKTRACE", "0")
        };
        let command = |app: &str, arguments: &str| {
            let program = environment(Process::new(env!("CARGO_BIN_EXE_command")), app);
            arguments.split(' ').fold(program, |program, argument| program.arg(argument))
        };
        let right = matches!(urls, Urls::Right);
        // Servers between the apps may be away when an app starts.
        let starts = right || (which == Which::Others && matches!(urls, Urls::Away | Urls::Tls));
        let worker = command(&mailer, "subscribe").env("SUBSCRIBES", "counter");
        let publisher = environment(Process::new(env!("CARGO_BIN_EXE_publisher")), &shop).arg("create:1");
        // With SeaORM the connection that a program wraps is its own.
        let own_connection = stack.adapter == Adapter::SeaOrm && which == Which::Database && !right;
        for (what, program, until) in [
            ("subscribe", worker, if right { "consuming" } else { "ERROR" }),
            // Where the app does not start, its harness panics with the error as `Debug` shows it.
            ("a publisher", publisher, if starts { "create:1" } else { "The app starts" }),
            ("migrate", command(&shop, "migrate"), ""),
            ("recover", command(&shop, "recover --once"), if right { "" } else { "ERROR" }),
            ("--help", command(&shop, "subscribe --help"), ""),
        ] {
            if own_connection && what == "a publisher" {
                continue;
            }
            let what = format!("{what} on {stack} with {urls:?} URLs of {which:?}");
            let said = said(program, until).await;
            assert_unmarked(&what, &said);
            assert!(!said.is_empty(), "{what} says nothing");
        }
    }

    #[tokio::test]
    async fn no_password_is_told_by_anything_that_runs() {
        let servers = guarded().await;
        let servers = &servers;
        for urls in [Urls::Right, Urls::WrongPassword, Urls::Away, Urls::Nonsense, Urls::Tls] {
            for which in [Which::Database, Which::Others] {
                let all = STACKS.map(|stack| tells_nothing(stack, urls, which, servers));
                futures_util::future::join_all(all).await;
            }
        }
    }
}
