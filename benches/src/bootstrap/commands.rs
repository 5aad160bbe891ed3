//! The `promiscuous` command of both apps: this program again.

use std::process::{ExitCode, Stdio};

use promiscuous_seaorm::Models;
use tokio::process::{Child, Command};

use super::{MAILER, SHOP};
use crate::Outcome;
use crate::databases::Kind;
use crate::models::seaorm::{mailer, shop};
use crate::stage::server;

/// Names the app whose command a process is.
const VARIABLE: &str = "BENCH_COMMAND_OF";

/// Whose command.
#[derive(Clone, Copy)]
pub enum Side {
    /// The publisher's.
    Shop,
    /// The subscriber's.
    Mailer,
}

/// What the publisher publishes.
pub fn published() -> Models {
    Models::new().publish::<shop::item::Entity>()
}

/// Is the command, where this process was started as one.
pub async fn command() -> Option<ExitCode> {
    let models = match std::env::var(VARIABLE).ok()?.as_str() {
        SHOP => published(),
        _ => Models::new().subscribe_from::<mailer::item::Entity>(format!("{SHOP}/item")),
    };
    Some(promiscuous_seaorm::cli_with(models).await)
}

impl Side {
    /// Starts it.
    pub fn start(self, arguments: &[&str]) -> Outcome<Running> {
        let app = match self {
            Self::Shop => SHOP,
            Self::Mailer => MAILER,
        };
        let mut command = Command::new(std::env::current_exe()?);
        command.args(arguments).env(VARIABLE, app).env("PROMISCUOUS_APP", app);
        command.env("DATABASE_URL", Kind::Postgres.url(app)?);
        command.env("AMQP_URL", server("TEST_AMQP_URL")?).env("REDIS_URL", server("TEST_REDIS_URL")?);
        command.env("RUST_LOG", "error").stdin(Stdio::null()).stdout(Stdio::null());
        Ok(Running { child: command.kill_on_drop(true).spawn()? })
    }
}

/// A command that runs; dropped it is killed.
pub struct Running {
    child: Child,
}

impl Running {
    /// Whether it has ended, and if so, whether well.
    pub fn has_ended(&mut self) -> Outcome<Option<bool>> {
        Ok(self.child.try_wait()?.map(|status| status.success()))
    }

    /// Waits for its end, and says whether it ended well.
    pub async fn ends_well(mut self) -> Outcome<bool> {
        Ok(self.child.wait().await?.success())
    }

    /// The most memory that it has had, in kB; 0 when it has ended.
    pub fn largest_kb(&self) -> u64 {
        let status =
            self.child.id().and_then(|id| std::fs::read_to_string(format!("/proc/{id}/status")).ok());
        let line =
            status.as_deref().into_iter().flat_map(str::lines).find_map(|line| line.strip_prefix("VmHWM:"));
        line.and_then(|line| line.trim().trim_end_matches(" kB").trim().parse().ok()).unwrap_or(0)
    }
}
