//! A publishing app and a subscribing one, each with a PostgreSQL database of its own, connected by real servers.

use std::time::Duration;

use promiscuous_core::broker::rabbitmq::RabbitMq;
use promiscuous_core::broker::{Broker, Consumer, Queue, QueueKind};
use promiscuous_core::config::Config;
use promiscuous_core::message::Message;
use promiscuous_seaorm::{Context, Promiscuous, PromiscuousConnection};
use promiscuous_tests::databases::TestDatabase;
use promiscuous_tests::deaths::STOP_AT;
use promiscuous_tests::entities::publishing;
use promiscuous_tests::entities::subscribing::{self, applied};
use promiscuous_tests::processes::{Builder, Process};
use promiscuous_tests::{apps, servers, unique_app, until};
use sea_orm::sea_query::ExprTrait;
use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectionTrait, DatabaseConnection, DbErr, EntityTrait, PaginatorTrait,
    QueryFilter, QueryOrder, Set,
};

/// How long something that must happen may take.
pub const SOON: Duration = Duration::from_secs(30);

/// The app that publishes everything in [`publishing`].
pub struct Publishing {
    pub app: String,
    pub database: TestDatabase,
    config: Config,
}

impl Publishing {
    /// On the shared servers.
    pub async fn new() -> Self {
        Self::on(&servers::amqp_url(), &servers::redis_url()).await
    }

    /// On these servers.
    pub async fn on(amqp_url: &str, redis_url: &str) -> Self {
        let app = unique_app("shop");
        let database = TestDatabase::postgres().await;
        let config = apps::config(&app, amqp_url, redis_url);
        let db = database.connect(1).await;
        apps::create_published_tables(&db).await;
        Promiscuous::new(config.clone()).unwrap().migrate(&db).await.unwrap();
        Self { app, database, config }
    }

    /// Where it publishes to.
    pub fn broker(&self) -> RabbitMq {
        RabbitMq::new(self.config.amqp_url.expose()).unwrap()
    }

    /// The app in this process, with this many database connections.
    pub async fn connect(&self, connections: u32) -> PromiscuousConnection {
        let promiscuous = Promiscuous::new(self.config.clone()).unwrap().models(apps::published());
        let promiscuous = promiscuous.publisher_settings(apps::in_a_hurry);
        promiscuous.wrap(self.database.connect(connections).await).await.unwrap()
    }

    /// The app in a process of its own that does these things.
    pub fn process(&self, what: &[&str]) -> Builder {
        let program = self.with_environment(Process::new(env!("CARGO_BIN_EXE_publisher")));
        what.iter().fold(program, |program, argument| program.arg(argument))
    }

    /// That process, which stands still at this fail point. Kills it there.
    pub async fn die_at(&self, point: &str, what: &[&str]) {
        let mut process = self.process(what).env(STOP_AT, point).spawn();
        process.wait_for_line("reached").await;
        process.kill().await;
    }

    /// `promiscuous` with these arguments.
    pub fn command(&self, arguments: &[&str]) -> Builder {
        let command = self.with_environment(Process::new(env!("CARGO_BIN_EXE_command")));
        arguments.iter().fold(command, |command, argument| command.arg(argument))
    }

    fn with_environment(&self, process: Builder) -> Builder {
        process
            .env("PROMISCUOUS_APP", &self.app)
            .env("DATABASE_URL", self.database.url())
            .env("AMQP_URL", self.config.amqp_url.expose())
            .env("REDIS_URL", self.config.redis_url.expose())
    }

    /// An app that subscribes to these models.
    pub async fn subscribing(&self, models: &[&'static str]) -> Subscribing {
        let app = unique_app("mailer");
        let database = TestDatabase::postgres().await;
        let db = database.connect(4).await;
        let config = apps::config(&app, self.config.amqp_url.expose(), self.config.redis_url.expose());
        apps::create_subscribed_tables(&db).await;
        Promiscuous::new(config.clone()).unwrap().migrate(&db).await.unwrap();
        Subscribing { app, database, db, models: models.to_vec(), from: self.app.clone(), config }
    }

    /// Everything that this app publishes from now on, as it goes over the wire.
    pub async fn tap(&self) -> Tap {
        let broker = self.broker();
        let bindings = vec![format!("{}.*", self.app)];
        let queue = Queue { app: unique_app("tap"), bindings, kind: QueueKind::Classic };
        broker.declare(&queue).await.unwrap();
        let consumer = broker.consume(&queue, 1_000).await.unwrap();
        Tap { consumer, _broker: broker }
    }
}

/// An app that subscribes to some of it.
pub struct Subscribing {
    pub app: String,
    pub database: TestDatabase,
    /// Its database, as its own code sees it.
    pub db: DatabaseConnection,
    models: Vec<&'static str>,
    from: String,
    config: Config,
}

impl Subscribing {
    /// `promiscuous subscribe`.
    pub fn process(&self) -> Builder {
        Process::new(env!("CARGO_BIN_EXE_command"))
            .arg("subscribe")
            .env("PROMISCUOUS_APP", &self.app)
            .env("PROMISCUOUS_CLOCK_SKEW", "0")
            .env("DATABASE_URL", self.database.url())
            .env("AMQP_URL", self.config.amqp_url.expose())
            .env("REDIS_URL", self.config.redis_url.expose())
            .env("SUBSCRIBES", self.models.join(","))
            .env("FROM", &self.from)
            .env("RUST_LOG", "warn")
    }

    /// Starts it, and waits until everything published from now on arrives.
    pub async fn start(&self) -> Process {
        let process = self.process().spawn();
        self.bound().await;
        process
    }

    /// Waits until everything published from now on arrives. Nothing tells when a queue is bound but the table that
    /// remembers since when.
    pub async fn bound(&self) {
        until(SOON, "the queue's bindings", async || {
            let count = "SELECT COUNT(*) AS count FROM promiscuous_subscriptions";
            let row = self.db.query_one_raw(statement(count)).await.unwrap().unwrap();
            let bound: i64 = row.try_get("", "count").unwrap();
            (usize::try_from(bound) == Ok(self.models.len())).then_some(())
        })
        .await;
    }

    /// The values of an object in the order they were applied.
    pub async fn values(&self, kind: &str, object: i64) -> Vec<i64> {
        let lines = self.log(kind).await;
        lines.into_iter().filter(|line| line.object == object).map(|line| line.value).collect()
    }

    /// What was applied of one kind, in order.
    pub async fn log(&self, kind: &str) -> Vec<applied::Model> {
        let lines = applied::Entity::find().filter(applied::Column::Kind.eq(kind));
        lines.order_by_asc(applied::Column::Position).all(&self.db).await.unwrap()
    }

    /// What was applied without its cause.
    pub async fn violations(&self) -> Vec<String> {
        self.log(subscribing::VIOLATION).await.iter().map(|line| format!("{line:?}")).collect()
    }

    /// Waits until a counter has arrived at this number.
    pub async fn counted(&self, id: i64, n: i64) {
        self.counted_within(SOON, id, n).await;
    }

    /// The same, with a deadline.
    pub async fn counted_within(&self, deadline: Duration, id: i64, n: i64) {
        let what = format!("counter {id} to be {n}");
        until(deadline, &what, async || {
            let counter = subscribing::counter::Entity::find_by_id(id).one(&self.db).await.unwrap();
            counter.filter(|counter| counter.n == n).map(|_| ())
        })
        .await;
    }

    /// Waits until a model has this many rows.
    pub async fn rows<E: EntityTrait<Model: Send + Sync>>(&self, _: E, count: u64) {
        let what = format!("{count} rows of {}", E::default().table_name());
        until(Duration::from_secs(90), &what, async || {
            (E::find().count(&self.db).await.unwrap() >= count).then_some(())
        })
        .await;
    }
}

/// Hears everything that an app publishes.
pub struct Tap {
    consumer: Box<dyn Consumer>,
    _broker: RabbitMq,
}

impl Tap {
    /// The next message.
    pub async fn message(&mut self) -> Message {
        let delivery = tokio::time::timeout(SOON, self.consumer.next()).await;
        let delivery = delivery.expect("nothing was published").expect("the broker is gone");
        delivery.acknowledger.ack(&[delivery.tag]).await;
        Message::decode(&delivery.body).unwrap()
    }

    /// All messages until one that writes this object, which is the last.
    pub async fn until(&mut self, endpoint_and_id: &str) -> Vec<Message> {
        let mut messages = Vec::new();
        loop {
            let message = self.message().await;
            let found = written(&message).iter().any(|key| key == endpoint_and_id);
            messages.push(message);
            if found {
                return messages;
            }
        }
    }
}

/// The keys that a message writes, without the app.
pub fn written(message: &Message) -> Vec<String> {
    let written = message.dependencies.iter().flat_map(|d| &d.write);
    written.map(|w| without_app(w.key.as_str())).collect()
}

/// The keys that a message has read, without the app, sorted.
pub fn read(message: &Message) -> Vec<String> {
    let read = message.dependencies.iter().flat_map(|d| &d.read);
    let mut keys: Vec<_> = read.map(|r| without_app(r.key.as_str())).collect();
    keys.sort();
    keys
}

fn without_app(key: &str) -> String {
    key.split_once('/').unwrap().1.to_owned()
}

pub fn statement(sql: &str) -> sea_orm::Statement {
    sea_orm::Statement::from_string(sea_orm::DbBackend::Postgres, sql)
}

/// Inserts a counter that is at 0.
pub async fn create_counter(db: &impl ConnectionTrait, id: i64) -> Result<(), DbErr> {
    let counter = publishing::counter::ActiveModel { id: Set(id), n: Set(0) };
    counter.insert(db).await.map(|_| ())
}

/// One more, in the database.
pub async fn increment(db: &impl ConnectionTrait, id: i64) -> Result<(), DbErr> {
    use publishing::counter::{Column, Entity};
    let more = Entity::update_many().col_expr(Column::N, Column::N.into_expr().add(1));
    more.filter(Column::Id.eq(id)).exec(db).await.map(|_| ())
}

/// What a request handler does: a unit of cause and effect.
pub async fn request<T>(name: &str, what: impl Future<Output = T>) -> T {
    Context::new(name).scope(Box::pin(what)).await
}
