//! The subscriber's side: the cache of what was applied.

use super::*;

pub(super) fn version(version: u64) -> Version {
    Version::new(1, version)
}

pub(super) fn wrote(name: &str, version: Version) -> Advance {
    Advance { writes: vec![(key(name), version)], reads: vec![], readers_unknown: false }
}

pub(super) fn has_read(name: &str, version: Version, ordinal: u64) -> Advance {
    let ordinals = BTreeMap::from([(endpoint("a/post"), ordinal)]);
    Advance { writes: vec![], reads: vec![(key(name), version, ordinals)], readers_unknown: false }
}

/// What a load does with keys that the database does not know.
pub(super) async fn learn<'k>(store: &impl Store, names: impl IntoIterator<Item = &'k str>) {
    let nothing: Vec<(Key, Version)> = names.into_iter().map(|name| (key(name), NOTHING)).collect();
    rebuild(store, &nothing).await;
}

pub(super) async fn rebuild(store: &impl Store, versions: &[(Key, Version)]) {
    let cache = store.load(&[]).await.unwrap().cache;
    assert!(store.rebuild(&cache, versions).await.unwrap().is_some());
}

pub(super) async fn applied(store: &impl Store, name: &str) -> Applied {
    store.load(&[key(name)]).await.unwrap().applied.remove(0)
}

/// The ordinals of `a/post` that were seen.
pub(super) async fn seen(store: &impl Store, name: &str) -> Ordinals {
    let readers = applied(store, name).await.readers.expect("readers are known");
    readers.get(&endpoint("a/post")).cloned().unwrap_or_default()
}

pub(super) async fn advancing_again_changes_nothing(store: impl Store) {
    // given
    let batch = [
        wrote("a/user/1", version(10)),
        has_read("a/user/1", version(10), 1),
        has_read("a/user/1", version(10), 2),
        Advance { readers_unknown: true, ..wrote("a/user/2", version(20)) },
    ];
    learn(&store, ["a/user/1", "a/user/2"]).await;
    store.advance(&batch).await.unwrap();
    let keys = [key("a/user/1"), key("a/user/2"), key("a/user/3")];
    let before = store.load(&keys).await.unwrap().applied;

    // when
    store.advance(&batch).await.unwrap();
    store.advance(&batch[..1]).await.unwrap();
    store.advance(&batch[1..2]).await.unwrap();

    // then
    assert_eq!(store.load(&keys).await.unwrap().applied, before);
    assert_eq!(before[0].version, Some(version(10)));
    assert_eq!(seen(&store, "a/user/1").await.up_to, 2);
    assert_eq!(before[1], Applied { version: Some(version(20)), readers: None });
    assert_eq!(before[2], Applied::default());
}

pub(super) async fn an_applied_version_only_grows(store: impl Store) {
    learn(&store, ["a/user/1"]).await;
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

pub(super) async fn readers_count_while_their_version_is_the_last_one(store: impl Store) {
    store.advance(&[has_read("a/user/1", version(10), 1)]).await.unwrap();
    assert_eq!(applied(&store, "a/user/1").await, Applied::default());

    learn(&store, ["a/user/1"]).await;
    store.advance(&[wrote("a/user/1", version(10)), has_read("a/user/1", version(10), 1)]).await.unwrap();
    store
        .advance(&[has_read("a/user/1", version(9), 2), has_read("a/user/1", version(11), 2)])
        .await
        .unwrap();
    assert_eq!(seen(&store, "a/user/1").await.up_to, 1);

    store.advance(&[wrote("a/user/1", version(12))]).await.unwrap();
    assert_eq!(seen(&store, "a/user/1").await, Ordinals::default());
}

pub(super) async fn readers_out_of_order_fill_the_gaps(store: impl Store) {
    learn(&store, ["a/user/1"]).await;
    store.advance(&[wrote("a/user/1", version(10))]).await.unwrap();
    let mut expected = Ordinals::default();
    for ordinal in [3, 5, 4, 9, 7, 3, 1, 8, 1, 2, 6, 12] {
        store.advance(&[has_read("a/user/1", version(10), ordinal)]).await.unwrap();
        expected.insert(ordinal);
        assert_eq!(seen(&store, "a/user/1").await, expected, "after {ordinal}");
    }
    assert_eq!(expected, Ordinals { up_to: 9, beyond: BTreeSet::from([12]) });
}

pub(super) async fn readers_of_synced_and_rebuilt_keys_are_unknown(store: impl Store) {
    learn(&store, ["a/user/1"]).await;
    store.advance(&[Advance { readers_unknown: true, ..wrote("a/user/1", version(10)) }]).await.unwrap();
    rebuild(&store, &[(key("a/user/2"), version(10))]).await;

    for name in ["a/user/1", "a/user/2"] {
        store.advance(&[has_read(name, version(10), 1)]).await.unwrap();
        assert_eq!(applied(&store, name).await, Applied { version: Some(version(10)), readers: None });
        store.advance(&[wrote(name, version(11)), has_read(name, version(11), 1)]).await.unwrap();
        assert_eq!(seen(&store, name).await.up_to, 1);
    }
}

pub(super) async fn a_rebuild_keeps_what_is_newer(store: impl Store) {
    learn(&store, ["a/user/1"]).await;
    store.advance(&[wrote("a/user/1", version(10)), has_read("a/user/1", version(10), 1)]).await.unwrap();
    rebuild(&store, &[(key("a/user/1"), version(9)), (key("a/user/1"), version(10))]).await;
    assert_eq!(applied(&store, "a/user/1").await.version, Some(version(10)));
    assert_eq!(seen(&store, "a/user/1").await.up_to, 1);
}

pub(super) async fn next_keys(receiver: &mut Receiver<Announcement>) -> Vec<Key> {
    match tokio::time::timeout(SOON, receiver.recv()).await.expect("nothing was announced").unwrap() {
        Announcement::Advanced(mut keys) => {
            keys.sort_unstable();
            keys
        }
        Announcement::Lost => panic!("announcements were lost"),
    }
}

pub(super) async fn announcements_reach_every_handle_and_only_news_is_announced(store: impl Store) {
    // given
    learn(&store, ["a/user/1", "a/user/2"]).await;
    let other = store.second_handle();
    let mut receivers = [store.announcements().await.unwrap(), other.announcements().await.unwrap()];

    // when
    let batch =
        [wrote("a/user/1", version(10)), wrote("a/user/2", version(10)), wrote("a/user/1", version(9))];
    store.advance(&batch).await.unwrap();
    store.advance(&batch).await.unwrap();
    rebuild(&store, &[(key("a/user/3"), version(1))]).await;
    other.advance(&[has_read("a/user/2", version(10), 1)]).await.unwrap();

    // then
    for receiver in &mut receivers {
        assert_eq!(next_keys(receiver).await, [key("a/user/1"), key("a/user/2")]);
        assert_eq!(next_keys(receiver).await, [key("a/user/2")]);
    }
}

/// What was applied of a key that the cache does not know may be older than what the database knows, and its readers may have been
/// missed.
pub(super) async fn what_is_advanced_unseen_is_known_only_once_the_database_says_as_much(store: impl Store) {
    // Somebody has looked it up, and reads the database.
    assert_eq!(applied(&store, "a/user/1").await, Applied::default());

    store.advance(&[wrote("a/user/1", version(10)), has_read("a/user/1", version(10), 1)]).await.unwrap();
    assert_eq!(applied(&store, "a/user/1").await, Applied::default());

    rebuild(&store, &[(key("a/user/1"), version(9))]).await;
    assert_eq!(
        applied(&store, "a/user/1").await,
        Applied::default(),
        "it was read before that was committed"
    );

    rebuild(&store, &[(key("a/user/1"), version(11))]).await;
    assert_eq!(applied(&store, "a/user/1").await, Applied { version: Some(version(11)), readers: None });
}

pub(super) async fn what_was_read_for_a_lost_cache_does_not_get_into_the_next_one(store: impl Store) {
    // given
    let before = store.load(&[key("a/user/1")]).await.unwrap().cache;
    // when
    store.wipe().await;
    let after = store.second_handle().load(&[]).await.unwrap().cache;
    // then
    assert_ne!(before, after);
    assert_eq!(store.rebuild(&before, &[(key("a/user/1"), version(10))]).await.unwrap(), None);
    assert_eq!(applied(&store, "a/user/1").await, Applied::default());
    let put = store.rebuild(&after, &[(key("a/user/1"), version(10)), (key("a/user/1"), version(10))]).await;
    assert_eq!(put.unwrap(), Some(vec![true, false]), "what is there already is not put there");
    assert_eq!(applied(&store, "a/user/1").await.version, Some(version(10)));
}

pub(super) async fn a_wiped_cache_knows_nothing_and_can_be_rebuilt(store: impl Store) {
    learn(&store, ["a/user/1"]).await;
    store.advance(&[wrote("a/user/1", version(10)), has_read("a/user/1", version(10), 1)]).await.unwrap();

    store.wipe().await;
    assert_eq!(applied(&store, "a/user/1").await, Applied::default());

    rebuild(&store, &[(key("a/user/1"), version(10))]).await;
    assert_eq!(applied(&store, "a/user/1").await, Applied { version: Some(version(10)), readers: None });
}

pub(super) async fn a_batch_of_thousands_is_applied_in_order(store: impl Store) {
    // given
    learn(&store, ["a/user/1"]).await;
    let posts: Vec<String> = (0..2_000).map(|n| format!("a/post/{n}")).collect();
    learn(&store, posts.iter().map(String::as_str)).await;
    let batch: Vec<Advance> = (1..2_001)
        .flat_map(|n| [wrote("a/user/1", version(n)), wrote(&format!("a/post/{}", n - 1), version(n))])
        .collect();

    // when
    store.advance(&batch).await.unwrap();
    let keys: Vec<Key> = (0..2_000).map(|n| key(&format!("a/post/{n}"))).collect();
    let loaded = store.load(&keys).await.unwrap().applied;

    // then
    assert_eq!(applied(&store, "a/user/1").await.version, Some(version(2_000)));
    assert!((1..).zip(&loaded).all(|(n, applied)| applied.version == Some(version(n))));
    store.advance(&[]).await.unwrap();
    rebuild(&store, &[]).await;
    assert_eq!(store.load(&[]).await.unwrap().applied, []);
}
