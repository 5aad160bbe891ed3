//! What happens to a Redis server: each test has one of its own.

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

    async fn command(&self, words: &[&str]) -> ::redis::Value {
        let url = format!("redis://127.0.0.1:{}", self.port);
        let client = ::redis::Client::open(url).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        ::redis::cmd(words[0]).arg(&words[1..]).query_async(&mut connection).await.unwrap()
    }

    /// Becomes a replica of another one, and has all of its data.
    async fn follow(&self, first: &Self) {
        self.command(&["REPLICAOF", "127.0.0.1", &first.port.to_string()]).await;
        let joined = async {
            while !format!("{:?}", self.command(&["INFO", "replication"]).await)
                .contains("master_link_status:up")
            {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(SOON, joined).await.expect("the replica does not join");
    }

    async fn promote(&self) {
        self.command(&["REPLICAOF", "NO", "ONE"]).await;
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
                Err(StoreError::Unavailable { .. }) => tokio::time::sleep(Duration::from_millis(20)).await,
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
    raise(&store, 1).await;
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
    raise(&other, 2).await;
    let stale = answer(&store, &next).await;
    assert!(matches!(stale, Err(StoreError::StaleGeneration { used: 1, stored: 2 })), "{stale:?}");
    let after = answer(&store, &Bump { generation: 2, ..next }).await.unwrap();
    assert!(after.write[0].previous.is_none() && after.write[0].version > lost.write[0].version);
}

#[tokio::test]
async fn a_first_replica_that_joins_is_no_loss() {
    // given
    let server = Server::start().await;
    let store = server.store();
    raise(&store, 1).await;
    let before = store.lock_and_bump(&bump(&["a/user/1"], &[])).await.unwrap();
    // when
    let replica = Server::start().await;
    replica.follow(&server).await;
    // then neither who knows the server nor who connects now thinks that it has lost anything
    for store in [&store, &server.store()] {
        assert!(matches!(store.generation(1).await.unwrap(), Trust::Generation(1)));
    }
    let after = server.store().lock_and_bump(&bump(&["a/user/1"], &[])).await.unwrap();
    assert_eq!(after.write[0].previous, Some(before.write[0].version));
}

#[tokio::test]
async fn a_server_that_was_a_replica_for_a_while_is_not_trusted() {
    // given a replica that was promoted and lacks what was written last
    let (server, replica) = (Server::start().await, Server::start().await);
    let store = server.store();
    raise(&store, 1).await;
    replica.follow(&server).await;
    replica.promote().await;
    store.lock_and_bump(&bump(&["a/user/1"], &[])).await.unwrap();
    // when the first server takes its data over and is promoted itself
    server.follow(&replica).await;
    server.promote().await;
    // then whoever looks sees it, also on a connection of before
    for store in [&store, &server.store()] {
        assert!(matches!(store.generation(1).await.unwrap(), Trust::Refused(_)));
        let refused = store.lock_and_bump(&bump(&["a/user/1"], &[])).await;
        assert!(matches!(refused, Err(StoreError::LostWrites)), "{refused:?}");
    }
}

#[tokio::test]
async fn a_cache_from_an_old_snapshot_is_not_believed() {
    // given
    let mut server = Server::start().await;
    let (store, other) = (server.store(), server.store());
    let cache = store.load(&[]).await.unwrap().cache;
    store.rebuild(&cache, &[(key("a/user/1"), version(1))]).await.unwrap();
    server.command(&["SAVE"]).await;
    store.advance(&[wrote("a/user/1", version(2))]).await.unwrap();

    // when
    server.kill_and_restart().await;

    // then
    let keys = [key("a/user/1")];
    let loaded = tokio::time::timeout(SOON, async {
        loop {
            // The connection has to come back first.
            if let Ok(loaded) = other.load(&keys).await {
                return loaded;
            }
            tokio::task::yield_now().await;
        }
    });
    let loaded = loaded.await.expect("the connection does not come back");
    assert_eq!(loaded.applied, [Applied::default()]);
    assert_eq!(other.rebuild(&cache, &[(key("a/user/1"), version(1))]).await.unwrap(), None);
}

#[tokio::test]
async fn an_empty_restart_is_noticed_and_announcements_come_back() {
    let mut server = Server::start().await;
    let store = server.store();
    let mut receiver = store.announcements().await.unwrap();
    raise(&store, 1).await;

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
    raise(&store, 1).await;

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
    raise(&store, 1).await;
    let before = store.lock_and_bump(&bump(&["a/user/1"], &[])).await.unwrap();

    server.command(&["CONFIG", "SET", "maxmemory", "1"]).await;
    let refused = store.lock_and_bump(&bump(&["a/user/1"], &["a/user/2"])).await;
    server.command(&["CONFIG", "SET", "maxmemory", "0"]).await;

    assert!(matches!(refused, Err(StoreError::Unavailable { .. })), "{refused:?}");
    let after = store.lock_and_bump(&bump(&["a/user/1"], &[])).await.unwrap();
    assert_eq!(after.write[0].previous, Some(before.write[0].version));
    assert_eq!(after.taken_over, [before.op]);
}
