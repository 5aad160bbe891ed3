//! A shop, and a mailer that is told of its items.

use std::sync::Arc;
use std::time::Duration;

use diesel::connection::SimpleConnection;
use diesel::mysql::Mysql;
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::r2d2::{Pool, PooledConnection};
use diesel::sqlite::Sqlite;
use promiscuous_core::broker::{Broker, Consumer, Queue};
use promiscuous_core::config::Config;
use promiscuous_core::database::{Sql, SqlType};
use promiscuous_core::links::Links;
use promiscuous_core::message::Message;
use promiscuous_core::operation::Operation;
use serde_json::json;

use crate::backend::PromiscuousBackend;
use crate::model::PublishOn;
use crate::subscription::Connection;
use crate::test_databases::TestDatabase;
use crate::{App, Manager, Models, Publish, Running, sql};

diesel::table! {
    items (id) {
        id -> BigInt,
        name -> VarChar,
    }
}

diesel::table! {
    drafts (id) {
        id -> Nullable<BigInt>,
    }
}

/// Published.
#[derive(Debug, Clone, Queryable, Selectable, Insertable, Publish)]
#[diesel(table_name = items)]
#[publish(attributes(name), virtual_attributes(initial))]
pub struct Item {
    pub id: i64,
    pub name: String,
}

impl Item {
    fn initial(&self) -> String {
        self.name.chars().take(1).collect()
    }
}

/// Declared, and not named among the models.
#[derive(Publish)]
#[diesel(table_name = drafts)]
#[publish(attributes(id))]
pub struct Draft {
    pub id: Option<i64>,
}

/// What another app of the same program publishes.
pub mod elsewhere {
    use super::*;

    /// Called like the shop's own, and kept in another table.
    #[derive(Publish)]
    #[diesel(table_name = drafts)]
    #[publish(attributes(id))]
    pub struct Item {
        pub id: Option<i64>,
    }
}

/// Databases that the shop runs on.
pub trait Tested: PromiscuousBackend {
    fn models() -> Models<Self>;
    fn insert(connection: &mut Connection<Self>, item: Item);
    fn rename(connection: &mut Connection<Self>, id: i64, name: &str);
}

macro_rules! tested {
    ($($backend:ty),*) => {$(
        impl Tested for $backend {
            fn models() -> Models<Self> {
                Models::new().publish::<Item>()
            }

            fn insert(connection: &mut Connection<Self>, item: Item) {
                diesel::insert_into(items::table).values(item).execute(connection).unwrap();
            }

            fn rename(connection: &mut Connection<Self>, id: i64, name: &str) {
                diesel::update(items::table.find(id)).set(items::name.eq(name)).execute(connection).unwrap();
            }
        }
    )*};
}
tested!(Pg, Mysql, Sqlite);

/// A shop that runs.
pub struct Shop<DB: Tested> {
    pub running: Running<DB>,
    pool: Pool<Manager<DB>>,
    /// Its database.
    test: TestDatabase,
    pub broker: Arc<dyn Broker>,
    /// What arrives at the mailer.
    arrived: Box<dyn Consumer>,
}

impl<DB: Tested> Shop<DB>
where
    Item: PublishOn<DB>,
{
    pub async fn open(test: TestDatabase) -> Self {
        test.create::<DB>("CREATE TABLE items (id BIGINT NOT NULL PRIMARY KEY, name VARCHAR(50) NOT NULL)");
        let config = Config::embedded("shop", &uuid::Uuid::now_v7().to_string()).unwrap();
        let broker = Links::new(&config).unwrap().broker;
        let queue = Queue { bindings: vec!["shop.item".into()], ..Queue::of("mailer") };
        broker.declare(&queue).await.unwrap();
        let arrived = broker.consume(&queue, 100).await.unwrap();
        let running = App::new(config).models(DB::models()).start(&test.url).unwrap();
        let pool = running.pool(2).unwrap();
        Self { running, pool, test, broker, arrived }
    }

    /// A connection as the app uses it.
    pub fn connect(&self) -> PooledConnection<Manager<DB>> {
        self.pool.get().unwrap()
    }

    pub fn url(&self) -> String {
        self.test.url.clone()
    }

    /// Past the app's capture.
    pub fn run(&self, sql: &str) {
        self.test.connect::<DB>().batch_execute(sql).unwrap();
    }

    /// How many runs there are to go on with.
    pub fn unfinished(&self) -> usize {
        let question = Sql::new(DB::DIALECT, "SELECT name FROM promiscuous_sync");
        sql::query(&mut self.test.connect::<DB>(), question, &[SqlType::Text]).unwrap().len()
    }

    /// Inserts an item, whose message has arrived then.
    pub async fn insert(&mut self, id: i64, name: &str) -> (Item, Message) {
        let item = Item { id, name: name.into() };
        DB::insert(&mut self.connect(), item.clone());
        (item, self.next().await)
    }

    /// The next message.
    pub async fn next(&mut self) -> Message {
        let next = tokio::time::timeout(Duration::from_secs(20), self.arrived.next()).await;
        let delivery = next.expect("nothing arrives").unwrap();
        delivery.acknowledger.ack(&[delivery.tag]).await;
        Message::decode(&delivery.body).unwrap()
    }

    /// What has arrived of rows that were published again, in the order of their ids.
    pub async fn arrived(&mut self, rows: usize) -> Vec<String> {
        let mut all = Vec::new();
        while all.len() < rows {
            all.extend(lines(&self.next().await));
        }
        all.sort();
        all
    }

    /// Checks that nothing has arrived since: what is published now is the next message.
    pub async fn is_quiet(&mut self) {
        let (_, message) = self.insert(1_000_000, "next").await;
        assert_eq!(lines(&message), ["create 1000000 next"]);
        self.running.shut_down(Duration::from_secs(5));
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
