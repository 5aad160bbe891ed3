//! Connections to the version store and the broker, chosen by the scheme of their URLs.

use std::sync::Arc;

use crate::broker::Broker;
use crate::broker::memory::MemoryBroker;
use crate::config::{Config, SecretUrl};
use crate::error::Error;
use crate::version_store::memory::MemoryStore;
use crate::version_store::{AppliedStore, VersionStore};

/// An app's version stores and broker. Cheaply cloned; connections are made when they are first needed.
#[derive(Clone)]
pub struct Links {
    /// The publisher's versions, locks and intents.
    pub versions: Arc<dyn VersionStore>,
    /// The subscriber's cache of what it applied.
    pub applied: Arc<dyn AppliedStore>,
    /// The broker.
    pub broker: Arc<dyn Broker>,
}

impl Links {
    /// The links that a configuration names.
    ///
    /// # Errors
    /// [`Error::Configuration`] for a URL of an unknown scheme. A server that is away is no error here.
    pub fn new(config: &Config) -> Result<Self, Error> {
        let (versions, applied) = stores(config)?;
        Ok(Self { versions, applied, broker: broker(config)? })
    }
}

type Stores = (Arc<dyn VersionStore>, Arc<dyn AppliedStore>);

fn stores(config: &Config) -> Result<Stores, Error> {
    let url = &config.redis_url;
    match url.scheme() {
        "memory" => {
            // Each app has a store of its own, as each has its own part of a Redis.
            let store = MemoryStore::named(&format!("{}/{}", url.host_and_port(), config.app));
            embedded("version store");
            Ok((Arc::new(store.clone()), Arc::new(store)))
        }
        #[cfg(feature = "redis")]
        "redis" | "rediss" | "unix" | "redis+unix" => {
            let store = crate::version_store::redis::RedisStore::connect(url.expose(), &config.app)?;
            let store = Arc::new(store);
            Ok((Arc::<_>::clone(&store) as Arc<dyn VersionStore>, store))
        }
        _ => Err(unknown(url, "REDIS_URL", "redis://host:6379/")),
    }
}

fn broker(config: &Config) -> Result<Arc<dyn Broker>, Error> {
    let url = &config.amqp_url;
    match url.scheme() {
        "memory" => {
            embedded("broker");
            Ok(Arc::new(MemoryBroker::named(url.host_and_port())))
        }
        #[cfg(feature = "rabbitmq")]
        "amqp" | "amqps" => Ok(Arc::new(crate::broker::rabbitmq::RabbitMq::new(url.expose())?)),
        _ => Err(unknown(url, "AMQP_URL", "amqp://user:password@host:5672/%2f")),
    }
}

fn embedded(what: &str) {
    tracing::warn!("the embedded {what} is used: it lives in this process and forgets everything at its end");
}

fn unknown(url: &SecretUrl, name: &str, example: &str) -> Error {
    Error::Configuration(format!(
        "{name} has the scheme `{}`, which this program was not built for: write `{example}`, or `memory://name` to try without a server",
        url.scheme()
    ))
}
