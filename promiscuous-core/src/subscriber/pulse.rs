//! What a worker says of itself: whether it consumes, what has waited for too long, what hangs.

use std::time::{Duration, Instant};

use uuid::Uuid;

use super::parked::{self, Until};
use super::worker::Worker;
use crate::clock;
use crate::health::{Level, Pulse};
use crate::key::Key;
use crate::message::Message;
use crate::notice::{self, Notice};

/// A worker that has not gone round for so long hangs: it does so once a second.
pub(super) const HANGS: Duration = Duration::from_secs(60);

/// A batch that is applied for longer hangs, in a callback or in the database.
const APPLIED_TOO_LONG: Duration = Duration::from_secs(120);

/// What has waited longest for its cause.
#[derive(Debug, Default)]
pub(super) struct Longest {
    /// Of the messages in memory.
    pub(super) in_memory: Option<Waiting>,
    /// Of those that are parked.
    parked: Option<Waiting>,
    /// What was reported last: each message is reported once.
    reported: Option<Uuid>,
}

/// A blocked message.
#[derive(Debug, Clone)]
pub(super) struct Waiting {
    id: Uuid,
    waits_for: String,
    since: Instant,
}

impl Longest {
    /// A message in memory has waited this long.
    pub(super) fn in_memory(&mut self, id: Uuid, key: &Key, waited: Duration) {
        let since = Instant::now().checked_sub(waited).unwrap_or_else(Instant::now);
        if self.in_memory.as_ref().is_none_or(|known| since < known.since) {
            self.in_memory = Some(Waiting { id, waits_for: key.to_string(), since });
        }
    }

    /// What has waited longest of those that are parked.
    pub(super) fn parked(&mut self, longest: Option<parked::Waiting>) {
        self.parked = longest.and_then(|parked| {
            let Until::Cause(key, _) = &parked.until else { return None };
            let waited = Duration::from_millis(clock::millis().saturating_sub(parked.arrived_at));
            let since = Instant::now().checked_sub(waited).unwrap_or_else(Instant::now);
            // The row of a dummy has another one.
            let id = Message::decode(parked.body.as_bytes()).map_or(parked.id, |message| message.id);
            Some(Waiting { id, waits_for: key.to_string(), since })
        });
    }

    /// The one of both that has waited longer, if it has waited for too long.
    fn too_long(&self, blocked_after: Duration) -> Option<&Waiting> {
        let waiting = self.in_memory.iter().chain(&self.parked).min_by_key(|waiting| waiting.since);
        waiting.filter(|waiting| waiting.since.elapsed() > blocked_after)
    }
}

impl Worker {
    /// Says how it does.
    pub(super) fn take(&mut self, pulse: &Pulse, consuming: bool) {
        if !self.parked.any() {
            self.longest.parked = None;
        }
        self.report_longest();
        let hangs = self.in_flight.values().map(|batch| batch.since.elapsed()).max();
        if !consuming {
            pulse.fails(Level::NotReady, "it does not consume: RabbitMQ cannot be reached");
        } else if let Some(hangs) = hangs.filter(|hangs| *hangs > APPLIED_TOO_LONG) {
            let says = "messages have been applied for {} s: a callback or the database hangs";
            pulse.fails(Level::NotReady, says.replace("{}", &hangs.as_secs().to_string()));
        } else if let Some(Waiting { waits_for, since, .. }) =
            self.longest.too_long(self.subscriber.settings.blocked_after)
        {
            let waited = since.elapsed().as_secs();
            let says =
                format!("a message has waited for {waits_for} for {waited} s: see `promiscuous blocked`");
            pulse.fails(Level::NotReady, says);
        } else if let [source, ..] = self.parked.left_to_others() {
            let says =
                "messages of {} wait for a program of this app that takes it: see `promiscuous blocked`";
            pulse.fails(Level::Degraded, says.replace("{}", source));
        } else if self.subscriber.status.borrow().failing > 0 {
            let count = self.subscriber.status.borrow().failing;
            pulse.fails(Level::Degraded, format!("{count} messages failed and are tried again: see the log"));
        } else {
            pulse.works();
        }
    }

    fn report_longest(&mut self) {
        let Some(waiting) = self.longest.too_long(self.subscriber.settings.blocked_after).cloned() else {
            return;
        };
        let Waiting { id, waits_for, since } = waiting;
        if self.longest.reported.replace(id) == Some(id) {
            return;
        }
        let waited = since.elapsed();
        tracing::error!(%id, %waits_for, ?waited, "a message is blocked: its cause has not come");
        notice::tell(&Notice::Blocked { id, waits_for, waited });
    }
}
