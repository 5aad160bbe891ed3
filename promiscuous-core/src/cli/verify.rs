//! `promiscuous verify`: compares this app's rows with those of their publishers.

use std::io::{self, IsTerminal};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget};

use super::words::{Format, agreed, bar_style, duration, line, printable};
use super::{App, connect, signals::Stop, usage};
use crate::config::Config;
use crate::error::{Error, chain};
use crate::key::Endpoint;
use crate::links::Links;
use crate::registry::{From, Subscriptions};
use crate::verify::{Difference, Event, Kind, Verification, VerifyError, VerifySettings};

/// How often a log is told.
const LOG_EVERY: Duration = Duration::from_secs(10);

/// How long a publisher that stops may take to publish what is in its hands.
const PATIENCE: Duration = Duration::from_secs(5);

/// Rows that only this app has, to be removed at the end: more than these are for another time.
const EXTRA: usize = 100_000;

#[derive(Args)]
#[command(
    after_help = "The apps that publish them must serve it: `promiscuous publish --serve`, or `promiscuous subscribe --serve` there. Writes \
    go on meanwhile: a row whose write is on its way is waited for. Exit status: 0 when all rows are equal, 1 when some are not.\n\n\
    Examples:\n  \
    promiscuous verify\n  \
    promiscuous verify shop/user --patience 5m\n  \
    promiscuous verify User --repair"
)]
pub(super) struct Options {
    /// What is compared: a source as the subscriptions name it, or a type [default: everything].
    #[arg(value_name = "MODEL")]
    models: Vec<String>,
    /// Have missing and different rows sent again, and remove rows that their publisher does not have.
    #[arg(long)]
    repair: bool,
    /// Remove those rows without asking.
    #[arg(long, requires = "repair")]
    yes: bool,
    /// How long a write may be on its way before it counts as lost.
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = duration)]
    patience: Duration,
    /// Show no progress.
    #[arg(long)]
    quiet: bool,
    /// How the result is written on stdout.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

pub(super) async fn run(app: &dyn App, options: Options, config: Config) -> Result<ExitCode, Error> {
    let mut stop = Stop::on_signals();
    let links = Links::new(&config)?;
    let subscriptions = app.subscriptions()?;
    let sources = match chosen(&subscriptions, &options.models) {
        Ok(sources) => sources,
        Err(wrong) => return Ok(usage(&wrong)),
    };
    let Some(connected) = connect(app, &config, &links, &mut stop).await? else {
        return Ok(ExitCode::SUCCESS);
    };
    let mut told = Told::new(&options);
    let settings = VerifySettings::default().patience(options.patience).repair(options.repair);
    let comparing = async {
        let (database, rows) = (connected.database, connected.subscribed);
        let broker = Arc::clone(&links.broker);
        let verification = Verification::new(&config.app, subscriptions, database, rows, broker, settings);
        let mut verification = verification.await?;
        verification.run(&sources, &mut |event| told.hear(event)).await?;
        if options.repair && !told.extra.is_empty() && told.may_remove(options.yes).await {
            verification.remove(&told.extra).await?;
            told.removed = told.extra.len();
        }
        Ok::<_, VerifyError>(())
    };
    let outcome = tokio::select! {
        () = stop.asked() => None,
        outcome = comparing => Some(outcome),
    };
    if let Some(publisher) = connected.publisher {
        publisher.shut_down(PATIENCE).await;
    }
    told.end();
    match outcome {
        Some(Ok(())) => {
            told.summary(options.repair);
            Ok(if told.is_equal() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        Some(Err(error)) => {
            tracing::error!("{}", chain(&error));
            Ok(ExitCode::FAILURE)
        }
        None => {
            tracing::info!("stopped: what was not compared is not known");
            Ok(ExitCode::FAILURE)
        }
    }
}

/// The sources that are meant.
fn chosen(subscriptions: &Subscriptions, models: &[String]) -> Result<Vec<From>, String> {
    let sources = subscriptions.sources();
    if sources.is_empty() {
        return Err("this app subscribes to nothing that could be compared".to_owned());
    }
    if models.is_empty() {
        return Ok(sources);
    }
    let mut chosen = Vec::new();
    for model in models {
        let from = subscriptions.sources_of(model);
        if from.is_empty() {
            let known: Vec<String> = sources.iter().map(ToString::to_string).collect();
            return Err(format!("this app does not subscribe to `{model}`: there are {}", known.join(", ")));
        }
        chosen.extend(from.into_iter().filter(|from| !chosen.contains(from)).collect::<Vec<_>>());
    }
    Ok(chosen)
}

/// What was found so far, and how it is told.
struct Told {
    format: Format,
    bar: Option<ProgressBar>,
    /// Whether a log is told now and then.
    is_logged: bool,
    last: Option<Instant>,
    begun: Instant,
    /// The model in hand.
    current: Option<(Endpoint, u64)>,
    /// Rows compared of the models before it, and of it.
    compared: (u64, u64),
    missing: u64,
    different: u64,
    busy: u64,
    /// Rows that no publisher has.
    extra: Vec<Difference>,
    /// How many those are.
    extra_count: u64,
    removed: usize,
}

impl Told {
    fn new(options: &Options) -> Self {
        let is_drawn = !options.quiet && io::stderr().is_terminal();
        let bar = is_drawn.then(|| {
            let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
            bar.set_style(bar_style());
            bar
        });
        Self {
            format: options.format,
            is_logged: !options.quiet && bar.is_none(),
            bar,
            last: None,
            begun: Instant::now(),
            current: None,
            compared: (0, 0),
            missing: 0,
            different: 0,
            busy: 0,
            extra: Vec::new(),
            extra_count: 0,
            removed: 0,
        }
    }

    fn hear(&mut self, event: Event) {
        match event {
            Event::Begun { endpoint, rows, .. } => {
                self.compared = (self.compared.0 + self.compared.1, 0);
                if let Some(bar) = &self.bar {
                    bar.reset();
                    bar.set_message(endpoint.to_string());
                    bar.set_length(rows);
                }
                self.current = Some((endpoint, rows));
            }
            Event::Compared { rows } => {
                self.compared.1 = rows;
                if let Some(bar) = &self.bar {
                    bar.set_position(rows);
                }
                let is_due = self.last.is_none_or(|last| last.elapsed() >= LOG_EVERY);
                if let Some((endpoint, all)) = self.current.as_ref().filter(|_| self.is_logged && is_due) {
                    self.last = Some(Instant::now());
                    tracing::info!("{endpoint}: {rows} of {}", rows.max(*all));
                }
            }
            Event::Found(difference) => self.found(difference),
            Event::Busy { endpoint, id } => {
                self.busy += 1;
                tracing::warn!(
                    "{endpoint}/{} is written again and again, and could not be compared",
                    printable(&id)
                );
            }
        }
    }

    fn found(&mut self, difference: Difference) {
        let Difference { endpoint, id, kind, late } = &difference;
        let name = format!("{endpoint}/{}", printable(id));
        let said = match (self.format, kind) {
            (Format::Text, Kind::Missing) => format!("{name} is missing here"),
            (Format::Text, Kind::Extra) => format!("{name} is here, but its publisher does not have it"),
            (Format::Text, Kind::Different(names)) => format!("{name} is different: {}", names.join(", ")),
            (Format::Json, kind) => {
                let (kind, attributes) = match kind {
                    Kind::Missing => ("missing", &[][..]),
                    Kind::Extra => ("extra", &[][..]),
                    Kind::Different(names) => ("different", &names[..]),
                };
                serde_json::json!({
                    "endpoint": endpoint.as_str(), "id": id, "kind": kind, "attributes": attributes, "late": late,
                })
                .to_string()
            }
        };
        let late = if *late && self.format == Format::Text { "; its last write has not come" } else { "" };
        let tell = || line(&format!("{said}{late}"));
        match &self.bar {
            Some(bar) => bar.suspend(tell),
            None => tell(),
        };
        match kind {
            Kind::Missing => self.missing += 1,
            Kind::Different(_) => self.different += 1,
            Kind::Extra => {
                self.extra_count += 1;
                if self.extra.len() < EXTRA {
                    self.extra.push(difference);
                }
            }
        }
    }

    /// Asks whoever sits there; where nobody does, nothing is removed.
    async fn may_remove(&self, yes: bool) -> bool {
        if yes {
            return true;
        }
        if !io::stdin().is_terminal() {
            tracing::warn!(
                "rows that only this app has are left alone: pass --yes with --repair to remove them"
            );
            return false;
        }
        self.end();
        agreed(format!("Remove {} rows that their publisher does not have?", self.extra.len())).await
    }

    fn is_equal(&self) -> bool {
        self.missing + self.different + self.busy + self.extra_count == 0
    }

    fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    fn summary(&self, repair: bool) {
        let rows = self.compared.0 + self.compared.1;
        let Self { missing, different, busy, extra_count, removed, .. } = self;
        match self.format {
            Format::Text => {
                line(&match self.is_equal() {
                    true => format!("{rows} rows compared, all equal"),
                    false => format!(
                        "{rows} rows compared: {missing} missing, {different} different, {extra_count} extra, {busy} not comparable"
                    ),
                });
                if repair && missing + different > 0 {
                    line(&format!("{} rows are sent again", missing + different));
                }
                if *removed > 0 {
                    line(&format!("{removed} rows are removed"));
                }
            }
            Format::Json => {
                let sent = if repair { missing + different } else { 0 };
                let summary = serde_json::json!({
                    "rows": rows, "missing": missing, "different": different, "extra": extra_count, "busy": busy,
                    "sent": sent, "removed": removed, "seconds": self.begun.elapsed().as_secs_f64(),
                });
                line(&summary.to_string());
            }
        }
    }
}
