//! Two services in the test's process: one publishes from a database, the other keeps a copy in another.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::FutureExt;
use promiscuous_core::broker::memory::MemoryBroker;
use promiscuous_core::broker::{Broker, Consumer, Queue, QueueKind};
use promiscuous_core::dependency::Version;
use promiscuous_core::key::Key;
use promiscuous_core::message::Message;
use promiscuous_core::operation::{Operation, OperationKind};
use promiscuous_core::publisher::PublisherSettings;
use promiscuous_core::subscriber::Status;
use promiscuous_seaorm::{Config, Models, Promiscuous, PromiscuousConnection};
use promiscuous_tests::databases::TestDatabase;
use promiscuous_tests::{unique_app, until};
use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, DbErr, EntityTrait, Statement};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// How long something that must happen may take, with other tests beside it.
pub const SOON: Duration = Duration::from_secs(60);

/// The databases that are supported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Postgres,
    MariaDb,
    Sqlite,
}

impl Kind {
    pub async fn create(self) -> TestDatabase {
        match self {
            Kind::Postgres => TestDatabase::postgres().await,
            Kind::MariaDb => TestDatabase::mariadb().await,
            Kind::Sqlite => TestDatabase::sqlite().await,
        }
    }
}

/// A publisher (`here`), a subscriber (`there`), and somebody who reads every message.
pub struct Replica {
    pub here: PromiscuousConnection,
    pub there: PromiscuousConnection,
    pub publisher: Promiscuous,
    pub broker: MemoryBroker,
    observer: Box<dyn Consumer>,
    pub status: watch::Receiver<Status>,
    /// The newest version of each key that the observer has read of since the start.
    written: BTreeMap<Key, Version>,
    running: JoinHandle<()>,
    _databases: [TestDatabase; 2],
}

impl Drop for Replica {
    fn drop(&mut self) {
        self.running.abort();
    }
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
}

impl Pair {
    pub fn new(
        from: Kind,
        to: Kind,
        [published, subscribed]: [Models; 2],
        tables: fn(Kind) -> Vec<String>,
    ) -> Self {
        Self { from, to, connections: 5, published, subscribed, tables, adjust: |_| {} }
    }

    /// Starts both services. The publisher's app is `shop`, the subscriber's `mirror`.
    pub async fn start(self) -> Replica {
        let name = unique_app("replica");
        let databases = [self.from.create().await, self.to.create().await];
        let here = databases[0].connect(self.connections).await;
        let there = databases[1].connect(self.connections).await;
        for (kind, db) in [(self.from, &here), (self.to, &there)] {
            for table in (self.tables)(kind) {
                let created = db.execute_unprepared(&table).await;
                created.unwrap_or_else(|error| panic!("{kind:?} refuses {table}: {error}"));
            }
        }

        let broker = MemoryBroker::named(&name);
        let everything =
            Queue { app: "observer".into(), bindings: vec!["*.*".into()], kind: QueueKind::Classic };
        broker.declare(&everything).await.unwrap();
        let observer = broker.consume(&everything, u16::MAX).await.unwrap();

        let subscriber = Promiscuous::new(Config::embedded("mirror", &name).unwrap()).unwrap();
        let subscriber = subscriber.models(self.subscribed);
        subscriber.migrate(&there).await.unwrap();
        let there = subscriber.wrap(there).await.unwrap();
        let subscribing = subscriber.subscriber(&there).unwrap();
        let mut status = subscribing.status();
        let running = tokio::spawn(async move {
            subscribing.run(std::future::pending()).await.unwrap();
        });
        status.wait_for(|status| status.consuming).await.expect("the subscriber ended");

        let publisher = Promiscuous::new(Config::embedded("shop", &name).unwrap()).unwrap();
        let publisher = publisher.models(self.published).publisher_settings(self.adjust);
        publisher.migrate(&here).await.unwrap();
        let here = publisher.wrap(here).await.unwrap();
        Replica {
            here,
            there,
            publisher,
            broker,
            observer,
            status,
            written: BTreeMap::new(),
            running,
            _databases: databases,
        }
    }
}

impl Replica {
    /// SeaORM's own connection to the publisher's database.
    pub fn plain_here(&self) -> &DatabaseConnection {
        self.here.without_promiscuous()
    }

    /// SeaORM's own connection to the subscriber's database.
    pub fn plain_there(&self) -> &DatabaseConnection {
        self.there.without_promiscuous()
    }

    /// Waits until everything written so far is published, and returns it.
    pub async fn published(&mut self) -> Vec<Message> {
        self.bodies().await.iter().map(|body| Message::decode(body).unwrap()).collect()
    }

    /// The same, as it went over the wire.
    pub async fn bodies(&mut self) -> Vec<Vec<u8>> {
        let here = self.here.without_promiscuous();
        until(SOON, "an outbox with nothing left to publish", async || {
            (count(here, "promiscuous_outbox WHERE state < 2").await == 0).then_some(())
        })
        .await;
        let mut bodies = Vec::new();
        for _ in 0..self.broker.len("observer.promiscuous") {
            let delivery = self.observer.next().await.unwrap();
            delivery.acknowledger.ack(&[delivery.tag]).await;
            let message = Message::decode(&delivery.body).unwrap();
            for write in message.dependencies.iter().flat_map(|dependencies| &dependencies.write) {
                let version = Version::new(message.generation, write.version);
                let newest = self.written.entry(write.key.clone()).or_insert(version);
                *newest = version.max(*newest);
            }
            bodies.push(delivery.body.to_vec());
        }
        bodies
    }

    /// Waits until everything written so far is applied, and returns the messages in the order of their publication.
    pub async fn settle(&mut self) -> Vec<Message> {
        let messages = self.published().await;
        self.applied().await;
        messages
    }

    /// Waits until every message that was read from the broker is applied and acknowledged.
    ///
    /// The versions are asked for and not the number of messages: one may come twice.
    pub async fn applied(&mut self) {
        let db = self.there.without_promiscuous();
        for (key, version) in std::mem::take(&mut self.written) {
            // A key needs no escaping, see `Key`.
            let newer = format!(
                "promiscuous_versions WHERE object = '{key}' AND (generation > {0} OR (generation = {0} AND version >= {1}))",
                version.generation, version.version
            );
            let applied = until(SOON, "a version", async || (count(db, &newer).await == 1).then_some(()));
            if std::panic::AssertUnwindSafe(applied).catch_unwind().await.is_err() {
                panic!("{key} was published, but not applied: {:?}", *self.status.borrow());
            }
        }
        let quiet = self.status.wait_for(|status| status.held == 0);
        tokio::time::timeout(SOON, quiet).await.expect("a message stays held").expect("the subscriber ended");
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

/// Messages as `create cake/1; update cake/2`.
pub fn lines(messages: &[Message]) -> Vec<String> {
    let line = |message: &Message| message.operations.iter().map(describe).collect::<Vec<_>>().join("; ");
    messages.iter().map(line).collect()
}

fn describe(operation: &Operation) -> String {
    let kind = match operation.operation {
        OperationKind::Create => "create",
        OperationKind::Update => "update",
        OperationKind::Destroy => "destroy",
        _ => "other",
    };
    let attributes = operation.attributes.as_ref().map(|attributes| {
        attributes.iter().map(|(name, value)| format!(" {name}={value}")).collect::<String>()
    });
    format!("{kind} {}/{}{}", operation.endpoint.model(), operation.id, attributes.unwrap_or_default())
}

/// The refusal or failure, as text.
pub fn said<T>(result: Result<T, DbErr>) -> String {
    result.err().map_or_else(|| "nothing".into(), |error| error.to_string())
}

/// The dialect of a kind of database.
pub fn backend(kind: Kind) -> DbBackend {
    match kind {
        Kind::Postgres => DbBackend::Postgres,
        Kind::MariaDb => DbBackend::MySql,
        Kind::Sqlite => DbBackend::Sqlite,
    }
}
