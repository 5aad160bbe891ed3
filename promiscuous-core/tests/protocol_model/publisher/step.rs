//! What the publisher's steps are called.

use std::fmt::Write as _;

use super::state::{At, OutboxRow, Recoverer, State};
use crate::message::{Header, Message};
use crate::scenario::{KEY_NAMES, KEYS};

/// A step, for the trace. Writers and ops are counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    Read(usize),
    LockRow(usize, usize),
    Deadlock(usize),
    Bump(usize),
    ReadGeneration(usize),
    RaiseDatabase(usize),
    RaiseStore(usize),
    InsertOutbox(usize),
    PublishEarly(usize),
    Commit(usize),
    WriterHand(usize, Hand),
    Sweep(Message),
    SweeperHand(Message, Hand),
    Look(u8),
    InsertTombstone(u8),
    CheckIntent(u8),
    CommitTombstone(u8),
    RecovererFinishes(u8),
    RecovererHand(u8, Hand),
    NoticeLoss,
    WriterDies(usize),
    WriterLetsGo(usize),
    SweeperDies,
    RecovererDies(u8),
    Flush,
    Restart,
    Replicate,
    Restore,
}

/// What a hand that publishes does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hand {
    Finish,
    Publish,
    Delete,
}

impl Step {
    pub fn is_fault(self) -> bool {
        use Step::*;
        let death = matches!(self, WriterDies(_) | WriterLetsGo(_) | SweeperDies | RecovererDies(_));
        death || matches!(self, Flush | Restart | Replicate | Restore)
    }

    /// A sentence about this step, which led to a state.
    pub fn describe(self, after: &State) -> String {
        let writer = |w: usize| &after.writers[w];
        match self {
            Self::Read(w) => format!("Writer {} begins{}.", w + 1, seen(writer(w).seen)),
            Self::LockRow(w, key) => format!("Writer {} writes row {}.", w + 1, KEY_NAMES[key]),
            Self::Deadlock(w) => format!("Writer {} is rolled back by the database: a deadlock.", w + 1),
            Self::Bump(w) => match writer(w).at {
                At::Lost(..) => format!("Writer {} is refused by Redis: it may have lost writes.", w + 1),
                At::Stale(_, stored, _) => {
                    format!("Writer {} is refused by Redis: the generation is {stored}.", w + 1)
                }
                _ => format!("Writer {} bumps: {}.", w + 1, bumped(&writer(w).header)),
            },
            Self::ReadGeneration(w) => match writer(w).at {
                At::RaiseDatabase(to, _) => format!("Writer {} will raise the generation to {to}.", w + 1),
                _ => format!("Writer {} learns the generation from its process or from Redis.", w + 1),
            },
            Self::RaiseDatabase(w) => {
                format!("Writer {} raises: the database has generation {}.", w + 1, after.generation)
            }
            Self::RaiseStore(w) if !after.store.trusted => {
                format!("Writer {} finds Redis changed, and does not raise it.", w + 1)
            }
            Self::RaiseStore(w) => {
                format!("Writer {} raises: Redis has generation {}.", w + 1, after.store.generation)
            }
            Self::InsertOutbox(w) if writer(w).at == At::Ended => {
                format!("Writer {} finds a tombstone in its place: it rolls back.", w + 1)
            }
            Self::InsertOutbox(w) => format!("Writer {} inserts its outbox row.", w + 1),
            Self::PublishEarly(w) => format!("Writer {} publishes.", w + 1),
            Self::Commit(w) => format!("Writer {} commits.", w + 1),
            Self::WriterHand(w, hand) => format!("Writer {} {}.", w + 1, hand.verb(false)),
            Self::Sweep(message) => format!("The sweeper reads {message} in the outbox."),
            Self::SweeperHand(message, hand) => {
                format!("The sweeper, with {message}, {}.", hand.verb(message.dummy))
            }
            Self::Look(op) => format!("A recoverer sees the intent of writer {}.", op + 1),
            Self::InsertTombstone(op) if after.recoverers.contains(&Recoverer::Violated(op)) => {
                format!("The recoverer's tombstone for writer {} meets a row that is there.", op + 1)
            }
            Self::InsertTombstone(op) if after.outbox[op as usize] != OutboxRow::RecovererInFlight => {
                format!("The recoverer sees no outbox row of writer {}.", op + 1)
            }
            Self::InsertTombstone(op) => format!("The recoverer inserts a tombstone for writer {}.", op + 1),
            Self::CheckIntent(op) if after.recoverers.contains(&Recoverer::Checked(op)) => {
                format!("The recoverer does not find the intent of writer {} gone.", op + 1)
            }
            Self::CheckIntent(op) => {
                format!("The recoverer finds the intent of writer {} gone: it rolls back.", op + 1)
            }
            Self::CommitTombstone(op) => {
                format!("The recoverer commits: writer {} is given up.", op + 1)
            }
            Self::RecovererFinishes(op) => format!("The recoverer finishes the op of writer {}.", op + 1),
            Self::RecovererHand(op, hand) => {
                format!("The recoverer, with the dummy of writer {}, {}.", op + 1, hand.verb(true))
            }
            Self::NoticeLoss => {
                format!("A publisher notices the loss: the generation is {}.", after.generation)
            }
            Self::WriterDies(w) => format!("Writer {} dies; its transaction is rolled back.", w + 1),
            Self::WriterLetsGo(w) => {
                format!("Writer {} dies after its COMMIT, or cannot reach the servers.", w + 1)
            }
            Self::SweeperDies => "The sweeper dies and starts again.".into(),
            Self::RecovererDies(op) => {
                format!("The recoverer at work on writer {} dies and starts again.", op + 1)
            }
            Self::Flush => "The publisher's Redis is flushed.".into(),
            Self::Restart => "The publisher's Redis is another run, with all its data.".into(),
            Self::Replicate => {
                "A snapshot of the publisher's Redis is taken (or a replica lags this far behind).".into()
            }
            Self::Restore => "The publisher's Redis fails, and comes back as that snapshot.".into(),
        }
    }
}

impl Hand {
    fn verb(self, dummy: bool) -> &'static str {
        match self {
            Self::Finish => "finishes its op in Redis",
            Self::Publish => "publishes, and the broker confirms",
            Self::Delete if dummy => "is done with the tombstone",
            Self::Delete => "deletes the outbox row",
        }
    }
}

fn seen(contents: [u8; KEYS]) -> String {
    let mut text = String::new();
    for (key, content) in contents.iter().enumerate().filter(|(_, content)| **content != 0) {
        let _ = write!(text, ", having read {} as writer {content} left it", KEY_NAMES[key]);
    }
    text
}

/// What a bump made.
fn bumped(header: &Header) -> String {
    let generation = header.generation;
    let mut made = Vec::new();
    for (key, write) in header.write.iter().enumerate().filter(|(_, write)| write.version != 0) {
        let after = match write.previous {
            0 => "a new chain".into(),
            previous => format!("after {generation}.{previous}"),
        };
        let readers = match write.readers.iter().sum::<u8>() {
            0 => String::new(),
            readers => format!(" and its {readers} readers"),
        };
        made.push(format!("it makes {} {generation}.{} ({after}{readers})", KEY_NAMES[key], write.version));
    }
    for (key, read) in header.read.iter().enumerate().filter(|(_, read)| read.version != 0) {
        made.push(format!("it has read {} {generation}.{}", KEY_NAMES[key], read.version));
    }
    made.join(", ")
}

impl State {
    /// What is left in a state that leads nowhere. `wants` tells which row a writer locks as its n-th.
    pub fn waiting(&self, wants: impl Fn(usize, usize) -> usize) -> String {
        let mut left = Vec::new();
        for (w, writer) in self.writers.iter().enumerate() {
            match writer.at {
                At::Ended => {}
                At::Lock(nth) => {
                    left.push(format!("writer {} wants row {}", w + 1, KEY_NAMES[wants(w, nth as usize)]));
                }
                at => left.push(format!("writer {} is at {at:?}", w + 1)),
            }
        }
        for (op, row) in self.outbox.iter().enumerate() {
            if !matches!(row, OutboxRow::Absent | OutboxRow::Fence) {
                left.push(format!("the outbox row of writer {} is there ({row:?})", op + 1));
            }
        }
        let intents = self.store.intents.iter().enumerate().filter(|(_, intent)| **intent);
        left.extend(intents.map(|(op, _)| format!("the intent of writer {} is there", op + 1)));
        format!("Nothing but a fault leads on to a state at rest: {}.", left.join(", "))
    }
}
