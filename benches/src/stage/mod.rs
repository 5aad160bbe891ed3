//! The apps that the benchmarks start: what SeaORM's and Diesel's have in common.

pub mod diesel;
pub mod seaorm;

use ::diesel::mysql::Mysql;
use ::diesel::pg::Pg;
use ::diesel::sqlite::Sqlite;
use promiscuous_core::config::{Config, SecretUrl, Settings};
use promiscuous_core::error::Error;
use promiscuous_core::subscriber::{Status, Subscriber};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

use crate::Outcome;
use crate::databases::Kind;
use crate::queues::{queue_of, remove_queue};

/// The publishing app that fills most queues, with SeaORM on PostgreSQL.
pub const SHOP: &str = "shop";

/// An address that `scripts/bench` has put into the environment.
pub fn server(variable: &str) -> Outcome<String> {
    std::env::var(variable).map_err(|_| format!("{variable} is not set: run scripts/bench").into())
}

/// What an app is written with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Orm {
    /// SeaORM.
    SeaOrm,
    /// Diesel.
    Diesel,
}

impl Orm {
    /// Both.
    pub const ALL: [Self; 2] = [Self::SeaOrm, Self::Diesel];

    /// As people call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::SeaOrm => "SeaORM",
            Self::Diesel => "Diesel",
        }
    }

    /// As names of apps contain it.
    pub fn word(self) -> &'static str {
        match self {
            Self::SeaOrm => "seaorm",
            Self::Diesel => "diesel",
        }
    }
}

/// An app on the benchmark's servers.
pub fn config(name: &str, workers: usize) -> Outcome<Config> {
    let mut settings = Settings::default();
    settings.app = Some(name.to_owned());
    settings.amqp_url = Some(SecretUrl::new(server("TEST_AMQP_URL")?));
    settings.redis_url = Some(SecretUrl::new(server("TEST_REDIS_URL")?));
    settings.workers = Some(workers);
    Ok(settings.resolve()?)
}

/// Which of a publisher's endpoints a subscriber wants.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// Authors and posts.
    Both,
    /// Posts only: what they say of authors does not matter then.
    Posts,
}

/// A subscribing app, with a database of its own name.
pub struct Mailer {
    /// Its name.
    pub app: String,
    /// What it is written with.
    pub orm: Orm,
    /// What it writes to.
    pub kind: Kind,
    /// How many messages it applies at the same time.
    pub workers: usize,
    /// The app that it subscribes to.
    pub from: &'static str,
    /// What it takes of that.
    pub wanted: Wanted,
}

impl Mailer {
    /// One with the default number of workers on PostgreSQL, that takes everything from the shop.
    pub fn new(app: impl Into<String>, orm: Orm) -> Self {
        let (kind, from, wanted) = (Kind::Postgres, SHOP, Wanted::Both);
        Self { app: app.into(), orm, kind, workers: 8, from, wanted }
    }

    /// Starts it, and waits until it consumes.
    pub async fn start(&self) -> Outcome<Running> {
        let subscriber = match (self.orm, self.kind) {
            (Orm::SeaOrm, _) => seaorm::subscriber(self).await?,
            (Orm::Diesel, Kind::Postgres) => diesel::subscriber::<Pg>(self).await?,
            (Orm::Diesel, Kind::MariaDb) => diesel::subscriber::<Mysql>(self).await?,
            (Orm::Diesel, Kind::Sqlite) => diesel::subscriber::<Sqlite>(self).await?,
        };
        Running::start(subscriber).await
    }

    /// Removes its queue, so that later parts do not fill it.
    pub async fn remove_queue(&self) -> Outcome<()> {
        remove_queue(&queue_of(&self.app)).await
    }
}

/// A subscriber that runs until it is stopped.
pub struct Running {
    /// What it is doing.
    pub status: watch::Receiver<Status>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<(), Error>>,
}

impl Running {
    /// Starts it, and waits until it consumes.
    pub async fn start(subscriber: Subscriber) -> Outcome<Self> {
        let mut status = subscriber.status();
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(subscriber.run(async { drop(stopped.await) }));
        status.wait_for(|status| status.consuming).await?;
        Ok(Self { status, stop, task })
    }

    /// Lets it end gracefully.
    pub async fn stop(self) -> Outcome<()> {
        let _ = self.stop.send(());
        Ok(self.task.await??)
    }
}
