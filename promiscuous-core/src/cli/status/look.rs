//! Asks the servers, each by itself.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use super::report::{Outbox, Parked, Queue, Report, Subscription, Versions};
use crate::broker::QueueDepth;
use crate::cli::App;
use crate::cli::dead::graveyard::queue_of;
use crate::clock;
use crate::config::Config;
use crate::database::Database;
use crate::error::{Error, chain};
use crate::links::Links;
use crate::publisher::{generation, outbox};
use crate::registry::Subscriptions;
use crate::subscriber::{binding, parked};

/// How long a server may take for its answer.
const PATIENCE: Duration = Duration::from_secs(15);

/// Asks all servers at once.
///
/// # Errors
/// When the configuration or the models make no sense. A server that is away is a problem of the report.
pub(super) async fn look(app: &dyn App, config: &Config) -> Result<Report, Error> {
    let links = Links::new(config)?;
    let subscriptions = app.subscriptions()?.with_default(config.consistency)?;
    let queue = queue_of(config);
    let (stored, versions, depth) = tokio::join!(
        in_time(stored(app, config, &subscriptions)),
        in_time(links.versions.survey()),
        in_time(links.broker.depth(&queue)),
    );
    let mut report = Report { app: config.app.clone(), at: clock::millis(), ..Report::default() };
    let mut away = |what: &str, problem: String, variable: &str| {
        report.problems.push(format!("{what}: {problem}; see that it runs, and that {variable} is right"));
    };
    let stored = stored.map_err(|problem| away("the database", problem, "DATABASE_URL")).ok();
    let versions = versions.map_err(|problem| away("Redis", problem, "REDIS_URL")).ok();
    let depth = depth.map_err(|problem| away("RabbitMQ", problem, "AMQP_URL")).ok();
    if let Some(stored) = stored {
        report.outbox = Some(stored.outbox);
        report.generation = stored.generation;
        report.parked = Some(stored.parked);
        report.subscriptions = Some(stored.subscriptions);
    }
    report.versions = versions.map(|survey| Versions {
        generation: survey.generation,
        is_trusted: survey.is_trusted,
        intents: survey.intents,
        overdue: survey.overdue,
    });
    report.queue = depth.map(|depth| {
        // One that was never declared is as empty as one can be.
        let none = QueueDepth { ready: 0, unacked: None, consumers: 0, dead: 0 };
        let QueueDepth { ready, unacked, consumers, dead } = depth.unwrap_or(none);
        Queue { ready, unacked, consumers, dead }
    });
    report.advise();
    Ok(report)
}

async fn in_time<T, E: std::error::Error>(asking: impl Future<Output = Result<T, E>>) -> Result<T, String> {
    match tokio::time::timeout(PATIENCE, asking).await {
        Ok(answer) => answer.map_err(|error| chain(&error)),
        Err(_) => Err("it does not answer in time".to_owned()),
    }
}

/// What is in the app's database.
struct Stored {
    outbox: Outbox,
    generation: Option<u64>,
    parked: Parked,
    subscriptions: Vec<Subscription>,
}

async fn stored(app: &dyn App, config: &Config, declared: &Subscriptions) -> Result<Stored, Error> {
    let database = connect(app, config).await?;
    let generation = generation::stored(database.as_ref()).await?;
    let parked = parked::tally(database.as_ref()).await?;
    let bound = binding::bound(database.as_ref()).await?;
    let tally = outbox::Outbox::new(database).tally().await?;
    Ok(Stored {
        outbox: Outbox { waiting: tally.waiting, oldest_at: tally.oldest_at, fences: tally.fences },
        generation,
        parked: Parked {
            count: parked.blocked,
            oldest_at: parked.oldest_at,
            failing: parked.failing,
            left: parked.left,
        },
        subscriptions: joined(declared, bound),
    })
}

/// The app's database, and nothing else of the app.
pub(in crate::cli) async fn connect(app: &dyn App, config: &Config) -> Result<Arc<dyn Database>, Error> {
    let url = config.database_url.as_ref().ok_or_else(|| {
        Error::Configuration("no database is named: set DATABASE_URL, or pass --database-url".into())
    })?;
    app.connect_plain(url).await
}

/// What the program declares, and what the database remembers.
fn joined(declared: &Subscriptions, bound: Vec<binding::Bound>) -> Vec<Subscription> {
    let mut missing: Vec<String> =
        declared.sources().iter().chain(&declared.orders()).map(ToString::to_string).collect();
    let mut all: Vec<Subscription> = Vec::new();
    for binding::Bound { endpoint, state, since } in bound {
        let is_declared =
            missing.iter().position(|name| *name == endpoint).map(|at| missing.remove(at)).is_some();
        all.push(Subscription {
            endpoint,
            is_declared,
            state: Some(state),
            bound_since: Some(since / 1_000),
        });
    }
    all.extend(missing.into_iter().map(|endpoint| Subscription {
        endpoint,
        is_declared: true,
        state: None,
        bound_since: None,
    }));
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consistency::Consistency;
    use crate::registry::{From, Subscription as Declared};

    #[test]
    fn what_is_declared_and_what_is_bound_are_told_apart() {
        let declare = |from: &str| Declared {
            from: From::parse(from).unwrap(),
            type_name: "User".into(),
            named: false,
            consistency: None,
        };
        let declared = Subscriptions::new(vec![declare("shop/user"), declare("post")]);
        let bind =
            |endpoint: &str| binding::Bound { endpoint: endpoint.into(), state: "live".into(), since: 5_000 };
        let all = joined(&declared, vec![bind("shop/old"), bind("shop/user")]);
        let told: Vec<_> =
            all.iter().map(|one| (one.endpoint.as_str(), one.is_declared, one.bound_since)).collect();
        assert_eq!(
            told,
            [("shop/old", false, Some(5)), ("shop/user", true, Some(5)), ("*/post", true, None)]
        );
        // The order of an app is a binding of its own, and wanted where it is asked for.
        let ordered = Declared { consistency: Some(Consistency::Global), ..declare("shop/user") };
        let all = joined(&Subscriptions::new(vec![ordered]), vec![bind("shop/*"), bind("shop/user")]);
        assert!(all.iter().all(|one| one.is_declared), "{all:?}");
    }
}
