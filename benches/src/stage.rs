//! The servers, databases, apps and queues that the benchmarks stand on.

use std::sync::OnceLock;
use std::time::Duration;

use lapin::options::{QueueBindOptions, QueueDeclareOptions, QueueDeleteOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, Connection, ConnectionProperties};
use promiscuous_core::config::{SecretUrl, Settings};
use promiscuous_core::subscriber::Status;
use promiscuous_seaorm::{Models, Promiscuous, PromiscuousConnection};
use sea_orm::{ConnectOptions, ConnectionTrait, Database, DatabaseConnection, Statement};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

use crate::Outcome;
use crate::models::{TABLES, mailer, shop};

/// The publishing app, whose endpoints are `shop/author` and `shop/post`.
pub const SHOP: &str = "shop";

/// An address that `scripts/bench` has put into the environment.
pub fn server(variable: &str) -> Outcome<String> {
    std::env::var(variable).map_err(|_| format!("{variable} is not set: run scripts/bench").into())
}

/// A connection pool without logging of statements.
pub async fn pool(url: &str, connections: u32) -> Outcome<DatabaseConnection> {
    let mut options = ConnectOptions::new(url);
    options.max_connections(connections).min_connections(connections.min(16)).sqlx_logging(false);
    Ok(Database::connect(options).await?)
}

/// Creates a database with the benchmarks' tables, and answers with its address. One of an earlier part is kept.
pub async fn database(name: &str) -> Outcome<String> {
    let server_url = server("TEST_POSTGRES_URL")?;
    let (server, _) = server_url.rsplit_once('/').ok_or("the address of PostgreSQL names no database")?;
    let url = format!("{server}/{name}");
    let first = pool(&server_url, 1).await?;
    let there = format!("SELECT 1 AS found FROM pg_database WHERE datname = '{name}'");
    if first.query_one_raw(Statement::from_string(first.get_database_backend(), there)).await?.is_none() {
        first.execute_unprepared(&format!("CREATE DATABASE {name}")).await?;
        let db = pool(&url, 1).await?;
        for table in TABLES {
            db.execute_unprepared(table).await?;
        }
        db.close().await?;
    }
    first.close().await?;
    Ok(url)
}

/// An app on the benchmark's servers.
fn app(name: &str, workers: usize, models: Models) -> Outcome<Promiscuous> {
    let mut settings = Settings::default();
    settings.app = Some(name.to_owned());
    settings.amqp_url = Some(SecretUrl::new(server("TEST_AMQP_URL")?));
    settings.redis_url = Some(SecretUrl::new(server("TEST_REDIS_URL")?));
    settings.workers = Some(workers);
    Ok(Promiscuous::new(settings.resolve()?)?.models(models))
}

/// The publishing app with its tables; a pool of its own.
pub async fn publisher(connections: u32) -> Outcome<(PromiscuousConnection, DatabaseConnection)> {
    let db = pool(&database(SHOP).await?, connections).await?;
    let models = Models::new().publish::<shop::author::Entity>().publish::<shop::post::Entity>();
    let promiscuous = app(SHOP, 1, models)?;
    promiscuous.migrate(&db).await?;
    Ok((promiscuous.wrap(db.clone()).await?, db))
}

/// Waits until nothing is left to publish.
pub async fn published(db: &DatabaseConnection) -> Outcome<()> {
    loop {
        if count(db, "promiscuous_outbox").await? == 0 {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The number of rows in a table.
pub async fn count(db: &DatabaseConnection, table: &str) -> Outcome<i64> {
    let sql = format!("SELECT count(*) AS n FROM {table}");
    let row = db.query_one_raw(Statement::from_string(db.get_database_backend(), sql)).await?;
    Ok(row.ok_or("count(*) has no row")?.try_get("", "n")?)
}

/// Which of the shop's endpoints a subscriber wants.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// Authors and posts.
    Both,
    /// Posts only: what they say of authors does not matter then.
    Posts,
}

/// A subscriber that runs until it is stopped.
pub struct Running {
    /// What it is doing.
    pub status: watch::Receiver<Status>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<(), promiscuous_seaorm::Error>>,
}

impl Running {
    /// Lets it end gracefully.
    pub async fn stop(self) -> Outcome<()> {
        let _ = self.stop.send(());
        Ok(self.task.await??)
    }
}

/// Starts a subscribing app with a database of its own name, and waits until it consumes.
pub async fn subscriber(name: &str, workers: usize, wanted: Wanted) -> Outcome<Running> {
    let db = pool(&database(name).await?, workers as u32 + 2).await?;
    let mut models = Models::new().subscribe::<mailer::post::Entity>();
    if wanted == Wanted::Both {
        models = models.subscribe::<mailer::author::Entity>();
    }
    let promiscuous = app(name, workers, models)?;
    promiscuous.migrate(&db).await?;
    let subscriber = promiscuous.subscriber(&promiscuous.wrap(db).await?)?;
    let mut status = subscriber.status();
    let (stop, stopped) = oneshot::channel::<()>();
    let task = tokio::spawn(subscriber.run(async { drop(stopped.await) }));
    status.wait_for(|status| status.consuming).await?;
    Ok(Running { status, stop, task })
}

/// A channel of the benchmark's own.
pub async fn channel() -> Outcome<Channel> {
    static CONNECTION: OnceLock<Connection> = OnceLock::new();
    if CONNECTION.get().is_none() {
        let connection =
            Connection::connect(&server("TEST_AMQP_URL")?, ConnectionProperties::default()).await?;
        let _ = CONNECTION.set(connection);
    }
    let connection = CONNECTION.get().ok_or("there is no connection to RabbitMQ")?;
    Ok(connection.create_channel().await?)
}

/// A quorum queue with copies of the shop's posts, for a loop written by hand.
pub async fn queue_of_posts(name: &str) -> Outcome<()> {
    let channel = channel().await?;
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    channel.queue_declare(name.into(), options, arguments).await?;
    let (exchange, key) = ("promiscuous".into(), "shop.post".into());
    channel
        .queue_bind(name.into(), exchange, key, QueueBindOptions::default(), FieldTable::default())
        .await?;
    Ok(())
}

/// Removes a queue, so that later parts do not fill it.
pub async fn remove_queue(name: &str) -> Outcome<()> {
    channel().await?.queue_delete(name.into(), QueueDeleteOptions::default()).await?;
    Ok(())
}

/// The queue of a subscribing app.
pub fn queue_of(app: &str) -> String {
    format!("{app}.promiscuous")
}
