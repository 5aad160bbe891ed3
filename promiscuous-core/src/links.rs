//! Connections to the version store and the broker, chosen by the scheme of their URLs.

use std::sync::Arc;

use crate::broker::Broker;
use crate::broker::memory::MemoryBroker;
use crate::config::{Config, SecretUrl};
use crate::error::Error;
use crate::tls::{self, Authorities};
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
    /// [`Error::Configuration`] for a URL of an unknown scheme, for one that asks for TLS where the program has none, and for
    /// a file of certificate authorities that cannot be used. A server that is away is no error here.
    pub fn new(config: &Config) -> Result<Self, Error> {
        let authorities = Authorities::new(config.tls_ca.as_deref())?;
        let (versions, applied) = stores(config, &authorities)?;
        Ok(Self { versions, applied, broker: broker(config, &authorities)? })
    }
}

type Stores = (Arc<dyn VersionStore>, Arc<dyn AppliedStore>);

#[cfg_attr(
    not(feature = "redis"),
    expect(unused_variables, reason = "the embedded store has no certificate")
)]
fn stores(config: &Config, authorities: &Authorities) -> Result<Stores, Error> {
    let url = &config.redis_url;
    match url.scheme() {
        "rediss" | "valkeys" if tls::built_in().is_err() => Err(without_tls("REDIS_URL")),
        "memory" => {
            // Each app has a store of its own, as each has its own part of a Redis.
            let store = MemoryStore::named(&format!("{}/{}", url.host_and_port(), config.app));
            embedded("version store");
            Ok((Arc::new(store.clone()), Arc::new(store)))
        }
        #[cfg(feature = "redis")]
        "redis" | "rediss" | "valkey" | "valkeys" | "unix" | "redis+unix" => {
            use crate::version_store::redis::RedisStore;
            let store = Arc::new(RedisStore::connect_trusting(url.expose(), &config.app, authorities)?);
            Ok((Arc::<_>::clone(&store) as Arc<dyn VersionStore>, store))
        }
        _ => Err(unknown(url, "REDIS_URL", "redis://host:6379/")),
    }
}

#[cfg_attr(
    not(feature = "rabbitmq"),
    expect(unused_variables, reason = "the embedded broker has no certificate")
)]
fn broker(config: &Config, authorities: &Authorities) -> Result<Arc<dyn Broker>, Error> {
    let url = &config.amqp_url;
    match url.scheme() {
        "amqps" if tls::built_in().is_err() => Err(without_tls("AMQP_URL")),
        "memory" => {
            embedded("broker");
            Ok(Arc::new(MemoryBroker::named(url.host_and_port())))
        }
        #[cfg(feature = "rabbitmq")]
        "amqp" | "amqps" => {
            use crate::broker::rabbitmq::RabbitMq;
            Ok(Arc::new(RabbitMq::trusting(url.expose(), authorities)?))
        }
        _ => Err(unknown(url, "AMQP_URL", "amqp://user:password@host:5672/%2f")),
    }
}

fn without_tls(name: &str) -> Error {
    let why = tls::built_in().err().unwrap_or_default();
    Error::Configuration(format!("{name} cannot be used: {why}"))
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
