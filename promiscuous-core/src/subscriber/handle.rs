//! A subscriber as an app sees it: made, watched, and run until it is told to stop.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::backoff::Backoff;
use super::batch::Shared;
use super::binding::Binder;
use super::pulse::HANGS;
use super::settings::{Status, SubscriberSettings};
use super::worker::Worker;
use crate::bootstrap::{Follower, joining};
use crate::broker::{Broker, BrokerError};
use crate::database::Database;
use crate::error::Error;
use crate::health::{Health, Level};
use crate::registry::{From, Subscriptions};
use crate::version_store::AppliedStore;

/// Keeps an app's database up to date with what it subscribes to.
pub struct Subscriber {
    pub(super) settings: SubscriberSettings,
    pub(super) shared: Arc<Shared>,
    pub(super) broker: Arc<dyn Broker>,
    pub(super) status: watch::Sender<Status>,
    health: Health,
}

impl Subscriber {
    /// A subscriber that is not running yet.
    ///
    /// # Errors
    /// [`Error::Configuration`] when the subscriptions ask for two consistencies of one endpoint, or for a total order of any app's
    /// messages.
    pub fn new(
        settings: SubscriberSettings,
        subscriptions: Subscriptions,
        database: Arc<dyn Database>,
        store: Arc<dyn AppliedStore>,
        broker: Arc<dyn Broker>,
    ) -> Result<Self, Error> {
        let subscriptions = subscriptions.with_default(settings.consistency)?;
        let retry = Backoff { first: settings.retry_first, longest: settings.retry_longest };
        let skew = u64::try_from(settings.clock_skew.as_micros()).unwrap_or(u64::MAX);
        let shared = Arc::new(Shared { subscriptions, database, store, retry, skew });
        Ok(Self { settings, shared, broker, status: watch::Sender::default(), health: Health::new() })
    }

    /// What it is doing, now and whenever it changes.
    pub fn status(&self) -> watch::Receiver<Status> {
        self.status.subscribe()
    }

    /// How it does: whether it consumes, and whether something waits or hangs.
    pub fn health(&self) -> Health {
        self.health.clone()
    }

    /// What it subscribes to, for people.
    pub fn sources(&self) -> String {
        let sources = self.shared.subscriptions.sources();
        sources.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    }

    /// Asks for all rows of some of what it subscribes to (of everything, where nothing is named) as soon as it runs, and goes on with what
    /// it has asked for before. Until they have come, nothing waits for its causes. How far it is: [`Self::follower`].
    ///
    /// # Errors
    /// When the database is away, and [`Error::Configuration`] for what it does not subscribe to.
    pub async fn bootstrap(&self, only: &[From]) -> Result<(), Error> {
        let sources = self.shared.subscriptions.sources();
        if let Some(unknown) = only.iter().find(|from| !sources.contains(from)) {
            return Err(Error::Configuration(format!(
                "this app does not subscribe to {unknown}: there are {}",
                self.sources()
            )));
        }
        let is_under_way = joining::current(self.shared.database.as_ref()).await?.is_some();
        if only.is_empty() && is_under_way {
            return Ok(());
        }
        let wanted = sources.into_iter().filter(|from| only.is_empty() || only.contains(from));
        self.binder().join(wanted.collect()).await
    }

    /// Tells how far the latest bootstrap is, whoever runs it.
    pub fn follower(&self) -> Follower {
        Follower { database: Arc::clone(&self.shared.database) }
    }

    pub(super) fn binder(&self) -> Binder<'_> {
        Binder {
            settings: &self.settings,
            subscriptions: &self.shared.subscriptions,
            database: self.shared.database.as_ref(),
            broker: self.broker.as_ref(),
        }
    }

    /// Runs until `shutdown` resolves; then applies what it has begun, returns the rest to the queue and ends.
    /// Dropping the future stops at once: nothing is lost, because nothing is acknowledged before it is applied.
    ///
    /// Servers that are away are reported once and waited for.
    ///
    /// # Errors
    /// When the broker refuses the queue, or the promiscuous tables are missing.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Result<(), Error> {
        tokio::pin!(shutdown);
        let pulse = self.health.part("subscriber", HANGS);
        pulse.fails(Level::NotReady, "it has not begun to consume");
        let mut failures = 0;
        loop {
            let started = async {
                let (queue, policy) = self.binder().bind().await?;
                // Before the first load: what changes after it is heard of.
                let announcements = self.shared.store.announcements().await?;
                Ok::<_, Error>((queue, policy, announcements))
            };
            let result = tokio::select! {
                () = &mut shutdown => {
                    pulse.end();
                    return Ok(());
                }
                result = started => result,
            };
            match result {
                Ok((queue, policy, announcements)) => {
                    let mut worker = Worker::new(self, Arc::new(policy), queue);
                    return worker.run(announcements, shutdown, pulse).await;
                }
                Err(error) if !may_pass(&error) => return Err(error),
                Err(error) => {
                    failures += 1;
                    pulse.fails(Level::NotReady, format!("it cannot begin: {}", crate::error::chain(&error)));
                    if failures == 1 {
                        tracing::error!(error = %crate::error::chain(&error), "cannot start yet; trying again");
                    }
                    let pause = self.shared.retry.pause(failures).min(Duration::from_secs(5));
                    tokio::select! {
                        () = &mut shutdown => {
                            pulse.end();
                            return Ok(());
                        }
                        () = tokio::time::sleep(pause) => {}
                    }
                }
            }
        }
    }
}

/// Whether a server is merely away.
fn may_pass(error: &Error) -> bool {
    use crate::database::DatabaseErrorKind::{Connection, Contention};
    use crate::version_store::StoreError::Unavailable;
    match error {
        Error::Broker(BrokerError::Connection { .. }) => true,
        Error::VersionStore(Unavailable { .. }) => true,
        Error::Database(error) => matches!(error.kind, Connection | Contention),
        _ => false,
    }
}
