//! `promiscuous dead list`.

use std::process::ExitCode;

use clap::Args;

use super::filter::Filter;
use super::graveyard::Graveyard;
use super::summary::Summary;
use crate::cli::words::{Format, line};
use crate::clock;
use crate::error::Error;

#[derive(Args)]
pub(super) struct Options {
    #[command(flatten)]
    filter: Filter,
    /// Letters to list at the most, the oldest first.
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: u64,
    /// How they are written on stdout.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

pub(super) async fn run(graveyard: &Graveyard, options: Options) -> Result<ExitCode, Error> {
    let mut letters = graveyard.open().await?;
    let (total, now) = (letters.count(), clock::millis());
    let (mut looked_at, mut listed) = (0, 0);
    while listed < options.limit {
        let Some(taken) = letters.next().await? else { break };
        looked_at += 1;
        let summary = Summary::of(&taken);
        if !options.filter.matches(&summary, now) {
            continue;
        }
        listed += 1;
        let text = match options.format {
            Format::Text => summary.line(now),
            Format::Json => serde_json::to_string(&summary).unwrap_or_default(),
        };
        if !line(&text) {
            break;
        }
    }
    letters.put_back().await?;
    if looked_at < total {
        tracing::info!(looked_at, total, "there are more dead letters: raise --limit to see them");
    } else {
        tracing::info!(listed, total, "these are all dead letters that were asked for");
    }
    Ok(ExitCode::SUCCESS)
}
