//! The accounting: every write that was attempted is in the publisher's database or is not, as its writer was told; what is there was
//! applied by each subscriber once and in order. Pure.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;

use super::journal::{Effect, Entry, Fate};

/// Messages are in flight for a while: how near, in microseconds, a loss may be to a write to have met it.
const NEAR: u64 = 3_000_000;

/// What is in the publisher's database at the end.
#[derive(Debug, Default)]
pub struct Truth {
    /// Revisions.
    pub users: BTreeMap<i64, i64>,
    /// The users of messages and their revisions.
    pub messages: BTreeMap<i64, (i64, i64)>,
    /// Comments have the numbers of their messages.
    pub comments: BTreeSet<i64>,
    /// Numbers.
    pub counters: BTreeMap<i64, i64>,
    /// Those that hold.
    pub friendships: BTreeSet<i64>,
    /// Those that were posted.
    pub photos: BTreeSet<i64>,
}

/// A line of a subscriber's log of what it has applied, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The model, or `violation`.
    pub kind: String,
    /// The row.
    pub object: i64,
    /// The revision or number; -1 for a row that went, 0 where there is nothing to count.
    pub value: i64,
    /// When it was applied, in microseconds since 1970.
    pub at: u64,
}

/// When something was lost that order depends on, in microseconds since 1970.
#[derive(Clone, Debug, Default)]
pub struct Losses {
    /// The publisher's versions: a new generation began.
    pub versions: Vec<u64>,
    /// The subscribers' caches: who has read what is not known any more.
    pub caches: Vec<u64>,
}

/// What became of all writes at the publisher.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Published {
    /// Writes that were begun.
    pub attempted: usize,
    /// Those whose writer was told that they are committed.
    pub acknowledged: usize,
    /// Those whose writer was told that they failed.
    pub failed: usize,
    /// Those whose writer died.
    pub unknown: usize,
    /// Changes of rows that are in the database.
    pub committed: usize,
    /// Acknowledged, and not there.
    pub lost: Vec<String>,
    /// There, and never attempted; or more often than that.
    pub unexpected: Vec<String>,
}

/// What became of all committed changes at a subscriber.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Applied {
    /// Changes of rows that it subscribes to.
    pub wanted: usize,
    /// Those that it has applied.
    pub applied: usize,
    /// Older states of rows that were written on both sides of a loss of the publisher's versions, and are newer now.
    pub superseded: usize,
    /// Committed, and never applied.
    pub lost: Vec<String>,
    /// Applied more than once.
    pub duplicated: Vec<String>,
    /// Applied, and never committed.
    pub unexpected: Vec<String>,
    /// Applied before their causes, or not in the state that was read.
    pub violations: Vec<String>,
    /// The same, where a loss lies between: nothing is promised there.
    pub excused: usize,
}

impl Applied {
    /// Whether nothing went wrong.
    pub fn is_clean(&self) -> bool {
        let wrong = [&self.lost, &self.duplicated, &self.unexpected, &self.violations];
        wrong.iter().all(|found| found.is_empty())
    }
}

/// A row of a model.
type Object = (&'static str, i64);

/// What every row went through, and when.
#[derive(Debug, Default)]
pub struct History {
    /// The values of each row in the order in which they were committed.
    values: BTreeMap<Object, Vec<i64>>,
    /// When a value was written: from the first attempt's begin to its end.
    times: HashMap<(Object, i64), (u64, u64)>,
    messages: BTreeMap<i64, (i64, i64)>,
}

/// Compares what writers were told with what is there.
pub fn publisher(entries: &[Entry], truth: &Truth) -> (Published, History) {
    let mut account = Published { attempted: entries.len(), ..Published::default() };
    let mut history = History { messages: truth.messages.clone(), ..History::default() };
    let (mut increments, mut revisions) =
        (BTreeMap::<i64, [usize; 2]>::new(), BTreeMap::<i64, [i64; 2]>::new());
    let (mut created, mut befriended) = (BTreeMap::new(), BTreeMap::new());
    let (mut attempted_messages, mut attempted_comments) = (BTreeSet::new(), BTreeSet::new());
    let mut attempted_photos = BTreeSet::new();
    for entry in entries {
        match entry.fate {
            Fate::Acknowledged => account.acknowledged += 1,
            Fate::Failed => account.failed += 1,
            Fate::Unknown => account.unknown += 1,
        }
        let told = entry.fate == Fate::Acknowledged;
        for effect in entry.write.effects() {
            let (object, value) = target(effect);
            history.times.entry((object, value)).or_insert((entry.began, entry.ended));
            let there = match effect {
                Effect::User { id, revision } => {
                    let known = revisions.entry(id).or_insert([-1, -1]);
                    known[0] = known[0].max(revision);
                    if told {
                        known[1] = known[1].max(revision);
                    }
                    true
                }
                Effect::Incremented { counter } => {
                    let counted = increments.entry(counter).or_default();
                    counted[0] += 1;
                    counted[1] += usize::from(told);
                    true
                }
                Effect::Message { id } => {
                    attempted_messages.insert(id);
                    truth.messages.contains_key(&id)
                }
                Effect::Comment { id } => {
                    attempted_comments.insert(id);
                    truth.comments.contains(&id)
                }
                Effect::Posted { id } => {
                    attempted_photos.insert(id);
                    truth.photos.contains(&id)
                }
                Effect::Created { counter } => {
                    created.insert(counter, (told, false));
                    true
                }
                Effect::Befriended { id } => {
                    befriended.insert(id, (told, false));
                    true
                }
                Effect::Destroyed { counter } => {
                    created.entry(counter).and_modify(|(_, ended)| *ended = true);
                    !truth.counters.contains_key(&counter)
                }
                Effect::Ended { id } => {
                    befriended.entry(id).and_modify(|(_, ended)| *ended = true);
                    !truth.friendships.contains(&id)
                }
            };
            if told && !there {
                account.lost.push(format!("{effect:?}"));
            }
        }
    }
    for (&id, &[attempted, told]) in &revisions {
        let there = truth.users.get(&id).copied().unwrap_or(-1);
        if there < told {
            account.lost.push(format!("user {id}: revision {told} was acknowledged, {there} is there"));
        }
        if there > attempted {
            account.unexpected.push(format!("user {id}: revision {there}"));
        }
        history.values.insert(("user", id), (0..=there).collect());
    }
    for (&id, &n) in &truth.counters {
        let [attempted, told] = increments.get(&id).copied().unwrap_or_default();
        let there = usize::try_from(n).unwrap_or_default();
        if there < told {
            account
                .lost
                .push(format!("counter {id}: {told} increments were acknowledged, {there} are there"));
        }
        if there > attempted {
            account.unexpected.push(format!("counter {id}: {there} increments, {attempted} attempted"));
        }
        history.values.insert(("counter", id), (0..=n).collect());
    }
    for (id, [_, told]) in
        increments.iter().filter(|(id, [_, told])| *told > 0 && !truth.counters.contains_key(id))
    {
        account
            .lost
            .push(format!("counter {id}: {told} increments were acknowledged, and there is no such counter"));
    }
    for (kind, lives, alive) in [
        ("counter", &created, truth.counters.keys().copied().collect::<BTreeSet<_>>()),
        ("friendship", &befriended, truth.friendships.clone()),
    ] {
        for (&id, &(told, ended)) in lives {
            match (alive.contains(&id), told, ended) {
                (true, ..) => drop(history.values.entry((kind, id)).or_insert_with(|| vec![0])),
                (false, true, true) => drop(history.values.insert((kind, id), vec![0, -1])),
                (false, true, false) => account.lost.push(format!("{kind} {id}")),
                (false, false, _) => {}
            }
        }
    }
    for (kind, there, attempted) in [
        ("message", truth.messages.keys().copied().collect::<BTreeSet<_>>(), &attempted_messages),
        ("comment", truth.comments.clone(), &attempted_comments),
        ("photo", truth.photos.clone(), &attempted_photos),
    ] {
        for id in there {
            if !attempted.contains(&id) {
                account.unexpected.push(format!("{kind} {id}"));
            }
            history.values.insert((kind, id), vec![0]);
        }
    }
    account.committed = history.values.values().map(Vec::len).sum();
    (account, history)
}

fn target(effect: Effect) -> (Object, i64) {
    match effect {
        Effect::User { id, revision } => (("user", id), revision),
        Effect::Message { id } => (("message", id), 0),
        Effect::Comment { id } => (("comment", id), 0),
        // Which number it led to, nobody knows.
        Effect::Incremented { counter } => (("counter", counter), i64::MAX),
        Effect::Created { counter } => (("counter", counter), 0),
        Effect::Destroyed { counter } => (("counter", counter), -1),
        Effect::Befriended { id } => (("friendship", id), 0),
        Effect::Ended { id } => (("friendship", id), -1),
        Effect::Posted { id } => (("photo", id), 0),
    }
}

impl History {
    /// Compares what was committed with what a subscriber of these models has applied, in order.
    pub fn subscriber(&self, models: &[&str], log: &[Line], losses: &Losses) -> Applied {
        let mut account = Applied::default();
        let mut seen: BTreeMap<Object, Vec<i64>> = BTreeMap::new();
        let mut position: HashMap<(Object, i64), usize> = HashMap::new();
        for (place, line) in log.iter().enumerate() {
            let Some(kind) = models.iter().find(|model| **model == line.kind) else { continue };
            let Some((&(kind, _), _)) = self.values.get_key_value(&(static_name(kind), line.object)) else {
                account.unexpected.push(format!("{} {} at {}", line.kind, line.object, line.value));
                continue;
            };
            let object = (kind, line.object);
            if position.insert((object, line.value), place).is_some() {
                account.duplicated.push(format!("{kind} {} at {}", line.object, line.value));
                continue;
            }
            seen.entry(object).or_default().push(line.value);
        }
        for (&object, values) in &self.values {
            if !models.contains(&object.0) {
                continue;
            }
            account.wanted += values.len();
            let found = seen.remove(&object).unwrap_or_default();
            compare(&mut account, object, values, &found, losses);
        }
        self.replay(models, log, &position, losses, &mut account);
        account
    }

    /// No operation before its cause; and what the subscriber's own hooks have noticed while they were at it.
    fn replay(
        &self,
        models: &[&str],
        log: &[Line],
        position: &HashMap<(Object, i64), usize>,
        losses: &Losses,
        account: &mut Applied,
    ) {
        let mut violations = BTreeSet::new();
        for (&((kind, id), _), &place) in position {
            let cause = match kind {
                "message" => self.messages.get(&id).map(|(user, revision)| (("user", *user), *revision)),
                "comment" => Some((("message", id), 0)),
                "photo" => Some((("friendship", id), -1)),
                _ => None,
            };
            let Some(cause) = cause.filter(|cause| models.contains(&cause.0.0)) else { continue };
            // What was superseded was never applied.
            if position.get(&cause).is_some_and(|caused| *caused > place) {
                violations.insert((kind, id, cause, place));
            }
        }
        for (place, line) in log.iter().enumerate().filter(|(_, line)| line.kind == "violation") {
            let id = line.object;
            let (user, cause) = (self.messages.get(&id), ("message", id));
            let violated = if self.values.contains_key(&("photo", id)) {
                ("photo", id, (("friendship", id), -1))
            } else if let Some(&(user, revision)) = user.filter(|_| models.contains(&"user")) {
                ("message", id, (("user", user), revision))
            } else {
                ("comment", id, (cause, 0))
            };
            let (kind, id, cause) = violated;
            if models.contains(&cause.0.0) {
                let place = position.get(&((kind, id), 0)).copied().unwrap_or(place);
                violations.insert((kind, id, cause, place));
            }
        }
        for (kind, id, cause, place) in violations {
            // What the cause had become by then.
            let later = self.values.get(&cause.0).into_iter().flatten().copied();
            let applied = |value: i64| position.get(&(cause.0, value)).map(|at| (value, log[*at].at, *at));
            let before = later.filter(|value| *value > cause.1).filter_map(applied);
            let overtakers: Vec<(i64, u64)> =
                before.filter(|(.., at)| *at < place).map(|(value, applied, _)| (value, applied)).collect();
            let never_was = cause.1 == -1
                && self.values.get(&cause.0).is_some_and(|values| {
                    values.iter().all(|value| !position.contains_key(&(cause.0, *value)))
                });
            let effect = (kind, id, log[place].at);
            if self.is_excused(effect, cause, &overtakers, losses)
                || never_was && self.was_overtaken(effect, cause.0, losses)
            {
                account.excused += 1;
            } else {
                let times = |object: Object, value| self.times.get(&(object, value)).copied();
                let (at, from, next) =
                    (times((kind, id), 0), times(cause.0, cause.1), times(cause.0, cause.1 + 1));
                account.violations.push(format!(
                    "{kind} {id}, written {at:?} and applied {}, without {cause:?}, written {from:?} and next {next:?}; overtakers \
                     {overtakers:?}; losses {losses:?}",
                    log[place].at
                ));
            }
        }
    }

    /// Whether a loss lies between a cause and its effect, or between an effect and each later state of its cause that was applied before it:
    /// between their writes, or because both were on their way at the loss. Then a version of the next generation, a dead writer's
    /// perhaps, goes over all that they would wait for.
    ///
    /// Effect and overtakers come with the moment when they were applied.
    fn is_excused(
        &self,
        (kind, id, applied): (&'static str, i64, u64),
        (cause, value): (Object, i64),
        overtakers: &[(i64, u64)],
        losses: &Losses,
    ) -> bool {
        let effect = (kind, id);
        let time = |object: Object, value: i64| self.times.get(&(object, value)).copied();
        let Some((began, ended)) = time(effect, 0) else { return false };
        let before = time(cause, value).is_some_and(|(from, _)| between(from, ended, &losses.versions));
        let on_their_way = |applied: u64| between(began, applied, &losses.versions);
        let lies_between = |(later, applied): &(i64, u64)| {
            let written = time(cause, *later).is_some_and(|(_, to)| between(began, to, &losses.versions));
            written || on_their_way(*applied)
        };
        let after = match overtakers {
            [] => on_their_way(applied),
            overtakers => overtakers.iter().all(lies_between),
        };
        // Whoever read a state is not known any more once a cache was lost that knew the state.
        let forgotten = time(cause, value).is_some_and(|(from, _)| between(from, u64::MAX, &losses.caches));
        before || after || forgotten
    }

    /// Whether a row's end may have come before its creation, which a loss lies between: then there was nothing to destroy, and nothing tells of its
    /// end, for which whoever follows from it looks.
    fn was_overtaken(
        &self,
        (kind, id, applied): (&'static str, i64, u64),
        cause: Object,
        losses: &Losses,
    ) -> bool {
        let time = |object: Object| self.times.get(&(object, 0)).copied();
        let (Some((created, _)), Some((_, ended))) = (time(cause), time((kind, id))) else { return false };
        between(created, ended.max(applied), &losses.versions)
    }
}

/// Whether a loss lies between two moments, or so near that it cannot be told.
fn between(from: u64, to: u64, losses: &[u64]) -> bool {
    losses.iter().any(|loss| (from.saturating_sub(NEAR)..=to.saturating_add(NEAR)).contains(loss))
}

fn compare(account: &mut Applied, object: Object, values: &[i64], found: &[i64], losses: &Losses) {
    let place: HashMap<i64, usize> =
        values.iter().enumerate().map(|(place, value)| (*value, place)).collect();
    let mut last = None;
    for value in found {
        match place.get(value) {
            None => account.unexpected.push(format!("{object:?} at {value}")),
            Some(place) => {
                if last.is_some_and(|last| last > *place) {
                    account.violations.push(format!("{object:?}: {value} after a later state"));
                }
                last = last.max(Some(*place));
                account.applied += 1;
            }
        }
    }
    // A row that goes before its creation has come leaves nothing to be noted: there is no row to destroy, and the creation, of an older
    // generation, is skipped.
    let never_was = found.is_empty() && values.last() == Some(&-1);
    for (place, value) in values.iter().enumerate() {
        if found.contains(value) {
            continue;
        }
        if (place + 1 < values.len() || never_was) && !losses.versions.is_empty() {
            account.superseded += 1;
        } else {
            account.lost.push(format!("{object:?} at {value}"));
        }
    }
}

fn static_name(model: &str) -> &'static str {
    const KNOWN: [&str; 6] = ["user", "message", "comment", "counter", "friendship", "photo"];
    KNOWN.into_iter().find(|known| *known == model).unwrap_or("?")
}

impl fmt::Display for Published {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { attempted, acknowledged, failed, unknown, committed, .. } = self;
        let (lost, unexpected) = (self.lost.len(), self.unexpected.len());
        write!(
            f,
            "attempted {attempted} writes: acknowledged {acknowledged}, failed {failed}, unknown {unknown}; \
             {committed} changes committed, lost {lost}, unexpected {unexpected}"
        )
    }
}

impl fmt::Display for Applied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { wanted, applied, superseded, excused, .. } = self;
        let (lost, duplicated) = (self.lost.len(), self.duplicated.len());
        let (unexpected, violations) = (self.unexpected.len(), self.violations.len());
        write!(
            f,
            "{wanted} changes: applied {applied}, superseded {superseded}, lost {lost}, duplicated {duplicated}, \
             unexpected {unexpected}, causal violations {violations} (and {excused} across a loss)"
        )
    }
}

#[cfg(test)]
#[path = "accounts_tests.rs"]
mod tests;
