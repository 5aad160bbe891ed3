//! `promiscuous doctor`.
//!
//! * `finding`: what was found, and how it is shown
//! * `servers`: Redis and RabbitMQ
//! * `database`: the app's database

use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::App;
use crate::config::Config;
use crate::error::Error;
use finding::{Finding, Level};

mod database;
mod finding;
mod servers;

/// How long one server may take in all: a doctor who waits is no help.
const PATIENCE: Duration = Duration::from_secs(15);

#[derive(Args)]
#[command(
    after_help = "Looks, and changes nothing that a start of the app would not. Exit status: 0 when no finding is an error, 1 otherwise.\n\n\
    Examples:\n  promiscuous doctor\n  promiscuous doctor --format json"
)]
pub(super) struct Options {
    /// How the findings on stdout are written.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Lines for people.
    Text,
    /// One JSON array.
    Json,
}

pub(super) async fn run(app: &dyn App, options: Options, config: Config) -> Result<ExitCode, Error> {
    let (database, redis, rabbitmq) = tokio::join!(
        in_time("database", database::look(app, &config)),
        in_time("redis", servers::redis(&config)),
        in_time("rabbitmq", servers::rabbitmq(app, &config)),
    );
    let findings: Vec<Finding> = [database, redis, rabbitmq].concat();
    match options.format {
        Format::Text => findings.iter().for_each(|finding| println!("{finding}")),
        Format::Json => println!("{}", finding::json(&findings)),
    }
    let failed = findings.iter().any(|finding| finding.level == Level::Error);
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

async fn in_time(check: &'static str, looking: impl Future<Output = Vec<Finding>>) -> Vec<Finding> {
    tokio::time::timeout(PATIENCE, looking).await.unwrap_or_else(|_| {
        let says = format!("no answer within {} s", PATIENCE.as_secs());
        vec![Finding::error(
            check,
            says,
            "check that the server is up, and that nothing between drops packets",
        )]
    })
}

/// The clocks of two machines are apart by this much.
fn clock(check: &'static str, ahead_millis: i64, config: &Config) -> Finding {
    let apart = ahead_millis.unsigned_abs();
    let allowed = u64::try_from(config.clock_skew.as_millis()).unwrap_or(u64::MAX);
    // Asking takes time itself: what is below a tenth of a second is no finding.
    if apart <= allowed.max(100) {
        return Finding::ok(check, format!("its clock and this machine's are {apart} ms apart"));
    }
    let direction = if ahead_millis > 0 { "ahead of" } else { "behind" };
    Finding::warning(
        check,
        format!("its clock is {apart} ms {direction} this machine's, and `clock_skew` allows {allowed} ms"),
        "synchronise the clocks (NTP), or raise PROMISCUOUS_CLOCK_SKEW",
    )
}
