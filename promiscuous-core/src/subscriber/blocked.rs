//! Messages that wait for a cause: how long, and what ends it when the cause does not come.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::batch;
use super::scheduler::Obstacle;
use super::worker::Worker;
use crate::dependency::Version;
use crate::key::Key;
use crate::metrics;
use crate::notice::{self, Notice};

/// At every so-manieth look at the blocked messages, one a second, their keys are loaded again.
const LOOK_AGAIN: u64 = 5;

/// At every so-manieth look, all parked messages are looked at.
const LOOK_AT_PARKED: u64 = 30;

impl Worker {
    /// Gives up waiting where that was asked for, and reports what has waited for too long.
    pub(super) fn look_at_blocked(&mut self) {
        let settings = &self.subscriber.settings;
        let (wait_timeout, lost_after) = (settings.wait_timeout, settings.lost_after);
        let (mut give_up, mut wanted) = (Vec::new(), BTreeSet::new());
        self.longest.in_memory = None;
        for (sequence, obstacle) in self.scheduler.blocked() {
            let Some(held) = self.held.get(sequence) else { continue };
            let waited = held.arrived.elapsed();
            let id = self.scheduler.message(sequence).map(|m| m.id);
            if waited >= lost_after {
                wanted.extend(obstacle.version().and_then(|(key, _)| key.of_generation().ok()));
            }
            if wait_timeout.is_some_and(|timeout| waited >= timeout) {
                ::metrics::counter!(metrics::RECOVERED).increment(1);
                tell_recovered(id, obstacle, waited);
                tracing::error!(
                    ?id,
                    ?obstacle,
                    ?waited,
                    "recovered: applied without its cause, because waiting timed out"
                );
                give_up.push(sequence);
            } else if let Some(id) = id {
                self.longest.in_memory(id, obstacle.key(), waited);
            }
        }
        for sequence in give_up {
            self.scheduler.force(sequence);
        }
        if !wanted.is_empty() && self.generations.is_empty() {
            let keys = wanted.into_iter().collect();
            self.generations.spawn(batch::generations(Arc::clone(&self.subscriber.shared), keys));
        }
        // Announcements can be lost with a connection that dies silently: look again now and then.
        self.looks += 1;
        if self.looks.is_multiple_of(LOOK_AGAIN) {
            self.scheduler.all_changed();
            self.parked.look_now_and_then();
        }
        if self.looks.is_multiple_of(LOOK_AT_PARKED) {
            self.parked.look_at_all();
        }
    }

    /// Applies what waits for a version of a generation that is over, in the given state of the endpoints' own keys: whether that
    /// version comes, nobody knows any more.
    pub(super) fn give_up_what_is_over(&mut self, generations: &[(Key, Version)]) {
        let lost_after = self.subscriber.settings.lost_after;
        let is_over = |key: &Key, version: Version| {
            let own = generations.iter().find(|(own, _)| own.endpoint_str() == key.endpoint_str());
            own.is_some_and(|(_, current)| current.generation > version.generation)
        };
        let mut give_up = Vec::new();
        for (sequence, obstacle) in self.scheduler.blocked() {
            let waited = self.held.get(sequence).map(|held| held.arrived.elapsed());
            let Some(waited) = waited.filter(|waited| *waited >= lost_after) else { continue };
            if obstacle.version().is_some_and(|(key, version)| is_over(key, version)) {
                let id = self.scheduler.message(sequence).map(|m| m.id);
                ::metrics::counter!(metrics::RECOVERED).increment(1);
                tell_recovered(id, obstacle, waited);
                tracing::error!(
                    ?id,
                    ?obstacle,
                    ?waited,
                    "recovered: applied without its cause, which was perhaps lost with the publisher's Redis"
                );
                give_up.push(sequence);
            }
        }
        for sequence in give_up {
            self.scheduler.force(sequence);
        }
    }
}

fn tell_recovered(id: Option<Uuid>, obstacle: &Obstacle, waited: Duration) {
    if let Some(id) = id {
        notice::tell(&Notice::Recovered { id, waits_for: obstacle.key().to_string(), waited });
    }
}
