//! One connection to the server, shared by all callers, that comes back by itself.
//!
//! Not the client's own connection manager, for three reasons: a connection that answers nothing is replaced
//! like one that broke, callers that queue behind a failed attempt share its failure instead of repeating it one
//! after the other, and each connection knows which *server run* it leads to. The scripts compare that
//! with the run that the generation was confirmed on: a restart, a failover and a restored snapshot all change
//! it, so no process has to remember anything, and whichever raises the generation has done so for all.

use std::sync::{Arc, Once};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ErrorKind, FromRedisValue, IntoConnectionInfo, Pipeline,
    RedisError, ServerErrorKind, Value,
};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use super::StoreError;
use super::scripts::{Call, Script, unexpected};
use crate::tls::{self, Authorities};

/// How long connecting may take, and how long an answer may: a published write fails after it.
pub(super) const TIMEOUT: Duration = Duration::from_secs(5);

/// The first pause between attempts to connect; doubled each time. Meanwhile calls fail at once with the last error.
const FIRST_PAUSE: Duration = Duration::from_millis(50);

/// The longest pause between attempts: how late a server's return may be noticed.
const LAST_PAUSE: Duration = Duration::from_secs(1);

/// Commands that may wait to be sent; callers beyond wait for their turn.
const SEND_BUFFER: usize = 1_024;

/// The shared connection.
pub(super) struct Link {
    client: Client,
    /// Host and port, for errors: the URL has a password in it.
    at: String,
    /// An async lock, held while connecting, so that one attempt serves everybody.
    current: Mutex<Current>,
    /// Whether it was told that the server hides which run it is: it is asked every second.
    hidden: Once,
}

#[derive(Default)]
struct Current {
    connection: Option<Connection>,
    /// Numbers the connections, so that a caller discards the one that failed it and not its successor.
    count: u64,
    /// What the last attempt ended with, when there may be another one, and the pause after that.
    failure: Option<(StoreError, Instant, Duration)>,
}

#[derive(Clone)]
struct Connection {
    inner: MultiplexedConnection,
    /// See [`Current::count`].
    number: u64,
    /// The run of the server at the other end: see [`run_id`]; empty when an ACL hides it.
    run_id: Arc<str>,
}

impl Link {
    #[cfg_attr(not(feature = "tls"), expect(unused_variables, reason = "there are no certificates"))]
    pub(super) fn new(url: &str, authorities: &Authorities) -> Result<Self, StoreError> {
        let unusable =
            |reason: &str| StoreError::Unavailable { at: "the configured URL".into(), reason: reason.into() };
        let wrong = |_| {
            unusable(
                "it is not a Redis URL: write redis://[user:password@]host:port/database, or rediss:// for TLS",
            )
        };
        if ["rediss:", "valkeys:"].iter().any(|scheme| url.starts_with(scheme)) {
            tls::built_in().map_err(unusable)?;
        }
        let info = url.into_connection_info().map_err(wrong)?;
        if matches!(info.addr(), ConnectionAddr::TcpTls { insecure: true, .. }) {
            return Err(unusable(
                "it ends in `#insecure`, which would believe any certificate: remove that, and name the file of the server's CA in PROMISCUOUS_TLS_CA (`tls_ca`)",
            ));
        }
        let tcp = info.tcp_settings().clone().set_nodelay(true);
        let info = info.set_tcp_settings(tcp);
        let at = match info.addr() {
            ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } => {
                format!("{host}:{port}")
            }
            other => other.to_string(),
        };
        #[cfg(feature = "tls")]
        if matches!(info.addr(), ConnectionAddr::TcpTls { .. }) {
            tls::choose_provider();
            if let Some(pem) = authorities.file() {
                let certificates = redis::TlsCertificates { client_tls: None, root_cert: Some(pem.to_vec()) };
                let client = Client::build_with_tls(info, certificates).map_err(wrong)?;
                return Ok(Self { client, at, current: Mutex::default(), hidden: Once::new() });
            }
        }
        let client = Client::open(info).map_err(wrong)?;
        Ok(Self { client, at, current: Mutex::default(), hidden: Once::new() })
    }

    pub(super) fn at(&self) -> &str {
        &self.at
    }

    pub(super) fn client(&self) -> Client {
        self.client.clone()
    }

    /// Sends commands in one round trip.
    pub(super) async fn query<T: FromRedisValue>(&self, pipeline: &Pipeline) -> Result<T, StoreError> {
        self.query_and_run(pipeline).await.map(|(answer, _)| answer)
    }

    /// The same, and which server run answered.
    pub(super) async fn query_and_run<T: FromRedisValue>(
        &self,
        pipeline: &Pipeline,
    ) -> Result<(T, Arc<str>), StoreError> {
        let mut connection = self.connection().await?;
        match pipeline.query_async(&mut connection.inner).await {
            Ok(answer) => Ok((answer, connection.run_id)),
            Err(error) => Err(self.failed(&connection, &error).await),
        }
    }

    /// Calls scripts in one round trip and answers what each said. `calls` is given the id of the server run that the connection leads to.
    ///
    /// A server that does not know a script is taught it, and all calls are made again: so they must be repeatable,
    /// or a single one.
    pub(super) async fn eval(
        &self,
        calls: impl Fn(&str) -> Vec<Call> + Send,
    ) -> Result<Vec<Value>, StoreError> {
        let mut connection = self.connection().await?;
        let mut taught = false;
        loop {
            let wanted = calls(&connection.run_id);
            match self.attempt(&mut connection, &wanted).await {
                Ok(answers) => return Ok(answers),
                Err(error) if unknown_script(&error) && !taught => {
                    // A flushed script cache, or another server behind the same connection (a proxy's, say): ask which it is.
                    taught = true;
                    connection.run_id = self.ask_run_id(&mut connection.inner).await?;
                    self.remember(&connection).await;
                    for call in &wanted {
                        self.teach(&mut connection, call.script).await?;
                    }
                }
                Err(error) => return Err(self.failed(&connection, &error).await),
            }
        }
    }

    /// Asks the server anew which run it is, because what it said when the connection was made may be outdated.
    pub(super) async fn refresh_run_id(&self) -> Result<Arc<str>, StoreError> {
        let mut connection = self.connection().await?;
        connection.run_id = self.ask_run_id(&mut connection.inner).await?;
        self.remember(&connection).await;
        Ok(connection.run_id)
    }

    async fn attempt(&self, connection: &mut Connection, calls: &[Call]) -> Result<Vec<Value>, RedisError> {
        let mut pipeline = Pipeline::with_capacity(calls.len());
        for call in calls {
            // A script that this process has never loaded is one that the server need not know: any name will do.
            let sha =
                call.script.sha.get().map_or("0000000000000000000000000000000000000000", String::as_str);
            pipeline.add_command(call.command(sha));
        }
        pipeline.ignore_errors();
        let answers: Vec<Result<Value, RedisError>> = pipeline.query_async(&mut connection.inner).await?;
        answers.into_iter().collect()
    }

    async fn teach(&self, connection: &mut Connection, script: &Script) -> Result<(), StoreError> {
        let loaded =
            redis::cmd("SCRIPT").arg("LOAD").arg(script.text).query_async(&mut connection.inner).await;
        match loaded {
            Ok(sha) => {
                script.sha.get_or_init(|| sha);
                Ok(())
            }
            Err(error) => Err(self.failed(connection, &error).await),
        }
    }

    async fn connection(&self) -> Result<Connection, StoreError> {
        let mut current = self.current.lock().await;
        if let Some(connection) = &current.connection {
            return Ok(connection.clone());
        }
        let pause = match &current.failure {
            Some((error, again_at, _)) if Instant::now() < *again_at => return Err(error.clone()),
            Some((_, _, pause)) => *pause,
            None => FIRST_PAUSE,
        };
        match self.connect().await {
            Ok((inner, run_id)) => {
                current.count += 1;
                let connection = Connection { inner, number: current.count, run_id };
                current.connection = Some(connection.clone());
                current.failure = None;
                Ok(connection)
            }
            Err(error) => {
                let next = (pause * 2).min(LAST_PAUSE);
                current.failure = Some((error.clone(), Instant::now() + pause, next));
                Err(error)
            }
        }
    }

    async fn connect(&self) -> Result<(MultiplexedConnection, Arc<str>), StoreError> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(TIMEOUT))
            .set_response_timeout(Some(TIMEOUT))
            .set_pipeline_buffer_size(SEND_BUFFER);
        let mut inner = self
            .client
            .get_multiplexed_async_connection_with_config(&config)
            .await
            .map_err(|error| self.not_connected(&error))?;
        let run_id = timeout(TIMEOUT, self.ask_run_id(&mut inner))
            .await
            .map_err(|_| self.unavailable(&"it accepted the connection but does not answer"))??;
        Ok((inner, run_id))
    }

    async fn ask_run_id(&self, connection: &mut MultiplexedConnection) -> Result<Arc<str>, StoreError> {
        let mut pipeline = Pipeline::new();
        pipeline.cmd("INFO").arg("server").cmd("INFO").arg("replication").ignore_errors();
        let answers: Vec<Result<String, RedisError>> =
            pipeline.query_async(connection).await.map_err(|error| self.unavailable(&error))?;
        let mut texts = Vec::new();
        for answer in answers {
            match answer {
                Ok(text) => texts.push(text),
                Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoPerm) => {
                    self.hidden.call_once(|| {
                        tracing::warn!(
                            at = self.at,
                            "Redis does not allow INFO, so a restart that loses writes goes unnoticed: allow it in the ACL (`+info`)"
                        );
                    });
                }
                Err(error) => return Err(self.unavailable(&error)),
            }
        }
        Ok(run_id(&texts.concat()).into())
    }

    /// Keeps what was learned about the server for the calls to come.
    async fn remember(&self, connection: &Connection) {
        let mut current = self.current.lock().await;
        if let Some(known) = current.connection.as_mut().filter(|known| known.number == connection.number) {
            known.run_id = connection.run_id.clone();
        }
    }

    /// Discards the connection unless the error says that it is healthy, and turns the error into ours.
    async fn failed(&self, connection: &Connection, error: &RedisError) -> StoreError {
        use ServerErrorKind::{BusyLoading, ClusterDown, MasterDown, ReadOnly};
        let answered = match error.kind() {
            // The server is no master (any more): the next connection may lead to the one that is.
            ErrorKind::Server(BusyLoading | ClusterDown | MasterDown | ReadOnly) => false,
            ErrorKind::Server(_) | ErrorKind::Extension => true,
            ErrorKind::UnexpectedReturnType => return unexpected(error),
            _ => false,
        };
        if !answered {
            let mut current = self.current.lock().await;
            if current.connection.as_ref().is_some_and(|known| known.number == connection.number) {
                current.connection = None;
            }
        }
        // A script's commands are refused in words of their own.
        let refused = error.kind() == ErrorKind::Server(ServerErrorKind::NoPerm)
            || error.detail().is_some_and(|detail| detail.contains("executing the script can't"));
        if refused {
            return self.unavailable(&format!("{error}: grant what docs/security.md lists"));
        }
        self.unavailable(error)
    }

    fn not_connected(&self, error: &RedisError) -> StoreError {
        #[cfg(feature = "tls")]
        if matches!(self.client.get_connection_info().addr(), ConnectionAddr::TcpTls { .. }) {
            if let Some(advice) = tls::advice(error) {
                return self.unavailable(&advice);
            }
            if error.is_timeout() {
                return self
                    .unavailable(&format!("it does not answer in time; if it is up: {}", tls::NO_TLS));
            }
        }
        self.unavailable(error)
    }

    pub(super) fn unavailable(&self, reason: &impl ToString) -> StoreError {
        StoreError::Unavailable { at: self.at.clone(), reason: reason.to_string() }
    }
}

fn unknown_script(error: &RedisError) -> bool {
    error.kind() == ErrorKind::Server(ServerErrorKind::NoScript)
}

/// Which run of which server this is, out of INFO's answer: its run id and, where it was a replica that was promoted, its replication id, for
/// then its data came from elsewhere, perhaps too late.
///
/// A server that never was a replica changes its replication id as well, when its first replica joins and when its last one has been away for
/// an hour. Nothing is lost by that. What tells the two apart is that only one that was promoted remembers the id of before.
fn run_id(info: &str) -> String {
    let field = |name: &str| {
        info.lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
            .unwrap_or("")
            .trim()
            .to_owned()
    };
    let (run, before) = (field("run_id"), field("master_replid2"));
    let never_was_replica = !before.is_empty() && before.bytes().all(|byte| byte == b'0');
    let replication = if never_was_replica { String::new() } else { field("master_replid") };
    if run.is_empty() && replication.is_empty() { String::new() } else { format!("{run}+{replication}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_run_is_named_by_its_id_and_by_where_its_data_came_from() {
        let info = "# Server\r\nredis_version:7.0.15\r\nrun_id:abc\r\n# Replication\r\nrole:master\r\nmaster_replid:def\r\n";
        assert_eq!(run_id(&format!("{info}master_replid2:0000\r\n")), "abc+");
        assert_eq!(run_id(&format!("{info}master_replid2:0120\r\n")), "abc+def");
        assert_eq!(run_id(info), "abc+def");
        assert_eq!(run_id(""), "");
    }

    #[cfg(feature = "tls")]
    #[test]
    fn a_url_that_believes_any_certificate_is_refused() {
        let error = Link::new("rediss://user:secret@redis/#insecure", &Authorities::default());
        let error = error.err().unwrap().to_string();
        assert!(error.contains("#insecure") && error.contains("PROMISCUOUS_TLS_CA"), "{error}");
        assert!(!error.contains("secret"), "{error}");
    }

    #[tokio::test]
    async fn a_server_that_is_away_is_an_error_at_once_and_never_tells_the_password() {
        let link = Link::new("redis://user:secret@127.0.0.1:1/0", &Authorities::default()).unwrap();
        for _ in 0..3 {
            let error = link.refresh_run_id().await.unwrap_err().to_string();
            assert!(error.contains("127.0.0.1:1") && !error.contains("secret"), "{error}");
        }
        let error = Link::new("secret@nonsense", &Authorities::default()).err().unwrap().to_string();
        assert!(error.contains("redis://") && !error.contains("secret"), "{error}");
    }
}
