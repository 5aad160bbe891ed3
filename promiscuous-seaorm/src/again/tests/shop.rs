//! A shop, and a mailer that is told of its items.

use std::path::PathBuf;
use std::time::Duration;

use promiscuous_core::broker::{Consumer, Queue};
use promiscuous_core::config::Config;
use promiscuous_core::message::Message;
use promiscuous_core::operation::Operation;
use sea_orm::{ActiveModelTrait, ConnectionTrait, DatabaseConnection, Schema, Set};
use serde_json::json;

use super::entities::item;
use crate::capture_tests::servers::{database, pool};
use crate::connection::PromiscuousConnection;
use crate::models::Models;
use crate::promiscuous::Promiscuous;

pub struct Shop {
    /// The shop's app.
    pub promiscuous: Promiscuous,
    /// Its connection.
    pub db: PromiscuousConnection,
    /// The same pool, whose writes nobody sees.
    pub unseen: DatabaseConnection,
    /// What arrives at the mailer.
    arrived: Box<dyn Consumer>,
    /// Where SQLite keeps it.
    file: Option<PathBuf>,
}

/// Runs a test on SQLite, and on the servers that there are.
pub async fn everywhere(test: impl AsyncFn(&mut Shop)) {
    let file = std::env::temp_dir().join(format!("promiscuous-again-{}.sqlite", uuid::Uuid::now_v7()));
    let sqlite = format!("sqlite://{}?mode=rwc", file.display());
    let postgres = database("TEST_POSTGRES_URL").await;
    let mariadb = database("TEST_MARIADB_URL").await;
    for (url, file) in [(Some(sqlite), Some(file)), (postgres, None), (mariadb, None)] {
        let Some(url) = url else { continue };
        let mut shop = Shop::open(&url, file).await;
        // Shown when the test fails.
        eprintln!("on {:?}", shop.db.get_database_backend());
        test(&mut shop).await;
        shop.db.shut_down(Duration::from_secs(5)).await;
    }
}

impl Shop {
    async fn open(url: &str, file: Option<PathBuf>) -> Self {
        let unseen = pool(url, 4).await;
        let schema = Schema::new(unseen.get_database_backend());
        unseen.execute(&schema.create_table_from_entity(item::Entity)).await.unwrap();
        let config = Config::embedded("shop", &uuid::Uuid::now_v7().to_string()).unwrap();
        let models = Models::new().publish::<item::Entity>();
        let promiscuous = Promiscuous::new(config).unwrap().models(models);
        promiscuous.migrate(&unseen).await.unwrap();
        let db = promiscuous.wrap(unseen.clone()).await.unwrap();
        let queue = Queue { bindings: vec!["shop.item".into()], ..Queue::of("mailer") };
        let broker = &promiscuous.links().broker;
        broker.declare(&queue).await.unwrap();
        let arrived = broker.consume(&queue, 100).await.unwrap();
        Self { promiscuous, db, unseen, arrived, file }
    }

    /// Past the app's capture.
    pub async fn run(&self, sql: &str) {
        self.unseen.execute_unprepared(sql).await.unwrap();
    }

    /// Inserts an item, whose message has arrived then.
    pub async fn insert(&mut self, id: i64, name: &str) -> (item::Model, Message) {
        let item = item::ActiveModel { id: Set(id), name: Set(name.into()) }.insert(&self.db).await.unwrap();
        (item, self.next().await)
    }

    /// The next message.
    pub async fn next(&mut self) -> Message {
        let next = tokio::time::timeout(Duration::from_secs(20), self.arrived.next()).await;
        let delivery = next.expect("nothing arrives").unwrap();
        delivery.acknowledger.ack(&[delivery.tag]).await;
        Message::decode(&delivery.body).unwrap()
    }

    /// Checks that nothing has arrived since: what is published now is the next message.
    pub async fn is_quiet(&mut self) {
        let (_, message) = self.insert(1_000_000, "next").await;
        assert_eq!(lines(&message), ["create 1000000 next"]);
    }
}

/// `sync 5 Tea`.
pub fn lines(message: &Message) -> Vec<String> {
    let line = |operation: &Operation| {
        let attributes = operation.attributes.as_ref().unwrap();
        let name = attributes["name"].as_str().unwrap();
        assert_eq!(attributes["initial"], json!(&name[..1]));
        let kind = operation.to_string();
        format!("{} {} {name}", kind.split(' ').next().unwrap(), operation.id)
    };
    message.operations.iter().map(line).collect()
}

/// The version of a message's first object, and whether something was written with it.
pub fn version(message: &Message) -> (u64, u64, bool) {
    let written = &message.dependencies.as_ref().unwrap().write[0];
    (message.generation, written.version, !written.unwritten)
}

impl Drop for Shop {
    fn drop(&mut self) {
        if let Some(file) = &self.file {
            let _ = std::fs::remove_file(file);
        }
    }
}
