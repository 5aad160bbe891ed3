//! What a publisher's handles and background tasks share.

use std::collections::HashSet;
use std::future::Future;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use uuid::Uuid;

use super::generation::Generation;
use super::outbox::Outbox;
use super::pending::{Committed, Unsettled};
use super::settings::PublisherSettings;
use super::stop;
use crate::broker::{Broker, BrokerError};
use crate::error::Error;
use crate::health::{Health, Level};
use crate::key::{Endpoint, Key, NameError};
use crate::notice::{self, Notice};
use crate::version_store::{Bump, Bumped, StoreError, VersionStore};

/// What handles and background tasks share.
pub(super) struct Inner {
    pub(super) settings: PublisherSettings,
    /// What the app publishes.
    pub(super) endpoints: Vec<Endpoint>,
    pub(super) generation: Generation,
    /// The generation that subscribers were told of, as far as this process knows.
    pub(super) announced: AtomicU64,
    pub(super) outbox: Outbox,
    pub(super) store: Arc<dyn VersionStore>,
    pub(super) broker: Arc<dyn Broker>,
    /// To the publishing task.
    pub(super) hand_over: mpsc::Sender<Committed>,
    /// To the recoverer: ops whose outcome nobody told.
    pub(super) early_looks: mpsc::Sender<Uuid>,
    /// Ops that this process is publishing, which the sweeper leaves alone.
    pub(super) in_hands: Mutex<HashSet<Uuid>>,
    /// Set when the broker says that another app owns one of our endpoints: all writes are refused from then on.
    pub(super) refused: OnceLock<BrokerError>,
    /// What the background tasks say of themselves.
    pub(super) health: Health,
    /// Names this process in leases.
    pub(super) process: Uuid,
}

impl Inner {
    /// Refuses a version store that would lose versions silently; one that is away is looked at again later.
    pub(super) async fn check_store(&self) -> Result<(), Error> {
        match self.store.check().await {
            Err(StoreError::Unavailable { at, reason }) => {
                tracing::error!(%at, %reason, "Redis cannot be reached: published writes fail until it can");
                Ok(())
            }
            other => Ok(other?),
        }
    }

    /// Claims the endpoints; false when the broker is away.
    pub(super) async fn claim(&self, endpoints: &[Endpoint]) -> Result<bool, Error> {
        let claiming = self.broker.claim(&self.settings.app, endpoints);
        match tokio::time::timeout(self.settings.start_timeout, claiming).await {
            Ok(Ok(())) => Ok(true),
            Ok(Err(BrokerError::Connection { at, reason })) => {
                tracing::error!(%at, %reason, "RabbitMQ cannot be reached: writes go on and wait in the outbox");
                Ok(false)
            }
            Ok(Err(error)) => Err(error.into()),
            Err(_) => {
                tracing::error!("RabbitMQ does not answer: writes go on and wait in the outbox");
                Ok(false)
            }
        }
    }

    /// The keys to bump for a message that writes these: with the one of the app's total order, where every message takes part in it.
    pub(super) fn with_order(&self, mut keys: Vec<Key>) -> Result<Vec<Key>, NameError> {
        if self.settings.total_order {
            keys.push(Key::of_order(&self.settings.app)?);
        }
        Ok(keys)
    }

    /// Lock-and-bump, again with a new generation when the store refused the old one. A refusal has changed nothing.
    pub(super) async fn bump(
        self: &Arc<Self>,
        bump: &mut Bump,
        unsettled: &mut Unsettled,
    ) -> Result<Bumped, Error> {
        let mut tries = 0;
        loop {
            tries += 1;
            match self.store.lock_and_bump(bump).await {
                Ok(bumped) => return Ok(bumped),
                Err(refusal @ (StoreError::StaleGeneration { .. } | StoreError::LostWrites)) => {
                    if tries > 3 {
                        unsettled.told = true;
                        return Err(refusal.into());
                    }
                    bump.generation = self.renew_generation(bump.generation, refusal).await?;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    pub(super) async fn generation(self: &Arc<Self>) -> Result<u64, Error> {
        if let Some(known) = self.generation.known() {
            return Ok(known);
        }
        let inner = Arc::clone(self);
        aside(async move { inner.generation.establish().await }).await
    }

    pub(super) async fn renew_generation(
        self: &Arc<Self>,
        used: u64,
        refusal: StoreError,
    ) -> Result<u64, Error> {
        let inner = Arc::clone(self);
        aside(async move { inner.generation.renew(used, &refusal).await }).await
    }

    /// To the publishing task, or, when that has its hands full, to the sweeper.
    pub(super) fn hand_over(&self, committed: Committed) {
        let op = committed.finish.op;
        self.in_hands.lock().unwrap_or_else(PoisonError::into_inner).insert(op);
        if self.hand_over.try_send(committed).is_err() {
            metrics::counter!(crate::metrics::LEFT_TO_SWEEPER).increment(1);
            self.let_go([op]);
        }
    }

    /// The sweeper may take these ops.
    pub(super) fn let_go(&self, ops: impl IntoIterator<Item = Uuid>) {
        let mut in_hands = self.in_hands.lock().unwrap_or_else(PoisonError::into_inner);
        for op in ops {
            in_hands.remove(&op);
        }
    }

    pub(super) fn is_in_hands(&self, op: &Uuid) -> bool {
        self.in_hands.lock().unwrap_or_else(PoisonError::into_inner).contains(op)
    }

    /// Asks the recoverer to settle an op now. When it has too many to look at, the intent's deadline does the same later.
    pub(super) fn look_early(&self, op: Uuid) {
        let _ = self.early_looks.try_send(op);
    }
}

/// A background task that has not gone round for so long hangs: longer than anything that it waits for may take.
pub(super) const HANGS: Duration = Duration::from_secs(120);

/// How long a writer waits for the generation to be looked up.
const GENERATION_TIMEOUT: Duration = Duration::from_secs(3);

/// Does something that needs a database connection while its caller holds one in a transaction. When all
/// connections are held by such callers, they give up after a while, and the work goes on without them: the next write finds it done.
async fn aside<T: Send + 'static>(
    work: impl Future<Output = Result<T, Error>> + Send + 'static,
) -> Result<T, Error> {
    match tokio::time::timeout(GENERATION_TIMEOUT, tokio::spawn(work)).await {
        Ok(Ok(result)) => result,
        Ok(Err(_)) => Err(Error::Publisher("looking up the generation panicked".into())),
        Err(_) => Err(Error::Publisher(
            "the generation of versions is being looked up and no database connection is free for it: write again, and allow more connections if this comes again".into(),
        )),
    }
}

/// Claims the endpoints as soon as the broker is there.
pub(super) async fn keep_claiming(
    inner: Arc<Inner>,
    endpoints: Vec<Endpoint>,
    mut stopped: watch::Receiver<bool>,
) {
    let pulse = inner.health.part("claims", HANGS);
    loop {
        tokio::select! {
            () = stop(&mut stopped) => return pulse.end(),
            () = tokio::time::sleep(inner.settings.look_every) => {}
        }
        match inner.broker.claim(&inner.settings.app, &endpoints).await {
            Ok(()) => return pulse.end(),
            Err(error @ BrokerError::Connection { .. }) => pulse.fails(Level::Degraded, error.to_string()),
            Err(error) => {
                tracing::error!(%error, "published writes are refused from now on");
                let reason = error.to_string();
                pulse.fails(Level::NotReady, format!("published writes are refused: {reason}"));
                notice::tell(&Notice::Refused { reason });
                let _ = inner.refused.set(error);
                break;
            }
        }
    }
    // It has nothing left to do but to say so.
    loop {
        tokio::select! {
            () = stop(&mut stopped) => return pulse.end(),
            () = tokio::time::sleep(inner.settings.look_every) => pulse.beat(),
        }
    }
}
