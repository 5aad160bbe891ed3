//! The publisher: what may happen, one function per step of the protocol; each names the function of the code that it follows.
//!
//! * [`writing`]: section 5, a writer up to its COMMIT
//! * [`generation`]: section 4, the raising of the generation
//! * [`publishing`]: section 5, *finish*, publish, delete; and the sweeper of section 6
//! * [`recovering`]: section 6, the intent recoverer
//! * [`faults`]: what goes wrong
//! * [`step`]: what all of these are called in a trace

use crate::explorer::System;
use crate::message::{Broken, Header, History, Messages, Row, Version};
use crate::scenario::{KEYS, Model, OPS, Sweeps};

mod faults;
mod generation;
mod publishing;
mod recovering;
mod state;
mod step;
mod writing;

use state::{At, OutboxRow, RECOVERERS, Recoverer, State, Store, Sweeper, Writer};
use step::Step;

/// The steps that may come next, and where they lead.
type Next = Vec<(Step, State)>;

/// The publishing app.
pub struct Publisher(pub Model);

impl System for Publisher {
    type State = State;
    type Step = Step;

    /// All is empty, and everybody knows generation 1.
    fn initial(&self) -> State {
        let writer = |w| Writer {
            at: if w < self.writers() { At::Read } else { At::Ended },
            seen: [0; KEYS],
            header: Header::default(),
        };
        State {
            row_locks: [0; KEYS],
            rows: [Row::default(); KEYS],
            outbox: [OutboxRow::Absent; OPS],
            generation: 1,
            writers: std::array::from_fn(writer),
            known: std::array::from_fn(|w| u8::from(w < self.writers() && self.0.spec(w).process.is_none())),
            store: Store { generation: 1, trusted: true, ..Store::EMPTY },
            replica: None,
            sweeper: Sweeper::Idle,
            recoverers: [Recoverer::Idle; RECOVERERS],
            published: Messages::default(),
            deaths: self.0.scenario.deaths,
            flushes: self.0.scenario.flushes,
            restarts: self.0.scenario.restarts,
            broken: None,
        }
    }

    fn next(&self, state: &State, next: &mut Next) {
        for w in 0..self.writers() {
            self.writer(state, w, next);
        }
        if self.0.scenario.sweeper != Sweeps::Nothing && self.0.rules.outbox_is_swept {
            self.sweeper(state, next);
        }
        if self.0.rules.intents_are_recovered {
            for r in 0..self.0.scenario.recoverers {
                self.recoverer(state, r, next);
            }
        }
        self.notice_loss(state, next);
        self.deaths(state, next);
        self.losses(state, next);
        for (_, state) in next {
            for process in 0..self.writers() {
                let past = |at| {
                    matches!(at, At::InsertOutbox | At::PublishEarly | At::Commit | At::Hands(_) | At::Ended)
                };
                let asks = |w: usize| self.process(w) == process && !past(state.writers[w].at);
                if !(0..self.writers()).any(asks) {
                    state.known[process] = 0;
                }
            }
            state.recoverers[..self.0.scenario.recoverers].sort_unstable();
        }
    }

    fn is_fault(step: Step) -> bool {
        step.is_fault()
    }

    fn is_at_rest(&self, state: &State) -> bool {
        state.writers.iter().all(|writer| writer.at == At::Ended)
            && state.outbox.iter().all(|row| matches!(row, OutboxRow::Absent | OutboxRow::Fence))
            && state.sweeper == Sweeper::Idle
            && state.recoverers.iter().all(|recoverer| *recoverer == Recoverer::Idle)
            && !state.store.has_intents()
            && !self.is_loss_unnoticed(state)
    }

    fn broken(&self, state: &State) -> Option<Broken> {
        if self.0.scenario.promises.locked && (0..self.writers()).any(|w| self.is_unlocked(state, w)) {
            return Some(Broken::Unlocked);
        }
        let held = state.store.locks != [0; KEYS] || state.row_locks != [0; KEYS];
        state.broken.or_else(|| (held && self.is_at_rest(state)).then_some(Broken::Held))
    }

    fn describe(&self, step: Step, _: &State, after: &State) -> String {
        step.describe(after)
    }

    fn explain(&self, state: &State, broken: Broken) -> String {
        match broken {
            Broken::TwoContents => {
                "Two messages with different content have the same version of the same key.".into()
            }
            Broken::Uncommitted => "A message is published whose transaction is not committed.".into(),
            Broken::Unlocked => "A version is in flight, and its key is not locked: a sync would take the row from before for the row after.".into(),
            Broken::Held => "All is at rest, and a lock is still held.".into(),
            _ => state.waiting(|w, nth| self.0.spec(w).writes[nth]),
        }
    }
}

impl Publisher {
    /// The process that a writer runs in.
    fn process(&self, w: usize) -> usize {
        self.0.spec(w).process.unwrap_or(w)
    }

    /// Whether an op that may still commit has the newest version of a key and not its lock (section 8 relies on that).
    fn is_unlocked(&self, state: &State, w: usize) -> bool {
        let header = &state.writers[w].header;
        let in_flight = matches!(state.writers[w].at, At::InsertOutbox | At::Commit);
        let fenced = matches!(state.outbox[w], OutboxRow::Tombstone | OutboxRow::Fence);
        in_flight
            && !fenced
            && self.0.spec(w).writes.iter().any(|&key| {
                let made = Version(header.generation, header.write[key].version);
                state.store.chains[key].last == made && state.store.locks[key] != w as u8 + 1
            })
    }

    fn writers(&self) -> usize {
        self.0.scenario.writers.len()
    }

    /// What a subscriber can ever see of a publisher at rest, and what the properties need of how it came to be.
    pub fn history(&self, state: &State) -> History {
        let published =
            |op: usize| state.published.iter().any(|message| message.op as usize == op).then_some(op);
        let header = |op| published(op).map_or(Header::default(), |op| state.writers[op].header);
        let seen = |op| published(op).map_or([0; KEYS], |op| state.writers[op].seen);
        History {
            rows: state.rows,
            headers: std::array::from_fn(header),
            seen: std::array::from_fn(seen),
            published: state.published,
            generation: state.generation,
        }
    }
}
