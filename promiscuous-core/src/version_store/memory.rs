//! In the process: for tests, demos (`memory://name`) and apps that are one process.
//!
//! The same rules as on Redis, but nothing expires: memory grows with the number of keys ever written.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use tokio::sync::broadcast;
use uuid::Uuid;

use super::{
    Advance, Announcement, Applied, AppliedStore, Bump, Bumped, CacheId, Finish, KeyVersion, Loaded, NOTHING,
    Refusal, StoreError, Survey, Trust, VersionStore,
};
use crate::dependency::{ReadDependency, Version, WriteDependency};
use crate::key::{Endpoint, Key};

/// How many announcements a receiver may lag behind before it is told that it missed some.
const ANNOUNCEMENTS: usize = 1_024;

/// How soon an op is looked at whose lock was taken over.
const EARLY_LOOK: Duration = Duration::from_secs(1);

/// Stores that are shared by name within the process; they live as long as it does.
static NAMED: Mutex<BTreeMap<String, MemoryStore>> = Mutex::new(BTreeMap::new());

/// Both version stores in the process. A cheap handle: clones share their data.
#[derive(Clone)]
pub struct MemoryStore {
    shared: Arc<Shared>,
}

struct Shared {
    /// Held for one method at a time and never while waiting: that makes each method atomic.
    state: Mutex<State>,
    /// Tells everyone who waits that keys advanced.
    announcements: broadcast::Sender<Announcement>,
}

#[derive(Default)]
struct State {
    /// None until it is raised, and again after a flush.
    generation: Option<u64>,
    /// Since when it is known that it must be raised.
    refused: Option<Uuid>,
    /// What is published: versions and readers.
    chains: HashMap<Key, Chain>,
    /// Which op is writing a key.
    locks: HashMap<Key, Uuid>,
    /// Ops that are not finished.
    intents: HashMap<Uuid, Intent>,
    /// Owner and end (microseconds since 1970) of each lease.
    leases: HashMap<String, (Uuid, u64)>,
    /// What was applied: the subscriber's side.
    applied: HashMap<Key, Applied>,
    /// Keys that were advanced while nothing was known of them, and how far: what the database must know.
    ahead: HashMap<Key, Version>,
    /// How often everything was lost: the name of the cache.
    losses: u64,
}

/// What the publisher knows of one key.
struct Chain {
    /// A chain of an older generation counts as absent.
    generation: u64,
    /// The version of the last write.
    version: u64,
    /// How many messages of each endpoint have read that version.
    readers: BTreeMap<Endpoint, u64>,
    /// Whether no message brings that version, because a sync has begun the chain.
    unwritten: bool,
}

struct Intent {
    /// Enough to publish a dummy.
    record: Bumped,
    /// Microseconds since 1970.
    deadline: u64,
}

impl MemoryStore {
    /// An empty store without a generation, as a new Redis would be.
    pub fn new() -> Self {
        let (announcements, _) = broadcast::channel(ANNOUNCEMENTS);
        Self { shared: Arc::new(Shared { state: Mutex::default(), announcements }) }
    }

    /// The one store of this name in the process: what `memory://name` means.
    pub fn named(name: &str) -> Self {
        let mut named = NAMED.lock().unwrap_or_else(PoisonError::into_inner);
        named.entry(name.to_owned()).or_default().clone()
    }

    /// Loses everything, as a wiped Redis would: versions, locks, intents, leases, the generation and the subscriber's cache.
    pub fn flush(&self) {
        let mut state = self.state();
        *state = State { losses: state.losses + 1, ..State::default() };
    }

    /// Trusted in a generation, as after a publisher's start.
    #[cfg(test)]
    pub(crate) async fn trusted_in(&self, generation: u64) {
        if let Ok(Trust::Refused(refusal)) = self.generation(generation).await {
            self.raise_generation(generation, &refusal).await.expect("it is here");
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

/// Microseconds since 1970.
fn now() -> u64 {
    micros(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

impl State {
    fn check_generation(&self, used: u64) -> Result<(), StoreError> {
        match self.generation {
            None => Err(StoreError::LostWrites),
            Some(stored) if stored != used => Err(StoreError::StaleGeneration { used, stored }),
            Some(_) => Ok(()),
        }
    }

    /// Brings a deadline forward, never back.
    fn hasten(&mut self, op: Uuid, delay: Duration) {
        if let Some(intent) = self.intents.get_mut(&op) {
            intent.deadline = intent.deadline.min(now().saturating_add(micros(delay)));
        }
    }

    /// Reads a key: none when it has no version, or one of an older generation.
    fn read(&mut self, key: &Key, bump: &Bump) -> Option<ReadDependency> {
        let written = |chain: &&mut Chain| chain.generation >= bump.generation && !chain.unwritten;
        let chain = self.chains.get_mut(key).filter(written)?;
        let mut ordinals = BTreeMap::new();
        for endpoint in &bump.endpoints {
            let count = chain.readers.entry(endpoint.clone()).or_default();
            *count += 1;
            ordinals.insert(endpoint.clone(), *count);
        }
        Some(ReadDependency { key: key.clone(), version: chain.version, ordinals })
    }

    /// Gives a key its next version.
    fn write(&mut self, key: &Key, generation: u64) -> WriteDependency {
        let current = self.chains.remove(key).filter(|chain| chain.generation >= generation);
        let version = now().max(current.as_ref().map_or(0, |chain| chain.version + 1));
        let chain = Chain { generation, version, readers: BTreeMap::new(), unwritten: false };
        self.chains.insert(key.clone(), chain);
        let before = current.filter(|chain| !chain.unwritten);
        let previous = before.as_ref().map(|chain| chain.version);
        let readers = before.map(|chain| chain.readers).unwrap_or_default();
        WriteDependency { key: key.clone(), version, previous, readers, unwritten: false }
    }

    /// The chain of a key, begun where there is none.
    fn chain(&mut self, key: &Key, generation: u64) -> &Chain {
        let begun = || Chain { generation, version: now(), readers: BTreeMap::new(), unwritten: true };
        let chain = self.chains.entry(key.clone()).or_insert_with(begun);
        if chain.generation < generation {
            *chain = begun();
        }
        chain
    }

    /// Records a written version on the subscriber's side; true when it was news.
    fn grow(&mut self, key: &Key, version: Version, readers_unknown: bool) -> bool {
        let Some(applied) = self.applied.get_mut(key) else {
            let ahead = self.ahead.entry(key.clone()).or_insert(NOTHING);
            let news = *ahead < version;
            *ahead = version.max(*ahead);
            return news;
        };
        let news = applied.version.is_none_or(|known| known < version);
        if news {
            applied.version = Some(version);
            applied.readers = (!readers_unknown).then(BTreeMap::new);
        }
        news
    }

    /// Takes in what the database knows of a key; whether that is what is known now.
    fn rebuild(&mut self, key: &Key, version: Version) -> bool {
        let is_old = self.ahead.get(key).is_some_and(|ahead| *ahead > version);
        if is_old || self.applied.contains_key(key) {
            return false;
        }
        self.ahead.remove(key);
        let readers = (version == NOTHING).then(BTreeMap::new);
        self.applied.insert(key.clone(), Applied { version: Some(version), readers });
        true
    }

    /// Counts a reader, if what it read is what is applied last; true when it was news.
    fn count(&mut self, key: &Key, version: Version, ordinals: &BTreeMap<Endpoint, u64>) -> bool {
        let Some(applied) = self.applied.get_mut(key).filter(|applied| applied.version == Some(version))
        else {
            return false;
        };
        let Some(readers) = &mut applied.readers else { return false };
        let mut news = false;
        for (endpoint, &ordinal) in ordinals {
            let seen = readers.entry(endpoint.clone()).or_default();
            let before = seen.clone();
            seen.insert(ordinal);
            news |= *seen != before;
        }
        news
    }
}

#[async_trait]
impl VersionStore for MemoryStore {
    async fn check(&self) -> Result<(), StoreError> {
        Ok(())
    }

    async fn generation(&self, at_least: u64) -> Result<Trust, StoreError> {
        let mut state = self.state();
        if let Some(generation) = state.generation.filter(|stored| *stored >= at_least) {
            return Ok(Trust::Generation(generation));
        }
        let token = state.refused.get_or_insert_with(Uuid::now_v7).to_string();
        Ok(Trust::Refused(Refusal { stored: state.generation, token, run_id: String::new() }))
    }

    async fn raise_generation(&self, generation: u64, refused: &Refusal) -> Result<bool, StoreError> {
        let mut state = self.state();
        let as_it_was = state.refused.is_some_and(|token| token.to_string() == refused.token);
        if as_it_was {
            state.refused = None;
            state.generation = Some(generation);
        }
        Ok(as_it_was)
    }

    async fn lock_and_bump(&self, bump: &Bump) -> Result<Bumped, StoreError> {
        if bump.write.is_empty() {
            return Err(StoreError::Protocol("a bump must write at least one key".into()));
        }
        let mut state = self.state();
        state.check_generation(bump.generation)?;
        let mut taken_over = Vec::new();
        for key in bump.write.iter().filter(|key| !key.is_order()) {
            let holder = state.locks.insert(key.clone(), bump.op);
            if let Some(holder) = holder.filter(|&holder| holder != bump.op)
                && !taken_over.contains(&holder)
            {
                state.hasten(holder, EARLY_LOOK);
                taken_over.push(holder);
            }
        }
        let read = bump.read.iter().filter_map(|key| state.read(key, bump)).collect();
        let write = bump.write.iter().map(|key| state.write(key, bump.generation)).collect();
        let record = Bumped { op: bump.op, generation: bump.generation, write, read, taken_over: Vec::new() };
        let deadline = now().saturating_add(micros(bump.deadline));
        state.intents.insert(bump.op, Intent { record: record.clone(), deadline });
        Ok(Bumped { taken_over, ..record })
    }

    async fn finish(&self, ops: &[Finish]) -> Result<(), StoreError> {
        let mut state = self.state();
        for Finish { op, keys } in ops {
            state.intents.remove(op);
            for key in keys {
                if state.locks.get(key) == Some(op) {
                    state.locks.remove(key);
                }
            }
        }
        Ok(())
    }

    async fn intent_exists(&self, op: Uuid) -> Result<bool, StoreError> {
        Ok(self.state().intents.contains_key(&op))
    }

    async fn overdue(&self, limit: usize) -> Result<Vec<Bumped>, StoreError> {
        let state = self.state();
        let now = now();
        let mut overdue: Vec<&Intent> =
            state.intents.values().filter(|intent| intent.deadline <= now).collect();
        overdue.sort_by_key(|intent| (intent.deadline, intent.record.op));
        Ok(overdue.into_iter().take(limit).map(|intent| intent.record.clone()).collect())
    }

    async fn intents(&self, limit: usize) -> Result<Vec<Bumped>, StoreError> {
        let state = self.state();
        let mut intents: Vec<&Intent> = state.intents.values().collect();
        intents.sort_by_key(|intent| (intent.deadline, intent.record.op));
        Ok(intents.into_iter().take(limit).map(|intent| intent.record.clone()).collect())
    }

    async fn survey(&self) -> Result<Survey, StoreError> {
        let (state, now) = (self.state(), now());
        let overdue = state.intents.values().filter(|intent| intent.deadline <= now).count();
        Ok(Survey {
            generation: state.generation,
            is_trusted: state.generation.is_some(),
            intents: state.intents.len() as u64,
            overdue: overdue as u64,
        })
    }

    async fn hasten(&self, op: Uuid, delay: Duration) -> Result<(), StoreError> {
        self.state().hasten(op, delay);
        Ok(())
    }

    async fn lease(&self, name: &str, owner: Uuid, for_how_long: Duration) -> Result<bool, StoreError> {
        let mut state = self.state();
        let free = state.leases.get(name).is_none_or(|&(holder, end)| holder == owner || end <= now());
        if free {
            state.leases.insert(name.to_owned(), (owner, now().saturating_add(micros(for_how_long))));
        }
        Ok(free)
    }

    async fn versions_of(&self, generation: u64, keys: &[Key]) -> Result<Vec<KeyVersion>, StoreError> {
        let mut state = self.state();
        state.check_generation(generation)?;
        let mut versions = Vec::with_capacity(keys.len());
        for key in keys {
            let locked = state.locks.contains_key(key);
            let Chain { version, unwritten, .. } = *state.chain(key, generation);
            versions.push(KeyVersion { version, locked, unwritten });
        }
        Ok(versions)
    }
}

#[async_trait]
impl AppliedStore for MemoryStore {
    async fn load(&self, keys: &[Key]) -> Result<Loaded, StoreError> {
        let state = self.state();
        let applied = keys.iter().map(|key| state.applied.get(key).cloned().unwrap_or_default()).collect();
        Ok(Loaded { cache: CacheId(state.losses.to_string()), applied })
    }

    async fn rebuild(
        &self,
        cache: &CacheId,
        versions: &[(Key, Version)],
    ) -> Result<Option<Vec<bool>>, StoreError> {
        let mut state = self.state();
        if cache.0 != state.losses.to_string() {
            return Ok(None);
        }
        Ok(Some(versions.iter().map(|(key, version)| state.rebuild(key, *version)).collect()))
    }

    async fn advance(&self, advances: &[Advance]) -> Result<(), StoreError> {
        let mut changed: Vec<Key> = Vec::new();
        {
            let mut state = self.state();
            for advance in advances {
                for (key, version) in &advance.writes {
                    if state.grow(key, *version, advance.readers_unknown) {
                        changed.push(key.clone());
                    }
                }
                for (key, version, ordinals) in &advance.reads {
                    if state.count(key, *version, ordinals) {
                        changed.push(key.clone());
                    }
                }
            }
        }
        changed.sort_unstable();
        changed.dedup();
        if !changed.is_empty() {
            // An error only says that nobody listens.
            let _ = self.shared.announcements.send(Announcement::Advanced(changed));
        }
        Ok(())
    }

    async fn announcements(&self) -> Result<broadcast::Receiver<Announcement>, StoreError> {
        Ok(self.shared.announcements.subscribe())
    }
}
