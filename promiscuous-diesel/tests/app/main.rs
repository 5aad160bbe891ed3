//! Whole apps in one process, on SQLite and the embedded broker and version store.

mod pools;
mod replication;
mod starting;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sqlite::Sqlite;
use promiscuous_diesel::core::subscriber::{Status, Subscriber};
use promiscuous_diesel::{App, Config, Models, Running};
use tokio::runtime::Runtime;
use tokio::sync::{oneshot, watch};

/// What the shop has.
mod shop {
    use diesel::prelude::*;
    use promiscuous_diesel::Publish;

    diesel::table! {
        users (id) {
            id -> BigInt,
            name -> Text,
            nickname -> Nullable<Text>,
            password -> Text,
        }
    }

    #[derive(
        Debug, Clone, PartialEq, Queryable, Selectable, Insertable, AsChangeset, Identifiable, Publish,
    )]
    #[diesel(table_name = users)]
    #[publish(attributes(name, nickname))]
    pub struct User {
        pub id: i64,
        pub name: String,
        pub nickname: Option<String>,
        pub password: String,
    }

    pub fn user(id: i64, name: &str) -> User {
        User { id, name: name.into(), nickname: None, password: "secret".into() }
    }
}

/// What the mailer has: the shop's users, and letters that it publishes itself.
mod mailer {
    use diesel::prelude::*;
    use diesel::sqlite::{Sqlite, SqliteConnection};
    use promiscuous_diesel::subscription::{CallbackResult, Callbacks};
    use promiscuous_diesel::{Promiscuous, Publish, Subscribe};

    diesel::table! {
        recipients (id) {
            id -> BigInt,
            name -> Text,
            nickname -> Nullable<Text>,
        }
    }
    diesel::table! {
        letters (id) {
            id -> BigInt,
            text -> Text,
        }
    }

    #[derive(Debug, Clone, PartialEq, Queryable, Selectable, Subscribe)]
    #[diesel(table_name = recipients)]
    #[subscribe(from = "shop/user", as = "User", attributes(name, nickname), callbacks, backend(Sqlite))]
    pub struct Recipient {
        pub id: i64,
        pub name: String,
        pub nickname: Option<String>,
    }

    impl Callbacks<Sqlite> for Recipient {
        fn after_create(after: &Self, connection: &mut Promiscuous<SqliteConnection>) -> CallbackResult {
            let text = format!("Welcome {}", after.name);
            diesel::insert_into(letters::table)
                .values((letters::id.eq(after.id), letters::text.eq(text)))
                .execute(connection)?;
            Ok(())
        }
    }

    #[derive(Debug, Clone, PartialEq, Queryable, Selectable, Publish)]
    #[diesel(table_name = letters)]
    #[publish(attributes(text))]
    pub struct Letter {
        pub id: i64,
        pub text: String,
    }
}

/// What the post has: the mailer's letters.
mod post {
    use diesel::prelude::*;
    use promiscuous_diesel::Subscribe;

    diesel::table! {
        letters (id) {
            id -> BigInt,
            text -> Text,
        }
    }

    #[derive(Debug, Clone, PartialEq, Queryable, Selectable, Subscribe)]
    #[diesel(table_name = letters)]
    #[subscribe(from = "mailer/letter", attributes(text))]
    pub struct Letter {
        pub id: i64,
        pub text: String,
    }
}

/// An app with a database of its own.
struct TestApp {
    app: App<Sqlite>,
    url: String,
    _folder: tempfile::TempDir,
}

impl TestApp {
    /// Its tables exist. Apps of one `network` are connected.
    fn new(name: &str, network: &str, models: Models<Sqlite>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = folder.path().join("app.sqlite").display().to_string();
        let app = App::new(Config::embedded(name, network).unwrap()).models(models);
        let test = Self { app, url, _folder: folder };
        let mut plain = test.plain();
        test.app.migrate(&mut plain).unwrap();
        test.app.migrate(&mut plain).unwrap();
        plain
            .batch_execute(
                "PRAGMA journal_mode = WAL;
                 CREATE TABLE users (id BIGINT NOT NULL PRIMARY KEY, name TEXT NOT NULL, nickname TEXT, password TEXT NOT NULL);
                 CREATE TABLE recipients (id BIGINT NOT NULL PRIMARY KEY, name TEXT NOT NULL, nickname TEXT);
                 CREATE TABLE letters (id BIGINT NOT NULL PRIMARY KEY, text TEXT NOT NULL);",
            )
            .unwrap();
        test
    }

    fn shop(network: &str) -> Self {
        Self::new("shop", network, Models::new().publish::<shop::User>())
    }

    fn start(&self) -> Running<Sqlite> {
        self.app.start(&self.url).unwrap()
    }

    /// Diesel's own connection.
    fn plain(&self) -> SqliteConnection {
        let mut connection = SqliteConnection::establish(&self.url).unwrap();
        connection.batch_execute("PRAGMA busy_timeout = 5000").unwrap();
        connection
    }
}

/// A network of its own for each test.
fn network() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// A subscriber at work.
struct Subscribing {
    runtime: Runtime,
    status: watch::Receiver<Status>,
    stop: oneshot::Sender<()>,
    ended: tokio::task::JoinHandle<Result<(), promiscuous_diesel::Error>>,
}

impl Subscribing {
    /// Consumes already.
    fn start(running: &Running<Sqlite>) -> Self {
        Self::with(running.subscriber().unwrap())
    }

    /// Consumes already.
    fn with(subscriber: Subscriber) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let mut status = subscriber.status();
        let (stop, stopped) = oneshot::channel::<()>();
        let ended = runtime.spawn(subscriber.run(async move {
            let _ = stopped.await;
        }));
        runtime.block_on(status.wait_for(|status| status.consuming)).unwrap();
        Self { runtime, status, stop, ended }
    }

    /// Waits until so many messages were applied.
    fn applied(&mut self, messages: u64) {
        let applied = self.status.wait_for(|status| status.applied >= messages);
        let in_time = async { tokio::time::timeout(Duration::from_secs(30), applied).await.map(|_| ()) };
        if self.runtime.block_on(in_time).is_err() {
            panic!("waited for {messages} messages: {:?}", self.status.borrow());
        }
        assert_eq!(self.status.borrow().applied, messages);
    }

    fn stop(self) {
        let _ = self.stop.send(());
        self.runtime.block_on(self.ended).unwrap().unwrap();
    }
}
