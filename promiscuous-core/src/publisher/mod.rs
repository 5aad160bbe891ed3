//! The publishing side (sections 5 and 6 of the protocol).
//!
//! Layout, in the order of the steps:
//!
//! * [`Publisher::lock_and_bump`]: right before COMMIT, versions for everything that the transaction wrote
//! * [`Pending::outbox_insert`]: the message becomes part of the transaction; the adapter commits
//! * [`Pending::committed`]: hands over to `publishing`: *finish*, publish with confirm, delete the outbox row
//! * `sweeper`: does the same for messages of processes that died or could not reach the broker
//! * `recoverer`: consumes the versions of writers that died between bump and COMMIT
//! * `generation`: a version store that lost its data is noticed and survived

use std::collections::HashSet;
use std::future::Future;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::broker::{Broker, BrokerError};
use crate::clock;
use crate::context::Context;
use crate::database::Database;
use crate::dependency::{Dependencies, Version};
use crate::error::Error;
use crate::key::Endpoint;
use crate::message::Message;
use crate::operation::{Operation, coalesce};
use crate::registry::check_published;
use crate::version_store::{Bump, Bumped, StoreError, VersionStore};

mod generation;
mod outbox;
mod pending;
mod publishing;
mod recoverer;
mod sweeper;

use generation::Generation;
use outbox::Outbox;
use pending::{Committed, Unsettled};

pub use pending::Pending;

/// How a publisher behaves; the defaults suit production.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct PublisherSettings {
    /// The app's name, the first part of its endpoints.
    pub app: String,
    /// The machine's name, for people who read messages.
    pub host: Option<String>,
    /// How long an op may take from bump to COMMIT before the recoverer settles it: 30 s.
    pub deadline: Duration,
    /// How old an outbox row must be before the sweeper takes it from its writer: 5 s.
    pub sweep_after: Duration,
    /// How often outbox and intents are looked at: 1 s.
    pub look_every: Duration,
    /// How long published dummies fence their op: 7 days.
    pub fences_kept: Duration,
    /// Committed messages that wait in memory at the most; beyond, the outbox sweeper takes them: 1,024.
    pub in_hands: usize,
    /// How long one batch may wait for its confirms before it is left to the sweeper: 30 s.
    pub confirm_timeout: Duration,
    /// How long the start waits for the broker before it goes on without: 5 s.
    pub start_timeout: Duration,
}

impl PublisherSettings {
    /// The defaults, for an app.
    pub fn new(app: impl Into<String>) -> Self {
        Self {
            app: app.into(),
            host: None,
            deadline: Duration::from_secs(30),
            sweep_after: Duration::from_secs(5),
            look_every: Duration::from_secs(1),
            fences_kept: Duration::from_secs(7 * 24 * 3600),
            in_hands: 1_024,
            confirm_timeout: Duration::from_secs(30),
            start_timeout: Duration::from_secs(5),
        }
    }
}

/// Publishes what an app's database commits. A cheaply cloned handle; the background tasks end with
/// [`Publisher::shut_down`] or when the last handle is dropped.
#[derive(Clone)]
pub struct Publisher {
    inner: Arc<Inner>,
    /// Keeps the background tasks alive; not held by the tasks themselves.
    tasks: Arc<Tasks>,
}

struct Tasks {
    running: Mutex<JoinSet<()>>,
    stop: watch::Sender<bool>,
}

/// What handles and background tasks share.
struct Inner {
    settings: PublisherSettings,
    generation: Generation,
    outbox: Outbox,
    store: Arc<dyn VersionStore>,
    broker: Arc<dyn Broker>,
    /// To the publishing task.
    hand_over: mpsc::Sender<Committed>,
    /// To the recoverer: ops whose outcome nobody told.
    early_looks: mpsc::Sender<Uuid>,
    /// Ops that this process is publishing, which the sweeper leaves alone.
    in_hands: Mutex<HashSet<Uuid>>,
    /// Set when the broker says that another app owns one of our endpoints: all writes are refused from then on.
    refused: OnceLock<BrokerError>,
    /// Names this process in leases.
    process: Uuid,
}

impl Publisher {
    /// Starts publishing `endpoints`: checks the stores, claims the endpoints and starts the background tasks.
    ///
    /// A broker or a version store that is merely away is reported and waited for in the background; writes
    /// go on without a broker, and fail with a clear error without a version store.
    ///
    /// # Errors
    /// When an endpoint is published twice or owned by another app, when the version store evicts keys, and when the
    /// promiscuous tables are missing.
    pub async fn start(
        settings: PublisherSettings,
        endpoints: Vec<Endpoint>,
        database: Arc<dyn Database>,
        store: Arc<dyn VersionStore>,
        broker: Arc<dyn Broker>,
    ) -> Result<Self, Error> {
        check_published(&endpoints)?;
        let (hand_over, committed) = mpsc::channel(settings.in_hands);
        let (early_looks, looks) = mpsc::channel(1_024);
        let inner = Arc::new(Inner {
            generation: Generation::new(Arc::clone(&database), Arc::clone(&store)),
            outbox: Outbox::new(database),
            settings,
            store,
            broker,
            hand_over,
            early_looks,
            in_hands: Mutex::default(),
            refused: OnceLock::new(),
            process: Uuid::now_v7(),
        });
        inner.check_store().await?;
        let claimed = inner.claim(&endpoints).await?;
        // Now, while no transaction holds a connection; again at the first write when Redis is away.
        match inner.generation.establish().await {
            Ok(_) | Err(Error::VersionStore(StoreError::Unavailable { .. })) => {}
            Err(error) => return Err(error),
        }
        let (stop, stopped) = watch::channel(false);
        let mut running = JoinSet::new();
        running.spawn(publishing::run(Arc::clone(&inner), committed, stopped.clone()));
        running.spawn(sweeper::run(Arc::clone(&inner), stopped.clone()));
        running.spawn(recoverer::run(Arc::clone(&inner), looks, stopped.clone()));
        if !claimed {
            running.spawn(keep_claiming(Arc::clone(&inner), endpoints, stopped));
        }
        Ok(Self { inner, tasks: Arc::new(Tasks { running: Mutex::new(running), stop }) })
    }

    /// The app's name, the first part of its endpoints.
    pub fn app(&self) -> &str {
        &self.inner.settings.app
    }

    /// Step 2 of the commit path: call it right before COMMIT, with everything that the transaction did.
    /// None when nothing is left to say (what was created was destroyed again): then just commit.
    ///
    /// # Errors
    /// When the version store fails, or a key cannot be replicated: roll back. Nothing that was bumped is left behind.
    pub async fn lock_and_bump(
        &self,
        operations: Vec<Operation>,
        context: Option<&Context>,
    ) -> Result<Option<Pending>, Error> {
        let inner = &self.inner;
        if let Some(refused) = inner.refused.get() {
            return Err(refused.clone().into());
        }
        let operations = coalesce(operations);
        if operations.is_empty() {
            return Ok(None);
        }
        let keys = operations.iter().map(Operation::key).collect::<Result<Vec<_>, _>>()?;
        let causes = context.map(Context::causes).unwrap_or_default();
        let mut endpoints: Vec<Endpoint> = operations.iter().map(|o| o.endpoint.clone()).collect();
        endpoints.sort_unstable();
        endpoints.dedup();
        let mut bump = Bump {
            op: Uuid::now_v7(),
            generation: inner.generation().await?,
            deadline: inner.settings.deadline,
            endpoints,
            read: causes.read_keys(&keys),
            write: keys,
        };
        let mut unsettled = Unsettled { inner: Arc::clone(inner), op: bump.op, told: false };
        let bumped = inner.bump(&mut bump, &mut unsettled).await?;
        fail::fail_point!("after_bump");
        let written = bumped
            .write
            .iter()
            .map(|w| (w.key.clone(), Version::new(bumped.generation, w.version)))
            .collect();
        let message = Message {
            id: bumped.op,
            app: inner.settings.app.clone(),
            host: inner.settings.host.clone(),
            context: context.map(|c| c.name().to_owned()),
            current_user_id: context.and_then(Context::current_user_id).map(str::to_owned),
            timestamp: clock::millis(),
            generation: bumped.generation,
            operations,
            dependencies: Some(Dependencies {
                write: bumped.write,
                read: bumped.read,
                external: causes.external.clone(),
            }),
        };
        let text = message
            .encode()
            .map_err(|error| Error::Publisher(format!("an attribute cannot be written as JSON: {error}")))?;
        let committed = Committed::new(&message, text.clone().into(), false);
        let context = context.map(|context| (context.clone(), causes));
        Ok(Some(Pending { unsettled, committed, text, context, written }))
    }

    /// Settles every overdue intent and publishes the whole outbox now, whatever its age.
    ///
    /// # Errors
    /// [`Error::Recovery`] when a server is away; what could not be done waits for the next time.
    pub async fn recover_once(&self) -> Result<(), Error> {
        let stopped = self.tasks.stop.subscribe();
        recoverer::look(&self.inner).await.map_err(Error::Recovery)?;
        sweeper::sweep(&self.inner, Duration::ZERO, &stopped).await.map_err(Error::Recovery)
    }

    /// Publishes what is in hand and stops the background tasks; what is left after `patience` waits in
    /// the outbox for the next process.
    pub async fn shut_down(&self, patience: Duration) {
        self.tasks.stop.send_replace(true);
        let mut running =
            std::mem::take(&mut *self.tasks.running.lock().unwrap_or_else(PoisonError::into_inner));
        let drained = async { while running.join_next().await.is_some() {} };
        if tokio::time::timeout(patience, drained).await.is_err() {
            tracing::warn!("publishing did not end in time: what is left waits in the outbox");
        }
    }
}

impl std::fmt::Debug for Publisher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Publisher").field("app", &self.app()).finish_non_exhaustive()
    }
}

impl Inner {
    /// Refuses a version store that would lose versions silently; one that is away is looked at again later.
    async fn check_store(&self) -> Result<(), Error> {
        match self.store.check().await {
            Err(StoreError::Unavailable { at, reason }) => {
                tracing::error!(%at, %reason, "Redis cannot be reached: published writes fail until it can");
                Ok(())
            }
            other => Ok(other?),
        }
    }

    /// Claims the endpoints; false when the broker is away.
    async fn claim(&self, endpoints: &[Endpoint]) -> Result<bool, Error> {
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

    /// Lock-and-bump, again with a new generation when the store refused the old one. A refusal has changed nothing.
    async fn bump(self: &Arc<Self>, bump: &mut Bump, unsettled: &mut Unsettled) -> Result<Bumped, Error> {
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

    async fn generation(self: &Arc<Self>) -> Result<u64, Error> {
        if let Some(known) = self.generation.known() {
            return Ok(known);
        }
        let inner = Arc::clone(self);
        aside(async move { inner.generation.establish().await }).await
    }

    async fn renew_generation(self: &Arc<Self>, used: u64, refusal: StoreError) -> Result<u64, Error> {
        let inner = Arc::clone(self);
        aside(async move { inner.generation.renew(used, &refusal).await }).await
    }

    /// To the publishing task, or, when that has its hands full, to the sweeper.
    fn hand_over(&self, committed: Committed) {
        let op = committed.finish.op;
        self.in_hands.lock().unwrap_or_else(PoisonError::into_inner).insert(op);
        if self.hand_over.try_send(committed).is_err() {
            metrics::counter!(crate::metrics::LEFT_TO_SWEEPER).increment(1);
            self.let_go([op]);
        }
    }

    /// The sweeper may take these ops.
    fn let_go(&self, ops: impl IntoIterator<Item = Uuid>) {
        let mut in_hands = self.in_hands.lock().unwrap_or_else(PoisonError::into_inner);
        for op in ops {
            in_hands.remove(&op);
        }
    }

    fn is_in_hands(&self, op: &Uuid) -> bool {
        self.in_hands.lock().unwrap_or_else(PoisonError::into_inner).contains(op)
    }

    /// Asks the recoverer to settle an op now. When it has too many to look at, the intent's deadline does the same later.
    fn look_early(&self, op: Uuid) {
        let _ = self.early_looks.try_send(op);
    }
}

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
async fn keep_claiming(inner: Arc<Inner>, endpoints: Vec<Endpoint>, mut stopped: watch::Receiver<bool>) {
    loop {
        tokio::select! {
            () = stop(&mut stopped) => return,
            () = tokio::time::sleep(inner.settings.look_every) => {}
        }
        match inner.broker.claim(&inner.settings.app, &endpoints).await {
            Ok(()) => return,
            Err(BrokerError::Connection { .. }) => {}
            Err(error) => {
                tracing::error!(%error, "published writes are refused from now on");
                let _ = inner.refused.set(error);
                return;
            }
        }
    }
}

/// Resolves when the background tasks are to end, also when nobody is left to tell them.
async fn stop(stopped: &mut watch::Receiver<bool>) {
    let _ = stopped.wait_for(|stop| *stop).await;
}
