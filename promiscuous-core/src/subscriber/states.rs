//! What the app has bound, which another worker, `promiscuous bootstrap` or `promiscuous unbind` may change: read now and then, and at once after an end marker.

use std::sync::Arc;

use super::binding::{self, Bound};
use super::scheduler::{Policy, Sequence};
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
        let asks = self.is_joining();
        let app = self.subscriber.settings.app.clone();
        self.states.spawn(async move {
            let database = shared.database.as_ref();
            if asks && let Err(error) = bootstrap::ask(&app, database, broker.as_ref()).await {
                tracing::warn!(error = %chain(&error), "the publishers cannot be asked for all rows; trying again");
            }
            match binding::bound(database).await {
                Ok(bound) => Some(bound),
                Err(error) => {
                    tracing::debug!(error = %chain(&error), "the states of subscriptions cannot be read; trying again");
                    None
                }
            }
        });
    }

    /// Takes in what the app has bound.
    pub(super) fn states_read(&mut self, bound: Option<Vec<Bound>>) {
        let Some(bound) = bound else { return };
        let before = Arc::clone(&self.policy);
        let sources = binding::with(before.sources(), &bound, self.subscriber.shared.skew);
        if sources == before.sources() {
            return;
        }
        for now in &sources {
            let was_joining = before.sources().iter().find(|b| b.from == now.from).map(|b| b.joining);
            match (was_joining, now.joining) {
                (Some(false), true) => {
                    tracing::info!(source = %now.from, "joining: its rows are on their way")
                }
                (Some(true), false) => tracing::info!(source = %now.from, "live: all of its rows have come"),
                (None, _) => tracing::info!(source = %now.from, "bound by another version of this app"),
                _ => {}
            }
        }
        self.policy = Arc::new(Policy::new(sources));
        self.scheduler.change(Arc::clone(&self.policy));
        self.take_back_what_is_left();
        self.parked.look_at_all();
    }
}
