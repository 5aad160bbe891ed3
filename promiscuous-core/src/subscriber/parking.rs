//! When blocked messages are parked, and when they come back.
//!
//! They are parked when they have waited for a while, and at once when they fill the prefetch window, for behind them may be what they
//! wait for: so that **a prefetch of 1 does not deadlock**. They come back when the key that they wait for advances. What nobody heard
//! of (an announcement that was lost, a process that died) is found by a look at the table now and then.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::batch::Shared;
use super::held::{ByConnection, Held};
use super::parked::{self, Look, Lot, Parked, Parking};
use super::scheduler::{Arrival, Obstacle, Sequence};
use super::worker::Worker;
use crate::clock;
use crate::dependency::Version;
use crate::error::chain;
use crate::key::Key;
use crate::message::Message;
use crate::metrics;

/// A message that is blocked for longer is parked.
const PARKED_AFTER: Duration = Duration::from_secs(10);

/// How long the prefetch window may be full of blocked messages: other processes may be about to bring what they wait for.
const STUCK_FOR: Duration = Duration::from_millis(20);

/// Parked messages that are in memory again at the same time, at least; else as many as the prefetch window has.
const BACK_AT_LEAST: usize = 16;

/// Keys that are asked for at once: beyond, all are.
const KEYS: usize = 500;

/// Messages of one total order that come back together, before it is their turn: one at a time, a long order would never end.
const NEXT: usize = 200;

/// Messages that wait for a generation that is over and are looked at together: those that follow from them come back by themselves.
const OVER: usize = 100;

/// What a worker knows of parked messages.
pub(super) struct ParkingState {
    lot: Arc<Lot>,
    /// Being written to the database. One task at a time.
    parking: JoinSet<Vec<Sequence>>,
    /// Being read. One task at a time.
    looking: JoinSet<Found>,
    /// Since when the window is full of blocked messages, and nothing here can change that.
    stuck_since: Option<Instant>,
    /// Parked messages that are in memory.
    back: BTreeSet<Sequence>,
    /// Keys that have advanced since the last look.
    keys: BTreeSet<Key>,
    /// Whether all have to be looked at.
    all: bool,
    /// Whether those that have waited for too long have to be looked at.
    late: bool,
    /// Whether anything may be parked. When it is not, nobody looks.
    any: bool,
    /// Whether something was parked since the last look began.
    has_parked: bool,
}

/// What a look has found.
pub(super) struct Found {
    parked: Vec<Parked>,
    /// Whether there may be more of that kind.
    more: bool,
    /// Whether anything is parked at all.
    any: bool,
    /// What has been there longest; none when nobody looked.
    oldest: Option<Vec<parked::Waiting>>,
}

impl ParkingState {
    pub(super) fn new(shared: &Shared) -> Self {
        Self {
            lot: Lot::new(Arc::clone(&shared.database)),
            parking: JoinSet::new(),
            looking: JoinSet::new(),
            stuck_since: None,
            back: BTreeSet::new(),
            keys: BTreeSet::new(),
            // Of earlier processes.
            all: true,
            late: false,
            any: true,
            has_parked: false,
        }
    }

    /// These keys have advanced.
    pub(super) fn advanced(&mut self, keys: Vec<Key>) {
        if self.any && !self.all {
            self.keys.extend(keys);
            // While there is no room in memory, nobody looks.
            self.all = self.keys.len() > KEYS;
        }
    }

    /// Anything may have changed.
    pub(super) fn look_at_all(&mut self) {
        self.all = true;
    }

    /// Some may have waited for too long.
    pub(super) fn look_at_late(&mut self) {
        self.late = self.any;
    }

    /// A message is not in memory any more.
    pub(super) fn left(&mut self, sequence: Sequence) {
        self.back.remove(&sequence);
    }

    /// Whether anything may be parked.
    pub(super) fn any(&self) -> bool {
        self.any
    }

    /// Whether it was parked.
    pub(super) fn is_back(&self, sequence: Sequence) -> bool {
        self.back.contains(&sequence)
    }

    /// What the worker waits for.
    pub(super) async fn next(&mut self) -> Event {
        tokio::select! {
            Some(Ok(parked)) = self.parking.join_next(), if !self.parking.is_empty() => Event::Parked(parked),
            Some(Ok(found)) = self.looking.join_next(), if !self.looking.is_empty() => Event::Found(found),
            else => std::future::pending().await,
        }
    }
}

/// Something has been done.
pub(super) enum Event {
    /// These messages are in the database.
    Parked(Vec<Sequence>),
    /// These are there.
    Found(Found),
}

impl Worker {
    /// Since when nothing can go on in memory, and no more comes from the broker, which gives so many messages at a time.
    pub(super) fn look_whether_stuck(&mut self, prefetch: Option<u16>) {
        let prefetch = prefetch.unwrap_or(self.subscriber.settings.prefetch);
        let from_broker = self.held.len() - self.parked.back.len();
        let no_more = from_broker >= usize::from(prefetch) || !self.held.has_room();
        let is_full = no_more && self.scheduler.blocked_len() > self.parked.back.len();
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
    pub(super) fn parks_at(&self) -> Option<Instant> {
        self.parked.stuck_since.map(|since| since + STUCK_FOR)
    }

    /// Parks half of the blocked messages when they fill the prefetch window, and else those that have waited for long.
    pub(super) fn start_parking(&mut self) {
        if !self.parked.parking.is_empty() {
            return;
        }
        let is_stuck = self.parks_at().is_some_and(|at| at <= Instant::now());
        let mut messages = Vec::new();
        for (sequence, obstacle) in self.scheduler.blocked() {
            let (waits_for, version) = match obstacle {
                Obstacle::NotLoaded(_) => continue,
                Obstacle::Version(key, version) => (key, *version),
                Obstacle::Readers(key, _) => (key, Version::new(0, 0)),
            };
            let (Some(held), Some(message)) = (self.held.get(sequence), self.scheduler.message(sequence))
            else {
                continue;
            };
            let is_urgent = is_stuck && !self.parked.back.contains(&sequence);
            if is_urgent || held.since.elapsed() >= PARKED_AFTER {
                let waited = clock::duration_millis(held.arrived.elapsed());
                let arrived_at = clock::millis().saturating_sub(waited);
                let (id, waits_for, body) =
                    (message.identity(), waits_for.clone(), held.delivery.body.clone());
                messages.push((sequence, Parking { id, arrived_at, waits_for, version, body }));
            }
        }
        if is_stuck {
            // Those that came first are the likeliest to go on.
            messages.sort_unstable_by_key(|(sequence, _)| *sequence);
            messages.drain(..messages.len() / 2);
        }
        self.parked.stuck_since = None;
        if !messages.is_empty() {
            self.parked.parking.spawn(park(Arc::clone(&self.subscriber.shared), messages));
        }
    }

    /// Looks at parked messages whose cause may have come, as long as there is room for them in memory.
    pub(super) fn start_looking(&mut self) {
        let settings = &self.subscriber.settings;
        let limit = usize::from(settings.prefetch).max(BACK_AT_LEAST);
        let state = &mut self.parked;
        if !state.looking.is_empty() || state.back.len() >= limit {
            return;
        }
        let room = limit - state.back.len();
        // Those that are in memory are found again: as long as they are not applied, they are parked, too.
        let limit = limit + state.back.len();
        let now = clock::millis();
        let before = |wait: Duration| now.saturating_sub(clock::duration_millis(wait));
        let mut looks = Vec::new();
        if std::mem::take(&mut state.late) {
            looks.push((Look::Over(before(settings.lost_after)), OVER));
            looks.extend(settings.wait_timeout.map(|timeout| (Look::Since(before(timeout)), limit)));
        }
        if std::mem::take(&mut state.all) {
            state.keys.clear();
            looks.push((Look::Ready(Vec::new()), limit));
        } else if !state.keys.is_empty() {
            let keys = std::mem::take(&mut state.keys).into_iter();
            let (orders, keys): (Vec<Key>, Vec<Key>) = keys.partition(Key::is_order);
            // Some room is left for what they may wait for besides.
            let next = NEXT.min(room / 2) + state.back.len();
            looks.extend(orders.into_iter().map(|order| (Look::Next(order), next)));
            if !keys.is_empty() {
                looks.push((Look::Ready(keys), limit));
            }
        }
        if !looks.is_empty() {
            state.has_parked = false;
            state.looking.spawn(look(Arc::clone(&self.subscriber.shared), looks));
        }
    }

    pub(super) async fn parking_event(&mut self, event: Event) {
        match event {
            Event::Parked(sequences) => self.messages_parked(sequences).await,
            Event::Found(found) => self.parked_found(found),
        }
    }

    /// They are in the database, so they need not be here.
    async fn messages_parked(&mut self, sequences: Vec<Sequence>) {
        let mut deliveries = ByConnection::default();
        let mut count = 0;
        for sequence in sequences {
            // Perhaps it is being applied now. Then its row is looked at once more, and deleted.
            let Some(Obstacle::Version(key, _) | Obstacle::Readers(key, _)) =
                self.scheduler.obstacle_of(sequence)
            else {
                self.parked.all = true;
                continue;
            };
            // What it waits for may have come before its row was there.
            self.parked.keys.insert(key.clone());
            self.scheduler.forget(sequence);
            let Some(held) = self.held.remove(sequence) else { continue };
            if self.parked.back.remove(&sequence) {
                // Its row stays.
                ByConnection::of(held.delivery).requeue().await;
            } else {
                count += 1;
                deliveries.add(held.delivery);
            }
        }
        if count > 0 && !self.parked.any {
            tracing::warn!("messages wait for causes that have not come: they are parked in the database");
        }
        self.parked.any = true;
        self.parked.has_parked = true;
        ::metrics::counter!(metrics::PARKED).increment(count);
        deliveries.ack().await;
    }

    fn parked_found(&mut self, found: Found) {
        if let Some(oldest) = found.oldest {
            self.longest.parked(oldest);
        }
        self.parked.any = found.any || self.parked.has_parked;
        self.parked.all |= found.more;
        for parked in found.parked {
            if self.scheduler.has(&parked.id) {
                continue;
            }
            let waited = Duration::from_millis(clock::millis().saturating_sub(parked.arrived_at));
            let arrived = Instant::now().checked_sub(waited).unwrap_or_else(Instant::now);
            let Ok(message) = Message::decode(&parked.body) else {
                tracing::error!(id = %parked.id, "a parked message cannot be read; it stays where it is");
                continue;
            };
            let Arrival::New(sequence) = self.scheduler.arrive(Arc::new(message)) else { continue };
            let delivery = self.parked.lot.deliver(parked);
            self.parked.back.insert(sequence);
            self.held.insert(sequence, Held::back(delivery, arrived));
        }
    }
}

/// Parks messages; waits for a database that is away.
async fn park(shared: Arc<Shared>, messages: Vec<(Sequence, Parking)>) -> Vec<Sequence> {
    let (sequences, messages): (Vec<Sequence>, Vec<Parking>) = messages.into_iter().unzip();
    let mut failures = 0;
    while let Err(error) = parked::park(shared.database.as_ref(), &messages).await {
        failures += 1;
        if failures == 1 {
            tracing::warn!(error = %chain(&error), "blocked messages cannot be parked; trying again");
        }
        tokio::time::sleep(shared.retry.pause(failures)).await;
    }
    sequences
}

/// Reads parked messages; what cannot be read now is looked at again.
async fn look(shared: Arc<Shared>, looks: Vec<(Look, usize)>) -> Found {
    let database = shared.database.as_ref();
    let mut found = Found { parked: Vec::new(), more: false, any: true, oldest: None };
    if looks.iter().any(|(look, _)| matches!(look, Look::Over(_))) {
        found.oldest = parked::page(database, None, 1).await.ok();
    }
    for (look, limit) in looks {
        match parked::look(database, &look, limit).await {
            Ok(rows) => {
                found.more |= rows.len() >= limit && matches!(look, Look::Ready(_));
                found.parked.extend(rows);
            }
            Err(error) => {
                tracing::debug!(error = %chain(&error), "parked messages cannot be read; trying again");
                tokio::time::sleep(shared.retry.pause(1)).await;
                // Which keys have advanced is forgotten: all are looked at.
                found.more = true;
                return found;
            }
        }
    }
    if found.parked.is_empty() {
        found.any = parked::any(database).await.unwrap_or(true);
    }
    found
}
