//! Where versions live: the publisher's counters, locks and intents (sections 4 to 6 of the protocol), and the
//! subscriber's cache of what it has applied (section 7).
//!
//! Two traits, because the two sides are different stores with different lives:
//!
//! * [`VersionStore`]: the publisher's. Disposable, but only together with a new generation.
//! * [`AppliedStore`]: the subscriber's. A cache in front of its database, that may vanish at any time.
//!
//! [`redis`] implements both on a Redis server, [`memory`] both in the process. `tests/` holds the conformance
//! suite that both must pass.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast;
use uuid::Uuid;

use crate::dependency::{ReadDependency, Version, WriteDependency};
use crate::key::{Endpoint, Key};

pub mod memory;
#[cfg(feature = "redis")]
pub mod redis;

/// What *lock-and-bump* is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bump {
    /// The operation's id: names the intent and the locks.
    pub op: Uuid,
    /// The generation the caller believes in.
    pub generation: u64,
    /// After this long the intent recoverer settles the op.
    pub deadline: Duration,
    /// The endpoints of the message, for counting readers.
    pub endpoints: Vec<Endpoint>,
    /// Keys to lock and to give a new version. Never empty, no key twice. The key of an order ([`Key::is_order`]) gets a version only: a lock
    /// says that whoever takes it over holds the row's lock in the database, and it has no row.
    pub write: Vec<Key>,
    /// Keys read before, none of them in `write`, no key twice.
    pub read: Vec<Key>,
}

/// What *lock-and-bump* answers, and what the intent record holds: enough to publish a dummy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bumped {
    /// The operation.
    pub op: Uuid,
    /// The generation of every version in here.
    pub generation: u64,
    /// The versions made, in the order asked for.
    pub write: Vec<WriteDependency>,
    /// The versions read; keys without a version are left out.
    pub read: Vec<ReadDependency>,
    /// Ops whose locks were taken over, each once. Not part of the intent record.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub taken_over: Vec<Uuid>,
}

/// What *finish* removes: an op's intent, and those of these locks that still name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finish {
    /// The operation.
    pub op: Uuid,
    /// The keys it wrote.
    pub keys: Vec<Key>,
}

/// Why a version store did not do what it was asked to.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The store could not be reached, or answered with an error of its own. Whether the call took effect is unknown.
    #[error("the version store at {at} did not answer: {reason}")]
    Unavailable {
        /// Host and port, never a password.
        at: String,
        /// What the client said.
        reason: String,
    },
    /// The stored generation is another than the caller's: read it anew and try again. Nothing was changed.
    #[error("the generation {used} is stale: the version store is at {stored}")]
    StaleGeneration {
        /// The caller's.
        used: u64,
        /// The store's.
        stored: u64,
    },
    /// The store has no generation, or is another server run than the one that had it: it may have lost
    /// writes, so the generation must be raised. Nothing was changed.
    #[error("the version store may have lost writes: the generation must be raised")]
    LostWrites,
    /// The store evicts keys when memory is short, which would lose versions silently.
    #[error(
        "the Redis at {at} has maxmemory-policy `{policy}`: set it to `noeviction`, because evicted versions would be lost silently"
    )]
    Evicts {
        /// Host and port.
        at: String,
        /// The configured policy.
        policy: String,
    },
    /// The store's answer makes no sense: another program writes to the same keys, or another version of this one.
    #[error("the version store answered something unexpected: {0}")]
    Protocol(String),
}

/// Whether a version store can be trusted to give no version twice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trust {
    /// It can, in this generation.
    Generation(u64),
    /// It is new, or may have lost writes, or is behind: the generation must be raised.
    Refused(Refusal),
}

/// How a store was when it refused to be trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The generation that it has nevertheless.
    pub stored: Option<u64>,
    /// What the store remembers the refusal by, until it is raised or loses its memory again.
    pub(crate) token: String,
    /// The server run that refused.
    pub(crate) run_id: String,
}

/// What there is to know of a store's state at one moment, for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Survey {
    /// The stored generation; none when the app has published nothing here, or the store has lost it.
    pub generation: Option<u64>,
    /// Whether the server run is the one that the generation was confirmed on: only then it is believed.
    pub is_trusted: bool,
    /// Ops that are not finished.
    pub intents: u64,
    /// Those of them whose deadline has passed, by the store's clock.
    pub overdue: u64,
}

/// The publisher's version store. Every method is atomic, and safe to call again when its answer was lost,
/// but for [`lock_and_bump`](VersionStore::lock_and_bump), whose op is then settled by its intent.
#[async_trait]
pub trait VersionStore: Send + Sync + 'static {
    /// Fails when the server is unfit for the purpose (an evicting memory policy). Called at start.
    async fn check(&self) -> Result<(), StoreError>;

    /// The stored generation, if this server run is the trusted one and the generation is not below `at_least`.
    async fn generation(&self, at_least: u64) -> Result<Trust, StoreError>;

    /// Makes this the stored generation, and this server run the trusted one. False, and nothing is changed, unless the store is as it
    /// was when it refused: another process has raised it since, or it has lost writes once more, which that refusal knows nothing of.
    async fn raise_generation(&self, generation: u64, refused: &Refusal) -> Result<bool, StoreError>;

    /// Writes the intent, takes the locks (over, if held) and bumps; an early look is scheduled at every op that
    /// a lock was taken over from.
    async fn lock_and_bump(&self, bump: &Bump) -> Result<Bumped, StoreError>;

    /// Removes intents and locks of these ops, in one round trip.
    async fn finish(&self, ops: &[Finish]) -> Result<(), StoreError>;

    /// Whether the intent of an op is still there.
    async fn intent_exists(&self, op: Uuid) -> Result<bool, StoreError>;

    /// Intents whose deadline has passed by the store's clock, oldest first.
    async fn overdue(&self, limit: usize) -> Result<Vec<Bumped>, StoreError>;

    /// Intents, whether overdue or not, the earliest deadline first.
    async fn intents(&self, limit: usize) -> Result<Vec<Bumped>, StoreError>;

    /// How the store is, changing nothing: a look, and no part of the protocol.
    async fn survey(&self) -> Result<Survey, StoreError>;

    /// Brings the deadline of an intent forward to `delay` from now; nothing when there is no such intent, or its deadline is earlier.
    async fn hasten(&self, op: Uuid, delay: Duration) -> Result<(), StoreError>;

    /// Takes or renews a lease for background work that one process at a time should do; true when held.
    async fn lease(&self, name: &str, owner: Uuid, for_how_long: Duration) -> Result<bool, StoreError>;

    /// The current versions of keys and whether each is locked, in order; keys without one get a new chain (section 8). As no message brings
    /// that first version, it is nobody's `previous` and nobody's cause: only later versions are larger.
    async fn versions_of(&self, generation: u64, keys: &[Key]) -> Result<Vec<KeyVersion>, StoreError>;
}

/// A key's version as *sync* reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyVersion {
    /// The version of the last write.
    pub version: u64,
    /// Whether a write is in flight.
    pub locked: bool,
    /// Whether nothing was written with a version of this generation: the version was made for a sync, and no message brings it. Then a
    /// write of an older generation may be in flight, of which the store knows nothing any more.
    pub unwritten: bool,
}

/// What a subscriber knows of one key.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Applied {
    /// The version that was applied last; none when nothing is known of the key.
    pub version: Option<Version>,
    /// Which readers of that version were seen, by endpoint; none when unknown (a sync, or rebuilt from the database).
    pub readers: Option<BTreeMap<Endpoint, Ordinals>>,
}

/// A set of ordinals, from 1: compact because they arrive almost in order.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Ordinals {
    /// All of 1 to this one.
    pub up_to: u64,
    /// Further ones beyond a gap.
    pub beyond: std::collections::BTreeSet<u64>,
}

impl Ordinals {
    /// Adds one; adding it again changes nothing.
    pub fn insert(&mut self, ordinal: u64) {
        if ordinal > self.up_to {
            self.beyond.insert(ordinal);
            while self.beyond.remove(&(self.up_to + 1)) {
                self.up_to += 1;
            }
        }
    }

    /// Whether all of 1 to `count` are in the set.
    pub fn contains_all(&self, count: u64) -> bool {
        self.up_to >= count
    }
}

/// Names a cache from when it was empty until it is lost: a flush, a restart and a failover make it another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheId(pub(crate) String);

/// What [`AppliedStore::load`] answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// Which cache said so.
    pub cache: CacheId,
    /// What is known of each key, in order; nothing known is `Applied::default()`.
    pub applied: Vec<Applied>,
}

/// What applying a message changes in the subscriber's store. Idempotent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advance {
    /// Written keys with their new versions; a version only grows, and growing forgets the readers of the old one.
    pub writes: Vec<(Key, Version)>,
    /// Read keys: the version that was read, and this reader's ordinals. Counted only while that version is the last one.
    pub reads: Vec<(Key, Version, BTreeMap<Endpoint, u64>)>,
    /// Whether readers of the new versions cannot be known from here on: true for a sync.
    pub readers_unknown: bool,
}

/// Told to every process of an app when a key advanced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Announcement {
    /// These keys advanced, by a write or by a reader: what is known of them changed.
    Advanced(Vec<Key>),
    /// Announcements may have been lost (a reconnect): look again at everything that waits.
    Lost,
}

/// What the cache holds of a key of which nothing was applied. Older than every version.
pub const NOTHING: Version = Version { generation: 0, version: 0 };

/// The subscriber's cache of what was applied.
#[async_trait]
pub trait AppliedStore: Send + Sync + 'static {
    /// What is known of these keys, in order.
    async fn load(&self, keys: &[Key]) -> Result<Loaded, StoreError>;

    /// Puts versions that were read from the database, after this cache said that it does not know them, into the cache, with readers
    /// unknown. [`NOTHING`] says that the database does not know the key, which nobody can have read.
    ///
    /// Only where the cache still knows nothing, and nobody has advanced the key beyond that version meanwhile: then the database knows
    /// more by now. Answers for each whether it was put there. None, and nothing is done, when the cache is another one by now: what was
    /// read may be older than what was lost.
    async fn rebuild(
        &self,
        cache: &CacheId,
        versions: &[(Key, Version)],
    ) -> Result<Option<Vec<bool>>, StoreError>;

    /// Records what applied messages changed, in order and in one round trip, and announces it to every process. Of a key that the cache
    /// does not know it only keeps what somebody who [rebuilds](Self::rebuild) it has to find in the database.
    async fn advance(&self, advances: &[Advance]) -> Result<(), StoreError>;

    /// Announcements from now on, of all processes including this one. Subscribed before the first [`load`](AppliedStore::load).
    /// A receiver that lags behind must treat that as [`Announcement::Lost`].
    async fn announcements(&self) -> Result<broadcast::Receiver<Announcement>, StoreError>;
}
