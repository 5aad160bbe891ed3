//! `promiscuous subscribe`.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;

use super::publish::serving;
use super::{App, Connected, connect, signals::Stop};
use crate::config::{Config, Settings};
use crate::error::{Error, chain};
use crate::health::{self, Health};
use crate::links::Links;
use crate::subscriber::{Subscriber, SubscriberSettings};
use crate::sync::SyncSettings;
use crate::version_store::StoreError;

#[derive(Args)]
#[command(after_help = "Examples:\n  \
    promiscuous subscribe\n  \
    promiscuous subscribe --workers 4 --prefetch 200\n  \
    promiscuous subscribe --recovery 10    (go on without a cause that does not come in 10 s)")]
pub(super) struct Options {
    /// Transactions applied at the same time, each on a database connection of its own [default: 8].
    #[arg(long, value_name = "N")]
    workers: Option<usize>,
    /// Unacknowledged messages at the most [default: 1000].
    #[arg(long, value_name = "N")]
    prefetch: Option<u16>,
    /// Apply a message without its cause when that does not come in time.
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "10")]
    recovery: Option<f64>,
    /// No ordering, errors swallowed. Development only.
    #[arg(long)]
    bareback: bool,
    /// Answer /healthz and /readyz at this address: 127.0.0.1:9100, say.
    #[arg(long, value_name = "ADDRESS")]
    health: Option<String>,
    /// Pass over attributes that a message lacks.
    #[arg(long)]
    relaxed_schema: bool,
    /// Also send this app's own rows to subscribers that ask for them, as `promiscuous publish --serve` does.
    #[arg(long)]
    serve: bool,
}

impl Options {
    pub(super) fn settings(&self, flags: Settings) -> Settings {
        Settings {
            workers: self.workers,
            prefetch: self.prefetch,
            recovery: self.recovery,
            health: self.health.clone(),
            bareback: self.bareback.then_some(true),
            relaxed_schema: self.relaxed_schema.then_some(true),
            serve: self.serve.then_some(true),
            ..flags
        }
    }
}

pub(super) async fn run(app: &dyn App, config: Config) -> Result<ExitCode, Error> {
    let mut stop = Stop::on_signals();
    let links = Links::new(&config)?;
    let subscriptions = app.subscriptions()?;
    if subscriptions.is_empty() {
        return Err(Error::Configuration(
            "this app subscribes to nothing: derive `Subscribe` on an entity, and make sure that this program links the crate that holds it (`use my_service as _;`) or names its models".into(),
        ));
    }
    report_unreachable(&links).await;
    let Some(connected) = connect(app, &config, &links, &mut stop).await? else {
        return Ok(ExitCode::SUCCESS);
    };
    let subscriber = Subscriber::new(
        SubscriberSettings::from(&config),
        subscriptions,
        Arc::clone(&connected.database),
        Arc::clone(&links.applied),
        Arc::clone(&links.broker),
    )?;
    let sources = subscriber.sources();
    tracing::info!(app = %config.app, %sources, workers = config.workers, "subscribing");
    if config.bareback {
        tracing::warn!("--bareback: nothing is ordered and errors are swallowed; for development only");
    }
    if let Some(address) = &config.health {
        let health = match &connected.publisher {
            Some(publisher) => subscriber.health().and(&publisher.health()),
            None => subscriber.health(),
        };
        answer_probes(address, health).await?;
    }
    if config.serve {
        start_serving(&connected, &links, &stop)?;
    }
    let mut status = subscriber.status();
    tokio::spawn(async move {
        // Whoever starts services in order waits for this line: from here on nothing that is published is missed.
        if status.wait_for(|status| status.consuming).await.is_ok() {
            tracing::info!("consuming");
        }
    });
    let (mut asked, mut forced) = (stop.clone(), stop);
    let code = tokio::select! {
        ended = subscriber.run(async move { asked.asked().await }) => {
            ended?;
            ExitCode::SUCCESS
        }
        () = forced.forced() => {
            tracing::warn!("stopped at once: what was not finished is delivered again");
            ExitCode::FAILURE
        }
    };
    if let Some(publisher) = connected.publisher {
        publisher.shut_down(Duration::from_secs(5)).await;
    }
    Ok(code)
}

/// Serves bootstraps beside subscribing.
fn start_serving(connected: &Connected, links: &Links, stop: &Stop) -> Result<(), Error> {
    let (Some(publisher), Some(rows)) = (&connected.publisher, &connected.rows) else {
        return Err(Error::Configuration(
            "this app publishes no model whose rows could be sent: leave out `--serve`, and unset PROMISCUOUS_SERVE".into(),
        ));
    };
    let (publisher, rows, database) = (publisher.clone(), Arc::clone(rows), Arc::clone(&connected.database));
    let (links, stop) = (links.clone(), stop.clone());
    tokio::spawn(async move {
        let settings = SyncSettings::default();
        if let Err(error) = serving(&publisher, rows, database, &links, settings, stop).await {
            tracing::error!(error = %chain(&error), "bootstraps are not served any more");
        }
    });
    Ok(())
}

async fn answer_probes(address: &str, health: Health) -> Result<(), Error> {
    let listener = tokio::net::TcpListener::bind(address).await.map_err(|error| {
        Error::Configuration(format!(
            "health probes cannot be answered at `{address}`: {error}; write an address and a free port, such as 127.0.0.1:9100"
        ))
    })?;
    let at = listener.local_addr().map_or_else(|_| address.to_owned(), |at| at.to_string());
    tracing::info!(%at, "answering /healthz and /readyz");
    // Until the process ends: also while it is stopping, it lives.
    tokio::spawn(health::http::serve(listener, health, std::future::pending()));
    Ok(())
}

/// One line for each server that is away, all at once: nobody should have to find them one by one.
async fn report_unreachable(links: &Links) {
    let (broker, store) = tokio::join!(links.broker.ping(), links.versions.check());
    if let Err(error) = broker {
        tracing::error!(%error, "RabbitMQ cannot be used yet; trying again until it can");
    }
    // An evicting Redis is refused where something is published; what a subscriber keeps there may vanish.
    if let Err(error @ StoreError::Unavailable { .. }) = store {
        tracing::error!(%error, "Redis cannot be used yet; trying again until it can");
    }
}
