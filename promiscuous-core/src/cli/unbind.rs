//! `promiscuous unbind`: what no version of the app takes any more.

use std::io::{self, IsTerminal};
use std::process::ExitCode;

use clap::Args;

use super::dead::graveyard::queue_of;
use super::status::connect;
use super::words::{NO_TERMINAL, agreed};
use super::{App, usage};
use crate::bootstrap::joining;
use crate::broker::Queue;
use crate::config::Config;
use crate::error::Error;
use crate::links::Links;
use crate::registry::From;
use crate::subscriber::binding;

#[derive(Args)]
#[command(
    after_help = "Run it when the last worker that takes the endpoint has gone for good. Until then its messages wait for one.\n\
    What was bound and is taken again later has missed what was written meanwhile: run `promiscuous bootstrap` then.\n\n\
    Examples:\n  promiscuous unbind shop/user\n  promiscuous unbind '*/user' --yes"
)]
pub(super) struct Options {
    /// What `promiscuous status` calls taken by no model: `shop/user`, `*/user`, or `shop/*` of a total order.
    #[arg(value_name = "ENDPOINT")]
    endpoint: String,
    /// Do not ask. Needed where nobody sits at a terminal.
    #[arg(long)]
    yes: bool,
}

pub(super) async fn run(app: &dyn App, options: Options, config: Config) -> Result<ExitCode, Error> {
    let Options { endpoint, yes } = options;
    let Some(from) = parse(&endpoint) else {
        return Ok(usage(&format!("`{endpoint}` is no endpoint: write `shop/user`, `*/user` or `shop/*`")));
    };
    let declared = app.subscriptions()?.with_default(config.consistency)?;
    if declared.sources().iter().chain(&declared.orders()).any(|own| *own == from) {
        return Err(Error::Configuration(format!(
            "this program takes {from}: take it out of its models first, and stop the workers that have it"
        )));
    }
    if !yes {
        if !io::stdin().is_terminal() {
            return Ok(usage(NO_TERMINAL));
        }
        let question = format!("Pass over all messages of {from} in {}, also those that wait?", config.app);
        if !agreed(question).await {
            tracing::info!("nothing was done");
            return Ok(ExitCode::FAILURE);
        }
    }
    let links = Links::new(&config)?;
    let database = connect(app, &config).await?;
    // The queue first: what comes by a binding that is not recorded would be passed over by workers that take it.
    links.broker.unbind(&Queue { bindings: vec![from.binding()], ..queue_of(&config) }).await?;
    joining::forget(database.as_ref(), &from.to_string()).await?;
    if binding::forget(database.as_ref(), &from.to_string()).await? {
        tracing::info!(endpoint = %from, "bound no more; messages of it that wait are passed over within a minute where `promiscuous subscribe` runs");
    } else {
        tracing::info!(endpoint = %from, "it was not bound");
    }
    Ok(ExitCode::SUCCESS)
}

fn parse(endpoint: &str) -> Option<From> {
    match endpoint.strip_suffix("/*") {
        // Any model will do to find out whether the app's name is one.
        Some(app) => {
            From::parse(&format!("{app}/any")).ok().filter(|_| app != "*").map(|_| From::order_of(app))
        }
        None => From::parse(endpoint).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_named_as_status_names_them() {
        let named = |text: &str| parse(text).map(|from| from.to_string());
        for text in ["shop/user", "*/user", "shop/*"] {
            assert_eq!(named(text).as_deref(), Some(text));
        }
        assert_eq!(named("user").as_deref(), Some("*/user"));
        for wrong in ["", "*/*", "/*", "shop/user/5", "a b/user"] {
            assert_eq!(named(wrong), None, "{wrong}");
        }
    }
}
