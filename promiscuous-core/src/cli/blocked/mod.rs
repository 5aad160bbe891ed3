//! `promiscuous blocked`: what waits for a cause, and where that cause is.
//!
//! * `cause`: what a message waits for, where that can be, and what to do about it (pure)
//! * `search`: looks for the causes in this app's database and dead letters, and in the publishers' Redis
//!
//! Blocked messages are seen once they are parked: a running worker keeps them in memory for 10 s.

use std::process::ExitCode;

use clap::Args;
use serde::Serialize;
use uuid::Uuid;

use super::App;
use super::status::connect;
use super::words::{Format, age, line};
use crate::clock;
use crate::config::Config;
use crate::error::Error;
use crate::message::Message;
use crate::operation::Operation;
use crate::subscriber::parked::{self, Waiting};

mod cause;
mod search;

use cause::{Cause, Place};
use search::Search;

/// Parked messages that are read at once: each may have megabytes.
const PAGE: usize = 20;

#[derive(Args)]
#[command(
    after_help = "Messages are seen here once they have waited for 10 s, or fill the prefetch window.\n\
    Exit status: 1 when a server is away, whatever else was found.\n\n\
    Examples:\n  promiscuous blocked\n  promiscuous blocked --limit 1000 --format json"
)]
pub(super) struct Options {
    /// Messages to list at the most, the oldest first.
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: usize,
    /// How they are written on stdout.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// A blocked message.
struct Blocked {
    id: Uuid,
    /// What it does: `update shop/user/5`.
    operations: Vec<String>,
    /// When it came, in milliseconds since 1970.
    arrived_at: u64,
    /// What it waits for.
    cause: Cause,
}

/// A blocked message as a program reads it.
#[derive(Serialize)]
struct Shown<'a> {
    id: Uuid,
    operations: &'a [String],
    /// In milliseconds since 1970.
    arrived_at: u64,
    #[serde(flatten)]
    cause: &'a Cause,
    #[serde(flatten)]
    place: &'a Place,
    advice: String,
}

pub(super) async fn run(app: &dyn App, options: Options, config: Config) -> Result<ExitCode, Error> {
    let database = connect(app, &config).await?;
    let mut blocked = Vec::new();
    let mut after: Option<Waiting> = None;
    while blocked.len() < options.limit {
        let limit = PAGE.min(options.limit - blocked.len());
        let page = parked::page(database.as_ref(), after.as_ref(), limit).await?;
        blocked.extend(page.iter().map(Blocked::of));
        match page.into_iter().last() {
            Some(last) => after = Some(last),
            None => break,
        }
    }
    let mut search = Search::new(blocked.iter().map(|one| &one.cause));
    search.look_everywhere(&config, database).await?;
    let now = clock::millis();
    for one in &blocked {
        let place = search.place_of(&one.cause);
        let text = match options.format {
            Format::Text => one.line(&place, now),
            Format::Json => one.json(&place),
        };
        if !line(&text) {
            break;
        }
    }
    if blocked.len() == options.limit {
        tracing::info!(listed = blocked.len(), "there may be more: raise --limit to see them");
    }
    let away = search.away();
    for server in away {
        tracing::error!("{server}: causes that may be there are called unknown");
    }
    Ok(if away.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

impl Blocked {
    fn of(waiting: &Waiting) -> Self {
        let message = Message::decode(waiting.body.as_bytes()).ok();
        let operations = message.iter().flat_map(|message| &message.operations).map(Operation::to_string);
        Self {
            // That of the row is another one for a dummy.
            id: message.as_ref().map_or(waiting.id, |message| message.id),
            operations: operations.collect(),
            arrived_at: waiting.arrived_at,
            cause: Cause::of(waiting, message.as_ref()),
        }
    }

    /// For people; `now` is in milliseconds since 1970.
    fn line(&self, place: &Place, now: u64) -> String {
        let what = match self.operations.as_slice() {
            [] => "a dummy".to_owned(),
            [one] => one.clone(),
            [first, others @ ..] => format!("{first} and {} more", others.len()),
        };
        let waits = age(self.arrived_at, now);
        format!("{}  {what} waits since {waits} for {}: {}", self.id, self.cause, place.advice())
    }

    fn json(&self, place: &Place) -> String {
        let Self { id, operations, arrived_at, cause } = self;
        let (id, arrived_at, advice) = (*id, *arrived_at, place.advice());
        serde_json::to_string(&Shown { id, operations, arrived_at, cause, place, advice }).unwrap_or_default()
    }
}
