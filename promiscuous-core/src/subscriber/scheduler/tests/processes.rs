//! The subscriber's processes: each with a scheduler, one store and one database for all, and steps in any order.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::super::*;
use super::replica::Replica;
use super::subscription::Subscription;
use crate::version_store::memory::MemoryStore;
use crate::version_store::{Announcement, AppliedStore, CacheId};

/// One process of the subscriber.
struct Process {
    scheduler: Scheduler,
    /// What the broker gives it next.
    inbox: VecDeque<Arc<Message>>,
    /// What it has, and has not acknowledged: the broker gives it to somebody else when the process dies.
    unacknowledged: Vec<Arc<Message>>,
    /// Loads under way: which cache did not know what, and what the database knew then.
    loads: VecDeque<(CacheId, Vec<(Key, Version)>)>,
    in_flight: VecDeque<Vec<Sequence>>,
    /// Batches that the database has, and the store has not.
    committed: VecDeque<Vec<Sequence>>,
    failing: BTreeMap<Sequence, u8>,
}

impl Process {
    fn new(policy: &Arc<Policy>) -> Self {
        Self {
            scheduler: Scheduler::new(Arc::clone(policy)),
            inbox: VecDeque::new(),
            unacknowledged: Vec::new(),
            loads: VecDeque::new(),
            in_flight: VecDeque::new(),
            committed: VecDeque::new(),
            failing: BTreeMap::new(),
        }
    }

    fn arrive(&mut self, message: Arc<Message>, subscription: &Subscription) -> Result<(), String> {
        self.unacknowledged.push(Arc::clone(&message));
        let Arrival::New(sequence) = self.scheduler.arrive(Arc::clone(&message)) else { return Ok(()) };
        let written = message.dependencies.iter().flat_map(|d| &d.write);
        let is_weak = !written.clone().any(|w| subscription.is_ordered(&w.key));
        match self.scheduler.obstacle_of(sequence) {
            Some(obstacle) if message.is_sync() => Err(format!("what is sent again waits: {obstacle:?}")),
            Some(obstacle) if is_weak => Err(format!("a weak message waits: {obstacle:?}")),
            _ => Ok(()),
        }
    }

    /// What is in the store is known; the rest is read from the database, and goes to the store later.
    async fn begin_load(&mut self, store: &MemoryStore, database: &Replica, keys: Vec<Key>) {
        let loaded = store.load(&keys).await.unwrap();
        let mut absent = Vec::new();
        for (key, applied) in keys.into_iter().zip(loaded.applied) {
            match applied.version {
                None => {
                    let stored = database.versions.get(&key);
                    let stored = stored.map_or(NOTHING, |version| Version::new(1, *version));
                    absent.push((key, stored));
                }
                Some(NOTHING) => self.scheduler.loaded(&key, Applied::default()),
                Some(_) => self.scheduler.loaded(&key, applied),
            }
        }
        if !absent.is_empty() {
            self.loads.push_back((loaded.cache, absent));
        }
    }

    async fn finish_load(&mut self, store: &MemoryStore, database: &Replica) -> bool {
        let Some((cache, stored)) = self.loads.pop_front() else { return false };
        store.rebuild(&cache, &stored).await.unwrap();
        self.begin_load(store, database, stored.into_iter().map(|(key, _)| key).collect()).await;
        true
    }

    /// A batch is committed, or fails.
    fn commit(
        &mut self,
        database: &mut Replica,
        subscription: &Subscription,
        choose: &mut impl FnMut(usize) -> usize,
    ) -> Result<bool, String> {
        let Some(batch) = self.in_flight.pop_front() else { return Ok(false) };
        if choose(4) == 0 {
            // A message in the middle fails: what is before it is rolled back with it.
            let failed = batch[choose(batch.len())];
            let returned: Vec<Sequence> = batch.into_iter().filter(|s| *s != failed).collect();
            self.scheduler.failed(failed);
            self.failing.insert(failed, 0);
            self.scheduler.returned(&returned);
            return Ok(true);
        }
        for sequence in &batch {
            let message = self.scheduler.message(*sequence).unwrap().clone();
            database.apply(&message, subscription)?;
        }
        self.committed.push_back(batch);
        Ok(true)
    }

    /// Takes messages to apply. A sync may bring this process a version that the database has of another one already.
    fn take(&mut self, database: &mut Replica, independent: usize, limit: usize) -> bool {
        let batch = self.scheduler.next_batch(independent, limit);
        for (key, version) in batch.iter().flat_map(|s| sent_again(self.scheduler.message(*s).unwrap())) {
            let known = self.scheduler.keys.get(&key).and_then(|applied| applied.version);
            if known < Some(version) {
                database.synced.insert(key);
            }
        }
        let took = !batch.is_empty();
        self.in_flight.extend(took.then_some(batch));
        took
    }

    /// The store learns of a batch, and then the broker. It may learn of a sync before the message that made the version, though
    /// the database had them the other way round.
    async fn advance(&mut self, store: &MemoryStore, policy: &Policy, database: &mut Replica) -> bool {
        let Some(batch) = self.committed.pop_front() else { return false };
        let messages: Vec<_> = batch.iter().map(|s| self.scheduler.message(*s).unwrap().clone()).collect();
        let sent: Vec<(Key, Version)> = messages.iter().flat_map(|message| sent_again(message)).collect();
        let keys: Vec<Key> = sent.iter().map(|(key, _)| key.clone()).collect();
        let known = store.load(&keys).await.unwrap().applied;
        for ((key, version), known) in sent.into_iter().zip(known) {
            if known.version < Some(version) {
                database.synced.insert(key);
            }
        }
        let advances: Vec<_> = messages.iter().map(|m| policy.advance_of(m)).collect();
        store.advance(&advances).await.unwrap();
        self.unacknowledged.retain(|held| messages.iter().all(|applied| applied.id != held.id));
        self.scheduler.applied(&batch);
        true
    }
}

/// What a message sends again.
fn sent_again(message: &Message) -> impl Iterator<Item = (Key, Version)> {
    let written = message.dependencies.iter().flat_map(|d| &d.write);
    let version = |w: &crate::dependency::WriteDependency| Version::new(message.generation, w.version);
    written.filter(|_| message.is_sync()).map(move |w| (w.key.clone(), version(w)))
}

/// Gives a subscriber its messages; the error is what it did wrong.
pub(super) async fn run(
    history: &[Arc<Message>],
    subscription: &Subscription,
    processes: usize,
    mut flushes: u32,
    mut deaths: u32,
    mut random: u64,
) -> Result<(), String> {
    let policy = Arc::clone(&subscription.policy);
    let store = MemoryStore::new();
    let mut announcements = store.announcements().await.unwrap();
    let mut database = Replica::default();
    let mut all: Vec<Process> = (0..processes).map(|_| Process::new(&policy)).collect();
    let mut choose = |below: usize| {
        // xorshift: repeatable from the seed that a failing case prints.
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        (random >> 11) as usize % below.max(1)
    };

    // Deliver only what is bound, in any order, some of it twice, and some only when nothing else is left to do.
    let brought =
        history.iter().enumerate().filter(|(number, message)| subscription.brings(*number, message));
    let delivered: Vec<Arc<Message>> = brought.map(|(_, message)| Arc::clone(message)).collect();
    let mut deliveries = delivered.clone();
    for _ in 0..deliveries.len() / 3 {
        let again = Arc::clone(&deliveries[choose(deliveries.len())]);
        deliveries.push(again);
    }
    for at in (1..deliveries.len()).rev() {
        deliveries.swap(at, choose(at + 1));
    }
    let mut late = deliveries.split_off(deliveries.len() - choose(4).min(deliveries.len()));
    for delivery in deliveries {
        all[choose(processes)].inbox.push_back(delivery);
    }

    let (mut idle, mut looks) = (0, 0);
    while idle < 2_000 {
        if idle >= 200
            && let Some(delivery) = late.pop()
        {
            all[choose(processes)].inbox.push_back(delivery);
            idle = 0;
        }
        // What a worker does every few seconds.
        if idle == 1_000 && looks < 50 {
            looks += 1;
            all.iter_mut().for_each(|process| process.scheduler.all_changed());
        }
        if flushes > 0 && choose(100) == 0 {
            flushes -= 1;
            store.flush();
            database.was_flushed = true;
        }
        let at = choose(all.len());
        if deaths > 0 && choose(150) == 0 {
            deaths -= 1;
            let died = std::mem::replace(&mut all[at], Process::new(&policy));
            for message in died.inbox.into_iter().chain(died.unacknowledged) {
                all[choose(processes)].inbox.push_back(message);
            }
        }
        let process = &mut all[at];
        let mut moved = true;
        match choose(8) {
            0 => match process.inbox.pop_front() {
                Some(message) => process.arrive(message, subscription)?,
                None => moved = false,
            },
            1 => {
                let keys = process.scheduler.take_loads();
                moved = !keys.is_empty();
                process.begin_load(&store, &database, keys).await;
            }
            2 => moved = process.take(&mut database, 1 + choose(3), 1 + choose(8)),
            3 => moved = process.commit(&mut database, subscription, &mut choose)?,
            4 => match process.failing.pop_first() {
                Some((sequence, _)) => process.scheduler.retry(sequence),
                None => moved = false,
            },
            5 => moved = process.finish_load(&store, &database).await,
            6 => moved = process.advance(&store, &policy, &mut database).await,
            _ => {
                moved = false;
                while let Ok(announced) = announcements.try_recv() {
                    moved = true;
                    for process in &mut all {
                        match &announced {
                            Announcement::Advanced(keys) => process.scheduler.changed(keys),
                            Announcement::Lost => process.scheduler.all_changed(),
                        }
                    }
                }
            }
        }
        idle = if moved { 0 } else { idle + 1 };
    }
    let left: usize = all.iter().map(|p| p.scheduler.len() + p.inbox.len() + p.unacknowledged.len()).sum();
    if left > 0 {
        let blocked: Vec<String> =
            all.iter().flat_map(|p| p.scheduler.blocked().map(|(_, o)| format!("{o:?}"))).collect();
        return Err(format!("{left} messages are stuck: {blocked:?}"));
    }
    if all.iter().any(|process| process.scheduler.ready_len() + process.scheduler.blocked_len() > 0) {
        return Err("an empty scheduler counts messages".into());
    }
    database.is_complete(&delivered, subscription)
}
