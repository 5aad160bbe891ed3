//! The conditions under which a message is ready (section 7 of the protocol). Pure.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use super::Obstacle;
use super::keys::{Advancing, Known};
use crate::bootstrap::Step;
use crate::consistency::Consistency;
use crate::dependency::{Version, WriteDependency};
use crate::key::{Endpoint, Key};
use crate::message::Message;
use crate::registry::From;

/// What is subscribed, since when, and with how much order.
pub struct Policy {
    sources: Vec<Source>,
    /// Which source an endpoint belongs to; endpoints are few, and comparing names for each key would be the
    /// scheduler's most frequent work.
    resolved: Mutex<HashMap<String, Option<usize>>>,
}

/// One binding of the app's queue: an endpoint, or all of an app for the sake of its total order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// What is bound.
    pub from: From,
    /// When it was bound, in microseconds since 1970 by this side's clock.
    pub bound: u64,
    /// Messages with versions before this one may never come, in microseconds since 1970: when it was bound, plus the allowance for clock skew.
    pub since: u64,
    /// How much order its messages want.
    pub consistency: Consistency,
    /// Whether its rows are on their way (section 8): until all have come, its messages wait for nothing.
    pub joining: bool,
    /// Whether a model of this program takes its messages. Otherwise another version of the app has bound it, and shares the queue: versions
    /// are counted here as there, and operations are left to whoever takes them.
    pub taken: bool,
}

/// When a source counts as bound whose binding has only begun: nothing is waited for yet.
pub(in crate::subscriber) const NOT_YET: u64 = u64::MAX;

impl Source {
    /// Whether this version of a key may never come, when that much is known of the key: both are of before it was bound. (A message of
    /// that time may have come by another binding, and the next one not.)
    fn lacks(&self, version: u64, known: Option<Version>) -> bool {
        version < self.since && known.is_none_or(|known| known.version < self.bound)
    }
}

impl Policy {
    /// From the app's bindings.
    pub fn new(sources: Vec<Source>) -> Self {
        Self { sources, resolved: Mutex::default() }
    }

    /// What is subscribed.
    pub fn sources(&self) -> &[Source] {
        &self.sources
    }

    fn source(&self, endpoint: &str) -> Option<&Source> {
        let mut resolved = self.resolved.lock().unwrap_or_else(PoisonError::into_inner);
        let position = match resolved.get(endpoint) {
            Some(position) => *position,
            None => {
                let position = self.sources.iter().position(|source| source.from.matches(endpoint));
                resolved.insert(endpoint.to_owned(), position);
                position
            }
        };
        position.and_then(|position| self.sources.get(position))
    }

    /// Whether what was applied of this key is counted.
    pub(in crate::subscriber) fn subscribes(&self, key: &Key) -> bool {
        self.source(key.endpoint_str()).is_some()
    }

    /// Whether each endpoint of a message is known to be bound. The others are either not subscribed, or were bound by another version of the app
    /// since: only the database tells.
    pub(in crate::subscriber) fn covers(&self, message: &Message) -> bool {
        let is_bound = |endpoint: &str| self.source(endpoint).is_some_and(|source| source.bound != NOT_YET);
        let keys = message.dependencies.iter().flat_map(|d| {
            let written = d.write.iter().map(|w| &w.key);
            written.chain(d.read.iter().map(|r| &r.key)).filter(|key| !key.is_order())
        });
        keys.map(Key::endpoint_str)
            .chain(message.operations.iter().map(|operation| operation.endpoint.as_str()))
            .chain(rows_of(message).map(Endpoint::as_str))
            .all(is_bound)
    }

    /// The first source of a message that this program has no model for, though the app has bound it: the message is left to a program that has.
    pub(in crate::subscriber) fn left_to_others(&self, message: &Message) -> Option<&Source> {
        let operations = message.operations.iter().map(|operation| &operation.endpoint);
        let mut sources = operations.chain(rows_of(message)).filter_map(|e| self.source(e.as_str()));
        sources.find(|source| !source.taken)
    }

    /// The source of an endpoint (or an order) whose messages wait for their causes, and are waited for as readers.
    fn ordered(&self, endpoint: &str) -> Option<&Source> {
        self.source(endpoint).filter(|source| source.consistency.is_ordered() && !source.joining)
    }

    /// Whether a message waits for anything at all: one that writes weak endpoints only does not, and neither does one without versions, or one
    /// that brings objects as they are.
    pub(super) fn is_ordered(&self, message: &Message) -> bool {
        if message.is_sync() {
            return false;
        }
        let mut written = message.dependencies.iter().flat_map(|d| &d.write);
        written.any(|write| self.ordered(write.key.endpoint_str()).is_some())
    }

    /// The keys whose state matters for a message: those of subscribed endpoints.
    pub(super) fn relevant_keys<'m>(&self, message: &'m Message) -> impl Iterator<Item = &'m Key> {
        let dependencies = message.dependencies.iter();
        dependencies
            .flat_map(|d| {
                let written = d.write.iter().map(|w| &w.key);
                written.chain(d.read.iter().map(|r| &r.key)).chain(d.external.iter().map(|x| &x.key))
            })
            .filter(|key| self.subscribes(key))
    }

    /// The first thing that a message waits for; none when it is ready.
    pub(super) fn obstacle(&self, message: &Message, known: &impl Known) -> Option<Obstacle> {
        let dependencies = message.dependencies.as_ref()?;
        let generation = message.generation;
        let written = || dependencies.write.iter();
        // The order first: whoever waits for its place waits for one version that nobody else waits for.
        let mut places = written().filter(|write| write.key.is_order());
        let mut objects = written().filter(|write| !write.key.is_order());
        places
            .find_map(|write| self.before_its_turn(write, generation, known))
            .or_else(|| objects.find_map(|write| self.before_its_write(write, generation, known)))
            .or_else(|| {
                let reads = dependencies.read.iter().map(|r| (&r.key, Version::new(generation, r.version)));
                let external = dependencies.external.iter().map(|x| (&x.key, x.required()));
                reads.chain(external).find_map(|(key, required)| self.before_its_cause(key, required, known))
            })
    }

    /// What is missing before a message may take its place in its app's total order.
    fn before_its_turn(
        &self,
        place: &WriteDependency,
        generation: u64,
        known: &impl Known,
    ) -> Option<Obstacle> {
        // None while the app's rows are on their way: then an earlier place may have been lost.
        let source = self.ordered(place.key.endpoint_str())?;
        let Some(applied) = known.get(&place.key) else {
            return Some(Obstacle::NotLoaded(place.key.clone()));
        };
        let previous = place.previous?;
        let before = Version::new(generation, previous);
        let is_next = applied.version.is_some_and(|version| version >= before);
        let waits = !is_next && !source.lacks(previous, applied.version);
        waits.then(|| Obstacle::Version(place.key.clone(), before))
    }

    /// What is missing before an object's version may follow on the one that it replaces.
    fn before_its_write(
        &self,
        write: &WriteDependency,
        generation: u64,
        known: &impl Known,
    ) -> Option<Obstacle> {
        // A weak one takes the place of whatever is there, if it is newer.
        let source = self.ordered(write.key.endpoint_str())?;
        // Also of a new chain: the store learns of a key only by its being loaded.
        let Some(applied) = known.get(&write.key) else {
            return Some(Obstacle::NotLoaded(write.key.clone()));
        };
        let previous = write.previous?;
        let made = Version::new(generation, write.version);
        let before = Version::new(generation, previous);
        match applied.version {
            Some(version) if version >= made => None, // applied already: skipped
            // Its predecessor, or (after a store lost its memory) something newer than its predecessor.
            Some(version) if version >= before => {
                // Readers of a version of the past did not wait for it: perhaps they came before it, and are not counted.
                let is_counted = version == before && previous >= source.since;
                let seen = applied.readers.as_ref().filter(|_| is_counted)?;
                let is_missing = |(endpoint, count): (&Endpoint, &u64)| {
                    // The same with weak readers.
                    let Some(reading) = self.ordered(endpoint.as_str()) else { return false };
                    let all = seen.get(endpoint).is_some_and(|set| set.contains_all(*count));
                    *count > 0 && !all && previous >= reading.since
                };
                let is_missing = write.readers.iter().any(is_missing);
                is_missing.then(|| Obstacle::Readers(write.key.clone(), made))
            }
            known if source.lacks(previous, known) => None, // the past is not coming
            _ => Some(Obstacle::Version(write.key.clone(), before)),
        }
    }

    /// What is missing before a message may be applied that has read this version: weak or not, it comes.
    fn before_its_cause(&self, key: &Key, required: Version, known: &impl Known) -> Option<Obstacle> {
        let source = self.source(key.endpoint_str())?;
        let Some(applied) = known.get(key) else {
            return Some(Obstacle::NotLoaded(key.clone()));
        };
        match applied.version {
            Some(version) if version >= required => None,
            known if source.lacks(required.version, known) => None,
            _ => Some(Obstacle::Version(key.clone(), required)),
        }
    }

    /// Records what applying a message changes, and answers with the keys that it told something new about.
    ///
    /// Reads first: a message reads the state that its own writes replace.
    pub(super) fn advance(&self, message: &Message, into: &mut impl Advancing) -> Vec<Key> {
        let mut changed = Vec::new();
        let Some(dependencies) = &message.dependencies else { return changed };
        let generation = message.generation;
        for read in dependencies.read.iter().filter(|r| self.subscribes(&r.key)) {
            if into.read(&read.key, Version::new(generation, read.version), &read.ordinals) {
                changed.push(read.key.clone());
            }
        }
        for write in dependencies.write.iter().filter(|w| self.subscribes(&w.key) && !w.unwritten) {
            if into.write(&write.key, Version::new(generation, write.version), message.is_sync()) {
                changed.push(write.key.clone());
            }
        }
        changed
    }

    /// What applying a message changes in the store.
    pub(crate) fn advance_of(&self, message: &Message) -> crate::version_store::Advance {
        let dependencies = message.dependencies.iter();
        let generation = message.generation;
        let mut advance = crate::version_store::Advance {
            writes: Vec::new(),
            reads: Vec::new(),
            readers_unknown: message.is_sync(),
        };
        for part in dependencies {
            let writes = part.write.iter().filter(|w| self.subscribes(&w.key) && !w.unwritten);
            advance.writes = writes.map(|w| (w.key.clone(), Version::new(generation, w.version))).collect();
            let reads = part.read.iter().filter(|r| self.subscribes(&r.key));
            advance.reads = reads
                .map(|r| (r.key.clone(), Version::new(generation, r.version), self.subscribed(&r.ordinals)))
                .collect();
        }
        advance
    }

    /// Only readers of subscribed endpoints are ever asked for.
    fn subscribed(
        &self,
        ordinals: &std::collections::BTreeMap<Endpoint, u64>,
    ) -> std::collections::BTreeMap<Endpoint, u64> {
        let subscribed = ordinals.iter().filter(|(e, _)| self.source(e.as_str()).is_some());
        subscribed.map(|(endpoint, ordinal)| (endpoint.clone(), *ordinal)).collect()
    }
}

/// Whose rows a publisher tells of.
fn rows_of(message: &Message) -> Option<&Endpoint> {
    message.bootstrap.as_ref().and_then(Step::rows_of)
}
