//! A small world with bounds on what may go wrong in it.

use crate::rules::Rules;

/// Writers of the largest scenario; each has one op.
pub const OPS: usize = 4;
/// Keys of the largest scenario; each has an endpoint of its own, so that readers are counted per endpoint.
pub const KEYS: usize = 2;
/// The letters that people know the keys by.
pub const KEY_NAMES: [&str; KEYS] = ["a", "b"];

/// What there is, and what may happen to it.
#[derive(Debug, Clone, Copy)]
pub struct Scenario {
    /// For people.
    pub name: &'static str,
    /// Each one is a process that does one write.
    pub writers: &'static [Spec],
    /// What the outbox sweeper takes. It may die and start again at any time; and where there is one, writers may die after
    /// their COMMIT.
    pub sweeper: Sweeps,
    /// How many processes recover intents. Each may die and start again at any time.
    pub recoverers: usize,
    /// How many writers may die before their COMMIT. After it, any may.
    pub deaths: u8,
    /// How often the publisher's Redis may be flushed.
    pub flushes: u8,
    /// How often the publisher's Redis may be found to be another run, with all its data.
    pub restarts: u8,
    /// Whether the publisher's Redis may come back as it was at some earlier moment, once.
    pub restored: bool,
    /// How many processes of the subscriber apply. Each may die and start again at any time.
    pub workers: usize,
    /// Which keys' endpoints are subscribed.
    pub subscribed: [bool; KEYS],
    /// How often the subscriber's Redis may be flushed.
    pub cache_flushes: u8,
    /// Which promises are checked while things move; at rest, all of the others are.
    pub promises: Promises,
}

/// What the outbox sweeper takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sweeps {
    /// There is none, and nobody dies between a COMMIT and the end of publishing.
    Nothing,
    /// What is not in the hands of its own process (`Inner::is_in_hands`): as if there were one process.
    Abandoned,
    /// Also what other processes are publishing.
    All,
}

/// Promises that some faults suspend (see docs/guarantees.md).
#[derive(Debug, Clone, Copy)]
pub struct Promises {
    /// One content per version.
    pub one_content: bool,
    /// A version in flight is locked, on which a sync relies.
    pub locked: bool,
    /// Causal order: suspended by a loss of the publisher's Redis.
    pub causal: bool,
    /// Exact state: suspended by a loss of either Redis.
    pub exact: bool,
}

/// One write: what its transaction does.
#[derive(Debug, Clone, Copy)]
pub struct Spec {
    /// Keys in the order in which their rows are locked.
    pub writes: &'static [usize],
    /// Keys that its context has read before.
    pub reads: &'static [usize],
    /// It begins when this writer has committed or ended.
    pub after: Option<usize>,
    /// Whether it destroys what it writes.
    pub destroys: bool,
    /// It runs in the process of this writer, and shares its idea of the generation.
    pub process: Option<usize>,
}

impl Spec {
    /// Updates these keys, at any time.
    pub const fn writes(writes: &'static [usize]) -> Self {
        Self { writes, reads: &[], after: None, destroys: false, process: None }
    }

    /// Its context has read these keys.
    pub const fn reading(self, reads: &'static [usize]) -> Self {
        Self { reads, ..self }
    }

    /// It begins when this writer (counted from 0) has committed or ended.
    pub const fn after(self, writer: usize) -> Self {
        Self { after: Some(writer), ..self }
    }

    /// It runs in the process of this writer (counted from 0).
    pub const fn beside(self, writer: usize) -> Self {
        Self { process: Some(writer), ..self }
    }

    /// It destroys what it writes.
    pub const fn destroying(self) -> Self {
        Self { destroys: true, ..self }
    }
}

/// A scenario under rules.
#[derive(Debug, Clone, Copy)]
pub struct Model {
    pub scenario: Scenario,
    pub rules: Rules,
}

impl Model {
    pub fn spec(&self, op: usize) -> &'static Spec {
        &self.scenario.writers[op]
    }

    /// Whether a message of this op goes to the subscriber's queue.
    pub fn is_routed(&self, op: usize) -> bool {
        self.spec(op).writes.iter().any(|&key| self.scenario.subscribed[key])
    }
}
