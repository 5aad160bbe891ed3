//! What a message waits for (`subscriber/scheduler/readiness.rs`).

use std::fmt;

use super::Subscriber;
use super::state::State;
use crate::message::{Message, Version};
use crate::scenario::{KEY_NAMES, KEYS};

/// `scheduler::Obstacle`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Obstacle {
    NotLoaded(usize),
    Version(usize, Version),
    Readers(usize, Version),
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::NotLoaded(key) => write!(f, "{} to be loaded", KEY_NAMES[key]),
            Self::Version(key, version) => write!(f, "version {version} of {}", KEY_NAMES[key]),
            Self::Readers(key, version) => {
                write!(f, "the readers of version {version} of {}", KEY_NAMES[key])
            }
        }
    }
}

impl Subscriber {
    /// `Policy::obstacle`: the first thing that a message waits for. (That the scheduler looks at a copy of what Redis knows
    /// makes no difference: that copy is what Redis knew at an earlier moment, when the message might have been taken.)
    pub(super) fn obstacle(&self, state: &State, message: Message) -> Option<Obstacle> {
        let rules = &self.model.rules;
        let header = self.header(message);
        let generation = header.generation;
        for key in (0..KEYS).filter(|key| self.is_relevant(*key)) {
            let write = &header.write[key];
            // Not written, or a new chain: nothing comes before it. (But who is to know since when, has to look first.)
            let looks = rules.cache_remembers_absence;
            if write.version == 0 || (write.previous == 0 && !looks) {
                continue;
            }
            if !self.is_loaded(state, key) {
                return Some(Obstacle::NotLoaded(key));
            }
            let cached = &state.cache[key];
            let (made, before) = (Version(generation, write.version), Version(generation, write.previous));
            if write.previous == 0 || cached.version >= made {
                continue; // a new chain, or applied already: skipped
            }
            if cached.version < before && rules.wait_for_previous {
                return Some(Obstacle::Version(key, before));
            }
            // Its predecessor, or (after a store lost its memory) something newer than its predecessor.
            if rules.wait_for_readers && cached.version == before && cached.readers_known {
                let missing = |endpoint: usize| {
                    let asked = self.model.scenario.subscribed[endpoint] || !rules.readers_per_endpoint;
                    asked && !self.has_seen(cached.readers[endpoint], write.readers[endpoint])
                };
                if (0..KEYS).any(missing) {
                    return Some(Obstacle::Readers(key, before));
                }
            }
        }
        for (key, version) in self.reads(message) {
            let required = Version(generation, version);
            if !self.is_loaded(state, key) {
                return Some(Obstacle::NotLoaded(key));
            }
            if state.cache[key].version < required && rules.wait_for_reads {
                return Some(Obstacle::Version(key, required));
            }
        }
        None
    }

    /// Read dependencies that matter here.
    pub(super) fn reads(&self, message: Message) -> impl Iterator<Item = (usize, u8)> {
        let header = *self.header(message);
        let consumed = !message.dummy || self.model.rules.dummy_consumes_reads;
        let relevant = [self.is_relevant(0), self.is_relevant(1)];
        let versions = (0..KEYS).map(move |key| (key, header.read[key].version));
        versions.filter(move |(key, version)| consumed && *version != 0 && relevant[*key])
    }

    /// `Ordinals::contains_all`
    fn has_seen(&self, seen: u8, count: u8) -> bool {
        match self.model.rules.readers_are_ordinals {
            true => (1..=count).all(|ordinal| seen & (1 << ordinal) != 0),
            false => seen >= count,
        }
    }

    /// `Worker::give_up_what_is_over`: whether a message waits for something of a generation that is over. It may be given up at any time,
    /// as if a clock decided: only order is lost by that, which nobody promises across a loss.
    pub(super) fn is_over(&self, message: Message, obstacle: Obstacle) -> bool {
        self.model.rules.waits_end_with_generation
            && self.header(message).generation < self.history.generation
            && !matches!(obstacle, Obstacle::NotLoaded(_))
    }
}
