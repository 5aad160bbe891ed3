//! `promiscuous publish`: rows as they are now, sent again.
//!
//! * `bars`: progress, for people at a terminal and for logs
//! * this file: what is asked for, and the run

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use uuid::Uuid;

use super::words::{Format, line};
use super::{App, Connected, connect, signals::Stop, usage};
use crate::bootstrap::{self, ServeSettings};
use crate::config::Config;
use crate::database::Database;
use crate::error::{Error, chain};
use crate::links::Links;
use crate::publisher::Publisher;
use crate::sync::{PublishedRows, Run, Selection, SyncError, SyncSettings};

mod bars;

use bars::Bars;

/// How long a publisher that stops may take to publish what is in its hands.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Args)]
#[command(
    after_help = "Writes go on meanwhile: a row that changes is not sent as it was before. Selections may overlap, and several of \
    these may run at once.\n\nExamples:\n  \
    promiscuous publish User Order\n  \
    promiscuous publish \"User where updated_at > now() - interval '1 day'\" --to mailer\n  \
    promiscuous publish InventoryItem --rate 500 --dry-run\n  \
    promiscuous publish --resume\n  \
    promiscuous publish --serve"
)]
pub(super) struct Options {
    /// Models, each with an SQL condition on its table if need be, in the order in which they are sent.
    #[arg(value_name = "MODEL [where CONDITION]", required_unless_present_any = ["resume", "serve"])]
    selections: Vec<String>,
    /// Send them to this app only [default: every app that subscribes].
    #[arg(long, value_name = "APP", conflicts_with = "resume")]
    to: Option<String>,
    /// Rows read at a time.
    #[arg(long, value_name = "ROWS", default_value_t = SyncSettings::default().chunk, value_parser = at_least_one)]
    chunk: usize,
    /// Chunks under way at a time.
    #[arg(long, value_name = "N", default_value_t = SyncSettings::default().parallel, value_parser = at_least_one)]
    parallel: usize,
    /// Rows a second at the most [default: as fast as it goes].
    #[arg(long, value_name = "ROWS", value_parser = clap::value_parser!(u32).range(1..))]
    rate: Option<u32>,
    /// Count the rows, and send nothing.
    #[arg(long, conflicts_with = "resume")]
    dry_run: bool,
    /// Go on with a run that was stopped: the latest, or the one of this name.
    #[arg(long, value_name = "RUN", num_args = 0..=1, conflicts_with = "selections")]
    resume: Option<Option<Uuid>>,
    /// Send rows to subscribers that ask for them (`promiscuous bootstrap`), until it is stopped.
    #[arg(long, conflicts_with_all = ["selections", "to", "dry_run", "resume", "format"])]
    serve: bool,
    /// Show no progress.
    #[arg(long)]
    quiet: bool,
    /// How the summary is written on stdout.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// clap has no ranges of usize.
fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("it must be 1 at the least".to_owned()),
        Ok(number) => Ok(number),
        Err(error) => Err(format!("{error}")),
    }
}

pub(super) async fn run(app: &dyn App, options: Options, config: Config) -> Result<ExitCode, Error> {
    let mut stop = Stop::on_signals();
    let links = Links::new(&config)?;
    let Some(connected) = connect(app, &config, &links, &mut stop).await? else {
        return Ok(ExitCode::SUCCESS);
    };
    let Connected { database, publisher: Some(publisher), rows: Some(rows), .. } = connected else {
        return Err(Error::Configuration(
            "this app publishes no model whose rows could be sent again".into(),
        ));
    };
    if options.serve {
        let rows_settings = SyncSettings {
            chunk: options.chunk,
            parallel: options.parallel,
            rate: options.rate,
            ..SyncSettings::default()
        };
        let served = serving(&publisher, rows, database, &links, rows_settings, stop.clone()).await;
        end(&publisher).await;
        return Ok(match served {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                tracing::error!("{}", chain(&error));
                ExitCode::FAILURE
            }
        });
    }
    let parse = |text: &String| Selection::parse(text, rows.models(), database.dialect());
    let selections = match options.selections.iter().map(parse).collect::<Result<Vec<_>, _>>() {
        Ok(selections) => selections,
        Err(error) => return Ok(usage(&error.to_string())),
    };
    let code = if options.dry_run {
        count(rows.as_ref(), &selections, options.format).await
    } else {
        let settings = SyncSettings {
            only_to: options.to.clone(),
            chunk: options.chunk,
            parallel: options.parallel,
            rate: options.rate,
        };
        let (publisher, rows) = (publisher.clone(), Arc::clone(&rows));
        let beginning = async {
            match options.resume {
                Some(which) => Run::resume(publisher, rows, database, which, settings).await,
                None => Run::begin(publisher, rows, database, selections, settings).await,
            }
        };
        match beginning.await {
            Ok(run) => send(run, &options, &mut stop).await,
            Err(error) => Err(error),
        }
    };
    end(&publisher).await;
    code.or_else(|error| {
        tracing::error!("{}", chain(&error));
        Ok(ExitCode::FAILURE)
    })
}

/// Serves bootstraps until it is asked to stop.
pub(super) async fn serving(
    publisher: &Publisher,
    rows: Arc<dyn PublishedRows>,
    database: Arc<dyn Database>,
    links: &Links,
    rows_settings: SyncSettings,
    mut stop: Stop,
) -> Result<(), SyncError> {
    let settings = ServeSettings { rows: rows_settings };
    let (publisher, broker) = (publisher.clone(), Arc::clone(&links.broker));
    tracing::info!(app = publisher.app(), "serving bootstraps");
    bootstrap::serve(publisher, rows, database, broker, settings, async move { stop.asked().await }).await
}

async fn end(publisher: &Publisher) {
    publisher.shut_down(PATIENCE).await;
}

/// Sends what a run is about, until it is done or told to stop.
async fn send(mut run: Run, options: &Options, stop: &mut Stop) -> Result<ExitCode, SyncError> {
    let begun = Instant::now();
    let name = run.cursor().run;
    let mut bars = Bars::new(run.selections(), run.totals(), &run.cursor().position, options.quiet);
    let mut told = |progress| bars.show(progress);
    let running = tokio::select! {
        result = run.run(&mut told) => Some(result),
        () = stop.asked() => None,
    };
    bars.end();
    let code = match running {
        Some(Ok(())) => ExitCode::SUCCESS,
        Some(Err(error)) => {
            // What the database does not take now, it has had a moment ago.
            let _ = run.save().await;
            tracing::error!("{}", chain(&error));
            tracing::info!("what was sent is sent; go on with: promiscuous publish --resume {name}");
            ExitCode::FAILURE
        }
        None => {
            run.save().await?;
            tracing::info!("stopped; go on with: promiscuous publish --resume {name}");
            ExitCode::FAILURE
        }
    };
    summary(&run, begun.elapsed(), options.format);
    Ok(code)
}

fn summary(run: &Run, took: Duration, format: Format) {
    let position = &run.cursor().position;
    let models = run.selections().iter().zip(&position.sent).enumerate();
    let done = |place: usize| place < position.at;
    match format {
        Format::Text => {
            for (place, (selection, sent)) in models {
                let so_far = if done(place) { "" } else { ", not all of them" };
                line(&format!("{selection}: {sent} rows sent{so_far}"));
            }
        }
        Format::Json => {
            let models: Vec<_> = models
                .map(|(place, (selection, sent))| {
                    serde_json::json!({ "selection": selection.to_string(), "sent": sent, "done": done(place) })
                })
                .collect();
            let seconds = took.as_secs_f64();
            let summary = serde_json::json!({
                "run": run.cursor().run, "to": position.only_to, "selections": models, "seconds": seconds,
            });
            line(&summary.to_string());
        }
    }
}

/// `--dry-run`.
async fn count(
    rows: &dyn PublishedRows,
    selections: &[Selection],
    format: Format,
) -> Result<ExitCode, SyncError> {
    for selection in selections {
        let count = rows.count(selection.model, selection.condition.as_ref()).await;
        let count = count.map_err(|source| SyncError::Rows { selection: selection.to_string(), source })?;
        line(&match format {
            Format::Text => format!("{selection}: {count} rows"),
            Format::Json => {
                serde_json::json!({ "selection": selection.to_string(), "rows": count }).to_string()
            }
        });
    }
    Ok(ExitCode::SUCCESS)
}
