//! From the database to memory.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use uuid::Uuid;

use crate::clock;
use crate::database::{Database, DatabaseError};
use crate::error::chain;
use crate::key::Key;
use crate::message::Message;
use crate::registry::From;
use crate::subscriber::batch::Shared;
use crate::subscriber::binding;
use crate::subscriber::held::Held;
use crate::subscriber::parked::{self, Failing, Look, Parked};
use crate::subscriber::scheduler::{Arrival, Policy};
use crate::subscriber::worker::Worker;

/// Parked messages that are in memory again at the same time, at least; else as many as the prefetch window has.
const BACK_AT_LEAST: usize = 16;

/// Messages of one total order that come back together, before it is their turn: one at a time, a long order would never end.
const NEXT: usize = 200;

/// Messages that wait for a generation that is over and are looked at together: those that follow from them come back by themselves.
const OVER: usize = 100;

/// Messages that have failed and are tried again together. However many there are, others are applied between them.
const DUE: usize = 100;

/// How long after a look at those that have failed comes the next one, at the earliest.
const DUE_AGAIN: Duration = Duration::from_millis(500);

/// What a look has found.
pub(in crate::subscriber) struct Found {
    parked: Vec<Parked>,
    /// Whether there may be more of that kind.
    more: bool,
    /// Whether anything is parked at all.
    any: bool,
    /// Sources whose messages were left, and stay so; none when nobody looked.
    left: Option<Vec<String>>,
    /// What has failed; none when nobody looked.
    failing: Option<Failing>,
    /// What has waited longest for its cause, if anything does; none when nobody looked.
    longest: Option<Option<parked::Waiting>>,
}

impl Worker {
    /// How many parked messages may be in memory.
    fn back_limit(&self) -> usize {
        usize::from(self.subscriber.settings.prefetch).max(BACK_AT_LEAST)
    }

    /// Whether there is room for another one, whatever its size.
    fn has_room_for_parked(&self) -> bool {
        let back = &self.parked.back;
        back.len() < self.back_limit() && back.bytes() < self.subscriber.settings.window_bytes
    }

    /// When to look at those that have failed; not while that is not possible.
    pub(in crate::subscriber) fn looks_at(&self) -> Option<Instant> {
        let can_look = self.parked.looking.is_empty() && self.has_room_for_parked();
        self.parked.due_at.filter(|_| can_look)
    }

    /// Looks at parked messages whose cause may have come, as long as there is room for them in memory.
    pub(in crate::subscriber) fn start_looking(&mut self) {
        if !self.parked.looking.is_empty() || !self.has_room_for_parked() {
            return;
        }
        let (settings, limit) = (&self.subscriber.settings, self.back_limit());
        let here = self.parked.back.sequences().filter_map(|sequence| self.scheduler.message(sequence));
        let memory = Room {
            bytes: settings.window_bytes.saturating_sub(self.parked.back.bytes()),
            here: here.map(|message| message.identity()).collect(),
        };
        let state = &mut self.parked;
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
        if std::mem::take(&mut state.look_at_left) || state.all {
            looks.push((Look::Left(taken(&self.policy)), limit));
        }
        if state.all || state.due_at.is_some_and(|at| at <= Instant::now()) {
            state.due_at = None;
            // Some room is left for those whose cause comes.
            looks.push((Look::Due(now), DUE.min(room.div_ceil(2)) + state.back.len()));
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
            state.looking.spawn(look(Arc::clone(&self.subscriber.shared), looks, memory));
        }
    }

    pub(super) fn parked_found(&mut self, found: Found) {
        if let Some(longest) = found.longest {
            self.longest.parked(longest);
        }
        self.parked.any = found.any || self.parked.has_parked;
        self.parked.all |= found.more;
        if let Some(left) = found.left {
            left.iter().for_each(|source| self.parked.tell_left(source));
            self.parked.left = left;
        }
        if let Some(Failing { count, first_at }) = found.failing {
            self.parked.failing = if self.parked.has_parked { count.max(self.parked.failing) } else { count };
            if let Some(at) = first_at {
                let pause = Duration::from_millis(at.saturating_sub(clock::millis()));
                // Those that are in memory by now have not left the database yet.
                self.parked.is_due(Instant::now() + pause.max(DUE_AGAIN));
            }
        }
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
            let failures = parked.attempts;
            self.parked.back.insert(sequence, parked.body.len());
            let delivery = self.parked.lot.deliver(parked);
            self.held.insert(sequence, Held::back(delivery, arrived, failures));
        }
    }
}

/// Reads parked messages; what cannot be read now is looked at again.
async fn look(shared: Arc<Shared>, looks: Vec<(Look, usize)>, mut room: Room) -> Found {
    let database = shared.database.as_ref();
    let mut found =
        Found { parked: Vec::new(), more: false, any: true, left: None, failing: None, longest: None };
    if looks.iter().any(|(look, _)| matches!(look, Look::Over(_))) {
        found.longest = parked::longest_blocked(database).await.ok();
    }
    for (look, limit) in looks {
        if let Err(error) = read(database, look, limit, &mut room, &mut found).await {
            tracing::debug!(error = %chain(&error), "parked messages cannot be read; trying again");
            tokio::time::sleep(shared.retry.pause(1)).await;
            // Which keys have advanced is forgotten: all are looked at.
            found.more = true;
            return found;
        }
    }
    if found.parked.is_empty() {
        found.any = parked::any(database).await.unwrap_or(true);
    }
    found
}

async fn read(
    database: &dyn Database,
    look: Look,
    limit: usize,
    room: &mut Room,
    found: &mut Found,
) -> Result<(), DatabaseError> {
    let look = match look {
        Look::Left(taken) => {
            let left = parked::left(database).await?;
            let bound = if left.is_empty() { Vec::new() } else { binding::bound(database).await? };
            let is_bound = |source: &str| bound.iter().any(|bound| bound.endpoint == source);
            let (stays, goes_on) =
                left.into_iter().partition(|source| is_bound(source) && !takes(&taken, source));
            found.left = Some(stays);
            Look::Left(goes_on)
        }
        look => look,
    };
    if matches!(&look, Look::Left(sources) if sources.is_empty()) {
        return Ok(());
    }
    let rows = parked::look(database, &look, limit).await?;
    if matches!(look, Look::Due(_)) {
        found.failing = Some(parked::failing(database).await?);
    }
    let is_all = rows.len() < limit;
    let (chosen, fit) = room.choose(rows);
    found.more |= match look {
        Look::Ready(_) | Look::Left(_) => !is_all || !fit,
        // Who comes after these is found when these are applied.
        Look::Next(_) => !fit && chosen.is_empty(),
        // There is another look soon.
        Look::Over(_) | Look::Since(_) | Look::Due(_) => false,
    };
    found.parked.extend(parked::fetch(database, &chosen).await?);
    Ok(())
}

/// What there is room for in memory.
struct Room {
    /// Bytes, but for one message that may go beyond.
    bytes: usize,
    /// Messages that are there already.
    here: HashSet<Uuid>,
}

impl Room {
    /// Those of these messages that fit in, and whether all do that are not there yet.
    fn choose(&mut self, messages: Vec<(Uuid, usize)>) -> (Vec<Uuid>, bool) {
        let mut chosen = Vec::new();
        for (id, bytes) in messages {
            if self.here.contains(&id) {
                continue;
            }
            if self.bytes == 0 {
                return (chosen, false);
            }
            self.bytes = self.bytes.saturating_sub(bytes);
            self.here.insert(id);
            chosen.push(id);
        }
        (chosen, true)
    }
}

/// What this program takes, as subscriptions name it.
fn taken(policy: &Policy) -> Vec<String> {
    let taken = policy.sources().iter().filter(|source| source.taken);
    taken.map(|source| source.from.to_string()).collect()
}

/// Whether a program that takes these sources takes what was left of that one.
fn takes(taken: &[String], source: &str) -> bool {
    let Ok(source) = From::parse(source) else { return false };
    taken.iter().filter_map(|own| From::parse(own).ok()).any(|own| own.covers(&source))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_large_messages_fewer_come_back_and_one_always_does() {
        let [a, b, c, d] = [1, 2, 3, 4].map(Uuid::from_u128);
        let mut room = Room { bytes: 100, here: HashSet::from([a]) };
        // What is there takes no room.
        assert_eq!(room.choose(vec![(a, 500), (b, 60)]), (vec![b], true));
        assert_eq!(room.choose(vec![(b, 60), (c, 500), (d, 1)]), (vec![c], false));
        assert_eq!(room.choose(vec![(a, 1), (b, 1), (c, 1)]), (Vec::new(), true));
        assert_eq!(room.choose(vec![(d, 1)]), (Vec::new(), false));
    }
}
