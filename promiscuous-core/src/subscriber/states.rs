//! The states of the sources, which another worker or `promiscuous bootstrap` may change: read now and then, and at once after an end marker.

use std::sync::Arc;

use super::binding;
use super::scheduler::{Policy, Sequence, Source};
use super::worker::Worker;
use crate::bootstrap;
use crate::error::chain;

/// While no rows are on their way, the states are read at every so-manieth look, one a second.
const LOOK_AGAIN: u64 = 5;

impl Worker {
    /// Reads the states, often while rows are on their way.
    pub(super) fn look_at_states(&mut self) {
        if self.is_joining() || self.looks.is_multiple_of(LOOK_AGAIN) {
            self.start_reading_states();
        }
    }

    fn is_joining(&self) -> bool {
        self.policy.sources().iter().any(|source| source.joining)
    }

    /// Whether a message may change a state, or asks for an answer.
    pub(super) fn is_marker(&self, sequence: Sequence) -> bool {
        let message = self.scheduler.message(sequence);
        message.is_some_and(|message| message.bootstrap.is_some())
    }

    /// Asks for rows that are to come, if that is due, and reads the states.
    pub(super) fn start_reading_states(&mut self) {
        if !self.states.is_empty() {
            return;
        }
        let (shared, broker) = (Arc::clone(&self.subscriber.shared), Arc::clone(&self.subscriber.broker));
        let (policy, asks) = (Arc::clone(&self.policy), self.is_joining());
        let app = self.subscriber.settings.app.clone();
        self.states.spawn(async move {
            let database = shared.database.as_ref();
            if asks && let Err(error) = bootstrap::ask(&app, database, broker.as_ref()).await {
                tracing::warn!(error = %chain(&error), "the publishers cannot be asked for all rows; trying again");
            }
            match binding::refreshed(database, policy.sources()).await {
                Ok(sources) => Some(sources),
                Err(error) => {
                    tracing::debug!(error = %chain(&error), "the states of subscriptions cannot be read; trying again");
                    None
                }
            }
        });
    }

    pub(super) fn states_read(&mut self, states: Option<Vec<Source>>) {
        let Some(sources) = states.filter(|sources| sources != self.policy.sources()) else { return };
        for (before, now) in self.policy.sources().iter().zip(&sources) {
            match (before.joining, now.joining) {
                (false, true) => tracing::info!(source = %now.from, "joining: its rows are on their way"),
                (true, false) => tracing::info!(source = %now.from, "live: all of its rows have come"),
                _ => {}
            }
        }
        self.policy = Arc::new(Policy::new(sources));
        self.scheduler.change(Arc::clone(&self.policy));
        self.parked.look_at_all();
    }
}
