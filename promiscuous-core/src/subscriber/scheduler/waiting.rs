//! Blocked messages by what they wait for.

use std::collections::{BTreeSet, HashMap};

use super::{Obstacle, Sequence};
use crate::dependency::Version;
use crate::key::Key;
use crate::version_store::NOTHING;

/// Who waits for which key to reach which version.
///
/// All messages of an app may wait for one key (its total order), each for another version of it. Looking at all of them whenever it
/// advances would make the work of a chain grow with the square of its length.
#[derive(Default)]
pub(super) struct Waiting(HashMap<Key, BTreeSet<(Version, Sequence)>>);

impl Waiting {
    /// A message waits for this.
    pub(super) fn insert(&mut self, obstacle: &Obstacle, sequence: Sequence) {
        self.0.entry(obstacle.key().clone()).or_default().insert((obstacle.wakes_at(), sequence));
    }

    /// It does no more.
    pub(super) fn remove(&mut self, obstacle: &Obstacle, sequence: Sequence) {
        if let Some(waiting) = self.0.get_mut(obstacle.key()) {
            waiting.remove(&(obstacle.wakes_at(), sequence));
            if waiting.is_empty() {
                self.0.remove(obstacle.key());
            }
        }
    }

    /// Whether anybody waits for this key.
    pub(super) fn has(&self, key: &Key) -> bool {
        self.0.contains_key(key)
    }

    /// Every key that somebody waits for.
    pub(super) fn keys(&self) -> impl Iterator<Item = &Key> {
        self.0.keys()
    }

    /// Whom it may help that the key has reached this version, those first who wait for the lowest one.
    pub(super) fn at(&self, key: &Key, reached: Option<Version>) -> Vec<Sequence> {
        let Some(waiting) = self.0.get(key) else { return Vec::new() };
        let up_to = (reached.unwrap_or(NOTHING), Sequence::MAX);
        waiting.range(..=up_to).map(|(_, sequence)| *sequence).collect()
    }
}
