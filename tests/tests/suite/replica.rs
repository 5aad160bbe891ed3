//! Two SeaORM services in the test's process: one publishes from a database, the other keeps a copy in another.

use std::time::Duration;

use promiscuous_core::broker::memory::MemoryBroker;
use promiscuous_core::health::Health;
use promiscuous_core::message::Message;
use promiscuous_core::publisher::PublisherSettings;
use promiscuous_core::subscriber::{Status, SubscriberSettings};
use promiscuous_core::version_store::memory::MemoryStore;
use promiscuous_seaorm::{Config, Models, Promiscuous, PromiscuousConnection};
use promiscuous_tests::conformance::{Eyes, tables};
use promiscuous_tests::databases::TestDatabase;
use promiscuous_tests::unique_app;
use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, DbErr, EntityTrait, Statement};
use tokio::sync::watch;

use crate::observed::{Observed, Running, decoded};

pub use crate::observed::{SOON, lines};
pub use promiscuous_tests::databases::Kind;

/// A publisher (`here`), a subscriber (`there`), and somebody who reads every message.
pub struct Replica {
    /// Names the embedded servers.
    pub name: String,
    pub here: PromiscuousConnection,
    pub there: PromiscuousConnection,
    pub publisher: Promiscuous,
    pub subscriber: Promiscuous,
    pub broker: MemoryBroker,
    /// The publisher's version store.
    pub versions: MemoryStore,
    /// The subscriber's cache.
    pub applied_versions: MemoryStore,
    pub status: watch::Receiver<Status>,
    /// How the subscriber does.
    pub health: Health,
    observed: Observed,
    eyes: [Eyes; 2],
    running: Running,
    _databases: [TestDatabase; 2],
}

/// The same models, to publish and to subscribe.
#[macro_export]
macro_rules! both_ways {
    ($($module:ident),*) => {
        [
            promiscuous_seaorm::Models::new()$(.publish::<$module::Entity>())*,
            promiscuous_seaorm::Models::new()$(.subscribe::<$module::Entity>())*,
        ]
    };
}

/// A test of each of these functions, on each database.
#[macro_export]
macro_rules! on_each_database {
    ($($name:ident)*) => {
        mod postgres {
            $(#[tokio::test] async fn $name() { super::$name($crate::replica::Kind::Postgres).await; })*
        }
        mod mariadb {
            $(#[tokio::test] async fn $name() { super::$name($crate::replica::Kind::MariaDb).await; })*
        }
        mod sqlite {
            $(#[tokio::test] async fn $name() { super::$name($crate::replica::Kind::Sqlite).await; })*
        }
    };
}

/// What a pair of services consists of.
pub struct Pair {
    pub from: Kind,
    pub to: Kind,
    /// Connections of the publisher's pool at the most.
    pub connections: u32,
    pub published: Models,
    pub subscribed: Models,
    /// The statements that create a database's tables.
    pub tables: fn(Kind) -> Vec<String>,
    /// How messages are published.
    pub adjust: fn(&mut PublisherSettings),
    /// How they are applied.
    pub subscribing: fn(&mut SubscriberSettings),
}

impl Pair {
    pub fn new(
        from: Kind,
        to: Kind,
        [published, subscribed]: [Models; 2],
        tables: fn(Kind) -> Vec<String>,
    ) -> Self {
        Self { from, to, connections: 5, published, subscribed, tables, adjust: |_| {}, subscribing: |_| {} }
    }

    /// Starts both services. The publisher's app is `shop`, the subscriber's `mirror`.
    pub async fn start(self) -> Replica {
        let name = unique_app("replica");
        let databases = [self.from.create().await, self.to.create().await];
        tables::create(databases[0].url(), &(self.tables)(self.from)).await;
        tables::create(databases[1].url(), &(self.tables)(self.to)).await;
        let here = databases[0].connect(self.connections).await;
        let there = databases[1].connect(self.connections).await;
        let observed = Observed::at(&name).await;

        let subscriber = Promiscuous::new(Config::embedded("mirror", &name).unwrap()).unwrap();
        let subscriber = subscriber.models(self.subscribed);
        subscriber.migrate(&there).await.unwrap();
        let there = subscriber.wrap(there).await.unwrap();
        let mut settings = SubscriberSettings::new("mirror");
        // Otherwise what is written right after the start passes for the past, whose order nobody keeps.
        settings.clock_skew = Duration::ZERO;
        (self.subscribing)(&mut settings);
        let running = Running::start(subscriber.subscriber_with(&there, settings).unwrap()).await;

        let publisher = Promiscuous::new(Config::embedded("shop", &name).unwrap()).unwrap();
        let publisher = publisher.models(self.published).publisher_settings(self.adjust);
        publisher.migrate(&here).await.unwrap();
        let here = publisher.wrap(here).await.unwrap();
        Replica {
            name: name.clone(),
            here,
            there,
            publisher,
            subscriber,
            broker: observed.broker.clone(),
            versions: MemoryStore::named(&format!("{name}/shop")),
            applied_versions: MemoryStore::named(&format!("{name}/mirror")),
            status: running.status.clone(),
            health: running.health.clone(),
            observed,
            eyes: [Eyes::open(databases[0].url()).await, Eyes::open(databases[1].url()).await],
            running,
            _databases: databases,
        }
    }
}

impl Replica {
    /// Ends the subscriber, as a process that dies.
    pub async fn stop(&mut self) {
        self.running.stop().await;
    }

    /// SeaORM's own connection to the publisher's database.
    pub fn plain_here(&self) -> &DatabaseConnection {
        self.here.without_promiscuous()
    }

    /// SeaORM's own connection to the subscriber's database.
    pub fn plain_there(&self) -> &DatabaseConnection {
        self.there.without_promiscuous()
    }

    /// Waits until everything written so far is published, and returns it as it went over the wire.
    pub async fn bodies(&mut self) -> Vec<Vec<u8>> {
        self.observed.bodies(&self.eyes[0]).await
    }

    /// Waits until everything written so far is applied, and returns the messages in the order of their publication.
    pub async fn settle(&mut self) -> Vec<Message> {
        let messages = decoded(self.bodies().await);
        self.applied().await;
        messages
    }

    /// Waits until every message that was read from the broker is applied and acknowledged.
    pub async fn applied(&mut self) {
        self.observed.applied(&self.eyes[1], &mut self.status).await;
    }

    /// All rows of a table, at the publisher and at the subscriber, in the order of their text.
    pub async fn rows<E: EntityTrait>(&self) -> [Vec<String>; 2] {
        [text::<E>(self.plain_here()).await, text::<E>(self.plain_there()).await]
    }

    /// Panics unless both sides have the same rows.
    pub async fn assert_equal<E: EntityTrait>(&self) {
        let [here, there] = self.rows::<E>().await;
        assert_eq!(there, here, "the copy of `{}` differs", E::default().table_name());
    }
}

async fn text<E: EntityTrait>(db: &DatabaseConnection) -> Vec<String> {
    let mut rows: Vec<String> =
        E::find().all(db).await.unwrap().iter().map(|row| format!("{row:?}")).collect();
    rows.sort();
    rows
}

/// How many rows there are: `count(db, "cake WHERE id = 1")`.
pub async fn count(db: &DatabaseConnection, of: &str) -> i64 {
    let ask = Statement::from_string(db.get_database_backend(), format!("SELECT COUNT(*) AS n FROM {of}"));
    db.query_one_raw(ask).await.unwrap().unwrap().try_get("", "n").unwrap()
}

/// The refusal or failure, as text.
pub fn said<T>(result: Result<T, DbErr>) -> String {
    result.err().map_or_else(|| "nothing".into(), |error| error.to_string())
}

/// The dialect of a kind of database.
pub fn backend(kind: Kind) -> DbBackend {
    kind.backend()
}
