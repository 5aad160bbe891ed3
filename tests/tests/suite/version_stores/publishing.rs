//! The publisher's side: chains, locks, intents, generations.

use super::*;

/// Makes the store trusted in this generation.
pub(super) async fn raise(store: &impl VersionStore, generation: u64) {
    if let Trust::Refused(refusal) = store.generation(generation).await.unwrap() {
        assert!(store.raise_generation(generation, &refusal).await.unwrap());
    }
}

pub(super) async fn a_sound_store_passes_its_check(store: impl Store) {
    store.check().await.unwrap();
}

pub(super) async fn a_key_s_writes_form_one_chain(store: impl Store) {
    // given
    raise(&store, 1).await;
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

pub(super) async fn readers_are_counted_by_endpoint_and_forgotten_by_a_write(store: impl Store) {
    // given
    raise(&store, 1).await;
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

pub(super) async fn a_read_of_a_key_without_a_version_is_dropped(store: impl Store) {
    raise(&store, 1).await;
    store.lock_and_bump(&bump(&["a/user/2"], &[])).await.unwrap();

    let bumped = store.lock_and_bump(&bump(&["a/post/1"], &["a/user/1", "a/user/2"])).await.unwrap();

    let read: Vec<Key> = bumped.read.into_iter().map(|read| read.key).collect();
    assert_eq!(read, [key("a/user/2")]);
}

pub(super) async fn a_bump_that_writes_nothing_is_refused(store: impl Store) {
    raise(&store, 1).await;
    let refused = store.lock_and_bump(&bump(&[], &["a/user/1"])).await;
    assert!(matches!(refused, Err(StoreError::Protocol(_))), "{refused:?}");
}

pub(super) async fn an_older_generation_counts_as_absent(store: impl Store) {
    // given
    raise(&store, 1).await;
    store.lock_and_bump(&bump(&["a/user/1"], &[])).await.unwrap();
    store.lock_and_bump(&bump(&["a/post/1"], &["a/user/1"])).await.unwrap();
    raise(&store, 2).await;

    // when
    let read = Bump { generation: 2, ..bump(&["a/post/2"], &["a/user/1"]) };
    let read = store.lock_and_bump(&read).await.unwrap();
    let written = store.lock_and_bump(&Bump { generation: 2, ..bump(&["a/user/1"], &[]) }).await.unwrap();

    // then
    assert_eq!(read.read, []);
    assert_eq!((written.write[0].previous, written.write[0].readers.len()), (None, 0));
}

pub(super) async fn a_stale_generation_is_refused_and_changes_nothing(store: impl Store) {
    raise(&store, 7).await;
    let stale = Bump { generation: 6, deadline: Duration::ZERO, ..bump(&["a/user/1"], &[]) };

    let refused = store.lock_and_bump(&stale).await;
    let refused_sync = store.versions_of(6, &[key("a/user/1")]).await;

    assert!(matches!(refused, Err(StoreError::StaleGeneration { used: 6, stored: 7 })), "{refused:?}");
    assert!(matches!(refused_sync, Err(StoreError::StaleGeneration { used: 6, stored: 7 })));
    assert!(!store.intent_exists(stale.op).await.unwrap());
    let bumped = store.lock_and_bump(&Bump { generation: 7, ..bump(&["a/user/1"], &[]) }).await.unwrap();
    assert_eq!((bumped.write[0].previous, bumped.taken_over), (None, vec![]));
}

pub(super) async fn a_missing_generation_is_refused_as_lost_writes(store: impl Store) {
    let trust = store.generation(0).await.unwrap();
    assert!(matches!(&trust, Trust::Refused(refusal) if refusal.stored.is_none()), "{trust:?}");
    let refused = store.lock_and_bump(&bump(&["a/user/1"], &[])).await;
    assert!(matches!(refused, Err(StoreError::LostWrites)), "{refused:?}");
    let refused = store.versions_of(1, &[key("a/user/1")]).await;
    assert!(matches!(refused, Err(StoreError::LostWrites)), "{refused:?}");
}

pub(super) async fn a_generation_is_raised_only_while_the_store_is_as_it_was_when_it_refused(
    store: impl Store,
) {
    // given two processes that have met the same loss
    let Trust::Refused(first) = store.generation(0).await.unwrap() else { panic!("it is new") };
    let Trust::Refused(second) = store.second_handle().generation(0).await.unwrap() else {
        panic!("it is new")
    };
    assert_eq!(first, second);
    // when one is slow, then the other one has raised it for both
    assert!(store.raise_generation(3, &first).await.unwrap());
    assert!(!store.raise_generation(2, &second).await.unwrap());
    assert_eq!(store.generation(3).await.unwrap(), Trust::Generation(3));
    // when it is slower than the next loss, then it does not vouch for what it knows nothing of
    store.wipe().await;
    assert!(matches!(store.generation(0).await.unwrap(), Trust::Refused(_)));
    assert!(!store.raise_generation(4, &second).await.unwrap());
    assert!(matches!(store.generation(0).await.unwrap(), Trust::Refused(_)));
}

pub(super) async fn a_generation_behind_that_of_the_database_is_refused(store: impl Store) {
    raise(&store, 3).await;
    let trust = store.generation(4).await.unwrap();
    assert!(matches!(&trust, Trust::Refused(refusal) if refusal.stored == Some(3)), "{trust:?}");
}

pub(super) async fn a_hundred_concurrent_bumps_of_one_key_form_one_chain(store: impl Store) {
    // given
    raise(&store, 1).await;
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

pub(super) async fn a_takeover_is_reported_and_has_the_earlier_op_looked_at_early(store: impl Store) {
    // given
    raise(&store, 1).await;
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

pub(super) async fn finish_removes_only_its_own_locks_and_is_repeatable(store: impl Store) {
    // given
    raise(&store, 1).await;
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

pub(super) async fn many_ops_with_many_keys_finish_at_once(store: impl Store) {
    // given
    raise(&store, 1).await;
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

pub(super) async fn the_order_of_an_app_is_bumped_without_a_lock(store: impl Store) {
    // given an app with a total order, and a writer that has not finished
    raise(&store, 1).await;
    let earlier = bump(&["a/post/1", "a/*"], &[]);
    let first = store.lock_and_bump(&earlier).await.unwrap();
    // when another one writes other rows
    let later = bump(&["a/post/2", "a/*"], &["a/post/1"]);
    let second = store.lock_and_bump(&later).await.unwrap();
    // then it follows in the order, and the first one, which may well be alive, is not looked at early:
    assert_eq!(first.write[1].key, key("a/*"));
    assert_eq!(second.write[1].previous, Some(first.write[1].version));
    assert!(second.write[1].version > first.write[1].version);
    assert_eq!((second.write[1].readers.len(), second.taken_over), (0, vec![]));
    let order = &store.versions_of(1, &[key("a/*")]).await.unwrap()[0];
    assert_eq!((order.version, order.locked), (second.write[1].version, false));
    // and a dead writer's place is in its intent.
    store.hasten(earlier.op, Duration::ZERO).await.unwrap();
    let overdue = store.overdue(10).await.unwrap();
    let intent = overdue.iter().find(|intent| intent.op == earlier.op).unwrap();
    assert_eq!(intent.write, first.write);
}

pub(super) async fn overdue_intents_come_oldest_first_with_what_they_bumped(store: impl Store) {
    // given
    raise(&store, 1).await;
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

pub(super) async fn hasten_brings_a_deadline_forward_and_never_back(store: impl Store) {
    raise(&store, 1).await;
    let op = bump(&["a/user/1"], &[]);
    store.lock_and_bump(&op).await.unwrap();

    store.hasten(Uuid::now_v7(), Duration::ZERO).await.unwrap();
    assert!(overdue_ops(&store).await.is_empty());
    store.hasten(op.op, Duration::ZERO).await.unwrap();
    assert_eq!(overdue_ops(&store).await, [op.op]);
    store.hasten(op.op, LATER).await.unwrap();
    assert_eq!(overdue_ops(&store).await, [op.op]);
}

pub(super) async fn a_lease_has_one_holder_who_can_renew_it(store: impl Store) {
    let (one, other) = (Uuid::now_v7(), Uuid::now_v7());

    assert!(store.lease("sweeper", one, LATER).await.unwrap());
    assert!(!store.lease("sweeper", other, LATER).await.unwrap());
    assert!(store.lease("recoverer", other, LATER).await.unwrap());
    assert!(store.lease("sweeper", one, Duration::from_millis(1)).await.unwrap());

    let taken = async { while !store.lease("sweeper", other, LATER).await.unwrap() {} };
    tokio::time::timeout(SOON, taken).await.expect("the lease did not end");
    assert!(!store.lease("sweeper", one, LATER).await.unwrap());
}

pub(super) async fn versions_of_reads_versions_and_locks_and_starts_new_chains(store: impl Store) {
    // given
    raise(&store, 1).await;
    let locked = bump(&["a/user/1"], &[]);
    let version = store.lock_and_bump(&locked).await.unwrap().write[0].version;

    // when
    let keys = [key("a/user/1"), key("a/user/2")];
    let versions = store.versions_of(1, &keys).await.unwrap();
    let again = store.versions_of(1, &keys).await.unwrap();

    // then
    assert_eq!(versions[0], KeyVersion { version, locked: true, unwritten: false });
    assert!(versions[1].unwritten && !versions[1].locked && versions[1].version >= version);
    assert_eq!(again, versions);
    raise(&store, 2).await;
    let raised = store.versions_of(2, &keys).await.unwrap();
    assert!(raised[0].version > version && raised[0].unwritten, "a new generation starts a new chain");
}

pub(super) async fn a_version_that_no_message_brings_is_nobody_s_predecessor_and_nobody_s_cause(
    store: impl Store,
) {
    // given a version that only a sync has read
    raise(&store, 1).await;
    let synced = store.versions_of(1, &[key("a/user/1")]).await.unwrap()[0].version;
    // when it is read, and written over
    let reader = store.lock_and_bump(&bump(&["a/post/1"], &["a/user/1"])).await.unwrap();
    let first = store.lock_and_bump(&bump(&["a/user/1"], &[])).await.unwrap();
    // then nobody waits for it, and what comes later is newer
    assert_eq!(reader.read, []);
    assert_eq!((first.write[0].previous, first.write[0].readers.len()), (None, 0));
    assert!(first.write[0].version > synced);
    // and from then on the chain is like any other
    let reader = store.lock_and_bump(&bump(&["a/post/2"], &["a/user/1"])).await.unwrap();
    let second = store.lock_and_bump(&bump(&["a/user/1"], &[])).await.unwrap();
    assert_eq!(reader.read[0].version, first.write[0].version);
    assert_eq!(second.write[0].previous, Some(first.write[0].version));
    assert_eq!(second.write[0].readers.len(), 1);
    assert!(!store.versions_of(1, &[key("a/user/1")]).await.unwrap()[0].unwritten);
}

pub(super) async fn versions_of_many_keys_keeps_their_order(store: impl Store) {
    raise(&store, 1).await;
    let keys: Vec<Key> = (0..2_000).map(|n| key(&format!("a/user/{n}"))).collect();
    let locked = Bump { write: vec![keys[1_234].clone()], ..bump(&[], &[]) };
    let version = store.lock_and_bump(&locked).await.unwrap().write[0].version;

    let versions = store.versions_of(1, &keys).await.unwrap();

    assert_eq!(versions.len(), keys.len());
    let of_locked: Vec<usize> = (0..keys.len()).filter(|&n| versions[n].locked).collect();
    assert_eq!((of_locked, versions[1_234].version), (vec![1_234], version));
}

pub(super) async fn a_wiped_store_works_again_in_a_raised_generation(store: impl Store) {
    // given
    raise(&store, 1).await;
    let other = store.second_handle();
    let before = store.lock_and_bump(&bump(&["a/user/1"], &[])).await.unwrap();
    other.lock_and_bump(&bump(&["a/user/1"], &[])).await.unwrap();

    // when
    store.wipe().await;
    let noticed = store.lock_and_bump(&bump(&["a/user/1"], &[])).await;
    raise(&store, 2).await;
    let stale = other.lock_and_bump(&bump(&["a/user/1"], &[])).await;
    let after = other.lock_and_bump(&Bump { generation: 2, ..bump(&["a/user/1"], &[]) }).await.unwrap();

    // then
    assert!(matches!(noticed, Err(StoreError::LostWrites)), "{noticed:?}");
    assert!(matches!(stale, Err(StoreError::StaleGeneration { used: 1, stored: 2 })), "{stale:?}");
    assert_eq!((after.write[0].previous, after.generation), (None, 2));
    assert!(after.write[0].version > before.write[0].version);
}
