//! The small worlds. A writer that comes after another one begins when that one has committed or ended; apart from that, everything
//! may happen in any order.

use crate::scenario::{KEYS, Promises, Scenario, Spec, Sweeps};

const A: usize = 0;
const B: usize = 1;

/// Only the final state and the contents of versions: what holds also when a Redis loses its data.
pub const LASTING: Promises = Promises { causal: false, exact: false, ..ALL };
/// Not exact states: what holds also when the subscriber's Redis loses its data.
pub const CAUSAL: Promises = Promises { exact: false, ..ALL };
const ALL: Promises = Promises { one_content: true, locked: true, causal: true, exact: true };

/// Nothing goes wrong at the publisher. The subscriber's only worker may die, and every message may come again.
const CALM: Scenario = Scenario {
    name: "",
    writers: &[],
    sweeper: Sweeps::Nothing,
    recoverers: 0,
    deaths: 0,
    flushes: 0,
    restarts: 0,
    restored: false,
    workers: 1,
    subscribed: [true; KEYS],
    cache_flushes: 0,
    promises: ALL,
};

/// Writers may die, whatever they leave is recovered, and there are two workers.
const ROUGH: Scenario = Scenario { sweeper: Sweeps::All, recoverers: 1, deaths: 1, workers: 2, ..CALM };

const UPDATE_A: Spec = Spec::writes(&[A]);
const UPDATE_B: Spec = Spec::writes(&[B]);
const UPDATE_A_AFTER: Spec = UPDATE_A.after(0);
const UPDATE_B_READING_A: Spec = Spec::writes(&[B]).reading(&[A]);
const UPDATE_B_AFTER_READING_A: Spec = UPDATE_B_READING_A.after(0);

pub const ONE_KEY: Scenario =
    Scenario { name: "two writers on one key", writers: &[UPDATE_A, UPDATE_A], deaths: 2, ..ROUGH };

pub const ONE_KEY_CALM: Scenario =
    Scenario { name: "two writers on one key, who live", writers: &[UPDATE_A, UPDATE_A], ..CALM };

pub const ONE_KEY_IN_TURN: Scenario =
    Scenario { name: "two writers on one key, in turn", writers: &[UPDATE_A, UPDATE_A_AFTER], ..ROUGH };

/// Without asking for locks, to see what else goes wrong.
pub const UNLOCKED_IN_TURN: Scenario =
    Scenario { promises: Promises { locked: false, ..ALL }, ..ONE_KEY_IN_TURN };

pub const TWO_RECOVERERS: Scenario = Scenario {
    name: "two writers on one key, two recoverers",
    recoverers: 2,
    sweeper: Sweeps::Abandoned,
    ..ONE_KEY
};

const BOTH: Spec = Spec::writes(&[A, B]);
const BOTH_THE_OTHER_WAY: Spec = Spec::writes(&[B, A]);

pub const TWO_KEYS: Scenario = Scenario {
    name: "transactions over two keys, in both orders",
    writers: &[BOTH, BOTH_THE_OTHER_WAY],
    deaths: 2,
    ..ROUGH
};

const UPDATE_A_LAST: Spec = UPDATE_A.after(1);

pub const TRANSACTION_THEN_EACH: Scenario = Scenario {
    name: "a transaction over two keys, then a writer on each",
    writers: &[BOTH, UPDATE_A_AFTER, Spec::writes(&[B]).after(0)],
    sweeper: Sweeps::Nothing,
    ..ROUGH
};

/// Writer 2 reads what writer 1 wrote; writer 3 overwrites it.
pub const READER: Scenario = Scenario {
    name: "a reader between two writers",
    writers: &[UPDATE_A, UPDATE_B_AFTER_READING_A, UPDATE_A_LAST],
    ..CALM
};

pub const READER_TWO_WORKERS: Scenario =
    Scenario { name: "a reader between two writers, two workers", workers: 2, ..READER };

pub const READER_MAY_DIE: Scenario = Scenario {
    name: "a reader between two writers, one of them may die",
    recoverers: 1,
    deaths: 1,
    workers: 2,
    ..READER
};

pub const READER_CACHE_FLUSHED: Scenario = Scenario {
    name: "a reader between two writers, the subscriber's Redis is flushed",
    cache_flushes: 1,
    promises: CAUSAL,
    ..READER
};

pub const READER_SEES_ONLY_A: Scenario =
    Scenario { name: "the same, only a is subscribed", subscribed: [true, false], ..READER };

pub const READER_SEES_ONLY_B: Scenario =
    Scenario { name: "the same, only b is subscribed", subscribed: [false, true], ..READER };

/// Writers 2 and 3 read what writer 1 wrote; writer 4 overwrites it.
pub const TWO_READERS: Scenario = Scenario {
    name: "two readers between two writers",
    writers: &[UPDATE_A, UPDATE_B_AFTER_READING_A, UPDATE_B_READING_A.after(1), UPDATE_A.after(2)],
    ..CALM
};

pub const READ_EACH_OTHER: Scenario = Scenario {
    name: "two writers that read each other's key",
    writers: &[BOTH, Spec::writes(&[A]).reading(&[B]).after(0), UPDATE_B_AFTER_READING_A],
    workers: 2,
    ..CALM
};

pub const THREE_IN_TURN: Scenario = Scenario {
    name: "three writers on one key, in turn",
    writers: &[UPDATE_A, UPDATE_A_AFTER, UPDATE_A_LAST],
    workers: 2,
    ..CALM
};

pub const CACHE_FLUSHED: Scenario = Scenario {
    name: "three writers on one key, in turn; the subscriber's Redis is flushed",
    cache_flushes: 1,
    promises: CAUSAL,
    ..THREE_IN_TURN
};

pub const DESTROYED: Scenario = Scenario {
    name: "a row is written, and destroyed",
    writers: &[UPDATE_A, Spec::writes(&[A]).after(0).destroying()],
    workers: 2,
    ..CALM
};

/// Nobody dies before COMMIT, and no recoverer gives anybody up: so there are no dummies.
pub const FLUSHED: Scenario = Scenario {
    name: "two writers on one key; the publisher's Redis is flushed",
    writers: &[UPDATE_A, UPDATE_A],
    sweeper: Sweeps::All,
    flushes: 1,
    workers: 2,
    promises: LASTING,
    ..CALM
};

pub const RESTARTED: Scenario = Scenario {
    name: "two writers on one key; the publisher's Redis is restarted with its data",
    flushes: 0,
    restarts: 1,
    ..FLUSHED
};

/// The known gap: writer 1 dies between bump and COMMIT, and its intent is lost.
pub const DEAD_VERSION_READ: Scenario = Scenario {
    name: "a writer dies, another one has read its version; the publisher's Redis is flushed",
    writers: &[UPDATE_A, UPDATE_B_READING_A],
    recoverers: 1,
    deaths: 1,
    flushes: 1,
    promises: LASTING,
    ..CALM
};

pub const DEAD_VERSION_SUCCEEDED: Scenario = Scenario {
    name: "a writer dies, another one takes over; the publisher's Redis is flushed",
    writers: &[UPDATE_A, UPDATE_A],
    sweeper: Sweeps::Abandoned,
    ..DEAD_VERSION_READ
};

/// A dummy in a new generation, while the last message of the old one is under way.
pub const GIVEN_UP_AFTER_RESTART: Scenario = Scenario {
    name: "a writer is given up after the publisher's Redis was restarted with its data",
    writers: &[UPDATE_A, UPDATE_A_AFTER],
    sweeper: Sweeps::Abandoned,
    recoverers: 1,
    deaths: 1,
    restarts: 1,
    promises: LASTING,
    ..CALM
};

/// A store that comes back with intents that were finished.
pub const RESTORED: Scenario = Scenario {
    name: "a writer on one key; the publisher's Redis comes back from a snapshot",
    writers: &[UPDATE_A],
    sweeper: Sweeps::Abandoned,
    recoverers: 1,
    restored: true,
    workers: 2,
    promises: LASTING,
    ..CALM
};

/// Without asking for one content per version: what a subscriber makes of two.
pub const RESTORED_IN_THE_END: Scenario =
    Scenario { promises: Promises { one_content: false, ..LASTING }, ..RESTORED };

/// A process that was slow to raise the generation for one loss does so after the next one.
pub const TWO_LOSSES: Scenario = Scenario {
    name: "two losses of the publisher's Redis, and a process that sleeps through one",
    writers: &[UPDATE_B, UPDATE_A, UPDATE_A_LAST.beside(0)],
    flushes: 2,
    promises: LASTING,
    ..CALM
};

/// What is read is of the generation before.
pub const CAUSE_BEFORE_FLUSH: Scenario = Scenario {
    name: "a reader after a writer; the publisher's Redis is flushed",
    writers: &[UPDATE_A, UPDATE_B_AFTER_READING_A],
    flushes: 1,
    promises: CAUSAL,
    ..CALM
};

pub const TWO_RECOVERERS_AND_SWEEPER: Scenario = Scenario { sweeper: Sweeps::All, ..TWO_RECOVERERS };

pub const THREE_WRITERS: Scenario = Scenario {
    name: "three writers on one key",
    writers: &[UPDATE_A, UPDATE_A, UPDATE_A],
    sweeper: Sweeps::Abandoned,
    ..ROUGH
};

pub const TWO_KEYS_AND_READER: Scenario = Scenario {
    name: "transactions over two keys, in both orders, and a reader",
    writers: &[BOTH, BOTH_THE_OTHER_WAY, UPDATE_B_READING_A],
    sweeper: Sweeps::Abandoned,
    ..ROUGH
};

pub const READER_AND_SWEEPER: Scenario = Scenario { sweeper: Sweeps::All, ..READER_MAY_DIE };

pub const TWO_WRITERS_RESTORED: Scenario = Scenario {
    name: "two writers on one key; the publisher's Redis comes back from a snapshot",
    writers: &[UPDATE_A, UPDATE_A],
    ..RESTORED_IN_THE_END
};
