//! `promiscuous blocked`: what waits for a cause, and where that cause is; what has failed and waits for its next attempt; and what is left
//! to another version of the app.
//!
//! * `cause`: what a message waits for, where that can be, and what to do about it (pure)
//! * `search`: looks for the causes in this app's database and dead letters, and in the publishers' Redis
//!
//! Messages are seen once they are parked: a running worker keeps them in memory for 10 s.

use std::process::ExitCode;

use clap::Args;
use serde::Serialize;
use uuid::Uuid;

use super::App;
use super::status::connect;
use super::words::{Format, age, line, printable};
use crate::clock;
use crate::config::Config;
use crate::error::Error;
use crate::message::Message;
use crate::operation::Operation;
use crate::subscriber::parked::{self, Until, Waiting};

mod cause;
mod search;

use cause::{Cause, Place};
use search::Search;

/// What to do about one that has failed.
const FAILING: &str =
    "the log of `promiscuous subscribe` says why; when the reason is mended, it is applied by itself";

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
    waits: Waits,
}

/// What a parked message waits for.
enum Waits {
    /// Its cause.
    Cause(Cause),
    /// Its next attempt.
    Attempt(Attempt),
    /// A program of this app that takes its endpoint.
    Left(Left),
}

/// What a message is for that was left to another program of this app.
#[derive(Clone, Serialize)]
struct Left {
    /// The endpoint, as subscriptions name it.
    left_to_who_takes: String,
}

impl Left {
    /// What to do about it.
    fn advice(&self) -> String {
        let endpoint = printable(&self.left_to_who_takes);
        format!(
            "run `promiscuous subscribe` of a version of this app that takes {endpoint}; if there is none any more, `promiscuous unbind '{endpoint}'`"
        )
    }
}

/// The next attempt of a message that has failed.
#[derive(Clone, Copy, Serialize)]
struct Attempt {
    /// How often it has failed.
    attempts: u32,
    /// When it is tried again, in milliseconds since 1970.
    retry_at: u64,
}

/// A blocked message as a program reads it.
#[derive(Serialize)]
struct Shown<'a> {
    id: Uuid,
    operations: &'a [String],
    /// In milliseconds since 1970.
    arrived_at: u64,
    #[serde(flatten)]
    cause: Option<&'a Cause>,
    #[serde(flatten)]
    place: Option<&'a Place>,
    #[serde(flatten)]
    attempt: Option<Attempt>,
    #[serde(flatten)]
    left: Option<&'a Left>,
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
    let mut search = Search::new(blocked.iter().filter_map(Blocked::cause));
    search.look_everywhere(&config, database).await?;
    let now = clock::millis();
    for one in &blocked {
        let text = match options.format {
            Format::Text => one.line(&search, now),
            Format::Json => one.json(&search),
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
            waits: match &waiting.until {
                Until::Cause(key, version) => {
                    Waits::Cause(Cause::of(key.clone(), *version, message.as_ref()))
                }
                Until::Taken(source) => Waits::Left(Left { left_to_who_takes: source.clone() }),
                Until::Attempt(at) => Waits::Attempt(Attempt { attempts: waiting.attempts, retry_at: *at }),
            },
        }
    }

    fn cause(&self) -> Option<&Cause> {
        match &self.waits {
            Waits::Cause(cause) => Some(cause),
            Waits::Attempt(_) | Waits::Left(_) => None,
        }
    }

    /// For people; `now` is in milliseconds since 1970.
    fn line(&self, search: &Search, now: u64) -> String {
        let what = match self.operations.as_slice() {
            [] => "a dummy".to_owned(),
            [one] => one.clone(),
            [first, others @ ..] => format!("{first} and {} more", others.len()),
        };
        let (id, since) = (self.id, age(self.arrived_at, now));
        match &self.waits {
            Waits::Cause(cause) => {
                format!("{id}  {what} waits since {since} for {cause}: {}", search.place_of(cause).advice())
            }
            Waits::Left(left) => {
                let endpoint = printable(&left.left_to_who_takes);
                format!(
                    "{id}  {what} waits since {since} for a program that takes {endpoint}: {}",
                    left.advice()
                )
            }
            Waits::Attempt(Attempt { attempts, retry_at }) => {
                let next = age(now, *retry_at);
                format!(
                    "{id}  {what} came {since} ago and failed {attempts} times, is tried again in {next}: {FAILING}"
                )
            }
        }
    }

    fn json(&self, search: &Search) -> String {
        let Self { id, operations, arrived_at, waits } = self;
        let (id, arrived_at) = (*id, *arrived_at);
        let place = self.cause().map(|cause| search.place_of(cause));
        let shown = Shown {
            id,
            operations,
            arrived_at,
            cause: self.cause(),
            place: place.as_ref(),
            attempt: match waits {
                Waits::Attempt(attempt) => Some(*attempt),
                Waits::Cause(_) | Waits::Left(_) => None,
            },
            left: match waits {
                Waits::Left(left) => Some(left),
                Waits::Cause(_) | Waits::Attempt(_) => None,
            },
            advice: match (waits, &place) {
                (Waits::Left(left), _) => left.advice(),
                (_, Some(place)) => place.advice(),
                (_, None) => FAILING.to_owned(),
            },
        };
        serde_json::to_string(&shown).unwrap_or_default()
    }
}
