//! What every version store must do, run against the one in the process and the one on Redis.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use promiscuous_core::dependency::{ReadDependency, Version};
use promiscuous_core::key::{Endpoint, Key};
use promiscuous_core::version_store::memory::MemoryStore;
use promiscuous_core::version_store::redis::RedisStore;
use promiscuous_core::version_store::{
    Advance, Announcement, Applied, AppliedStore, Bump, Bumped, Finish, Ordinals, StoreError, VersionStore,
};
use tokio::sync::broadcast::Receiver;
use uuid::Uuid;

/// A deadline that no test lives to see.
const LATER: Duration = Duration::from_secs(3_600);

/// How long something that must happen may take.
const SOON: Duration = Duration::from_secs(10);

/// What a test asks of the server behind a store.
trait Store: VersionStore + AppliedStore + Clone {
    /// A store for an app that no other test uses.
    fn fresh() -> Self;
    /// Another handle on the same app, as another process would have.
    fn second_handle(&self) -> Self;
    /// Loses this app's data, as a wiped server would.
    fn wipe(&self) -> impl Future<Output = ()> + Send;
}

impl Store for MemoryStore {
    fn fresh() -> Self {
        MemoryStore::named(&app())
    }

    fn second_handle(&self) -> Self {
        self.clone()
    }

    async fn wipe(&self) {
        self.flush();
    }
}

/// A Redis store that remembers how to make another handle.
#[derive(Clone)]
struct OnRedis {
    app: String,
    store: RedisStore,
}

fn redis_url() -> String {
    std::env::var("TEST_REDIS_URL").expect(
        "TEST_REDIS_URL is not set: run the tests with `scripts/test`, or start the servers with `scripts/servers`",
    )
}

async fn redis_connection() -> ::redis::aio::MultiplexedConnection {
    ::redis::Client::open(redis_url()).unwrap().get_multiplexed_async_connection().await.unwrap()
}

impl OnRedis {
    fn of(app: String) -> Self {
        let store = RedisStore::connect(&redis_url(), &app).unwrap();
        Self { app, store }
    }
}

impl Store for OnRedis {
    fn fresh() -> Self {
        Self::of(app())
    }

    fn second_handle(&self) -> Self {
        Self::of(self.app.clone())
    }

    async fn wipe(&self) {
        let mut connection = redis_connection().await;
        let pattern = format!("promiscuous:{{{}}}:*", self.app);
        let keys: Vec<String> = ::redis::cmd("KEYS").arg(pattern).query_async(&mut connection).await.unwrap();
        ::redis::cmd("DEL").arg(keys).exec_async(&mut connection).await.unwrap();
    }
}

#[async_trait::async_trait]
impl VersionStore for OnRedis {
    async fn check(&self) -> Result<(), StoreError> {
        self.store.check().await
    }
    async fn generation(&self) -> Result<Option<u64>, StoreError> {
        self.store.generation().await
    }
    async fn raise_generation(&self, generation: u64) -> Result<(), StoreError> {
        self.store.raise_generation(generation).await
    }
    async fn lock_and_bump(&self, bump: &Bump) -> Result<Bumped, StoreError> {
        self.store.lock_and_bump(bump).await
    }
    async fn finish(&self, ops: &[Finish]) -> Result<(), StoreError> {
        self.store.finish(ops).await
    }
    async fn intent_exists(&self, op: Uuid) -> Result<bool, StoreError> {
        self.store.intent_exists(op).await
    }
    async fn overdue(&self, limit: usize) -> Result<Vec<Bumped>, StoreError> {
        self.store.overdue(limit).await
    }
    async fn hasten(&self, op: Uuid, delay: Duration) -> Result<(), StoreError> {
        self.store.hasten(op, delay).await
    }
    async fn lease(&self, name: &str, owner: Uuid, for_how_long: Duration) -> Result<bool, StoreError> {
        self.store.lease(name, owner, for_how_long).await
    }
    async fn versions_of(
        &self,
        generation: u64,
        keys: &[Key],
    ) -> Result<Vec<promiscuous_core::version_store::KeyVersion>, StoreError> {
        self.store.versions_of(generation, keys).await
    }
}

#[async_trait::async_trait]
impl AppliedStore for OnRedis {
    async fn load(&self, keys: &[Key]) -> Result<Vec<Applied>, StoreError> {
        self.store.load(keys).await
    }
    async fn rebuild(&self, versions: &[(Key, Version)]) -> Result<(), StoreError> {
        self.store.rebuild(versions).await
    }
    async fn advance(&self, advances: &[Advance]) -> Result<(), StoreError> {
        self.store.advance(advances).await
    }
    async fn announcements(&self) -> Result<Receiver<Announcement>, StoreError> {
        self.store.announcements().await
    }
}

/// Makes a test of each store out of each generic body.
macro_rules! conformance {
    ($($name:ident)*) => {
        mod memory {
            $(#[tokio::test] async fn $name() { super::$name(<super::MemoryStore as super::Store>::fresh()).await; })*
        }
        mod redis {
            $(#[tokio::test] async fn $name() { super::$name(<super::OnRedis as super::Store>::fresh()).await; })*
        }
    };
}

conformance! {
    a_sound_store_passes_its_check
    a_key_s_writes_form_one_chain
    readers_are_counted_by_endpoint_and_forgotten_by_a_write
    a_read_of_a_key_without_a_version_is_dropped
    a_bump_that_writes_nothing_is_refused
    an_older_generation_counts_as_absent
    a_stale_generation_is_refused_and_changes_nothing
    a_missing_generation_is_refused_as_lost_writes
    a_generation_is_never_lowered
    a_hundred_concurrent_bumps_of_one_key_form_one_chain
    a_takeover_is_reported_and_has_the_earlier_op_looked_at_early
    finish_removes_only_its_own_locks_and_is_repeatable
    many_ops_with_many_keys_finish_at_once
    overdue_intents_come_oldest_first_with_what_they_bumped
    hasten_brings_a_deadline_forward_and_never_back
    a_lease_has_one_holder_who_can_renew_it
    versions_of_reads_versions_and_locks_and_starts_new_chains
    versions_of_many_keys_keeps_their_order
    a_wiped_store_works_again_in_a_raised_generation
    advancing_again_changes_nothing
    an_applied_version_only_grows
    readers_count_while_their_version_is_the_last_one
    readers_out_of_order_fill_the_gaps
    readers_of_synced_and_rebuilt_keys_are_unknown
    a_rebuild_keeps_what_is_newer
    announcements_reach_every_handle_and_only_news_is_announced
    a_wiped_cache_knows_nothing_and_can_be_rebuilt
    a_batch_of_thousands_is_applied_in_order
}

fn app() -> String {
    format!("t{}", Uuid::now_v7().simple())
}

fn key(text: &str) -> Key {
    Key::parse(text).unwrap()
}

fn endpoint(text: &str) -> Endpoint {
    Endpoint::parse(text).unwrap()
}

fn bump(write: &[&str], read: &[&str]) -> Bump {
    Bump {
        op: Uuid::now_v7(),
        generation: 1,
        deadline: LATER,
        endpoints: vec![endpoint("a/post")],
        write: write.iter().map(|text| key(text)).collect(),
        read: read.iter().map(|text| key(text)).collect(),
    }
}

fn done(bump: &Bump) -> Finish {
    Finish { op: bump.op, keys: bump.write.clone() }
}

async fn overdue_ops(store: &impl Store) -> Vec<Uuid> {
    store.overdue(100).await.unwrap().into_iter().map(|bumped| bumped.op).collect()
}

async fn a_sound_store_passes_its_check(store: impl Store) {
    store.check().await.unwrap();
}

async fn a_key_s_writes_form_one_chain(store: impl Store) {
    // given
    store.raise_generation(1).await.unwrap();
    let first = bump(&["a/post/1", "a/post/2"], &[]);
    let second = bump(&["a/post/2"], &[]);

    // when
    let bumped = store.lock_and_bump(&first).await.unwrap();
    let next = store.lock_and_bump(&second).await.unwrap();

    // then
    assert_eq!((bumped.op, bumped.generation), (first.op, 1));
    let written: Vec<&Key> = bumped.write.iter().map(|write| &write.key).collect();
    assert_eq!(written, [&key("a/post/1"), &key("a/post/2")]);
    assert!(bumped.write.iter().all(|write| write.previous.is_none() && write.readers.is_empty()));
    assert_eq!(next.write[0].previous, Some(bumped.write[1].version));
    assert!(next.write[0].version > bumped.write[1].version);
    // Versions start from the clock, in microseconds since 1970 and exact to the last digit.
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_micros();
    assert!(now.abs_diff(u128::from(next.write[0].version)) < 60_000_000);
}

async fn readers_are_counted_by_endpoint_and_forgotten_by_a_write(store: impl Store) {
    // given
    store.raise_generation(1).await.unwrap();
    let written = store.lock_and_bump(&bump(&["a/user/1"], &[])).await.unwrap().write[0].version;
    let both = Bump {
        endpoints: vec![endpoint("a/post"), endpoint("a/comment")],
        ..bump(&["a/post/2"], &["a/user/1"])
    };

    // when
    let first = store.lock_and_bump(&bump(&["a/post/1"], &["a/user/1"])).await.unwrap();
    let second = store.lock_and_bump(&both).await.unwrap();
    let write = store.lock_and_bump(&bump(&["a/user/1"], &[])).await.unwrap();
    let after = store.lock_and_bump(&bump(&["a/user/1"], &[])).await.unwrap();

    // then
    let expected = |ordinals: &[(&str, u64)]| ReadDependency {
        key: key("a/user/1"),
        version: written,
        ordinals: ordinals.iter().map(|&(name, ordinal)| (endpoint(name), ordinal)).collect(),
    };
    assert_eq!(first.read, [expected(&[("a/post", 1)])]);
    assert_eq!(second.read, [expected(&[("a/post", 2), ("a/comment", 1)])]);
    assert_eq!(write.write[0].readers, BTreeMap::from([(endpoint("a/post"), 2), (endpoint("a/comment"), 1)]));
    assert_eq!(after.write[0].readers, BTreeMap::new());
}

async fn a_read_of_a_key_without_a_version_is_dropped(store: impl Store) {
    store.raise_generation(1).await.unwrap();
    store.lock_and_bump(&bump(&["a/user/2"], &[])).await.unwrap();

    let bumped = store.lock_and_bump(&bump(&["a/post/1"], &["a/user/1", "a/user/2"])).await.unwrap();

    let read: Vec<Key> = bumped.read.into_iter().map(|read| read.key).collect();
    assert_eq!(read, [key("a/user/2")]);
}

async fn a_bump_that_writes_nothing_is_refused(store: impl Store) {
    store.raise_generation(1).await.unwrap();
    let refused = store.lock_and_bump(&bump(&[], &["a/user/1"])).await;
    assert!(matches!(refused, Err(StoreError::Protocol(_))), "{refused:?}");
}

async fn an_older_generation_counts_as_absent(store: impl Store) {
    // given
    store.raise_generation(1).await.unwrap();
    store.lock_and_bump(&bump(&["a/user/1"], &[])).await.unwrap();
    store.lock_and_bump(&bump(&["a/post/1"], &["a/user/1"])).await.unwrap();
    store.raise_generation(2).await.unwrap();

    // when
    let read = Bump { generation: 2, ..bump(&["a/post/2"], &["a/user/1"]) };
    let read = store.lock_and_bump(&read).await.unwrap();
    let written = store.lock_and_bump(&Bump { generation: 2, ..bump(&["a/user/1"], &[]) }).await.unwrap();

    // then
    assert_eq!(read.read, []);
    assert_eq!((written.write[0].previous, written.write[0].readers.len()), (None, 0));
}

async fn a_stale_generation_is_refused_and_changes_nothing(store: impl Store) {
    store.raise_generation(7).await.unwrap();
    let stale = Bump { generation: 6, deadline: Duration::ZERO, ..bump(&["a/user/1"], &[]) };

    let refused = store.lock_and_bump(&stale).await;
    let refused_sync = store.versions_of(6, &[key("a/user/1")]).await;

    assert!(matches!(refused, Err(StoreError::StaleGeneration { used: 6, stored: 7 })), "{refused:?}");
    assert!(matches!(refused_sync, Err(StoreError::StaleGeneration { used: 6, stored: 7 })));
    assert!(!store.intent_exists(stale.op).await.unwrap());
    let bumped = store.lock_and_bump(&Bump { generation: 7, ..bump(&["a/user/1"], &[]) }).await.unwrap();
    assert_eq!((bumped.write[0].previous, bumped.taken_over), (None, vec![]));
}

async fn a_missing_generation_is_refused_as_lost_writes(store: impl Store) {
    assert_eq!(store.generation().await.unwrap(), None);
    let refused = store.lock_and_bump(&bump(&["a/user/1"], &[])).await;
    assert!(matches!(refused, Err(StoreError::LostWrites)), "{refused:?}");
    let refused = store.versions_of(1, &[key("a/user/1")]).await;
    assert!(matches!(refused, Err(StoreError::LostWrites)), "{refused:?}");
}

async fn a_generation_is_never_lowered(store: impl Store) {
    store.raise_generation(3).await.unwrap();
    store.raise_generation(2).await.unwrap();
    assert_eq!(store.generation().await.unwrap(), Some(3));
}

async fn a_hundred_concurrent_bumps_of_one_key_form_one_chain(store: impl Store) {
    // given
    store.raise_generation(1).await.unwrap();
    let store = Arc::new(store);

    // when
    let tasks: Vec<_> = (0..100)
        .map(|n| {
            let store = Arc::clone(&store);
            let bump = bump(&["a/user/1", &format!("a/post/{n}")], &[]);
            tokio::spawn(async move { store.lock_and_bump(&bump).await.unwrap() })
        })
        .collect();
    let mut links = BTreeMap::new();
    for task in tasks {
        let bumped = task.await.unwrap();
        links.insert(bumped.write[0].previous, bumped.write[0].version);
    }

    // then
    assert_eq!(links.len(), 100, "two writes have the same predecessor");
    let (mut at, mut length) = (None, 0);
    while let Some(next) = links.get(&at) {
        assert!(at < Some(*next));
        (at, length) = (Some(*next), length + 1);
    }
    assert_eq!(length, 100);
}

async fn a_takeover_is_reported_and_has_the_earlier_op_looked_at_early(store: impl Store) {
    // given
    store.raise_generation(1).await.unwrap();
    let earlier = bump(&["a/user/1", "a/user/2"], &[]);
    let finished = bump(&["a/user/3"], &[]);
    store.lock_and_bump(&earlier).await.unwrap();
    store.lock_and_bump(&finished).await.unwrap();
    store.finish(&[done(&finished)]).await.unwrap();

    // when
    let later = bump(&["a/user/2", "a/user/1", "a/user/3"], &[]);
    let bumped = store.lock_and_bump(&later).await.unwrap();

    // then
    assert_eq!(bumped.taken_over, [earlier.op]);
    let looked_at = async {
        while overdue_ops(&store).await != [earlier.op] {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(SOON, looked_at).await.expect("the earlier op's deadline was not brought forward");
}

async fn finish_removes_only_its_own_locks_and_is_repeatable(store: impl Store) {
    // given
    store.raise_generation(1).await.unwrap();
    let earlier = bump(&["a/user/1", "a/user/2"], &[]);
    let later = bump(&["a/user/2"], &[]);
    store.lock_and_bump(&earlier).await.unwrap();
    store.lock_and_bump(&later).await.unwrap();

    // when
    store.finish(&[done(&earlier)]).await.unwrap();
    store.finish(&[done(&earlier)]).await.unwrap();

    // then
    assert!(!store.intent_exists(earlier.op).await.unwrap());
    assert!(store.intent_exists(later.op).await.unwrap());
    let versions = store.versions_of(1, &[key("a/user/1"), key("a/user/2")]).await.unwrap();
    assert_eq!(versions.iter().map(|version| version.locked).collect::<Vec<_>>(), [false, true]);
}

async fn many_ops_with_many_keys_finish_at_once(store: impl Store) {
    // given
    store.raise_generation(1).await.unwrap();
    let keys: Vec<String> = (0..1_000).map(|n| format!("a/user/{n}")).collect();
    let large = bump(&keys.iter().map(String::as_str).collect::<Vec<_>>(), &[]);
    let small: Vec<Bump> = (0..50).map(|n| bump(&[&format!("a/post/{n}")], &[])).collect();
    for bump in small.iter().chain([&large]) {
        store.lock_and_bump(bump).await.unwrap();
    }

    // when
    store.finish(&small.iter().chain([&large]).map(done).collect::<Vec<_>>()).await.unwrap();

    // then
    for bump in small.iter().chain([&large]) {
        assert!(!store.intent_exists(bump.op).await.unwrap());
    }
    assert!(store.versions_of(1, &large.write).await.unwrap().iter().all(|version| !version.locked));
}

async fn overdue_intents_come_oldest_first_with_what_they_bumped(store: impl Store) {
    // given
    store.raise_generation(1).await.unwrap();
    let waiting = bump(&["a/user/9"], &[]);
    store.lock_and_bump(&waiting).await.unwrap();
    let mut expected = Vec::new();
    for n in 0..3 {
        let overdue = Bump { deadline: Duration::ZERO, ..bump(&[&format!("a/post/{n}")], &["a/user/9"]) };
        expected.push(store.lock_and_bump(&overdue).await.unwrap());
        // Deadlines are told apart by the millisecond.
        tokio::time::sleep(Duration::from_millis(3)).await;
    }

    // when
    let overdue = store.overdue(10).await.unwrap();
    let limited = store.overdue(2).await.unwrap();

    // then
    assert_eq!(overdue, expected);
    assert_eq!(limited, expected[..2]);
}

async fn hasten_brings_a_deadline_forward_and_never_back(store: impl Store) {
    store.raise_generation(1).await.unwrap();
    let op = bump(&["a/user/1"], &[]);
    store.lock_and_bump(&op).await.unwrap();

    store.hasten(Uuid::now_v7(), Duration::ZERO).await.unwrap();
    assert!(overdue_ops(&store).await.is_empty());
    store.hasten(op.op, Duration::ZERO).await.unwrap();
    assert_eq!(overdue_ops(&store).await, [op.op]);
    store.hasten(op.op, LATER).await.unwrap();
    assert_eq!(overdue_ops(&store).await, [op.op]);
}

async fn a_lease_has_one_holder_who_can_renew_it(store: impl Store) {
    let (one, other) = (Uuid::now_v7(), Uuid::now_v7());

    assert!(store.lease("sweeper", one, LATER).await.unwrap());
    assert!(!store.lease("sweeper", other, LATER).await.unwrap());
    assert!(store.lease("recoverer", other, LATER).await.unwrap());
    assert!(store.lease("sweeper", one, Duration::from_millis(1)).await.unwrap());

    let taken = async { while !store.lease("sweeper", other, LATER).await.unwrap() {} };
    tokio::time::timeout(SOON, taken).await.expect("the lease did not end");
    assert!(!store.lease("sweeper", one, LATER).await.unwrap());
}

async fn versions_of_reads_versions_and_locks_and_starts_new_chains(store: impl Store) {
    // given
    store.raise_generation(1).await.unwrap();
    let locked = bump(&["a/user/1"], &[]);
    let version = store.lock_and_bump(&locked).await.unwrap().write[0].version;

    // when
    let keys = [key("a/user/1"), key("a/user/2")];
    let versions = store.versions_of(1, &keys).await.unwrap();
    let again = store.versions_of(1, &keys).await.unwrap();
    let next = store.lock_and_bump(&bump(&["a/user/2"], &[])).await.unwrap();

    // then
    assert_eq!((versions[0].version, versions[0].locked), (version, true));
    assert!(!versions[1].locked && versions[1].version >= version);
    assert_eq!(again, versions);
    assert_eq!(next.write[0].previous, Some(versions[1].version));
    store.raise_generation(2).await.unwrap();
    let raised = store.versions_of(2, &keys).await.unwrap();
    assert!(raised[0].version > version, "a new generation starts a new chain");
}

async fn versions_of_many_keys_keeps_their_order(store: impl Store) {
    store.raise_generation(1).await.unwrap();
    let keys: Vec<Key> = (0..2_000).map(|n| key(&format!("a/user/{n}"))).collect();
    let locked = Bump { write: vec![keys[1_234].clone()], ..bump(&[], &[]) };
    let version = store.lock_and_bump(&locked).await.unwrap().write[0].version;

    let versions = store.versions_of(1, &keys).await.unwrap();

    assert_eq!(versions.len(), keys.len());
    let of_locked: Vec<usize> = (0..keys.len()).filter(|&n| versions[n].locked).collect();
    assert_eq!((of_locked, versions[1_234].version), (vec![1_234], version));
}

async fn a_wiped_store_works_again_in_a_raised_generation(store: impl Store) {
    // given
    store.raise_generation(1).await.unwrap();
    let other = store.second_handle();
    let before = store.lock_and_bump(&bump(&["a/user/1"], &[])).await.unwrap();
    other.lock_and_bump(&bump(&["a/user/1"], &[])).await.unwrap();

    // when
    store.wipe().await;
    let noticed = store.lock_and_bump(&bump(&["a/user/1"], &[])).await;
    store.raise_generation(2).await.unwrap();
    let stale = other.lock_and_bump(&bump(&["a/user/1"], &[])).await;
    let after = other.lock_and_bump(&Bump { generation: 2, ..bump(&["a/user/1"], &[]) }).await.unwrap();

    // then
    assert!(matches!(noticed, Err(StoreError::LostWrites)), "{noticed:?}");
    assert!(matches!(stale, Err(StoreError::StaleGeneration { used: 1, stored: 2 })), "{stale:?}");
    assert_eq!((after.write[0].previous, after.generation), (None, 2));
    assert!(after.write[0].version > before.write[0].version);
}

// The subscriber's side.

fn version(version: u64) -> Version {
    Version::new(1, version)
}

fn wrote(name: &str, version: Version) -> Advance {
    Advance { writes: vec![(key(name), version)], reads: vec![], readers_unknown: false }
}

fn has_read(name: &str, version: Version, ordinal: u64) -> Advance {
    let ordinals = BTreeMap::from([(endpoint("a/post"), ordinal)]);
    Advance { writes: vec![], reads: vec![(key(name), version, ordinals)], readers_unknown: false }
}

async fn applied(store: &impl Store, name: &str) -> Applied {
    store.load(&[key(name)]).await.unwrap().remove(0)
}

/// The ordinals of `a/post` that were seen.
async fn seen(store: &impl Store, name: &str) -> Ordinals {
    let readers = applied(store, name).await.readers.expect("readers are known");
    readers.get(&endpoint("a/post")).cloned().unwrap_or_default()
}

async fn advancing_again_changes_nothing(store: impl Store) {
    // given
    let batch = [
        wrote("a/user/1", version(10)),
        has_read("a/user/1", version(10), 1),
        has_read("a/user/1", version(10), 2),
        Advance { readers_unknown: true, ..wrote("a/user/2", version(20)) },
    ];
    store.advance(&batch).await.unwrap();
    let keys = [key("a/user/1"), key("a/user/2"), key("a/user/3")];
    let before = store.load(&keys).await.unwrap();

    // when
    store.advance(&batch).await.unwrap();
    store.advance(&batch[..1]).await.unwrap();
    store.advance(&batch[1..2]).await.unwrap();

    // then
    assert_eq!(store.load(&keys).await.unwrap(), before);
    assert_eq!(before[0].version, Some(version(10)));
    assert_eq!(seen(&store, "a/user/1").await.up_to, 2);
    assert_eq!(before[1], Applied { version: Some(version(20)), readers: None });
    assert_eq!(before[2], Applied::default());
}

async fn an_applied_version_only_grows(store: impl Store) {
    let late = Version::new(2, 5);
    for (step, expected) in [
        (version(10), version(10)),
        (version(9), version(10)),
        (version(1_763_690_000_122_871), version(1_763_690_000_122_871)),
        (version(1_763_690_000_122_870), version(1_763_690_000_122_871)),
        (version(1_763_690_000_122_872), version(1_763_690_000_122_872)),
        (late, late),
        (version(1_763_690_000_122_873), late),
    ] {
        store.advance(&[wrote("a/user/1", step)]).await.unwrap();
        assert_eq!(applied(&store, "a/user/1").await.version, Some(expected));
    }
}

async fn readers_count_while_their_version_is_the_last_one(store: impl Store) {
    store.advance(&[has_read("a/user/1", version(10), 1)]).await.unwrap();
    assert_eq!(applied(&store, "a/user/1").await, Applied::default());

    store.advance(&[wrote("a/user/1", version(10)), has_read("a/user/1", version(10), 1)]).await.unwrap();
    store
        .advance(&[has_read("a/user/1", version(9), 2), has_read("a/user/1", version(11), 2)])
        .await
        .unwrap();
    assert_eq!(seen(&store, "a/user/1").await.up_to, 1);

    store.advance(&[wrote("a/user/1", version(12))]).await.unwrap();
    assert_eq!(seen(&store, "a/user/1").await, Ordinals::default());
}

async fn readers_out_of_order_fill_the_gaps(store: impl Store) {
    store.advance(&[wrote("a/user/1", version(10))]).await.unwrap();
    let mut expected = Ordinals::default();
    for ordinal in [3, 5, 4, 9, 7, 3, 1, 8, 1, 2, 6, 12] {
        store.advance(&[has_read("a/user/1", version(10), ordinal)]).await.unwrap();
        expected.insert(ordinal);
        assert_eq!(seen(&store, "a/user/1").await, expected, "after {ordinal}");
    }
    assert_eq!(expected, Ordinals { up_to: 9, beyond: BTreeSet::from([12]) });
}

async fn readers_of_synced_and_rebuilt_keys_are_unknown(store: impl Store) {
    store.advance(&[Advance { readers_unknown: true, ..wrote("a/user/1", version(10)) }]).await.unwrap();
    store.rebuild(&[(key("a/user/2"), version(10))]).await.unwrap();

    for name in ["a/user/1", "a/user/2"] {
        store.advance(&[has_read(name, version(10), 1)]).await.unwrap();
        assert_eq!(applied(&store, name).await, Applied { version: Some(version(10)), readers: None });
        store.advance(&[wrote(name, version(11)), has_read(name, version(11), 1)]).await.unwrap();
        assert_eq!(seen(&store, name).await.up_to, 1);
    }
}

async fn a_rebuild_keeps_what_is_newer(store: impl Store) {
    store.advance(&[wrote("a/user/1", version(10)), has_read("a/user/1", version(10), 1)]).await.unwrap();
    store.rebuild(&[(key("a/user/1"), version(9)), (key("a/user/1"), version(10))]).await.unwrap();
    assert_eq!(applied(&store, "a/user/1").await.version, Some(version(10)));
    assert_eq!(seen(&store, "a/user/1").await.up_to, 1);
}

async fn next_keys(receiver: &mut Receiver<Announcement>) -> Vec<Key> {
    match tokio::time::timeout(SOON, receiver.recv()).await.expect("nothing was announced").unwrap() {
        Announcement::Advanced(mut keys) => {
            keys.sort_unstable();
            keys
        }
        Announcement::Lost => panic!("announcements were lost"),
    }
}

async fn announcements_reach_every_handle_and_only_news_is_announced(store: impl Store) {
    // given
    let other = store.second_handle();
    let mut receivers = [store.announcements().await.unwrap(), other.announcements().await.unwrap()];

    // when
    let batch =
        [wrote("a/user/1", version(10)), wrote("a/user/2", version(10)), wrote("a/user/1", version(9))];
    store.advance(&batch).await.unwrap();
    store.advance(&batch).await.unwrap();
    store.rebuild(&[(key("a/user/3"), version(1))]).await.unwrap();
    other.advance(&[has_read("a/user/2", version(10), 1)]).await.unwrap();

    // then
    for receiver in &mut receivers {
        assert_eq!(next_keys(receiver).await, [key("a/user/1"), key("a/user/2")]);
        assert_eq!(next_keys(receiver).await, [key("a/user/2")]);
    }
}

async fn a_wiped_cache_knows_nothing_and_can_be_rebuilt(store: impl Store) {
    store.advance(&[wrote("a/user/1", version(10)), has_read("a/user/1", version(10), 1)]).await.unwrap();

    store.wipe().await;
    assert_eq!(applied(&store, "a/user/1").await, Applied::default());

    store.rebuild(&[(key("a/user/1"), version(10))]).await.unwrap();
    assert_eq!(applied(&store, "a/user/1").await, Applied { version: Some(version(10)), readers: None });
}

async fn a_batch_of_thousands_is_applied_in_order(store: impl Store) {
    // given
    let batch: Vec<Advance> = (0..2_000)
        .flat_map(|n| [wrote("a/user/1", version(n)), wrote(&format!("a/post/{n}"), version(n))])
        .collect();

    // when
    store.advance(&batch).await.unwrap();
    let keys: Vec<Key> = (0..2_000).map(|n| key(&format!("a/post/{n}"))).collect();
    let loaded = store.load(&keys).await.unwrap();

    // then
    assert_eq!(applied(&store, "a/user/1").await.version, Some(version(1_999)));
    assert!((0..).zip(&loaded).all(|(n, applied)| applied.version == Some(version(n))));
    store.advance(&[]).await.unwrap();
    store.rebuild(&[]).await.unwrap();
    assert_eq!(store.load(&[]).await.unwrap(), []);
}

/// What only a Redis server can do to a store.
mod redis_server {
    use super::*;

    #[tokio::test]
    async fn a_flushed_script_cache_is_survived_and_loses_nothing() {
        // given
        let store = OnRedis::fresh();
        store.raise_generation(1).await.unwrap();
        let before = store.lock_and_bump(&bump(&["a/user/1"], &[])).await.unwrap();

        // when
        ::redis::cmd("SCRIPT").arg("FLUSH").exec_async(&mut redis_connection().await).await.unwrap();
        let after = store.lock_and_bump(&bump(&["a/user/1"], &[])).await.unwrap();

        // then
        assert_eq!(after.write[0].previous, Some(before.write[0].version));
    }

    #[tokio::test]
    async fn another_server_run_is_not_trusted_before_the_generation_is_raised_by_anyone() {
        // given: two processes, and a generation that was confirmed on another run, as after a restart from a snapshot
        let store = OnRedis::fresh();
        let other = store.second_handle();
        store.raise_generation(1).await.unwrap();
        other.lock_and_bump(&bump(&["a/user/1"], &[])).await.unwrap();
        let generation = format!("promiscuous:{{{}}}:generation", store.app);
        ::redis::cmd("HSET")
            .arg(generation)
            .arg("run_id")
            .arg("the run before")
            .exec_async(&mut redis_connection().await)
            .await
            .unwrap();

        // when
        let refused = store.lock_and_bump(&bump(&["a/user/1"], &[])).await;
        let refused_too = other.lock_and_bump(&bump(&["a/user/1"], &[])).await;
        store.raise_generation(2).await.unwrap();
        let accepted = other.lock_and_bump(&Bump { generation: 2, ..bump(&["a/user/1"], &[]) }).await;

        // then
        assert!(matches!(refused, Err(StoreError::LostWrites)), "{refused:?}");
        assert!(matches!(refused_too, Err(StoreError::LostWrites)), "{refused_too:?}");
        assert_eq!(accepted.unwrap().write[0].previous, None);
    }

    #[tokio::test]
    async fn idle_versions_expire_and_used_ones_are_kept() {
        let app = app();
        let store = RedisStore::connect(&redis_url(), &app).unwrap().with_ttl(LATER);
        store.raise_generation(1).await.unwrap();
        store.lock_and_bump(&bump(&["a/user/1"], &[])).await.unwrap();
        store.advance(&[wrote("a/user/1", version(1))]).await.unwrap();

        let mut connection = redis_connection().await;
        for kind in ["dep", "sub"] {
            let name = format!("promiscuous:{{{app}}}:{kind}:a/user/1");
            let ttl: i64 = ::redis::cmd("TTL").arg(name).query_async(&mut connection).await.unwrap();
            assert!((3_590..=3_600).contains(&ttl), "{kind} expires in {ttl} s");
        }
    }

    /// A store whose connections the server can close without touching those of other tests: they have a user of their own.
    async fn with_own_user() -> (OnRedis, String) {
        let app = app();
        ::redis::cmd("ACL")
            .arg(&["SETUSER", &app, "on", ">secret", "~*", "&*", "+@all"])
            .exec_async(&mut redis_connection().await)
            .await
            .unwrap();
        let url = redis_url();
        let server = url.trim_start_matches("redis://").rsplit('@').next().unwrap();
        let store = RedisStore::connect(&format!("redis://{app}:secret@{server}"), &app).unwrap();
        (OnRedis { app: app.clone(), store }, app)
    }

    async fn close_connections(user: &str, kind: &str) {
        let closed: u64 = ::redis::cmd("CLIENT")
            .arg(&["KILL", "USER", user, "TYPE", kind])
            .query_async(&mut redis_connection().await)
            .await
            .unwrap();
        assert!(closed > 0, "there was no such connection");
    }

    #[tokio::test]
    async fn a_lost_subscription_comes_back_and_says_so() {
        let (store, user) = with_own_user().await;
        let mut receiver = store.announcements().await.unwrap();

        close_connections(&user, "pubsub").await;

        let lost = tokio::time::timeout(SOON, receiver.recv()).await.expect("nothing was said").unwrap();
        assert_eq!(lost, Announcement::Lost);
        store.advance(&[wrote("a/user/1", version(1))]).await.unwrap();
        assert_eq!(next_keys(&mut receiver).await, [key("a/user/1")]);
    }

    #[tokio::test]
    async fn a_lost_connection_fails_at_most_what_was_under_way() {
        let (store, user) = with_own_user().await;
        store.raise_generation(1).await.unwrap();

        close_connections(&user, "normal").await;

        // The first call may find the dead connection; by then it is replaced.
        let _ = store.lock_and_bump(&bump(&["a/user/1"], &[])).await;
        store.lock_and_bump(&bump(&["a/user/1"], &[])).await.unwrap();
    }

    #[tokio::test]
    async fn a_server_that_is_away_is_an_error_within_seconds_and_without_the_password() {
        let store = RedisStore::connect("redis://user:secret@127.0.0.1:1", "away").unwrap();
        let refused = tokio::time::timeout(SOON, store.lock_and_bump(&bump(&["a/user/1"], &[]))).await;
        let error = refused.expect("it hangs").unwrap_err();
        assert!(matches!(error, StoreError::Unavailable { .. }), "{error}");
        assert!(
            error.to_string().contains("127.0.0.1:1") && !error.to_string().contains("secret"),
            "{error}"
        );
    }
}

/// What happens to a server: each test has one of its own.
mod redis_lifecycle {
    use std::process::Stdio;

    use nix::sys::signal::{Signal, kill};
    use nix::unistd::Pid;
    use tokio::process::{Child, Command};

    use super::*;

    struct Server {
        folder: tempfile::TempDir,
        port: u16,
        child: Child,
    }

    impl Server {
        async fn start() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let child = Self::spawn(&folder, port).await;
            Self { folder, port, child }
        }

        async fn spawn(folder: &tempfile::TempDir, port: u16) -> Child {
            let child = Command::new("redis-server")
                .args(["--bind", "127.0.0.1", "--save", "", "--port", &port.to_string(), "--dir"])
                .arg(folder.path())
                .stdout(Stdio::null())
                .kill_on_drop(true)
                .spawn()
                .expect("redis-server cannot be started: install the package redis-server");
            let answers = async {
                while tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err() {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            };
            tokio::time::timeout(SOON, answers).await.expect("redis-server does not start");
            child
        }

        async fn kill_and_restart(&mut self) {
            self.child.kill().await.unwrap();
            self.child = Self::spawn(&self.folder, self.port).await;
        }

        fn signal(&self, signal: Signal) {
            let id = self.child.id().and_then(|id| i32::try_from(id).ok()).unwrap();
            kill(Pid::from_raw(id), signal).unwrap();
        }

        async fn command(&self, words: &[&str]) {
            let url = format!("redis://127.0.0.1:{}", self.port);
            let client = ::redis::Client::open(url).unwrap();
            let mut connection = client.get_multiplexed_async_connection().await.unwrap();
            ::redis::cmd(words[0]).arg(&words[1..]).exec_async(&mut connection).await.unwrap();
        }

        fn store(&self) -> RedisStore {
            RedisStore::connect(&format!("redis://127.0.0.1:{}", self.port), "a").unwrap()
        }
    }

    /// Until the store has found its server again.
    async fn answer(store: &RedisStore, bump: &Bump) -> Result<Bumped, StoreError> {
        let answered = async {
            loop {
                match store.lock_and_bump(bump).await {
                    Err(StoreError::Unavailable { .. }) => {
                        tokio::time::sleep(Duration::from_millis(20)).await
                    }
                    answer => return answer,
                }
            }
        };
        tokio::time::timeout(SOON, answered).await.expect("the connection does not come back")
    }

    #[tokio::test]
    async fn a_restart_from_an_old_snapshot_is_noticed_by_every_process() {
        // given
        let mut server = Server::start().await;
        let (store, other) = (server.store(), server.store());
        store.raise_generation(1).await.unwrap();
        store.lock_and_bump(&bump(&["a/user/1"], &[])).await.unwrap();
        server.command(&["SAVE"]).await;
        let lost = other.lock_and_bump(&bump(&["a/user/1"], &[])).await.unwrap();

        // when
        server.kill_and_restart().await;

        // then
        let next = bump(&["a/user/1"], &[]);
        for store in [&store, &other] {
            let refused = answer(store, &next).await;
            assert!(matches!(refused, Err(StoreError::LostWrites)), "{refused:?}");
        }
        other.raise_generation(2).await.unwrap();
        let stale = answer(&store, &next).await;
        assert!(matches!(stale, Err(StoreError::StaleGeneration { used: 1, stored: 2 })), "{stale:?}");
        let after = answer(&store, &Bump { generation: 2, ..next }).await.unwrap();
        assert!(after.write[0].previous.is_none() && after.write[0].version > lost.write[0].version);
    }

    #[tokio::test]
    async fn an_empty_restart_is_noticed_and_announcements_come_back() {
        let mut server = Server::start().await;
        let store = server.store();
        let mut receiver = store.announcements().await.unwrap();
        store.raise_generation(1).await.unwrap();

        server.kill_and_restart().await;

        let refused = answer(&store, &bump(&["a/user/1"], &[])).await;
        assert!(matches!(refused, Err(StoreError::LostWrites)), "{refused:?}");
        let told = tokio::time::timeout(SOON, receiver.recv()).await.expect("nothing was said").unwrap();
        assert_eq!(told, Announcement::Lost);
        store.advance(&[wrote("a/user/1", version(1))]).await.unwrap();
        assert_eq!(next_keys(&mut receiver).await, [key("a/user/1")]);
    }

    #[tokio::test]
    async fn an_evicting_server_is_refused() {
        let server = Server::start().await;
        server.command(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]).await;
        let refused = server.store().check().await;
        assert!(
            matches!(refused, Err(StoreError::Evicts { ref policy, .. }) if policy == "allkeys-lru"),
            "{refused:?}"
        );
    }

    #[tokio::test]
    async fn a_server_that_hides_its_configuration_is_trusted() {
        let server = Server::start().await;
        server.command(&["ACL", "SETUSER", "default", "-config"]).await;
        server.store().check().await.unwrap();
    }

    #[tokio::test]
    async fn a_frozen_server_is_an_error_within_seconds_and_works_again_when_it_thaws() {
        let server = Server::start().await;
        let store = server.store();
        store.raise_generation(1).await.unwrap();

        server.signal(Signal::SIGSTOP);
        let refused = tokio::time::timeout(SOON, store.lock_and_bump(&bump(&["a/user/1"], &[]))).await;
        server.signal(Signal::SIGCONT);

        let refused = refused.expect("it hangs");
        assert!(matches!(refused, Err(StoreError::Unavailable { .. })), "{refused:?}");
        answer(&store, &bump(&["a/user/1"], &[])).await.unwrap();
    }

    #[tokio::test]
    async fn a_full_server_refuses_and_changes_nothing() {
        let server = Server::start().await;
        let store = server.store();
        store.raise_generation(1).await.unwrap();
        let before = store.lock_and_bump(&bump(&["a/user/1"], &[])).await.unwrap();

        server.command(&["CONFIG", "SET", "maxmemory", "1"]).await;
        let refused = store.lock_and_bump(&bump(&["a/user/1"], &["a/user/2"])).await;
        server.command(&["CONFIG", "SET", "maxmemory", "0"]).await;

        assert!(matches!(refused, Err(StoreError::Unavailable { .. })), "{refused:?}");
        let after = store.lock_and_bump(&bump(&["a/user/1"], &[])).await.unwrap();
        assert_eq!(after.write[0].previous, Some(before.write[0].version));
        assert_eq!(after.taken_over, [before.op]);
    }
}
