//! `promiscuous recover`.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use super::{App, connect, signals::Stop};
use crate::config::Config;
use crate::error::Error;
use crate::links::Links;

#[derive(Args)]
#[command(after_help = "Every publishing process does this in the background; run it by itself where no \
    publishing process is left running.\n\nExamples:\n  promiscuous recover\n  promiscuous recover --once")]
pub(super) struct Options {
    /// End when the outbox is empty and no intent is overdue.
    #[arg(long)]
    once: bool,
}

pub(super) async fn run(app: &dyn App, options: Options, config: Config) -> Result<ExitCode, Error> {
    let mut stop = Stop::on_signals();
    let links = Links::new(&config)?;
    let Some(connected) = connect(app, &config, &links, &mut stop).await? else {
        return Ok(ExitCode::SUCCESS);
    };
    let Some(publisher) = connected.publisher else {
        return Err(Error::Configuration(
            "this app publishes nothing, so there is nothing to recover".into(),
        ));
    };
    tracing::info!(app = %config.app, "recovering");
    if options.once {
        publisher.recover_once().await?;
        tracing::info!("no intent is overdue, and the outbox is empty");
    } else {
        stop.asked().await;
    }
    publisher.shut_down(Duration::from_secs(5)).await;
    Ok(ExitCode::SUCCESS)
}
