//! What only a Redis server can do to a store.

use super::*;

#[tokio::test]
async fn a_flushed_script_cache_is_survived_and_loses_nothing() {
    // given
    let store = OnRedis::fresh();
    raise(&store, 1).await;
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
    raise(&store, 1).await;
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
    raise(&store, 2).await;
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
    raise(&store, 1).await;
    store.lock_and_bump(&bump(&["a/user/1"], &[])).await.unwrap();
    let cache = store.load(&[]).await.unwrap().cache;
    store.rebuild(&cache, &[(key("a/user/1"), version(1))]).await.unwrap();

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
    raise(&store, 1).await;

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
    assert!(error.to_string().contains("127.0.0.1:1") && !error.to_string().contains("secret"), "{error}");
}
