//! From memory to the database.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::clock;
use crate::dependency::Version;
use crate::error::chain;
use crate::metrics;
use crate::subscriber::batch::Shared;
use crate::subscriber::held::ByConnection;
use crate::subscriber::parked::{self, Parking, Until};
use crate::subscriber::scheduler::{Obstacle, Sequence};
use crate::subscriber::worker::Worker;

/// A message that is blocked for longer is parked, and one that failed and is not tried again before.
const PARKED_AFTER: Duration = Duration::from_secs(10);

/// How long the prefetch window may be full of messages that wait: other processes may be about to bring what they wait for.
const STUCK_FOR: Duration = Duration::from_millis(20);

impl Worker {
    /// Takes those of a batch out that are for another version of the app; the others are scheduled again, because they may follow from them. Whether there were any.
    pub(in crate::subscriber) fn leave_to_others(&mut self, sequences: &[Sequence]) -> bool {
        let mut others = Vec::new();
        for &sequence in sequences {
            let message = self.scheduler.message(sequence);
            match message.and_then(|message| self.policy.left_to_others(message)) {
                Some(source) => {
                    let source = source.from.to_string();
                    self.scheduler.failed(sequence);
                    self.parked.tell_left(&source);
                    self.parked.leaving.insert(sequence, source);
                }
                None => others.push(sequence),
            }
        }
        let any = others.len() < sequences.len();
        if any {
            self.scheduler.returned(&others);
        }
        any
    }

    /// What the app has bound has changed: what was to be left may go on here.
    pub(in crate::subscriber) fn take_back_what_is_left(&mut self) {
        for sequence in self.parked.leaving.keys() {
            self.scheduler.retry(*sequence);
        }
        self.parked.leaving.clear();
    }

    /// Since when nothing can go on in memory, and no more comes from the broker, which gives so many messages at a time.
    pub(in crate::subscriber) fn look_whether_stuck(&mut self, prefetch: Option<u16>) {
        let prefetch = prefetch.unwrap_or(self.subscriber.settings.prefetch);
        let from_broker = self.held.len() - self.parked.back.len();
        let no_more = from_broker >= usize::from(prefetch) || !self.held.has_room();
        let waiting = self.scheduler.blocked_len() + self.retries.len();
        let is_full = no_more && waiting > self.parked.back.len();
        let goes_on = !self.batches.is_empty()
            || !self.loads.is_empty()
            || !self.parked.parking.is_empty()
            || self.scheduler.ready_len() > 0;
        self.parked.stuck_since = match self.parked.stuck_since {
            _ if !is_full || goes_on => None,
            since => since.or_else(|| Some(Instant::now())),
        };
    }

    /// When the prefetch window counts as stuck.
    pub(in crate::subscriber) fn parks_at(&self) -> Option<Instant> {
        self.parked.stuck_since.map(|since| since + STUCK_FOR)
    }

    /// Parks half of the messages that wait when they fill the prefetch window, and else those that do so for long.
    pub(in crate::subscriber) fn start_parking(&mut self) {
        if !self.parked.parking.is_empty() {
            return;
        }
        let now = Instant::now();
        let is_stuck = self.parks_at().is_some_and(|at| at <= now);
        let mut messages: Vec<(Sequence, Parking)> =
            self.leaves_blocked(is_stuck).into_iter().chain(self.leaves_failing(is_stuck, now)).collect();
        if is_stuck {
            // Those that came first are the likeliest to go on.
            messages.sort_unstable_by_key(|(sequence, _)| *sequence);
            messages.drain(..messages.len() / 2);
        }
        messages.extend(self.leaves_to_others());
        self.parked.stuck_since = None;
        if !messages.is_empty() {
            self.parked.parking.spawn(park(Arc::clone(&self.subscriber.shared), messages));
        }
    }

    fn leaves_blocked(&self, is_stuck: bool) -> Vec<(Sequence, Parking)> {
        let mut leaves = Vec::new();
        for (sequence, obstacle) in self.scheduler.blocked() {
            let until = match obstacle {
                Obstacle::NotLoaded(_) => continue,
                Obstacle::Version(key, version) => Until::Cause(key.clone(), *version),
                Obstacle::Readers(key, _) => Until::Cause(key.clone(), Version::new(0, 0)),
            };
            let is_urgent = is_stuck && !self.parked.back.contains(sequence);
            if is_urgent || self.held.get(sequence).is_some_and(|held| held.since.elapsed() >= PARKED_AFTER) {
                leaves.extend(self.parking_of(sequence, until).map(|parking| (sequence, parking)));
            }
        }
        leaves
    }

    /// Of those that have failed, also what came back for this attempt: its place is for the next one.
    fn leaves_failing(&self, is_stuck: bool, now: Instant) -> Vec<(Sequence, Parking)> {
        let mut leaves = Vec::new();
        for &(at, sequence) in &self.retries {
            let pause = at.saturating_duration_since(now);
            if is_stuck || self.parked.back.contains(sequence) || pause >= PARKED_AFTER {
                let until = Until::Attempt(clock::millis() + clock::duration_millis(pause));
                leaves.extend(self.parking_of(sequence, until).map(|parking| (sequence, parking)));
            }
        }
        leaves
    }

    fn leaves_to_others(&self) -> Vec<(Sequence, Parking)> {
        let leaving = self.parked.leaving.iter();
        let parking = leaving.filter_map(|(&sequence, source)| {
            Some((sequence, self.parking_of(sequence, Until::Taken(source.clone()))?))
        });
        parking.collect()
    }

    fn parking_of(&self, sequence: Sequence, until: Until) -> Option<Parking> {
        let (held, message) = (self.held.get(sequence)?, self.scheduler.message(sequence)?);
        let waited = clock::duration_millis(held.arrived.elapsed());
        Some(Parking {
            id: message.identity(),
            arrived_at: clock::millis().saturating_sub(waited),
            attempts: held.failures,
            until,
            body: held.delivery.body.clone(),
        })
    }

    /// They are in the database, so they need not be here.
    pub(super) async fn messages_parked(&mut self, messages: Vec<(Sequence, Parking)>) {
        let failing: BTreeSet<Sequence> = self.retries.iter().map(|(_, sequence)| *sequence).collect();
        let mut deliveries = ByConnection::default();
        let mut count = 0;
        for (sequence, parking) in messages {
            let is_blocked = matches!(
                self.scheduler.obstacle_of(sequence),
                Some(Obstacle::Version(..) | Obstacle::Readers(..))
            );
            match &parking.until {
                // What it waits for may have come before its row was there.
                Until::Cause(key, _) => {
                    self.parked.keys.insert(key.clone());
                }
                Until::Taken(_) => {}
                Until::Attempt(at) => {
                    let pause = Duration::from_millis(at.saturating_sub(clock::millis()));
                    self.parked.is_due(Instant::now() + pause);
                }
            }
            let was_parked = self.parked.back.contains(sequence);
            self.parked.failing += u64::from(!was_parked && matches!(parking.until, Until::Attempt(_)));
            let waits = match parking.until {
                Until::Cause(..) => is_blocked,
                Until::Attempt(_) => failing.contains(&sequence),
                Until::Taken(_) => self.parked.leaving.remove(&sequence).is_some(),
            };
            if waits {
                self.scheduler.forget(sequence);
                let Some(held) = self.held.remove(sequence) else { continue };
                self.parked.back.remove(sequence);
                if was_parked {
                    // Its row stays.
                    ByConnection::of(held.delivery).requeue().await;
                    continue;
                }
                deliveries.add(held.delivery);
            } else if !was_parked && self.held.contains(sequence) {
                // It goes on after all, or waits for something else now: it is the row that is acknowledged then.
                self.parked.back.insert(sequence, parking.body.len());
                let delivery = self.parked.lot.deliver(parking.into());
                self.held
                    .redelivered(sequence, delivery)
                    .into_iter()
                    .for_each(|earlier| deliveries.add(earlier));
            } else {
                continue;
            }
            count += 1;
        }
        self.retries.retain(|(_, sequence)| self.held.contains(*sequence));
        if count > 0 && !self.parked.any {
            tracing::warn!(
                "messages wait for causes that have not come, or failed: they are parked in the database"
            );
        }
        self.parked.any = true;
        self.parked.has_parked = true;
        ::metrics::counter!(metrics::PARKED).increment(count);
        deliveries.ack().await;
    }
}

/// Parks messages; waits for a database that is away.
async fn park(shared: Arc<Shared>, messages: Vec<(Sequence, Parking)>) -> Vec<(Sequence, Parking)> {
    let (sequences, messages): (Vec<Sequence>, Vec<Parking>) = messages.into_iter().unzip();
    let mut failures = 0;
    while let Err(error) = parked::park(shared.database.as_ref(), &messages).await {
        failures += 1;
        if failures == 1 {
            tracing::warn!(error = %chain(&error), "messages that wait cannot be parked; trying again");
        }
        tokio::time::sleep(shared.retry.pause(failures)).await;
    }
    sequences.into_iter().zip(messages).collect()
}
