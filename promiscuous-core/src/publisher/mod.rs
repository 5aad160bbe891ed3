//! The publishing side (sections 5 and 6 of the protocol).
//!
//! Layout, in the order of the steps:
//!
//! * [`Publisher::lock_and_bump`]: right before COMMIT, versions for everything that the transaction wrote
//! * [`Pending::outbox_insert`]: the message becomes part of the transaction; the adapter commits
//! * [`Pending::committed`]: hands over to `publishing`: *finish*, publish with confirm, delete the outbox row
//! * `sweeper`: does the same for messages of processes that died or could not reach the broker
//! * `recoverer`: consumes the versions of writers that died between bump and COMMIT
//! * `shared`: what handles and background tasks share
//! * `generation`: a version store that lost its data is noticed and survived
//! * `announcing`: subscribers are told of it

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::broker::Broker;
use crate::clock;
use crate::context::Context;
use crate::database::Database;
use crate::dependency::{Dependencies, Version, WriteDependency};
use crate::error::Error;
use crate::health::Health;
use crate::key::Endpoint;
use crate::message::{MAX_DEPTH, MAX_MESSAGE_BYTES, Message, depth};
use crate::operation::{Operation, coalesce};
use crate::registry::{check_published, check_total_order};
use crate::version_store::{Bump, StoreError, VersionStore};

mod again;
mod announcing;
pub(crate) mod generation;
pub(crate) mod outbox;
mod pending;
mod publishing;
mod recoverer;
mod settings;
mod shared;
mod sweeper;

use generation::Generation;
use outbox::Outbox;
use pending::{Committed, Unsettled};

use shared::{Inner, keep_claiming};

pub use pending::Pending;
pub use settings::PublisherSettings;

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

impl Publisher {
    /// Starts publishing `endpoints`: checks the stores, claims the endpoints and starts the background tasks.
    ///
    /// A broker or a version store that is merely away is reported and waited for in the background; writes
    /// go on without a broker, and fail with a clear error without a version store.
    ///
    /// # Errors
    /// When an endpoint is published twice or owned by another app, when one has another app's name and there is to be a total order,
    /// when the version store evicts keys, and when the
    /// promiscuous tables are missing.
    pub async fn start(
        settings: PublisherSettings,
        endpoints: Vec<Endpoint>,
        database: Arc<dyn Database>,
        store: Arc<dyn VersionStore>,
        broker: Arc<dyn Broker>,
    ) -> Result<Self, Error> {
        check_published(&endpoints)?;
        if settings.total_order {
            check_total_order(&settings.app, &endpoints)?;
        }
        let (hand_over, committed) = mpsc::channel(settings.in_hands);
        let (early_looks, looks) = mpsc::channel(1_024);
        let inner = Arc::new(Inner {
            endpoints: endpoints.clone(),
            generation: Generation::new(Arc::clone(&database), Arc::clone(&store)),
            announced: AtomicU64::new(0),
            outbox: Outbox::new(database),
            settings,
            store,
            broker,
            hand_over,
            early_looks,
            in_hands: Mutex::default(),
            refused: OnceLock::new(),
            health: Health::new(),
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

    /// How its background tasks do.
    pub fn health(&self) -> Health {
        self.inner.health.clone()
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
            write: inner.with_order(keys)?,
        };
        let mut unsettled = Unsettled { inner: Arc::clone(inner), op: bump.op, told: false };
        fail::fail_point!("before_bump");
        let bumped = inner.bump(&mut bump, &mut unsettled).await?;
        fail::fail_point!("after_bump");
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
            bootstrap: None,
        };
        let version = |w: &WriteDependency| (w.key.clone(), Version::new(message.generation, w.version));
        let written = message.written_objects().map(version).collect();
        let text = message
            .encode()
            .map_err(|error| Error::Publisher(format!("an attribute cannot be written as JSON: {error}")))?;
        // Now, while the transaction can still be rolled back: no broker and no subscriber would take it.
        if text.len() > MAX_MESSAGE_BYTES {
            return Err(Error::Publisher(format!(
                "its message has {} bytes, and at most {MAX_MESSAGE_BYTES} can be sent: write fewer or smaller rows in one transaction",
                text.len()
            )));
        }
        if depth(&text) > MAX_DEPTH {
            return Err(Error::Publisher(format!(
                "its message nests JSON deeper than {MAX_DEPTH} levels, which no subscriber reads: publish a flatter value"
            )));
        }
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
        announcing::watch(&self.inner).await?;
        recoverer::look(&self.inner).await.map_err(Error::Recovery)?;
        sweeper::sweep(&self.inner, Duration::ZERO, &stopped, || {}).await.map_err(Error::Recovery)
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

/// Resolves when the background tasks are to end, also when nobody is left to tell them.
async fn stop(stopped: &mut watch::Receiver<bool>) {
    let _ = stopped.wait_for(|stop| *stop).await;
}
