//! The scheduler: which message may be applied now (section 7 of the protocol).
//!
//! A pure, synchronous state machine: messages and "applied" events in, decisions out; no clock, no I/O. The
//! worker around it delivers messages, loads what is known of keys, applies batches and tells the outcome.
//!
//! * `readiness`: the conditions of the protocol, for one message
//! * `keys`: what is known of the keys that messages in memory name
//! * `waiting`: who waits for which key
//! * this file: the states a message goes through

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use uuid::Uuid;

use crate::dependency::Version;
use crate::key::Key;
use crate::message::Message;
use crate::version_store::{Applied, NOTHING};

mod keys;
mod readiness;
#[cfg(test)]
mod tests;
mod waiting;

use keys::{Keys, Known, Overlay};
pub(super) use readiness::NOT_YET;
pub use readiness::{Policy, Source};
use waiting::Waiting;

/// Names a message inside one scheduler, in order of arrival.
pub type Sequence = u64;

/// What a message waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Obstacle {
    /// Nothing is known of the key yet: it is being loaded.
    NotLoaded(Key),
    /// The key must reach this version first.
    Version(Key, Version),
    /// Readers of the key's version before this one are missing.
    Readers(Key, Version),
}

impl Obstacle {
    /// The key that must change.
    pub fn key(&self) -> &Key {
        match self {
            Self::NotLoaded(key) | Self::Version(key, _) | Self::Readers(key, _) => key,
        }
    }
}

impl Obstacle {
    /// The version that the key must reach before it makes sense to look again: any, where that is not all.
    fn wakes_at(&self) -> Version {
        match self {
            Self::Version(_, version) => *version,
            Self::NotLoaded(_) | Self::Readers(..) => NOTHING,
        }
    }

    /// The version that is waited for, or whose readers' successor it is.
    pub fn version(&self) -> Option<(&Key, Version)> {
        match self {
            Self::NotLoaded(_) => None,
            Self::Version(key, version) | Self::Readers(key, version) => Some((key, *version)),
        }
    }
}

/// Where a message is.
#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    /// Waits for a cause.
    Blocked(Obstacle),
    /// May be applied.
    Ready,
    /// Handed out in a batch.
    InFlight,
    /// Failed, and waits for its next attempt; its successors wait with it.
    Delayed,
}

struct Entry {
    message: Arc<Message>,
    state: State,
    /// Whether it waits for its causes: not when nobody asked for order, or when waiting was given up.
    ordered: bool,
    /// Whether waiting was given up: it does not begin again.
    given_up: bool,
}

/// What became of an arriving message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// It is scheduled under this name.
    New(Sequence),
    /// It was delivered again while it is still here, under this name.
    Again(Sequence),
}

/// See the module.
pub struct Scheduler {
    policy: Arc<Policy>,
    entries: HashMap<Sequence, Entry>,
    /// By `Message::identity`.
    by_id: HashMap<Uuid, Sequence>,
    keys: Keys,
    /// Blocked messages by the key they wait for, and the version that it must reach: of a long chain only the next one is looked at.
    waiting: Waiting,
    /// In order of becoming ready. May name messages that are no longer ready.
    ready: VecDeque<Sequence>,
    /// How many of `ready` are ready.
    ready_count: usize,
    /// How many messages are blocked.
    blocked_count: usize,
    next: Sequence,
}

impl Scheduler {
    /// An empty scheduler.
    pub fn new(policy: Arc<Policy>) -> Self {
        Self {
            policy,
            entries: HashMap::new(),
            by_id: HashMap::new(),
            keys: Keys::default(),
            waiting: Waiting::default(),
            ready: VecDeque::new(),
            ready_count: 0,
            blocked_count: 0,
            next: 0,
        }
    }

    /// From now on another policy holds: who is to wait for what is decided anew, but for what is being applied.
    pub fn change(&mut self, policy: Arc<Policy>) {
        let before = std::mem::replace(&mut self.policy, policy);
        let mut undecided = Vec::new();
        for (&sequence, entry) in &mut self.entries {
            let message = &entry.message;
            // Those that both name are not forgotten in between.
            let depends = !message.is_sync();
            self.policy.relevant_keys(message).for_each(|key| self.keys.refer(key, depends));
            before.relevant_keys(message).for_each(|key| self.keys.release(key));
            entry.ordered = !entry.given_up && self.policy.is_ordered(message);
            if matches!(entry.state, State::Blocked(_) | State::Ready) {
                undecided.push(sequence);
            }
        }
        undecided.sort_unstable();
        for sequence in undecided {
            self.evaluate(sequence);
        }
    }

    /// A message was delivered.
    pub fn arrive(&mut self, message: Arc<Message>) -> Arrival {
        if let Some(&sequence) = self.by_id.get(&message.identity()) {
            return Arrival::Again(sequence);
        }
        let sequence = self.next;
        self.next += 1;
        // Objects that are sent again wait for nothing, and there may be millions of them: their keys are loaded once somebody waits.
        let depends = !message.is_sync();
        for key in self.policy.relevant_keys(&message) {
            self.keys.refer(key, depends);
        }
        self.by_id.insert(message.identity(), sequence);
        let ordered = self.policy.is_ordered(&message);
        self.entries.insert(sequence, Entry { message, state: State::Delayed, ordered, given_up: false });
        self.evaluate(sequence);
        Arrival::New(sequence)
    }

    /// Keys to load, each handed out once.
    pub fn take_loads(&mut self) -> Vec<Key> {
        self.keys.take_loads()
    }

    /// What the store knows of a key.
    pub fn loaded(&mut self, key: &Key, applied: Applied) {
        self.keys.loaded(key, applied);
        self.wake([key.clone()]);
    }

    /// Another process changed these keys, or may have: those that somebody waits for are loaded again, the others
    /// when somebody does.
    pub fn changed<'k>(&mut self, keys: impl IntoIterator<Item = &'k Key>) {
        for key in keys {
            if self.waiting.has(key) {
                self.keys.reload(key);
            } else {
                self.keys.outdate(key);
            }
        }
    }

    /// Anything may have changed.
    pub fn all_changed(&mut self) {
        self.keys.outdate_all();
        for key in self.waiting.keys() {
            self.keys.reload(key);
        }
    }

    /// Messages that may be applied now, in this order, in one transaction: until they have `limit` operations, and of messages at most
    /// `independent` that are ready by themselves; the others follow from those before them in the batch.
    pub fn next_batch(&mut self, independent: usize, limit: usize) -> Vec<Sequence> {
        let (mut batch, mut operations) = (Vec::new(), 0);
        let mut overlay = Overlay::default();
        for _ in 0..independent {
            let Some(first) = self.pop_ready() else { break };
            let mut follow = VecDeque::from([first]);
            while let Some(sequence) = follow.pop_front() {
                if operations >= limit {
                    // Not taken after all: it is found again once its causes are applied.
                    continue;
                }
                let Some(entry) = self.entries.get_mut(&sequence) else { continue };
                match &entry.state {
                    // Two messages of the batch led to it.
                    State::InFlight => continue,
                    State::Blocked(obstacle) => {
                        self.waiting.remove(obstacle, sequence);
                        self.blocked_count -= 1;
                    }
                    State::Ready | State::Delayed => {}
                }
                entry.state = State::InFlight;
                batch.push(sequence);
                let message = Arc::clone(&entry.message);
                operations += message.operations.len().max(1);
                let touched = self.policy.advance(&message, &mut overlay.on(&self.keys));
                follow.extend(self.followers(&touched, &overlay));
            }
            if operations >= limit {
                break;
            }
        }
        batch
    }

    /// Blocked messages that are ready once the batch so far is applied.
    fn followers(&mut self, touched: &[Key], overlay: &Overlay) -> Vec<Sequence> {
        let mut found = Vec::new();
        for key in touched {
            let reached = overlay.over(&self.keys).get(key).and_then(|applied| applied.version);
            for sequence in self.waiting.at(key, reached) {
                let Some(entry) = self.entries.get(&sequence) else { continue };
                let obstacle = self.policy.obstacle(&entry.message, &overlay.over(&self.keys));
                match obstacle {
                    None if !found.contains(&sequence) => found.push(sequence),
                    // It waits for something else now, which a later message of the batch may bring.
                    Some(next) if next.key() != key => self.block(sequence, next),
                    _ => {}
                }
            }
        }
        found
    }

    fn pop_ready(&mut self) -> Option<Sequence> {
        while let Some(sequence) = self.ready.pop_front() {
            if self.entries.get(&sequence).is_some_and(|entry| entry.state == State::Ready) {
                self.ready_count -= 1;
                return Some(sequence);
            }
        }
        None
    }

    /// These messages of a batch are applied (or were before): they leave, and what waited for them wakes.
    pub fn applied(&mut self, sequences: &[Sequence]) {
        let mut touched = HashSet::new();
        for &sequence in sequences {
            let Some(entry) = self.remove(sequence) else { continue };
            touched.extend(self.policy.advance(&entry.message, &mut self.keys));
            self.release(&entry.message);
        }
        self.wake(touched);
    }

    /// A message leaves without having been applied (a dead letter, or returned to the queue).
    pub fn forget(&mut self, sequence: Sequence) {
        if let Some(entry) = self.remove(sequence) {
            self.release(&entry.message);
        }
    }

    /// These messages of a batch were not applied, through no fault of theirs: they are scheduled again.
    pub fn returned(&mut self, sequences: &[Sequence]) {
        for &sequence in sequences {
            self.evaluate(sequence);
        }
    }

    /// A message failed: it stays out until [`Scheduler::retry`].
    pub fn failed(&mut self, sequence: Sequence) {
        if let Some(entry) = self.entries.get_mut(&sequence) {
            entry.state = State::Delayed;
        }
    }

    /// A failed message may be tried again.
    pub fn retry(&mut self, sequence: Sequence) {
        if self.entries.get(&sequence).is_some_and(|entry| entry.state == State::Delayed) {
            self.evaluate(sequence);
        }
    }

    /// Gives up waiting for a message's causes.
    pub fn force(&mut self, sequence: Sequence) {
        let Some(entry) = self.entries.get_mut(&sequence) else { return };
        (entry.ordered, entry.given_up) = (false, true);
        if matches!(entry.state, State::Blocked(_)) {
            self.evaluate(sequence);
        }
    }

    /// Messages that wait for a cause, and for what.
    pub fn blocked(&self) -> impl Iterator<Item = (Sequence, &Obstacle)> {
        self.entries.iter().filter_map(|(&sequence, entry)| match &entry.state {
            State::Blocked(obstacle) => Some((sequence, obstacle)),
            _ => None,
        })
    }

    /// What a message waits for, if it does.
    pub fn obstacle_of(&self, sequence: Sequence) -> Option<&Obstacle> {
        match &self.entries.get(&sequence)?.state {
            State::Blocked(obstacle) => Some(obstacle),
            _ => None,
        }
    }

    /// Whether the message of this identity is here.
    pub fn has(&self, id: &Uuid) -> bool {
        self.by_id.contains_key(id)
    }

    /// The message of that name.
    pub fn message(&self, sequence: Sequence) -> Option<&Arc<Message>> {
        self.entries.get(&sequence).map(|entry| &entry.message)
    }

    /// How many messages wait for a cause.
    pub fn blocked_len(&self) -> usize {
        self.blocked_count
    }

    /// How many messages may be applied now, not counting those that follow from others.
    pub fn ready_len(&self) -> usize {
        self.ready_count
    }

    /// How many messages are here in any state.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether no message is here.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Decides anew whether a message is ready or blocked.
    fn evaluate(&mut self, sequence: Sequence) {
        let Some(entry) = self.entries.get(&sequence) else { return };
        let obstacle = if entry.ordered { self.policy.obstacle(&entry.message, &self.keys) } else { None };
        match obstacle {
            Some(obstacle) => self.block(sequence, obstacle),
            None => self.make_ready(sequence),
        }
    }

    fn block(&mut self, sequence: Sequence, obstacle: Obstacle) {
        self.leave_state(sequence);
        self.keys.reload_if_outdated(obstacle.key());
        self.waiting.insert(&obstacle, sequence);
        if let Some(entry) = self.entries.get_mut(&sequence) {
            entry.state = State::Blocked(obstacle);
            self.blocked_count += 1;
        }
    }

    fn make_ready(&mut self, sequence: Sequence) {
        self.leave_state(sequence);
        if let Some(entry) = self.entries.get_mut(&sequence) {
            entry.state = State::Ready;
            self.ready.push_back(sequence);
            self.ready_count += 1;
        }
    }

    fn leave_state(&mut self, sequence: Sequence) {
        match self.entries.get_mut(&sequence) {
            Some(Entry { state: state @ State::Blocked(_), .. }) => {
                if let State::Blocked(obstacle) = std::mem::replace(state, State::Delayed) {
                    self.waiting.remove(&obstacle, sequence);
                    self.blocked_count -= 1;
                }
            }
            Some(entry) if entry.state == State::Ready => {
                // Its place in the queue is skipped later.
                entry.state = State::Delayed;
                self.ready_count -= 1;
            }
            _ => {}
        }
    }

    fn wake(&mut self, keys: impl IntoIterator<Item = Key>) {
        for key in keys {
            let reached = self.keys.get(&key).and_then(|applied| applied.version);
            for sequence in self.waiting.at(&key, reached) {
                self.evaluate(sequence);
            }
        }
    }

    fn remove(&mut self, sequence: Sequence) -> Option<Entry> {
        self.leave_state(sequence);
        let entry = self.entries.remove(&sequence)?;
        self.by_id.remove(&entry.message.identity());
        Some(entry)
    }

    fn release(&mut self, message: &Message) {
        for key in self.policy.relevant_keys(message) {
            self.keys.release(key);
        }
    }
}
