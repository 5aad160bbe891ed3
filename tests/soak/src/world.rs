//! The servers, apps and wires of a soak.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use fastrand::Rng;
use promiscuous_core::config::Config;
use tokio::process::Command;
use tokio::sync::{Mutex, RwLock};

use super::accounts::Losses;
use super::slot::{Describe, Said};
use super::writing::now;
use promiscuous_tests::conformance::tables::{self, Side};
use promiscuous_tests::conformance::{Eyes, Stack};
use promiscuous_tests::databases::{Kind, TestDatabase};
use promiscuous_tests::proxy::Proxy;
use promiscuous_tests::servers::{PrivateServers, Server};
use promiscuous_tests::{apps, unique_app};

/// Counters that every writer knows.
pub const COUNTERS: i64 = 6;

/// The programs of a soak.
#[derive(Clone, Debug)]
pub struct Programs {
    /// `promiscuous` of a test's app.
    pub service: PathBuf,
    /// The writers.
    pub load: PathBuf,
}

impl Programs {
    /// Those that were built beside this program.
    pub fn beside_this_one() -> Self {
        let own = std::env::current_exe().expect("A program knows where it is.");
        let folder = own.parent().expect("A program is in a folder.");
        Self { service: folder.join("service"), load: folder.join("load") }
    }
}

/// An app with its database.
pub struct Service {
    /// Adapter and database.
    pub stack: Stack,
    /// Its name.
    pub app: String,
    /// What it publishes or subscribes to.
    pub models: Vec<&'static str>,
    /// Kept as long as the app.
    pub database: TestDatabase,
    /// Its database as the soak sees it, past every proxy.
    pub eyes: Eyes,
    /// The way to its database that a fault can strike; none for a file.
    pub wire: Option<Proxy>,
    /// The address that leads over it.
    pub url: String,
}

/// See the module.
pub struct World {
    /// RabbitMQ and the databases.
    pub servers: PrivateServers,
    /// The Redis of the publisher: another one after a failover.
    pub versions: RwLock<PrivateServers>,
    /// The Redis of the subscribers.
    pub caches: PrivateServers,
    /// The publisher.
    pub publisher: Service,
    /// The subscribers.
    pub subscribers: Vec<Service>,
    /// From the publisher to RabbitMQ and Redis.
    pub publisher_wires: [(Proxy, String); 2],
    /// From the subscribers to RabbitMQ and Redis.
    pub subscriber_wires: [(Proxy, String); 2],
    /// What order was lost with.
    pub losses: Mutex<Losses>,
    /// What the processes have said.
    pub said: Arc<Said>,
    /// Where logs go.
    pub folder: PathBuf,
    programs: Programs,
    seed: u64,
    rate: u32,
}

impl World {
    /// Starts the servers and creates the databases. Which adapters and databases meet is chosen by the seed.
    pub async fn new(seed: u64, rate: u32, folder: &Path, programs: Programs) -> Self {
        let mut random = Rng::with_seed(seed);
        let [main, versions, caches] = [
            vec![Server::RabbitMq, Server::Postgres, Server::MariaDb],
            vec![Server::Redis],
            vec![Server::Redis],
        ];
        let servers = PrivateServers::new(&main).await;
        let versions = PrivateServers::new(&versions).await;
        let caches = PrivateServers::new(&caches).await;

        let [postgres, mariadb] = [
            [Stack::SEAORM_POSTGRES, Stack::DIESEL_POSTGRES],
            [Stack::SEAORM_MARIADB, Stack::DIESEL_MARIADB],
        ];
        let adapter = random.usize(..2);
        let (from, to) = if random.bool() {
            (postgres[adapter], mariadb[1 - adapter])
        } else {
            (mariadb[adapter], postgres[1 - adapter])
        };
        let small = [Stack::SEAORM_SQLITE, Stack::DIESEL_SQLITE][random.usize(..2)];

        let amqp = servers.url(Server::RabbitMq);
        let publisher_wires = [Proxy::to_url(&amqp).await, Proxy::to_url(&versions.url(Server::Redis)).await];
        let subscriber_wires = [Proxy::to_url(&amqp).await, Proxy::to_url(&caches.url(Server::Redis)).await];
        let publisher = Service::new(from, "shop", &apps::PUBLISHED, Side::Publishing, &servers).await;
        let everything = Service::new(to, "mailer", &apps::PUBLISHED, Side::Subscribing, &servers).await;
        let some = ["counter", "friendship", "photo"];
        let some = Service::new(small, "ledger", &some, Side::Subscribing, &servers).await;
        let losses = Mutex::default();
        let (said, folder) = (Arc::default(), folder.to_owned());
        Self {
            servers,
            versions: RwLock::new(versions),
            caches,
            publisher,
            subscribers: vec![everything, some],
            publisher_wires,
            subscriber_wires,
            losses,
            said,
            folder,
            programs,
            seed,
            rate,
        }
    }

    /// The configuration of the publisher.
    pub fn publisher_config(&self) -> Config {
        let [amqp, redis] = &self.publisher_wires;
        apps::config(&self.publisher.app, &amqp.1, &redis.1)
    }

    /// A writing process.
    pub fn load(self: &Arc<Self>) -> Describe {
        let world = Arc::clone(self);
        Box::new(move |incarnation| {
            let mut command = world.of(&world.programs.load, &world.publisher, &world.publisher_wires);
            command.env("SEED", (world.seed % 1_000_000 + incarnation).to_string());
            // Rows of two incarnations never meet.
            command.env("FIRST_ID", (1_000 + incarnation * 1_000_000).to_string());
            command.env("HANG_UPS", "3").env("TASKS", "6").env("RATE", world.rate.to_string());
            command.env("COUNTERS", COUNTERS.to_string()).env("DEADLINE_SECONDS", "2");
            command
        })
    }

    /// `promiscuous recover` of the publisher.
    pub fn recover(self: &Arc<Self>) -> Describe {
        let world = Arc::clone(self);
        Box::new(move |_| {
            let mut command = world.of(&world.programs.service, &world.publisher, &world.publisher_wires);
            command.arg("recover").env("PUBLISHES", world.publisher.models.join(","));
            command
        })
    }

    /// A worker of a subscriber.
    pub fn subscribe(self: &Arc<Self>, which: usize, prefetch: u32) -> Describe {
        self.subscribe_to(which, self.subscribers[which].models.clone(), prefetch)
    }

    /// A worker of a version of a subscriber that takes these models.
    pub fn subscribe_to(
        self: &Arc<Self>,
        which: usize,
        models: Vec<&'static str>,
        prefetch: u32,
    ) -> Describe {
        let world = Arc::clone(self);
        Box::new(move |_| {
            let subscriber = &world.subscribers[which];
            let mut command = world.of(&world.programs.service, subscriber, &world.subscriber_wires);
            command.args(["subscribe", "--workers", "4", "--prefetch", &prefetch.to_string()]);
            command.env("SUBSCRIBES", models.join(",")).env("FROM", &world.publisher.app);
            command.env("PROMISCUOUS_CLOCK_SKEW", "0");
            command
        })
    }

    fn of(&self, program: &Path, app: &Service, [amqp, redis]: &[(Proxy, String); 2]) -> Command {
        let mut command = Command::new(program);
        command.env("STACK", app.stack.to_string()).env("PROMISCUOUS_APP", &app.app);
        command.env("DATABASE_URL", &app.url).env("AMQP_URL", &amqp.1).env("REDIS_URL", &redis.1);
        command.env("RUST_LOG", "info,lapin=off,sqlx=warn").env("NO_COLOR", "1");
        command
    }

    /// The publisher's versions are lost, now.
    pub async fn versions_are_lost(&self) {
        self.losses.lock().await.versions.push(now());
    }

    /// The subscribers' caches are lost, now.
    pub async fn caches_are_lost(&self) {
        self.losses.lock().await.caches.push(now());
    }
}

impl Service {
    async fn new(
        stack: Stack,
        name: &str,
        models: &[&'static str],
        side: Side,
        servers: &PrivateServers,
    ) -> Self {
        let database = match stack.kind {
            Kind::Postgres => TestDatabase::on(servers.url(Server::Postgres)).await,
            Kind::MariaDb => TestDatabase::on(servers.url(Server::MariaDb)).await,
            Kind::Sqlite => TestDatabase::sqlite().await,
        };
        tables::create(database.url(), &tables::numbered(stack.kind, side)).await;
        let app = unique_app(name);
        stack.migrate(&apps::config(&app, "memory://soak", "memory://soak"), database.url()).await;
        let (wire, url) = match stack.kind {
            Kind::Sqlite => (None, database.url().to_owned()),
            Kind::Postgres | Kind::MariaDb => {
                let (wire, url) = Proxy::to_url(database.url()).await;
                (Some(wire), url)
            }
        };
        let eyes = Eyes::open(database.url()).await;
        Self { stack, app, models: models.to_vec(), database, eyes, wire, url }
    }

    /// The server that its database is on.
    pub fn server(&self) -> Option<Server> {
        match self.stack.kind {
            Kind::Postgres => Some(Server::Postgres),
            Kind::MariaDb => Some(Server::MariaDb),
            Kind::Sqlite => None,
        }
    }

    /// Its queue.
    pub fn queue(&self) -> String {
        format!("{}.promiscuous", self.app)
    }
}
