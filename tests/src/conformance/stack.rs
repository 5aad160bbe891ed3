//! The adapters, the databases, and what an app is made of.

use std::fmt;
use std::process::ExitCode;
use std::sync::Arc;

use async_trait::async_trait;
use promiscuous_core::config::Config;
use promiscuous_core::context::Context;
use promiscuous_core::error::Error;
use promiscuous_core::health::Health;
use promiscuous_core::publisher::PublisherSettings;
use promiscuous_core::subscriber::Subscriber;
use promiscuous_core::sync::SyncError;

use super::diesel::{mariadb, postgres, sqlite};
use super::seaorm;
use super::step::{Failure, Step};
use crate::databases::Kind;

/// The adapters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Adapter {
    /// `promiscuous-seaorm`.
    SeaOrm,
    /// `promiscuous-diesel`.
    Diesel,
}

/// An adapter on a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stack {
    /// Which adapter.
    pub adapter: Adapter,
    /// Which database.
    pub kind: Kind,
}

/// The stacks by the names that tests have.
#[allow(missing_docs)]
impl Stack {
    pub const SEAORM_POSTGRES: Self = Self::new(Adapter::SeaOrm, Kind::Postgres);
    pub const SEAORM_MARIADB: Self = Self::new(Adapter::SeaOrm, Kind::MariaDb);
    pub const SEAORM_SQLITE: Self = Self::new(Adapter::SeaOrm, Kind::Sqlite);
    pub const DIESEL_POSTGRES: Self = Self::new(Adapter::Diesel, Kind::Postgres);
    pub const DIESEL_MARIADB: Self = Self::new(Adapter::Diesel, Kind::MariaDb);
    pub const DIESEL_SQLITE: Self = Self::new(Adapter::Diesel, Kind::Sqlite);
}

/// Every adapter on every database.
pub const ALL: [Stack; 6] = [
    Stack::SEAORM_POSTGRES,
    Stack::SEAORM_MARIADB,
    Stack::SEAORM_SQLITE,
    Stack::DIESEL_POSTGRES,
    Stack::DIESEL_MARIADB,
    Stack::DIESEL_SQLITE,
];

/// What an app is made of.
#[derive(Clone)]
pub struct Blueprint {
    /// Its name and servers.
    pub config: Config,
    /// Its database.
    pub url: String,
    /// How many connections to it its own code may have.
    pub connections: u32,
    /// The models that it publishes, by the names of the adapters' lists.
    pub publishes: Vec<String>,
    /// The models that it subscribes to (`weak counter` and `global counter` with that consistency), and from which app.
    pub subscribes: Vec<(String, String)>,
    /// How it publishes.
    pub adjust: fn(&mut PublisherSettings),
}

impl Blueprint {
    /// An app that does nothing yet.
    pub fn new(config: Config, url: &str) -> Self {
        let (publishes, subscribes) = (Vec::new(), Vec::new());
        Self { config, url: url.to_owned(), connections: 5, publishes, subscribes, adjust: |_| {} }
    }

    /// Publishes these models too.
    #[must_use]
    pub fn publishing<S: AsRef<str>>(mut self, models: &[S]) -> Self {
        self.publishes.extend(models.iter().map(|model| model.as_ref().to_owned()));
        self
    }

    /// Subscribes to these models of an app too.
    #[must_use]
    pub fn subscribing<S: AsRef<str>>(mut self, models: &[S], from: &str) -> Self {
        self.subscribes.extend(models.iter().map(|model| (model.as_ref().to_owned(), from.to_owned())));
        self
    }
}

/// A running app in this process.
#[async_trait]
pub trait App: Send + Sync {
    /// Does these things one after the other, until one fails.
    async fn run(&self, context: Option<&Context>, steps: Vec<Step>) -> Result<(), Failure>;

    /// Publishes a counter again as it is now, from the app's own code; false when it is gone.
    async fn sync_counter(&self, id: i64) -> Result<bool, SyncError>;

    /// Publishes the counters again that match a condition, or all of them; says how many.
    async fn sync_counters(&self, condition: Option<&str>) -> Result<u64, SyncError>;

    /// What keeps its database up to date, once it runs.
    fn subscriber(&self) -> Subscriber;

    /// How what publishes does.
    fn health(&self) -> Health;

    /// Publishes what is in hand, and stops publishing.
    async fn shut_down(&self);
}

impl dyn App + '_ {
    /// Does one thing, outside of any context.
    pub async fn write(&self, step: Step) -> Result<(), Failure> {
        self.run(None, vec![step]).await
    }

    /// What a request handler does: a unit of cause and effect.
    pub async fn request(&self, name: &str, steps: impl IntoIterator<Item = Step>) -> Result<(), Failure> {
        self.run(Some(&Context::new(name)), steps.into_iter().collect()).await
    }
}

/// A call of the adapter that reads or writes, and what a message must tell of it.
#[derive(Clone, Copy, Debug)]
pub struct Way {
    /// How the call is called.
    pub name: &'static str,
    /// The keys that the next message has read; or the operations that it publishes, one line for each message.
    pub told: &'static [&'static str],
}

impl Stack {
    /// This adapter on this database.
    pub const fn new(adapter: Adapter, kind: Kind) -> Self {
        Self { adapter, kind }
    }

    /// The stack of this name: another process was told it.
    pub fn named(name: &str) -> Self {
        let known = ALL.iter().find(|stack| stack.to_string() == name);
        *known.unwrap_or_else(|| panic!("There is no stack {name:?}."))
    }

    /// Creates the promiscuous tables in a database.
    pub async fn migrate(self, config: &Config, url: &str) {
        match (self.adapter, self.kind) {
            (Adapter::SeaOrm, _) => seaorm::migrate(config, url).await,
            (Adapter::Diesel, Kind::Postgres) => postgres::app::migrate(config, url).await,
            (Adapter::Diesel, Kind::MariaDb) => mariadb::app::migrate(config, url).await,
            (Adapter::Diesel, Kind::Sqlite) => sqlite::app::migrate(config, url).await,
        }
    }

    /// Starts an app whose database has its tables.
    ///
    /// # Errors
    /// When the app refuses to start.
    pub async fn start(self, blueprint: &Blueprint) -> Result<Arc<dyn App>, Error> {
        match (self.adapter, self.kind) {
            (Adapter::SeaOrm, _) => seaorm::start(blueprint).await,
            (Adapter::Diesel, Kind::Postgres) => postgres::app::start(blueprint).await,
            (Adapter::Diesel, Kind::MariaDb) => mariadb::app::start(blueprint).await,
            (Adapter::Diesel, Kind::Sqlite) => sqlite::app::start(blueprint).await,
        }
    }

    /// Runs the `promiscuous` command of an app with these models.
    pub fn command(self, publishes: &[String], subscribes: &[(String, String)]) -> ExitCode {
        match (self.adapter, self.kind) {
            (Adapter::SeaOrm, _) => seaorm::command(publishes, subscribes),
            (Adapter::Diesel, Kind::Postgres) => postgres::app::command(publishes, subscribes),
            (Adapter::Diesel, Kind::MariaDb) => mariadb::app::command(publishes, subscribes),
            (Adapter::Diesel, Kind::Sqlite) => sqlite::app::command(publishes, subscribes),
        }
    }

    /// The adapter's ways of reading, each with the keys that it reads of users 1 and 2, the message 11 of user 1, and the
    /// counter 5, when the counter 5 is written afterwards.
    pub fn ways_of_reading(self) -> Vec<Way> {
        match (self.adapter, self.kind) {
            (Adapter::SeaOrm, _) => seaorm::reading::WAYS.to_vec(),
            (Adapter::Diesel, Kind::Postgres) => postgres::reading::ways(),
            (Adapter::Diesel, Kind::MariaDb) => mariadb::reading::ways(),
            (Adapter::Diesel, Kind::Sqlite) => sqlite::reading::ways(),
        }
    }

    /// The adapter's ways of writing, each with the messages that it publishes.
    pub fn ways_of_writing(self) -> Vec<Way> {
        match (self.adapter, self.kind) {
            (Adapter::SeaOrm, _) => seaorm::writing::WAYS.to_vec(),
            (Adapter::Diesel, Kind::Postgres) => postgres::writing::ways(),
            (Adapter::Diesel, Kind::MariaDb) => mariadb::writing::ways(),
            (Adapter::Diesel, Kind::Sqlite) => sqlite::writing::ways(),
        }
    }

    /// Where the model called `claimed` is published, whatever the app's name is.
    pub fn claimed_endpoint(self) -> &'static str {
        match self.adapter {
            Adapter::SeaOrm => "conduct/claimed",
            Adapter::Diesel => "conduct/claimed_by_diesel",
        }
    }

    /// Whether a write can be cancelled while it waits.
    pub fn cancels(self) -> bool {
        match self.adapter {
            Adapter::SeaOrm => true,
            // A thread that waits for the database waits.
            Adapter::Diesel => false,
        }
    }
}

/// As tests are named: `seaorm_postgres`.
impl fmt::Display for Stack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&format!("{:?}_{:?}", self.adapter, self.kind).to_lowercase())
    }
}
