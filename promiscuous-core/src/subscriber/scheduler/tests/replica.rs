//! The subscriber's database: the oracle. It knows by itself, and without any of the scheduler's code, what it may be told next.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use uuid::Uuid;

use super::subscription::Subscription;
use crate::key::Key;
use crate::message::Message;

/// See the module.
#[derive(Default)]
pub(super) struct Replica {
    /// What was consumed.
    pub(super) versions: HashMap<Key, u64>,
    /// What the rows say: dummies bring nothing.
    rows: BTreeMap<Key, u64>,
    pub(super) messages: BTreeSet<Uuid>,
    /// A flush forgets who has read what: exact state is not promised any more.
    pub(super) was_flushed: bool,
    /// Objects of which a sync brought a version, to the database, to the store, or to what a process knows of it: nobody knows
    /// who has read that.
    pub(super) synced: BTreeSet<Key>,
}

impl Replica {
    /// Applies a message as the database would, and checks that it may be applied now.
    pub(super) fn apply(&mut self, message: &Message, subscription: &Subscription) -> Result<(), String> {
        let dependencies = message.dependencies.as_ref().unwrap();
        if !self.messages.insert(message.id) {
            return Ok(()); // a second delivery changes nothing
        }
        // A message that writes weak endpoints only is applied whenever it comes, and so are objects that are sent again.
        if !message.is_sync() && dependencies.write.iter().any(|w| subscription.is_ordered(&w.key)) {
            self.check(message, subscription)?;
        }
        for (place, write) in dependencies.write.iter().enumerate() {
            if !subscription.wants(&write.key) {
                continue;
            }
            // Nobody waits for a version that no message has made.
            if !write.unwritten {
                let consumed = self.versions.entry(write.key.clone()).or_default();
                if message.is_sync() && write.version > *consumed {
                    self.synced.insert(write.key.clone());
                }
                *consumed = write.version.max(*consumed);
            }
            if place < message.operations.len() {
                let row = self.rows.entry(write.key.clone()).or_default();
                *row = write.version.max(*row);
            }
        }
        Ok(())
    }

    fn check(&self, message: &Message, subscription: &Subscription) -> Result<(), String> {
        let dependencies = message.dependencies.as_ref().unwrap();
        let now = |key: &Key| self.versions.get(key).copied();
        for read in &dependencies.read {
            let (key, endpoint) = (&read.key, read.key.endpoint_str());
            if !subscription.covers(endpoint, read.version) {
                continue; // not subscribed, or of the past
            }
            if now(key) < Some(read.version) {
                return Err(format!("{key} was read at {} and is at {:?}", read.version, now(key)));
            }
            // A later write waits for this reader if it knows of it: by an endpoint that takes turns and was bound by then.
            let is_waited_for = message.written_objects().any(|w| {
                subscription.is_ordered(&w.key) && subscription.covers(w.key.endpoint_str(), read.version)
            });
            let is_known = !self.was_flushed && !self.synced.contains(key);
            let is_exact = is_waited_for && subscription.is_ordered(key) && is_known;
            if is_exact && now(key) != Some(read.version) {
                return Err(format!("{key} was read at {} and is at {:?} already", read.version, now(key)));
            }
        }
        for cause in &dependencies.external {
            let is_missing = now(&cause.key) < Some(cause.version);
            if subscription.covers(cause.key.endpoint_str(), cause.version) && is_missing {
                return Err(format!("{} is caused by {} of it", cause.key, cause.version));
            }
        }
        for write in dependencies.write.iter().filter(|w| subscription.is_ordered(&w.key)) {
            let key = &write.key;
            if self.synced.contains(key) && now(key) >= Some(write.version) {
                continue; // a sync was faster
            }
            let begins = write.previous.is_none() && now(key).is_none();
            let follows = write.previous.is_some() && now(key) == write.previous;
            // What a chain began with, or goes on from, may be of the past.
            let from = write.previous.unwrap_or(write.version);
            let is_covered = subscription.covers(key.endpoint_str(), from);
            if is_covered && !begins && !follows {
                return Err(format!("{key} follows {:?} and is at {:?}", write.previous, now(key)));
            }
        }
        Ok(())
    }

    /// Checks that all of these messages are applied, and that what is there is what they come to.
    pub(super) fn is_complete(
        &self,
        delivered: &[Arc<Message>],
        subscription: &Subscription,
    ) -> Result<(), String> {
        if self.messages.len() != delivered.len() {
            return Err(format!("{} of {} messages are applied", self.messages.len(), delivered.len()));
        }
        let mut rows: BTreeMap<Key, u64> = BTreeMap::new();
        for message in delivered.iter().filter(|message| !message.operations.is_empty()) {
            for write in message.written_objects().filter(|w| subscription.wants(&w.key)) {
                let row = rows.entry(write.key.clone()).or_default();
                *row = write.version.max(*row);
            }
        }
        if rows != self.rows {
            return Err(format!("the rows are {:?} instead of {rows:?}", self.rows));
        }
        Ok(())
    }
}
