//! When messages that cannot be applied yet are parked, and when they come back.
//!
//! They are parked when they have waited for a while, and at once when they fill the prefetch window, for behind them may be what they
//! wait for: so that **a prefetch of 1 does not deadlock**. Blocked ones come back when the key that they wait for advances. What nobody
//! heard of (an announcement that was lost, a process that died) is found by a look at the table now and then. Those that have failed
//! come back for their next attempt, a few at a time: however many fail, others are applied. And what this program has no model for, though another
//! version of the app has bound it, is parked for whoever has.
//!
//! * this file: what a worker knows of them
//! * `leaving`: from memory to the database
//! * `returning`: and back
//! * `back`: those that are in memory again

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use tokio::task::JoinSet;

use super::batch::Shared;
use super::parked::{Lot, Parking};
use super::scheduler::Sequence;
use super::worker::Worker;
use crate::key::Key;
use crate::notice::{self, Notice};

mod back;
mod leaving;
mod returning;

use back::Back;
use returning::Found;

/// Keys that are asked for at once: beyond, all are.
const KEYS: usize = 500;

/// What a worker knows of parked messages.
pub(super) struct ParkingState {
    lot: Arc<Lot>,
    /// Being written to the database. One task at a time.
    parking: JoinSet<Vec<(Sequence, Parking)>>,
    /// Being read. One task at a time.
    looking: JoinSet<Found>,
    /// Since when the window is full of messages that wait, and nothing here can change that.
    stuck_since: Option<Instant>,
    /// Parked messages that are in memory.
    back: Back,
    /// Keys that have advanced since the last look.
    keys: BTreeSet<Key>,
    /// Whether all have to be looked at.
    all: bool,
    /// Whether those that have waited for too long have to be looked at.
    late: bool,
    /// How many of those in the database have failed.
    failing: u64,
    /// When the first of these is due.
    due_at: Option<Instant>,
    /// Messages in memory that are about to be left to another program, each with the source that this one does not take.
    pub(super) leaving: BTreeMap<Sequence, String>,
    /// Sources whose messages are in the database for nobody who runs, as far as this worker can tell: it does not take them.
    left: Vec<String>,
    /// Whether to look which messages other programs have left.
    look_at_left: bool,
    /// Sources of which was told that their messages are left.
    told: BTreeSet<String>,
    /// Whether anything may be parked. When it is not, nobody looks.
    any: bool,
    /// Whether something was parked since the last look began.
    has_parked: bool,
}

impl ParkingState {
    pub(super) fn new(shared: &Shared) -> Self {
        Self {
            lot: Lot::new(Arc::clone(&shared.database)),
            parking: JoinSet::new(),
            looking: JoinSet::new(),
            stuck_since: None,
            back: Back::default(),
            keys: BTreeSet::new(),
            // Of earlier processes.
            all: true,
            late: false,
            failing: 0,
            due_at: None,
            leaving: BTreeMap::new(),
            left: Vec::new(),
            look_at_left: false,
            told: BTreeSet::new(),
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

    /// Some may have waited for too long, and others may have been left by another program, of which nobody tells.
    pub(super) fn look_now_and_then(&mut self) {
        self.late = self.any;
        self.look_at_left = true;
    }

    /// A message is not in memory any more.
    pub(super) fn has_left(&mut self, sequence: Sequence) {
        self.back.remove(sequence);
    }

    /// How many of those in the database have failed; of very many, not all are counted.
    pub(super) fn failing(&self) -> u64 {
        self.failing
    }

    /// Messages of a source are left to others: says so once.
    fn tell_left(&mut self, source: &str) {
        if self.told.insert(source.to_owned()) {
            tracing::error!(
                source,
                "this app has bound it, and no model of this program takes it: its messages wait in the database for a program of the app that does; if there is none any more, run `promiscuous unbind '{source}'`"
            );
            notice::tell(&Notice::Left { endpoint: source.to_owned() });
        }
    }

    /// Sources whose messages wait for a program that takes them.
    pub(super) fn left_to_others(&self) -> &[String] {
        &self.left
    }

    /// A message has failed that is due then.
    fn is_due(&mut self, at: Instant) {
        self.due_at = Some(self.due_at.map_or(at, |before| before.min(at)));
    }

    /// Whether anything may be parked.
    pub(super) fn any(&self) -> bool {
        self.any
    }

    /// Whether it was parked.
    pub(super) fn is_back(&self, sequence: Sequence) -> bool {
        self.back.contains(sequence)
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
    Parked(Vec<(Sequence, Parking)>),
    /// These are there.
    Found(Found),
}

impl Worker {
    pub(super) async fn parking_event(&mut self, event: Event) {
        match event {
            Event::Parked(messages) => self.messages_parked(messages).await,
            Event::Found(found) => self.parked_found(found),
        }
    }
}
