//! The conditions under which a message is ready (section 7 of the protocol). Pure.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use super::Obstacle;
use super::keys::{Advancing, Known};
use crate::dependency::Version;
use crate::key::{Endpoint, Key};
use crate::message::Message;
use crate::registry::From;

/// How much order a subscription asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Consistency {
    /// Causes first, and exact states.
    #[default]
    Causal,
    /// No waiting; of each object only newer versions are applied.
    Weak,
    /// Development only: everything in order of arrival, errors swallowed.
    None,
}

/// What is subscribed, since when, and with how much order.
pub struct Policy {
    sources: Vec<Source>,
    /// Which source an endpoint belongs to; endpoints are few, and comparing names for each key would be the
    /// scheduler's most frequent work.
    resolved: Mutex<HashMap<String, Option<usize>>>,
}

/// One binding of the app's queue.
#[derive(Debug, Clone)]
pub struct Source {
    /// What is bound.
    pub from: From,
    /// Messages with versions before this one may never come, in microseconds since 1970: when it was bound, plus the allowance for clock skew.
    pub since: u64,
    /// How much order its messages want.
    pub consistency: Consistency,
}

impl Policy {
    /// From the app's bindings.
    pub fn new(sources: Vec<Source>) -> Self {
        Self { sources, resolved: Mutex::default() }
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

    fn subscribes(&self, key: &Key) -> bool {
        self.source(key.endpoint_str()).is_some()
    }

    /// Whether a message waits for anything at all.
    pub(super) fn is_ordered(&self, message: &Message) -> bool {
        let endpoints = message.endpoints();
        endpoints.iter().any(|endpoint| {
            self.source(endpoint.as_str()).is_some_and(|s| s.consistency == Consistency::Causal)
        })
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
        for write in &dependencies.write {
            let Some(source) = self.source(write.key.endpoint_str()) else { continue };
            // Also of a new chain: the store learns of a key only by its being loaded.
            let Some(applied) = known.get(&write.key) else {
                return Some(Obstacle::NotLoaded(write.key.clone()));
            };
            let Some(previous) = write.previous else { continue };
            let made = Version::new(generation, write.version);
            let before = Version::new(generation, previous);
            match applied.version {
                Some(version) if version >= made => {} // applied already: skipped
                None if previous < source.since => {}  // the past is not coming
                // Its predecessor, or (after a store lost its memory) something newer than its predecessor.
                Some(version) if version >= before => {
                    let readers = applied.readers.as_ref().filter(|_| version == before);
                    let Some(seen) = readers else { continue };
                    for (endpoint, &count) in &write.readers {
                        let Some(reading) = self.source(endpoint.as_str()) else { continue };
                        let all = seen.get(endpoint).is_some_and(|set| set.contains_all(count));
                        if count > 0 && !all && previous >= reading.since {
                            return Some(Obstacle::Readers(write.key.clone(), made));
                        }
                    }
                }
                _ => return Some(Obstacle::Version(write.key.clone(), before)),
            }
        }
        let reads = dependencies.read.iter().map(|r| (&r.key, Version::new(generation, r.version)));
        let external = dependencies.external.iter().map(|x| (&x.key, x.required()));
        for (key, required) in reads.chain(external) {
            let Some(source) = self.source(key.endpoint_str()) else { continue };
            let Some(applied) = known.get(key) else {
                return Some(Obstacle::NotLoaded(key.clone()));
            };
            match applied.version {
                Some(version) if version >= required => {}
                None if required.version < source.since => {}
                _ => return Some(Obstacle::Version(key.clone(), required)),
            }
        }
        None
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
        for write in dependencies.write.iter().filter(|w| self.subscribes(&w.key)) {
            if into.write(&write.key, Version::new(generation, write.version)) {
                changed.push(write.key.clone());
            }
        }
        changed
    }

    /// What applying a message changes in the store.
    pub(crate) fn advance_of(&self, message: &Message) -> crate::version_store::Advance {
        let dependencies = message.dependencies.iter();
        let generation = message.generation;
        let mut advance =
            crate::version_store::Advance { writes: Vec::new(), reads: Vec::new(), readers_unknown: false };
        for part in dependencies {
            let writes = part.write.iter().filter(|w| self.subscribes(&w.key));
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
