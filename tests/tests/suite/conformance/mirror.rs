//! Two services in the test's process: one publishes from a database, the other keeps a copy in another.

use std::sync::Arc;

use promiscuous_core::config::Config;
use promiscuous_core::message::Message;
use promiscuous_tests::conformance::tables::{self, Side};
use promiscuous_tests::conformance::{App, Blueprint, Eyes, Model, Stack};
use promiscuous_tests::databases::{Kind, TestDatabase};
use promiscuous_tests::unique_app;

use crate::observed::{Observed, Running, decoded};

pub use crate::observed::lines;

/// A publisher (`here`), a subscriber (`there`), and somebody who reads every message.
pub struct Mirror {
    pub here: Arc<dyn App>,
    pub here_eyes: Eyes,
    pub there_eyes: Eyes,
    pub running: Running,
    observed: Observed,
    _there: Arc<dyn App>,
    _databases: [TestDatabase; 2],
}

/// What a pair of services consists of.
pub struct Pair {
    from: Stack,
    to: Stack,
    published: Vec<String>,
    subscribed: Vec<String>,
    tables: fn(Kind, Side) -> Vec<String>,
}

impl Pair {
    /// These models, published and subscribed.
    pub fn new(from: Stack, to: Stack, models: &[&str]) -> Self {
        let published: Vec<String> = models.iter().map(|model| (*model).to_owned()).collect();
        let subscribed = published.clone();
        Self { from, to, published, subscribed, tables: tables::numbered }
    }

    /// Subscribes to these models, and no others.
    pub fn subscribing(self, models: &[&str]) -> Self {
        Self { subscribed: models.iter().map(|model| (*model).to_owned()).collect(), ..self }
    }

    /// With these tables.
    pub fn tables(self, tables: fn(Kind, Side) -> Vec<String>) -> Self {
        Self { tables, ..self }
    }

    /// Starts both services. The publisher's app is `shop`, the subscriber's `mirror`.
    pub async fn start(self) -> Mirror {
        let name = unique_app("mirror");
        let databases = [self.from.kind.create().await, self.to.kind.create().await];
        tables::create(databases[0].url(), &(self.tables)(self.from.kind, Side::Publishing)).await;
        tables::create(databases[1].url(), &(self.tables)(self.to.kind, Side::Subscribing)).await;
        let observed = Observed::at(&name).await;

        let config = Config::embedded("mirror", &name).unwrap();
        self.to.migrate(&config, databases[1].url()).await;
        let there = Blueprint::new(config, databases[1].url()).subscribing(&self.subscribed, "shop");
        let there = self.to.start(&there).await.unwrap();
        let running = Running::start(there.subscriber()).await;

        let config = Config::embedded("shop", &name).unwrap();
        self.from.migrate(&config, databases[0].url()).await;
        let here = Blueprint::new(config, databases[0].url()).publishing(&self.published);
        let here = self.from.start(&here).await.unwrap();
        Mirror {
            here,
            here_eyes: Eyes::open(databases[0].url()).await,
            there_eyes: Eyes::open(databases[1].url()).await,
            running,
            observed,
            _there: there,
            _databases: databases,
        }
    }
}

impl Mirror {
    /// Waits until everything written so far is applied, and returns the messages in the order of their writes, each once.
    pub async fn settle(&mut self) -> Vec<Message> {
        let mut messages = decoded(self.observed.bodies(&self.here_eyes).await);
        self.observed.applied(&self.there_eyes, &mut self.running.status).await;
        messages.sort_by_key(|message| message.id);
        messages.dedup_by_key(|message| message.id);
        messages
    }

    /// Panics unless the copies of these models have the same rows as the originals.
    pub async fn assert_equal(&self, models: &[Model]) {
        for model in models {
            self.there_eyes.assert_equals(&self.here_eyes, *model).await;
        }
    }
}
