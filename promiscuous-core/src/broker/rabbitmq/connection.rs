//! One connection, made anew whenever it was lost.

use std::time::Duration;

use lapin::uri::{AMQPScheme, AMQPUri};
use lapin::{Channel, Connection, ConnectionProperties};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};
use uuid::Uuid;

use super::broker_error;
use crate::broker::BrokerError;
use crate::tls::{self, Authorities};

/// How long connecting may take, in all.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How often both ends say that they are alive, in seconds: a vanished server is noticed after twice that.
const HEARTBEAT: u16 = 20;

/// The pause after the first failed attempt to connect; doubled each time. Meanwhile calls fail at once with the last error.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// The longest pause between attempts: how late a server's return may be noticed.
const LAST_PAUSE: Duration = Duration::from_secs(5);

/// The shared connection.
pub(super) struct Link {
    uri: AMQPUri,
    /// Host and port, for errors: the URL has a password in it.
    at: String,
    /// Whom the server's certificate must come from, where that is not left to the system.
    #[cfg(feature = "tls")]
    pinned: Option<std::sync::Arc<rustls::ClientConfig>>,
    /// An async lock, held while connecting, so that one attempt serves everybody.
    current: Mutex<Current>,
}

#[derive(Default)]
struct Current {
    connection: Option<Connection>,
    /// What the last attempt ended with, when there may be another one, and the pause after that.
    failure: Option<(BrokerError, Instant, Duration)>,
}

impl Link {
    #[cfg_attr(not(feature = "tls"), expect(unused_variables, reason = "there are no certificates"))]
    pub(super) fn new(url: &str, authorities: &Authorities) -> Result<Self, BrokerError> {
        let mut uri: AMQPUri = url.parse().map_err(|_| BrokerError::Refused {
            at: "the configured URL".into(),
            reason: "it is not an AMQP URL: write amqp://user:password@host:port/vhost".into(),
        })?;
        uri.query.heartbeat.get_or_insert(HEARTBEAT);
        let at = format!("{}:{}", uri.authority.host, uri.authority.port);
        let refused = |reason: String| BrokerError::Refused { at: at.clone(), reason };
        if let Some(option) = foreign_tls_option(url) {
            return Err(refused(format!(
                "the option `{option}` of AMQP_URL is not known here: certificates are always checked, and PROMISCUOUS_TLS_CA names the file of their CA"
            )));
        }
        if uri.scheme == AMQPScheme::AMQPS {
            tls::built_in().map_err(|why| refused(why.to_owned()))?;
        }
        Ok(Self {
            uri,
            #[cfg(feature = "tls")]
            pinned: {
                let config = authorities.file().map(tls::client_config).transpose().map_err(refused)?;
                config.map(std::sync::Arc::new)
            },
            at,
            current: Mutex::default(),
        })
    }

    pub(super) fn at(&self) -> &str {
        &self.at
    }

    pub(super) fn lost(&self, reason: &impl ToString) -> BrokerError {
        BrokerError::Connection { at: self.at.clone(), reason: reason.to_string() }
    }

    /// A new channel on the shared connection, which is made if there is none.
    pub(super) async fn channel(&self) -> Result<Channel, BrokerError> {
        let mut current = self.current.lock().await;
        if let Some(connection) = current.connection.take_if(|connection| !connection.status().connected()) {
            tracing::debug!(at = self.at, state = ?connection.status(), "the connection to the broker was lost");
        }
        let connection = match &current.connection {
            Some(connection) => connection,
            None => {
                let connection = self.reconnect(&mut current.failure).await?;
                current.connection.insert(connection)
            }
        };
        connection.create_channel().await.map_err(|error| broker_error(&self.at, &error))
    }

    async fn reconnect(
        &self,
        failure: &mut Option<(BrokerError, Instant, Duration)>,
    ) -> Result<Connection, BrokerError> {
        let pause = match failure {
            Some((error, again_at, _)) if Instant::now() < *again_at => return Err(error.clone()),
            Some((_, _, pause)) => *pause,
            None => FIRST_PAUSE,
        };
        match self.connect().await {
            Ok(connection) => {
                *failure = None;
                tracing::info!(at = self.at, "connected to the broker");
                Ok(connection)
            }
            Err(error) => {
                *failure = Some((error.clone(), Instant::now() + jitter(pause), (pause * 2).min(LAST_PAUSE)));
                Err(error)
            }
        }
    }

    async fn connect(&self) -> Result<Connection, BrokerError> {
        let program = std::env::args().next().unwrap_or_default();
        let program = program.rsplit('/').next().unwrap_or_default();
        let name = format!("promiscuous {program} pid {}", std::process::id());
        let properties = ConnectionProperties::default().with_connection_name(name.into());
        timeout(CONNECT_TIMEOUT, self.open(properties))
            .await
            .map_err(|_| self.lost(&"connecting took too long"))?
            .map_err(|error| self.failed(&error))
    }

    async fn open(&self, properties: ConnectionProperties) -> lapin::Result<Connection> {
        #[cfg(feature = "tls")]
        if let Some(pinned) = self.pinned.as_ref().filter(|_| self.uri.scheme == AMQPScheme::AMQPS) {
            return pinned::open(self.uri.clone(), std::sync::Arc::clone(pinned), properties).await;
        }
        Connection::connect_uri(self.uri.clone(), properties).await
    }

    fn failed(&self, error: &lapin::Error) -> BrokerError {
        #[cfg(feature = "tls")]
        if let lapin::ErrorKind::IOError(cause) = error.kind()
            && let Some(advice) = tls::advice(&**cause)
        {
            return self.lost(&advice);
        }
        broker_error(&self.at, error)
    }
}

/// The client's own way believes the system's authorities as well.
#[cfg(feature = "tls")]
mod pinned {
    use std::sync::Arc;

    use lapin::runtime::default_runtime;
    use lapin::tcp::{AsyncTcpStream, RustlsConnector};
    use lapin::uri::AMQPUri;
    use lapin::{Connection, ConnectionProperties, Error, Result};
    use rustls::ClientConfig;

    pub(super) async fn open(
        uri: AMQPUri,
        config: Arc<ClientConfig>,
        properties: ConnectionProperties,
    ) -> Result<Connection> {
        let runtime = default_runtime()?;
        let connect = async move |uri: AMQPUri, runtime| {
            let (host, port) = (uri.authority.host.as_str(), uri.authority.port);
            let encrypted = async {
                let addresses: Vec<_> = tokio::net::lookup_host((host, port)).await?.collect();
                let stream = AsyncTcpStream::connect(&runtime, addresses).await?;
                stream.into_rustls(&RustlsConnector::from(Arc::clone(&config)), host).await
            };
            encrypted.await.map_err(Error::from)
        };
        Connection::connector(uri, runtime, connect, properties).await
    }
}

/// What other clients are told of TLS in the URL. Here it would be passed over in silence.
fn foreign_tls_option(url: &str) -> Option<&str> {
    let (_, query) = url.split_once('?')?;
    query.split('&').map(|pair| pair.split('=').next().unwrap_or_default()).find(|name| {
        ["cacertfile", "certfile", "keyfile", "verify", "server_name_indication", "fail_if_no_peer_cert"]
            .contains(name)
    })
}

/// Between half the pause and all of it, so that processes that lost a broker together do not come back together.
fn jitter(pause: Duration) -> Duration {
    // The last byte of an id is random.
    let [.., random] = Uuid::now_v7().into_bytes();
    pause.mul_f64(0.5 + f64::from(random) / 512.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_server_that_is_away_is_an_error_and_never_tells_the_password() {
        let link = Link::new("amqp://user:secret@127.0.0.1:1/%2f", &Authorities::default()).unwrap();
        for _ in 0..3 {
            let error = link.channel().await.unwrap_err();
            assert!(matches!(error, BrokerError::Connection { .. }));
            assert!(
                error.to_string().contains("127.0.0.1:1") && !error.to_string().contains("secret"),
                "{error}"
            );
        }
        let error = Link::new("secret@nonsense", &Authorities::default()).err().unwrap().to_string();
        assert!(error.contains("amqp://") && !error.contains("secret"), "{error}");
    }

    #[test]
    fn what_other_clients_are_told_of_tls_is_not_passed_over() {
        let url = "amqps://user:secret@rabbit/%2f?heartbeat=5&verify=verify_none";
        let error = Link::new(url, &Authorities::default()).err().unwrap().to_string();
        assert!(error.contains("`verify`") && error.contains("PROMISCUOUS_TLS_CA"), "{error}");
        assert!(!error.contains("secret"), "{error}");
    }

    #[test]
    fn pauses_differ_but_not_by_much() {
        for _ in 0..100 {
            let pause = jitter(LAST_PAUSE);
            assert!(pause >= LAST_PAUSE / 2 && pause <= LAST_PAUSE);
        }
    }
}
