//! The servers that tests talk to.
//!
//! Most tests share the servers that `scripts/test` has started, and keep apart by names of their own
//! ([`unique_app`](crate::unique_app), [`TestDatabase`](crate::databases::TestDatabase)). A test that stops,
//! pauses or restarts a server starts [`PrivateServers`]; put it in a module named `faults`, of which nextest
//! runs one test at a time.

use std::process::Stdio;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;
use tokio::process::Command;

use crate::certificates::Authority;

/// The address of the shared Redis.
pub fn redis_url() -> String {
    shared("TEST_REDIS_URL")
}

/// The address of the shared RabbitMQ.
pub fn amqp_url() -> String {
    shared("TEST_AMQP_URL")
}

/// The address of a database on the shared PostgreSQL from which others can be created.
pub fn postgres_url() -> String {
    shared("TEST_POSTGRES_URL")
}

/// The address of a database on the shared MariaDB from which others can be created.
pub fn mariadb_url() -> String {
    shared("TEST_MARIADB_URL")
}

fn shared(variable: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| {
        panic!(
            "{variable} is not set, so there is no server to test with. \
             Run scripts/test, or: scripts/servers start /tmp/x && source /tmp/x/env"
        )
    })
}

/// A kind of server, named as `scripts/servers` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Server {
    /// Redis, without persistence: a restarted one is empty.
    Redis,
    /// RabbitMQ.
    RabbitMq,
    /// PostgreSQL.
    Postgres,
    /// MariaDB.
    MariaDb,
}

impl Server {
    fn name(self) -> &'static str {
        match self {
            Server::Redis => "redis",
            Server::RabbitMq => "rabbitmq",
            Server::Postgres => "postgres",
            Server::MariaDb => "mariadb",
        }
    }

    fn variable(self) -> &'static str {
        match self {
            Server::Redis => "TEST_REDIS_URL",
            Server::RabbitMq => "TEST_AMQP_URL",
            Server::Postgres => "TEST_POSTGRES_URL",
            Server::MariaDb => "TEST_MARIADB_URL",
        }
    }
}

/// Servers of one test's own, killed when dropped.
///
/// A killed server keeps its address and its data, and [`start`](PrivateServers::start) brings it back.
#[derive(Debug)]
pub struct PrivateServers {
    /// Holds everything the servers write; removed after they are gone.
    folder: TempDir,
}

impl PrivateServers {
    /// Starts the given servers and waits until each one answers.
    pub async fn new(servers: &[Server]) -> Self {
        let folder = tempfile::Builder::new().prefix("promiscuous-servers-").tempdir();
        let new = Self { folder: folder.expect("The temporary folder must be writable.") };
        new.command("start", servers).await;
        new
    }

    /// The same, with TLS and a certificate that this authority has signed. Redis and RabbitMQ take no other connections.
    pub async fn with_tls(servers: &[Server], authority: &Authority) -> Self {
        let folder = tempfile::Builder::new().prefix("promiscuous-servers-").tempdir();
        let new = Self { folder: folder.expect("The temporary folder must be writable.") };
        let tls = new.folder.path().join("tls");
        std::fs::create_dir(&tls).expect("The temporary folder must be writable.");
        authority.sign_server(&tls);
        new.command("start", servers).await;
        new
    }

    /// Administers RabbitMQ with `rabbitmqctl`.
    pub async fn rabbitmqctl(&self, arguments: &[&str]) {
        let mut script = Command::new(SCRIPT);
        script.arg("rabbitmqctl").arg(self.folder.path()).args(arguments);
        let status = script.stdin(Stdio::null()).status().await;
        let status = status.expect("scripts/servers must be executable.");
        assert!(status.success(), "rabbitmqctl {arguments:?} failed; its messages are above.");
    }

    /// The address of one of them.
    pub fn url(&self, server: Server) -> String {
        let file = self.folder.path().join("env");
        let env = std::fs::read_to_string(file).expect("scripts/servers start writes this file.");
        let start = format!("export {}=", server.variable());
        let line = env.lines().find_map(|line| line.strip_prefix(&start));
        line.unwrap_or_else(|| panic!("{server:?} was not started: name it in PrivateServers::new."))
            .to_owned()
    }

    /// Starts servers that have been killed: same address, same data.
    pub async fn start(&self, servers: &[Server]) {
        self.command("start", servers).await;
    }

    /// Kills servers at once, as a power cut would.
    pub async fn kill(&self, servers: &[Server]) {
        self.command("stop", servers).await;
    }

    /// Asks a server to end, as an administrator would, and waits until it is gone.
    pub async fn shut_down(&self, server: Server) {
        let pid = self.signal(server, Signal::SIGTERM);
        let alive = || kill(Pid::from_raw(-pid), None).is_ok();
        crate::until(std::time::Duration::from_secs(60), "a server to end", async || {
            (!alive()).then_some(())
        })
        .await;
    }

    /// Stops a server in its tracks, so that it neither answers nor closes connections.
    ///
    /// PostgreSQL's open sessions have processes of their own and go on; it only takes no new ones.
    pub fn pause(&self, server: Server) {
        self.signal(server, Signal::SIGSTOP);
    }

    /// Lets a paused server go on.
    pub fn resume(&self, server: Server) {
        self.signal(server, Signal::SIGCONT);
    }

    fn signal(&self, server: Server, signal: Signal) -> i32 {
        let file = self.folder.path().join(format!("{}.pid", server.name()));
        let pid = std::fs::read_to_string(file).ok().and_then(|pid| pid.trim().parse().ok());
        let pid: i32 = pid.unwrap_or_else(|| panic!("{server:?} does not run: start it first."));
        // The whole group: RabbitMQ's process is the child of a shell script.
        kill(Pid::from_raw(-pid), signal).expect("The server must be alive to get a signal.");
        pid
    }

    async fn command(&self, command: &str, servers: &[Server]) {
        let mut script = Command::new(SCRIPT);
        script.arg(command).arg(self.folder.path()).args(servers.iter().map(|server| server.name()));
        let status = script.stdin(Stdio::null()).status().await;
        let status = status.expect("scripts/servers must be executable.");
        assert!(status.success(), "scripts/servers {command} failed; its messages are above.");
    }
}

impl Drop for PrivateServers {
    fn drop(&mut self) {
        // Blocking on purpose: a Drop cannot await, and the folder must not go before the servers.
        let _ = std::process::Command::new(SCRIPT).arg("stop").arg(self.folder.path()).status();
    }
}

/// `scripts/servers` of this repository.
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/servers");
