//! One state of the subscriber: its database, its Redis, its queue, its workers.

use crate::message::{Broken, Message, Messages, Version};
use crate::scenario::KEYS;

/// Worker processes of the largest scenario.
pub const WORKERS: usize = 2;
/// Loads that may be under way at the same time.
pub const LOADS: usize = 2;

/// Everything that decides what may happen next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct State {
    /// `promiscuous_versions`: what others wait for.
    pub versions: [Version; KEYS],
    /// What an operation must be newer than in order to be applied: the same, unless a rule tells them apart.
    pub contents: [Version; KEYS],
    /// The replicated rows (op + 1).
    pub rows: [u8; KEYS],
    /// Its Redis.
    pub cache: [Cached; KEYS],
    /// What is to be written there because the database said so. Sorted: they are alike.
    pub loads: [Option<Load>; LOADS],
    pub queue: Messages,
    /// Sorted: they are alike.
    pub workers: [Option<Task>; WORKERS],
    /// How often its Redis may still be flushed. It names the time since the last flush, too.
    pub flushes: u8,
    /// The promise that the last step broke.
    pub broken: Option<Broken>,
}

/// What the subscriber's Redis knows of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Cached {
    pub present: bool,
    /// (0, 0) in an entry that only says that the database knows nothing. Of one that is not present: what whoever loads it has to find.
    pub version: Version,
    /// False after a rebuild: then nobody waits for readers.
    pub readers_known: bool,
    /// The ordinals seen, per endpoint: bit n for ordinal n.
    pub readers: [u8; KEYS],
}

/// A key was not in Redis, and was read from the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Load {
    pub key: u8,
    pub version: Version,
    /// Which cache said that it does not know the key: after a flush it is another one. 0 when nobody asks.
    pub since: u8,
}

/// A message in the hands of a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Task {
    pub message: Message,
    pub stage: Stage,
    /// Whether none of its operations was newer than what is there.
    pub skipped: bool,
}

/// How far a worker is with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// Found ready.
    Ready,
    /// Its versions are committed in a transaction of their own, which no rule allows.
    Versioned,
    /// Rows and versions are committed.
    Applied,
    /// Acknowledged before Redis was advanced, which no rule allows.
    AckedEarly,
    /// Redis is advanced.
    Advanced,
}
