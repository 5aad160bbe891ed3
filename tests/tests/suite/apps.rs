//! A publishing app and a subscribing one, each with a database of its own, connected by real servers.

use std::ops::Deref;
use std::sync::Arc;

use promiscuous_core::broker::rabbitmq::RabbitMq;
use promiscuous_core::broker::{Broker, Consumer, Queue, QueueKind};
use promiscuous_core::config::Config;
use promiscuous_core::consistency::Consistency;
use promiscuous_core::message::Message;
use promiscuous_tests::conformance::tables::{self, Side};
use promiscuous_tests::conformance::{App, Blueprint, Eyes, Stack};
use promiscuous_tests::databases::{Kind, TestDatabase};
use promiscuous_tests::deaths::STOP_AT;
use promiscuous_tests::processes::{Builder, Process};
use promiscuous_tests::{apps, servers, unique_app, until};

pub use promiscuous_tests::conformance::eyes::SOON;

/// The app that publishes [`apps::PUBLISHED`], or other models.
pub struct Publishing {
    pub stack: Stack,
    pub app: String,
    pub database: TestDatabase,
    /// Its database, as the test sees it.
    pub eyes: Eyes,
    models: &'static [&'static str],
    tables: Tables,
    config: Config,
}

/// The tables of a side.
pub type Tables = fn(Kind, Side) -> Vec<String>;

impl Publishing {
    /// On the shared servers.
    pub async fn new(stack: Stack) -> Self {
        Self::on(stack, &servers::amqp_url(), &servers::redis_url()).await
    }

    /// On these servers.
    pub async fn on(stack: Stack, amqp_url: &str, redis_url: &str) -> Self {
        Self::with(stack, amqp_url, redis_url, (&apps::PUBLISHED, tables::numbered)).await
    }

    /// On the shared servers, with these models and tables.
    pub async fn of(stack: Stack, models: &'static [&'static str], tables: Tables) -> Self {
        Self::with(stack, &servers::amqp_url(), &servers::redis_url(), (models, tables)).await
    }

    async fn with(
        stack: Stack,
        amqp_url: &str,
        redis_url: &str,
        (models, tables): (&'static [&'static str], Tables),
    ) -> Self {
        let app = unique_app("shop");
        let database = stack.kind.create().await;
        let config = apps::config(&app, amqp_url, redis_url);
        tables::create(database.url(), &tables(stack.kind, Side::Publishing)).await;
        stack.migrate(&config, database.url()).await;
        let eyes = Eyes::open(database.url()).await;
        Self { stack, app, database, eyes, models, tables, config }
    }

    /// All of its messages take part in one total order.
    #[must_use]
    pub fn in_a_total_order(mut self) -> Self {
        self.config.consistency = Consistency::Global;
        self
    }

    /// Where it publishes to.
    pub fn broker(&self) -> RabbitMq {
        RabbitMq::new(self.config.amqp_url.expose()).unwrap()
    }

    /// The app in this process, with this many database connections.
    pub async fn connect(&self, connections: u32) -> Arc<dyn App> {
        let mut blueprint = Blueprint::new(self.config.clone(), self.database.url());
        blueprint.connections = connections;
        blueprint.adjust = apps::in_a_hurry;
        self.stack.start(&blueprint.publishing(self.models)).await.unwrap()
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
        let command = command.env("PUBLISHES", self.models.join(","));
        arguments.iter().fold(command, |command, argument| command.arg(argument))
    }

    fn with_environment(&self, process: Builder) -> Builder {
        process
            .env("STACK", self.stack.to_string())
            .env("PROMISCUOUS_APP", &self.app)
            .env("PROMISCUOUS_CONSISTENCY", self.config.consistency.to_string())
            .env("DATABASE_URL", self.database.url())
            .env("AMQP_URL", self.config.amqp_url.expose())
            .env("REDIS_URL", self.config.redis_url.expose())
    }

    /// An app that subscribes to these models.
    pub async fn subscribing(&self, stack: Stack, models: &[&'static str]) -> Subscribing {
        let app = unique_app("mailer");
        let database = stack.kind.create().await;
        let config = apps::config(&app, self.config.amqp_url.expose(), self.config.redis_url.expose());
        tables::create(database.url(), &(self.tables)(stack.kind, Side::Subscribing)).await;
        stack.migrate(&config, database.url()).await;
        let eyes = Eyes::open(database.url()).await;
        Subscribing { stack, app, database, eyes, models: models.to_vec(), from: self.app.clone(), config }
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

/// Deletes all keys of an app on the shared Redis, as one that is wiped would lose them; answers with how many there were.
pub async fn forget(app: &str) -> usize {
    let client = redis::Client::open(servers::redis_url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let script = "local keys = redis.call('KEYS', ARGV[1]) \
                  for _, key in ipairs(keys) do redis.call('DEL', key) end return #keys";
    let pattern = format!("promiscuous:{{{app}}}:*");
    let mut forget = redis::cmd("EVAL");
    forget.arg(script).arg(0).arg(pattern).query_async(&mut connection).await.unwrap()
}

/// An app that subscribes to some of it.
pub struct Subscribing {
    pub stack: Stack,
    pub app: String,
    pub database: TestDatabase,
    /// Its database, as the test sees it.
    pub eyes: Eyes,
    models: Vec<&'static str>,
    from: String,
    config: Config,
}

/// What is seen of it is what is in its database.
impl Deref for Subscribing {
    type Target = Eyes;

    fn deref(&self) -> &Eyes {
        &self.eyes
    }
}

impl Subscribing {
    /// `promiscuous subscribe`.
    pub fn process(&self) -> Builder {
        self.command(&["subscribe"]).env("RUST_LOG", "warn")
    }

    /// `promiscuous` with these arguments.
    pub fn command(&self, arguments: &[&str]) -> Builder {
        let command = Process::new(env!("CARGO_BIN_EXE_command"))
            .env("STACK", self.stack.to_string())
            .env("PROMISCUOUS_APP", &self.app)
            .env("PROMISCUOUS_CLOCK_SKEW", "0")
            .env("DATABASE_URL", self.database.url())
            .env("AMQP_URL", self.config.amqp_url.expose())
            .env("REDIS_URL", self.config.redis_url.expose())
            .env("SUBSCRIBES", self.models.join(","))
            .env("FROM", &self.from);
        arguments.iter().fold(command, |command, argument| command.arg(argument))
    }

    /// What it prints on stdout, once it has ended well.
    pub async fn told(&self, arguments: &[&str]) -> Vec<String> {
        let mut process = self.command(arguments).spawn();
        let status = process.wait().await;
        assert!(status.success(), "{arguments:?}: {status}");
        process.said().to_vec()
    }

    /// The app in this process, with this consistency where its models do not say.
    pub async fn connect(&self, consistency: Consistency) -> Arc<dyn App> {
        let mut config = self.config.clone();
        config.consistency = consistency;
        let mut blueprint = Blueprint::new(config, self.database.url()).subscribing(&self.models, &self.from);
        blueprint.connections = 9;
        self.stack.start(&blueprint).await.unwrap()
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
            let bound = "promiscuous_subscriptions WHERE state <> 'binding' AND endpoint NOT LIKE '%/*'";
            let bound = self.eyes.count(bound).await;
            (bound == self.models.len()).then_some(())
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
