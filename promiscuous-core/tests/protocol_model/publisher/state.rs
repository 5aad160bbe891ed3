//! One state of the publisher: its database, its Redis, the processes at work.
//!
//! Small and flat, because a million of them are compared and hashed. Numbers name things: key `k` is of endpoint `k`; op `w`
//! is what writer `w` does. Where 0 means "none", an op is kept as its number plus one.

use crate::message::{Broken, Header, Message, Messages, Row, Version};
use crate::scenario::{KEYS, OPS};

/// Recoverers of the largest scenario: one per publishing process.
pub const RECOVERERS: usize = 2;

/// Everything that decides what may happen next, and what the properties need to remember.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct State {
    /// Which transaction holds the row of a key (op + 1).
    pub row_locks: [u8; KEYS],
    /// What is committed.
    pub rows: [Row; KEYS],
    /// The outbox by its primary key, the op.
    pub outbox: [OutboxRow; OPS],
    /// The database's generation.
    pub generation: u8,
    pub writers: [Writer; OPS],
    /// What each process believes of the generation (`Generation::known`); 0 when it matters no more.
    pub known: [u8; OPS],
    /// The publisher's Redis.
    pub store: Store,
    /// What a restore, or a replica that lags behind, will bring back.
    pub replica: Option<Store>,
    pub sweeper: Sweeper,
    /// Sorted: they are alike.
    pub recoverers: [Recoverer; RECOVERERS],
    /// Every message that the broker was ever given.
    pub published: Messages,
    /// Bounded faults that may still happen.
    pub deaths: u8,
    pub flushes: u8,
    pub restarts: u8,
    /// The promise that the last step broke.
    pub broken: Option<Broken>,
}

/// `publisher/outbox.rs`: a row's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum OutboxRow {
    #[default]
    Absent,
    /// Inserted by the writer, whose transaction is open. Only the primary key knows.
    WriterInFlight,
    /// Inserted by a recoverer, whose transaction is open.
    RecovererInFlight,
    /// `PENDING`.
    Pending,
    /// `TOMBSTONE`.
    Tombstone,
    /// `FENCE`.
    Fence,
}

impl OutboxRow {
    pub fn is_committed(self) -> bool {
        matches!(self, Self::Pending | Self::Tombstone | Self::Fence)
    }
}

/// A publishing process that does one write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Writer {
    pub at: At,
    /// What it saw of the keys it reads (op + 1), for the properties.
    pub seen: [u8; KEYS],
    /// What lock-and-bump made: the intent record, the outbox row and the message are copies of this.
    pub header: Header,
}

/// Where a writer is: the next step of section 5 it will take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum At {
    /// Its context reads.
    Read,
    /// It runs the write, and takes this one of its row locks.
    Lock(u8),
    /// Lock-and-bump. The number is 0, but for calls that are not atomic.
    Bump(u8),
    /// The store, asked with the first generation, answered that it may have lost writes.
    Lost(u8, Refusal),
    /// The store, asked with the first generation, answered that it has the second.
    Stale(u8, u8, Refusal),
    /// It will raise the database to this generation, for a store that refused like this.
    RaiseDatabase(u8, Refusal),
    /// It will raise the store to this generation, for a store that refused like this.
    RaiseStore(u8, Refusal),
    InsertOutbox,
    /// Publishing before COMMIT, which no rule allows.
    PublishEarly,
    Commit,
    /// Committed: it finishes, publishes, deletes.
    Hands(Hands),
    /// Done, dead, fenced or refused.
    Ended,
}

/// What a store was like when it refused. (Redis would have to be told apart from itself after one more loss: by a token that
/// the refusing script leaves there.)
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Refusal {
    /// How many losses there may still be; 0 when nobody compares.
    pub losses: u8,
    /// The store's generation; 0 when nobody compares.
    pub generation: u8,
}

/// What a hand that publishes a message has done of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Hands {
    pub finished: bool,
    pub confirmed: bool,
    /// Its outbox row is deleted, or a fence.
    pub deleted: bool,
}

/// The publisher's Redis: `version_store/memory.rs`, `version_store/redis/lua/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Store {
    /// 0 when it is empty.
    pub generation: u8,
    /// Whether this is the server run that the generation was confirmed on.
    pub trusted: bool,
    pub chains: [Chain; KEYS],
    /// op + 1.
    pub locks: [u8; KEYS],
    pub intents: [bool; OPS],
}

/// The hash of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Chain {
    /// `g` and `w`.
    pub last: Version,
    /// `r:ENDPOINT`.
    pub readers: [u8; KEYS],
}

impl Store {
    pub const EMPTY: Self = Self {
        generation: 0,
        trusted: false,
        chains: [Chain { last: Version(0, 0), readers: [0; KEYS] }; KEYS],
        locks: [0; KEYS],
        intents: [false; OPS],
    };

    pub fn has_intents(&self) -> bool {
        self.intents.contains(&true)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Sweeper {
    Idle,
    /// It has read this message's row.
    Holds(Message, Hands),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Recoverer {
    Idle,
    /// It has read the intent of this op.
    Looked(u8),
    /// Its tombstone is inserted, in an open transaction.
    Inserted(u8),
    /// And the intent is still there.
    Checked(u8),
    /// Finished before COMMIT, which no rule allows.
    FinishedEarly(u8),
    /// The primary key says that the op is decided.
    Violated(u8),
    /// Committed: it finishes, publishes, and keeps the row as a fence.
    Hands(u8, Hands),
}

impl State {
    /// How many more times the store may lose something.
    pub fn losses_left(&self) -> u8 {
        let restores = u8::from(self.replica.is_none_or(|replica| replica != Store::EMPTY));
        self.flushes + self.restarts + restores
    }
}
