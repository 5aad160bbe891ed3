//! `promiscuous status`: how this app's replication is, at one moment.
//!
//! * `look`: asks the servers, each by itself, so that one that is away hides nothing of the others
//! * `report`: what was found, and what to do about it (pure)

use std::process::ExitCode;

use clap::Args;

use super::App;
use super::words::{Format, line};
use crate::clock;
use crate::config::Config;
use crate::error::Error;

mod look;
mod report;

pub(super) use look::connect;

#[derive(Args)]
#[command(after_help = "Exit status: 1 when a server is away, whatever else was found.\n\n\
    Examples:\n  promiscuous status\n  promiscuous status --format json")]
pub(super) struct Options {
    /// How it is written on stdout.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

pub(super) async fn run(app: &dyn App, options: Options, config: Config) -> Result<ExitCode, Error> {
    let report = look::look(app, &config).await?;
    line(&match options.format {
        Format::Text => report.in_words(clock::millis()),
        Format::Json => serde_json::to_string(&report).unwrap_or_default(),
    });
    Ok(if report.problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
