//! `promiscuous bootstrap`: asks for all rows, applies what comes, and ends when everything is live.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget};

use super::words::{Format, bar_style, line, printable};
use super::{App, connect, signals::Stop, usage};
use crate::bootstrap::{Follower, Part, PartState, Progress};
use crate::config::Config;
use crate::error::{Error, chain};
use crate::key::Endpoint;
use crate::links::Links;
use crate::registry::From;
use crate::subscriber::{Subscriber, SubscriberSettings};

/// How often the database is asked how far it is.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// How often a log is told.
const LOG_EVERY: Duration = Duration::from_secs(10);

/// How long a publisher may take to begin before somebody should look after it.
const SILENCE: Duration = Duration::from_secs(15);

/// How long a publisher that stops may take to publish what is in its hands.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Args)]
#[command(
    after_help = "The apps that publish them must serve it: `promiscuous publish --serve`, or `promiscuous subscribe --serve` there. Until \
    all rows of a source have come, its messages wait for nothing; then they are in order again. Stopped in the middle, it goes on when \
    it is run again, and any `promiscuous subscribe` of this app goes on with it, too.\n\nExamples:\n  \
    promiscuous bootstrap\n  \
    promiscuous bootstrap shop/user \"*/post\""
)]
pub(super) struct Options {
    /// What is wanted, as the subscriptions name it [default: what a bootstrap before this one still wants, or everything].
    #[arg(value_name = "SOURCE")]
    sources: Vec<String>,
    /// Show no progress.
    #[arg(long)]
    quiet: bool,
    /// How the summary is written on stdout.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

pub(super) async fn run(app: &dyn App, options: Options, config: Config) -> Result<ExitCode, Error> {
    let mut stop = Stop::on_signals();
    let sources = match options.sources.iter().map(|text| From::parse(text)).collect::<Result<Vec<_>, _>>() {
        Ok(sources) => sources,
        Err(error) => return Ok(usage(&error.to_string())),
    };
    let links = Links::new(&config)?;
    let subscriptions = app.subscriptions()?;
    if subscriptions.is_empty() {
        return Err(Error::Configuration(
            "this app subscribes to nothing that could be brought up to date".into(),
        ));
    }
    let Some(connected) = connect(app, &config, &links, &mut stop).await? else {
        return Ok(ExitCode::SUCCESS);
    };
    let subscriber = Subscriber::new(
        SubscriberSettings::from(&config),
        subscriptions,
        connected.database,
        Arc::clone(&links.applied),
        Arc::clone(&links.broker),
    )?;
    subscriber.bootstrap(&sources).await?;
    let follower = subscriber.follower();
    let mut asked = stop.clone();
    let (ended, end) = tokio::sync::oneshot::channel::<()>();
    let running = subscriber.run(async move {
        tokio::select! {
            () = asked.asked() => {}
            _ = end => {}
        }
    });
    tokio::pin!(running);
    let mut told = Told::new(options.quiet);
    let begun = Instant::now();
    let outcome = tokio::select! {
        stopped = &mut running => stopped.map(|()| None),
        outcome = follow(&follower, &mut told) => {
            let _ = ended.send(());
            running.await.map(|()| Some(outcome))
        }
    };
    told.end();
    if let Some(publisher) = connected.publisher {
        publisher.shut_down(PATIENCE).await;
    }
    let code = match outcome? {
        Some(Ok(())) => ExitCode::SUCCESS,
        Some(Err(failed)) => {
            for Part { endpoint, state, .. } in &failed {
                if let PartState::Failed(reason) = state {
                    tracing::error!("{endpoint}: {}", printable(reason));
                }
            }
            tracing::error!(
                "not all rows have come; when that is mended, name the sources: promiscuous bootstrap SOURCE"
            );
            ExitCode::FAILURE
        }
        None => {
            tracing::info!("stopped; go on with: promiscuous bootstrap");
            ExitCode::FAILURE
        }
    };
    summary(&follower.progress().await?, begun.elapsed(), options.format);
    Ok(code)
}

/// Waits until all rows have come, or a publisher cannot send its.
async fn follow(follower: &Follower, told: &mut Told) -> Result<(), Vec<Part>> {
    let begun = Instant::now();
    let mut warned = false;
    loop {
        match follower.progress().await {
            Ok(now) => {
                told.show(&now);
                if now.waiting.is_empty() {
                    return Ok(());
                }
                if now.parts.iter().any(|part| matches!(part.state, PartState::Failed(_))) {
                    return Err(now.parts);
                }
                if now.parts.is_empty() && !warned && begun.elapsed() > SILENCE {
                    warned = true;
                    let waiting = now.waiting.join(", ");
                    tracing::warn!(
                        "no publisher of {waiting} has answered yet: run `promiscuous publish --serve` there"
                    );
                }
            }
            Err(error) => {
                tracing::debug!(error = %chain(&error), "how far it is cannot be asked; trying again")
            }
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Progress: a bar for each endpoint at a terminal, a line now and then elsewhere.
enum Told {
    Drawn(MultiProgress, BTreeMap<Endpoint, ProgressBar>),
    Logged(Option<Instant>),
    None,
}

impl Told {
    fn new(quiet: bool) -> Self {
        match (quiet, std::io::stderr().is_terminal()) {
            (true, _) => Self::None,
            (false, true) => {
                Self::Drawn(MultiProgress::with_draw_target(ProgressDrawTarget::stderr()), BTreeMap::new())
            }
            (false, false) => Self::Logged(None),
        }
    }

    fn show(&mut self, progress: &Progress) {
        match self {
            Self::Drawn(all, bars) => {
                for part in &progress.parts {
                    let bar = bars.entry(part.endpoint.clone()).or_insert_with(|| {
                        let bar = all.add(ProgressBar::new(part.rows).with_position(part.sent));
                        bar.set_style(bar_style());
                        bar.set_message(part.endpoint.to_string());
                        bar.reset_eta();
                        bar
                    });
                    bar.set_length(part.rows.max(part.sent));
                    bar.set_position(part.sent);
                    if part.state == PartState::Done {
                        bar.abandon();
                    }
                }
            }
            Self::Logged(last) if last.is_none_or(|last| last.elapsed() >= LOG_EVERY) => {
                *last = Some(Instant::now());
                for part in progress.parts.iter().filter(|part| part.state == PartState::UnderWay) {
                    tracing::info!("{}: {} of {}", part.endpoint, part.sent, part.rows.max(part.sent));
                }
            }
            Self::Logged(_) | Self::None => {}
        }
    }

    fn end(&self) {
        if let Self::Drawn(_, bars) = self {
            bars.values().filter(|bar| !bar.is_finished()).for_each(ProgressBar::abandon);
        }
    }
}

fn summary(progress: &Progress, took: Duration, format: Format) {
    let done = Part::is_complete;
    match format {
        Format::Text => {
            for part in &progress.parts {
                let so_far = if done(part) { ", live" } else { " so far" };
                line(&format!("{}: {} rows{so_far}", part.endpoint, part.sent));
            }
        }
        Format::Json => {
            let parts: Vec<_> = progress
                .parts
                .iter()
                .map(|part| {
                    serde_json::json!({ "endpoint": part.endpoint.as_str(), "rows": part.sent, "done": done(part) })
                })
                .collect();
            let summary = serde_json::json!({
                "endpoints": parts, "waiting": progress.waiting, "seconds": took.as_secs_f64(),
            });
            line(&summary.to_string());
        }
    }
}
