//! Section 5: a writer up to its COMMIT.

use super::state::{At, Hands, OutboxRow, State};
use super::step::Step;
use super::{Next, Publisher};
use crate::message::{Broken, Header, Message, Read, Version, Write};
use crate::scenario::KEYS;

impl Publisher {
    /// A writer's next step.
    pub(super) fn writer(&self, state: &State, w: usize, next: &mut Next) {
        match state.writers[w].at {
            At::Read => self.read(state, w, next),
            At::Lock(nth) => self.write(state, w, nth, next),
            At::Bump(part) => next.push((Step::Bump(w), self.lock_and_bump(*state, w, part))),
            At::Lost(..) | At::Stale(..) => self.renew(state, w, next),
            At::RaiseDatabase(to, refusal) => {
                next.push((Step::RaiseDatabase(w), self.store_in_database(*state, w, to, refusal)));
            }
            At::RaiseStore(to, refusal) => {
                next.push((Step::RaiseStore(w), self.raise_generation(*state, w, to, refusal)));
            }
            At::InsertOutbox => self.outbox_insert(state, w, next),
            At::PublishEarly => {
                let mut after = *state;
                self.publish(&mut after, Message { op: w as u8, dummy: false });
                after.writers[w].at = At::Commit;
                next.push((Step::PublishEarly(w), after));
            }
            At::Commit => next.push((Step::Commit(w), self.commit(*state, w))),
            At::Hands(hands) => {
                let message = Message { op: w as u8, dummy: false };
                for (hand, mut after, hands) in self.hand(state, message, hands) {
                    after.writers[w].at = if hands.deleted && hands.finished && hands.confirmed {
                        At::Ended
                    } else {
                        At::Hands(hands)
                    };
                    next.push((Step::WriterHand(w, hand), after));
                }
            }
            At::Ended => {}
        }
    }

    /// The context reads what is committed (`Context::record_read`).
    fn read(&self, state: &State, w: usize, next: &mut Next) {
        if let Some(before) = self.0.spec(w).after
            && !matches!(state.writers[before].at, At::Hands(_) | At::Ended)
        {
            return;
        }
        let mut after = *state;
        for &key in self.0.spec(w).reads {
            after.writers[w].seen[key] = state.rows[key].last();
        }
        after.writers[w].at = if self.0.rules.database_before_redis { At::Lock(0) } else { At::Bump(0) };
        next.push((Step::Read(w), after));
    }

    /// Step 1, run the write: the database's row locks serialise the writers of a row. What it writes is seen by others at COMMIT.
    fn write(&self, state: &State, w: usize, nth: u8, next: &mut Next) {
        let keys = self.0.spec(w).writes;
        let key = keys[nth as usize];
        let mut after = *state;
        match state.row_locks[key] {
            0 => {
                after.row_locks[key] = w as u8 + 1;
                let more = nth as usize + 1 < keys.len();
                after.writers[w].at = match (more, self.0.rules.database_before_redis) {
                    (true, _) => At::Lock(nth + 1),
                    (false, true) => At::Bump(0),
                    (false, false) => At::InsertOutbox,
                };
                next.push((Step::LockRow(w, key), after));
            }
            holder => {
                // Each has what the other wants: the database ends one of them.
                let other = holder as usize - 1;
                let At::Lock(theirs) = state.writers[other].at else { return };
                if state.row_locks[self.0.spec(other).writes[theirs as usize]] == w as u8 + 1 {
                    end(&mut after, w);
                    next.push((Step::Deadlock(w), after));
                }
            }
        }
    }

    /// Step 2, `Publisher::lock_and_bump`, which calls `lock_and_bump.lua`: refuse, take the locks (over), count the reads,
    /// give the next versions, record the intent.
    ///
    /// Time does not pass in this model: a chain that starts anew starts at 1, as if every loss of Redis set its clock
    /// back. So it is the generation alone that keeps versions apart.
    fn lock_and_bump(&self, mut state: State, w: usize, part: u8) -> State {
        let known = state.known[self.process(w)];
        if self.0.rules.bump_checks_generation {
            if !state.store.trusted || state.store.generation == 0 {
                state.writers[w].at = At::Lost(known, self.refusal(&state));
                return state;
            }
            if state.store.generation != known {
                state.writers[w].at = At::Stale(known, state.store.generation, self.refusal(&state));
                return state;
            }
        }
        let spec = self.0.spec(w);
        let writes = spec.writes.len() as u8;
        let (first, last) = if self.0.rules.bump_is_atomic { (0, writes) } else { (part, part) };
        let mut header = state.writers[w].header;
        header.generation = known;
        for nth in first..=last {
            match spec.writes.get(nth as usize) {
                Some(&key) => header.write[key] = self.bump_write(&mut state, w, key, known),
                None => self.bump_reads(&mut state, w, &mut header),
            }
        }
        state.store.intents[w] = true;
        let writer = &mut state.writers[w];
        writer.header = header;
        writer.at = if last < writes {
            At::Bump(part + 1)
        } else if !self.0.rules.database_before_redis {
            At::Lock(0)
        } else if self.0.rules.outbox_in_transaction {
            At::InsertOutbox
        } else {
            At::Commit
        };
        state
    }

    fn bump_write(&self, state: &mut State, w: usize, key: usize, generation: u8) -> Write {
        state.store.locks[key] = w as u8 + 1;
        let chain = &mut state.store.chains[key];
        let Version(of, last) = chain.last;
        let present = last != 0 && (of >= generation || !self.0.rules.older_hash_is_absent);
        let (previous, readers) = if present { (last, chain.readers) } else { (0, [0; KEYS]) };
        chain.last = Version(generation, previous + 1);
        chain.readers = [0; KEYS];
        Write { version: previous + 1, previous, readers }
    }

    fn bump_reads(&self, state: &mut State, w: usize, header: &mut Header) {
        let spec = self.0.spec(w);
        for &key in spec.reads.iter().filter(|key| !spec.writes.contains(key)) {
            let chain = &mut state.store.chains[key];
            let Version(of, last) = chain.last;
            if last == 0 || (of < header.generation && self.0.rules.older_hash_is_absent) {
                continue; // absent: the dependency is dropped
            }
            let mut ordinals = [0; KEYS];
            for (endpoint, ordinal) in ordinals.iter_mut().enumerate() {
                let counted = match self.0.rules.readers_per_endpoint {
                    true => spec.writes.contains(&endpoint),
                    false => endpoint == 0,
                };
                if counted {
                    chain.readers[endpoint] += 1;
                    *ordinal = chain.readers[endpoint];
                }
            }
            header.read[key] = Read { version: last, ordinals };
        }
    }

    /// Step 3, `Pending::outbox_insert`. The primary key makes it wait for a recoverer in flight, and fail on a tombstone.
    fn outbox_insert(&self, state: &State, w: usize, next: &mut Next) {
        let mut after = *state;
        match state.outbox[w] {
            OutboxRow::Absent if self.0.rules.outbox_in_transaction => {
                after.outbox[w] = OutboxRow::WriterInFlight;
                after.writers[w].at =
                    if self.0.rules.commit_before_broker { At::Commit } else { At::PublishEarly };
            }
            OutboxRow::Absent => {
                after.outbox[w] = OutboxRow::Pending;
                after.writers[w].at = At::Hands(Hands::default());
            }
            row if row.is_committed() => end(&mut after, w),
            _ => return,
        }
        next.push((Step::InsertOutbox(w), after));
    }

    /// Step 3, COMMIT: the rows, the outbox row and the end of the row locks, all at once.
    fn commit(&self, mut state: State, w: usize) -> State {
        for &key in self.0.spec(w).writes {
            state.rows[key].push(w);
            state.row_locks[key] = 0;
        }
        state.writers[w].at = match self.0.rules.outbox_in_transaction {
            true => {
                state.outbox[w] = OutboxRow::Pending;
                let confirmed = !self.0.rules.commit_before_broker;
                At::Hands(Hands { confirmed, ..Hands::default() })
            }
            false => At::InsertOutbox,
        };
        state
    }

    /// The broker has the message, and confirms.
    pub(super) fn publish(&self, state: &mut State, message: Message) {
        let op = message.op as usize;
        if !message.dummy
            && self.0.spec(op).writes.iter().any(|&key| state.rows[key].position(op as u8 + 1).is_none())
        {
            state.broken = Some(Broken::Uncommitted);
        }
        let other = |other: Message| {
            (0..KEYS).any(|key| {
                let (one, two) = (&state.writers[op].header, &state.writers[other.op as usize].header);
                let (ours, theirs) = (one.write[key].version, two.write[key].version);
                ours != 0 && ours == theirs && one.generation == two.generation
            })
        };
        if self.0.scenario.promises.one_content
            && state.published.iter().filter(|published| *published != message).any(other)
        {
            state.broken = Some(Broken::TwoContents);
        }
        state.published.insert(message);
    }
}

/// The transaction ends without having been: locks and uncommitted rows are gone.
pub(super) fn end(state: &mut State, w: usize) {
    for lock in state.row_locks.iter_mut().filter(|lock| **lock == w as u8 + 1) {
        *lock = 0;
    }
    if state.outbox[w] == OutboxRow::WriterInFlight {
        state.outbox[w] = OutboxRow::Absent;
    }
    state.writers[w].at = At::Ended;
}
