//! The rules of the protocol, each with a switch, so that the checker can show what each one is for.

macro_rules! rules {
    ($($(#[doc = $doc:literal])+ $name:ident: $code:literal,)+) => {
        /// Which rules hold.
        #[derive(Debug, Clone, Copy)]
        pub struct Rules {
            $($(#[doc = $doc])+ pub $name: bool,)+
        }

        impl Rules {
            /// The rules that the code follows today. A rule that is not in the code yet is false here, and has a test in `gaps`.
            pub const CODE: Self = Self { $($name: $code,)+ };
        }
    };
}

rules! {
    // Section 4: versions.
    /// A bump is refused when the store has another generation than the caller, or none that can be trusted.
    bump_checks_generation: true,
    /// A store that may have lost writes is trusted again only with a higher generation.
    loss_raises_generation: true,
    /// A hash of an older generation counts as absent.
    older_hash_is_absent: true,
    /// Reads and writes of one message are bumped in one call.
    bump_is_atomic: true,
    /// Readers are counted per endpoint.
    readers_per_endpoint: true,

    // Section 5: publishing a write.
    /// The database decides first: the bump comes after the row locks.
    database_before_redis: true,
    /// The outbox row is part of the writer's transaction.
    outbox_in_transaction: true,
    /// The broker is last: nothing is published before COMMIT.
    commit_before_broker: true,
    /// An outbox row goes only after the confirm.
    confirm_before_delete: true,
    /// An outbox row goes only after *finish* has succeeded.
    finish_before_delete: true,
    /// *Finish* removes only the locks that still name its op.
    finish_removes_own_locks: true,

    // Section 6: recovery.
    /// The outbox is swept: what a writer left there is published.
    outbox_is_swept: true,
    /// Intents are recovered: what a writer left undecided is decided.
    intents_are_recovered: true,
    /// A recoverer inserts a tombstone under the op's primary key, rather than look whether the row is there.
    tombstone_is_inserted: true,
    /// Before its COMMIT, the recoverer checks that the intent still exists.
    intent_is_checked_again: true,
    /// The tombstone is committed before the intent is removed.
    tombstone_before_finish: true,
    /// Published tombstones are kept.
    tombstones_are_kept: true,
    /// A dummy consumes its op's reads, not just its versions.
    dummy_consumes_reads: true,

    // Section 7: subscribing.
    /// A write waits for the version before it.
    wait_for_previous: true,
    /// A write waits for the readers of the version before it.
    wait_for_readers: true,
    /// A message waits for the versions that it read.
    wait_for_reads: true,
    /// Keys of endpoints that are not subscribed are ignored.
    only_subscribed_keys: true,
    /// `promiscuous_versions` is written in the same transaction as the row.
    versions_with_rows: true,
    /// An operation is applied only when its version is newer.
    only_newer: true,
    /// A destroyed key keeps its version.
    destroyed_keeps_version: true,
    /// What Redis does not know is read from the database.
    database_is_the_truth: true,
    /// In Redis, a version only grows.
    cache_only_grows: true,
    /// A reader sets the bit of its ordinal, rather than being counted.
    readers_are_ordinals: true,
    /// A message advances Redis also when all its operations were skipped.
    skipped_advances_too: true,
    /// A message is acknowledged after it was applied.
    apply_before_ack: true,
    /// A message is acknowledged after Redis was advanced.
    advance_before_ack: true,

    // Rules that the checker asked for (docs/proof.md).
    /// The cache remembers which keys the database does not know.
    cache_remembers_absence: true,
    /// Only what was read from the database puts an unknown key into the cache; a worker that advances it there only says what whoever
    /// reads the database has to find.
    cache_is_filled_by_loads: true,
    /// Who puts something into the cache says which cache did not know it: after a flush that is refused.
    loads_name_the_cache: true,
    /// A dummy advances what others wait for, and not what an operation must be newer than.
    dummy_hides_nothing: true,
    /// Losses are noticed without a write, and nobody waits for ever for a version of a generation that is over.
    waits_end_with_generation: true,
    /// A store's generation is raised only while the store is as it was when it refused.
    raise_compares: true,
}
