//! One connection, made anew whenever it was lost.

use std::time::Duration;

use lapin::uri::AMQPUri;
use lapin::{Channel, Connection, ConnectionProperties};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};
use uuid::Uuid;

use super::broker_error;
use crate::broker::BrokerError;

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
    pub(super) fn new(url: &str) -> Result<Self, BrokerError> {
        let mut uri: AMQPUri = url.parse().map_err(|_| BrokerError::Refused {
            at: "the configured URL".into(),
            reason: "it is not an AMQP URL: write amqp://user:password@host:port/vhost".into(),
        })?;
        uri.query.heartbeat.get_or_insert(HEARTBEAT);
        let at = format!("{}:{}", uri.authority.host, uri.authority.port);
        Ok(Self { uri, at, current: Mutex::default() })
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
        timeout(CONNECT_TIMEOUT, Connection::connect_uri(self.uri.clone(), properties))
            .await
            .map_err(|_| self.lost(&"connecting took too long"))?
            .map_err(|error| broker_error(&self.at, &error))
    }
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
        let link = Link::new("amqp://user:secret@127.0.0.1:1/%2f").unwrap();
        for _ in 0..3 {
            let error = link.channel().await.unwrap_err();
            assert!(matches!(error, BrokerError::Connection { .. }));
            assert!(
                error.to_string().contains("127.0.0.1:1") && !error.to_string().contains("secret"),
                "{error}"
            );
        }
        let error = Link::new("secret@nonsense").err().unwrap().to_string();
        assert!(error.contains("amqp://") && !error.contains("secret"), "{error}");
    }

    #[test]
    fn pauses_differ_but_not_by_much() {
        for _ in 0..100 {
            let pause = jitter(LAST_PAUSE);
            assert!(pause >= LAST_PAUSE / 2 && pause <= LAST_PAUSE);
        }
    }
}
