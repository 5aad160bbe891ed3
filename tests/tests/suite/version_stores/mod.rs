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
    Advance, Announcement, Applied, AppliedStore, Bump, Bumped, CacheId, Finish, KeyVersion, Loaded, NOTHING,
    Ordinals, Refusal, StoreError, Survey, Trust, VersionStore,
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
    async fn generation(&self, at_least: u64) -> Result<Trust, StoreError> {
        self.store.generation(at_least).await
    }
    async fn raise_generation(&self, generation: u64, refused: &Refusal) -> Result<bool, StoreError> {
        self.store.raise_generation(generation, refused).await
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
    async fn intents(&self, limit: usize) -> Result<Vec<Bumped>, StoreError> {
        self.store.intents(limit).await
    }
    async fn survey(&self) -> Result<Survey, StoreError> {
        self.store.survey().await
    }
    async fn hasten(&self, op: Uuid, delay: Duration) -> Result<(), StoreError> {
        self.store.hasten(op, delay).await
    }
    async fn lease(&self, name: &str, owner: Uuid, for_how_long: Duration) -> Result<bool, StoreError> {
        self.store.lease(name, owner, for_how_long).await
    }
    async fn versions_of(&self, generation: u64, keys: &[Key]) -> Result<Vec<KeyVersion>, StoreError> {
        self.store.versions_of(generation, keys).await
    }
}

#[async_trait::async_trait]
impl AppliedStore for OnRedis {
    async fn load(&self, keys: &[Key]) -> Result<Loaded, StoreError> {
        self.store.load(keys).await
    }
    async fn rebuild(
        &self,
        cache: &CacheId,
        versions: &[(Key, Version)],
    ) -> Result<Option<Vec<bool>>, StoreError> {
        self.store.rebuild(cache, versions).await
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

mod applied;
mod publishing;
mod redis_lifecycle;
mod redis_server;
mod surveys;

use applied::*;
use publishing::*;
use surveys::*;

conformance! {
    a_sound_store_passes_its_check
    a_key_s_writes_form_one_chain
    readers_are_counted_by_endpoint_and_forgotten_by_a_write
    a_read_of_a_key_without_a_version_is_dropped
    a_bump_that_writes_nothing_is_refused
    an_older_generation_counts_as_absent
    a_stale_generation_is_refused_and_changes_nothing
    a_missing_generation_is_refused_as_lost_writes
    a_generation_is_raised_only_while_the_store_is_as_it_was_when_it_refused
    a_generation_behind_that_of_the_database_is_refused
    a_hundred_concurrent_bumps_of_one_key_form_one_chain
    a_takeover_is_reported_and_has_the_earlier_op_looked_at_early
    finish_removes_only_its_own_locks_and_is_repeatable
    many_ops_with_many_keys_finish_at_once
    the_order_of_an_app_is_bumped_without_a_lock
    overdue_intents_come_oldest_first_with_what_they_bumped
    a_survey_tells_how_the_store_is_and_changes_nothing
    intents_are_told_whether_overdue_or_not
    hasten_brings_a_deadline_forward_and_never_back
    a_lease_has_one_holder_who_can_renew_it
    versions_of_reads_versions_and_locks_and_starts_new_chains
    a_version_that_no_message_brings_is_nobody_s_predecessor_and_nobody_s_cause
    versions_of_many_keys_keeps_their_order
    a_wiped_store_works_again_in_a_raised_generation
    advancing_again_changes_nothing
    an_applied_version_only_grows
    readers_count_while_their_version_is_the_last_one
    readers_out_of_order_fill_the_gaps
    readers_of_synced_and_rebuilt_keys_are_unknown
    a_rebuild_keeps_what_is_newer
    announcements_reach_every_handle_and_only_news_is_announced
    what_is_advanced_unseen_is_known_only_once_the_database_says_as_much
    what_was_read_for_a_lost_cache_does_not_get_into_the_next_one
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
