//! The harness itself: a test can trust what it stands on.

use std::io::ErrorKind;
use std::time::Duration;

use futures_util::FutureExt;
use promiscuous_tests::databases::TestDatabase;
use promiscuous_tests::processes::Process;
use promiscuous_tests::proxy::Proxy;
use promiscuous_tests::{servers, unique_app, until};
use sea_orm::{ConnectionTrait, DatabaseConnection, Statement};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

async fn text(database: &DatabaseConnection, query: &str) -> String {
    let statement = Statement::from_string(database.get_database_backend(), query);
    let row = database.query_one_raw(statement).await.unwrap().expect("The query has one row.");
    row.try_get_by_index::<String>(0).unwrap()
}

/// Two databases of a kind: what is created in the first must not be in the second.
async fn are_apart(first: &TestDatabase, second: &TestDatabase) {
    for database in [first, second] {
        let connection = database.connect(2).await;
        connection.execute_unprepared("CREATE TABLE t (name VARCHAR(20))").await.unwrap();
        connection.execute_unprepared("INSERT INTO t VALUES ('snow ☃ 𝄞')").await.unwrap();
        assert_eq!(text(&connection, "SELECT name FROM t").await, "snow ☃ 𝄞");
    }
}

#[tokio::test]
async fn each_test_has_its_own_postgres_database() {
    let database = TestDatabase::postgres().await;
    are_apart(&database, &TestDatabase::postgres().await).await;
    let connection = database.connect(1).await;
    assert_eq!(text(&connection, "SHOW fsync").await, "on");
}

#[tokio::test]
async fn each_test_has_its_own_mariadb_database() {
    are_apart(&TestDatabase::mariadb().await, &TestDatabase::mariadb().await).await;
}

#[tokio::test]
async fn each_test_has_its_own_sqlite_database_in_wal_mode() {
    let database = TestDatabase::sqlite().await;
    are_apart(&database, &TestDatabase::sqlite().await).await;
    let connection = database.connect(1).await;
    assert_eq!(text(&connection, "PRAGMA journal_mode").await, "wal");
}

#[tokio::test]
async fn redis_answers_and_evicts_nothing() {
    let client = redis::Client::open(servers::redis_url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let policy: Vec<String> =
        redis::cmd("CONFIG").arg("GET").arg("maxmemory-policy").query_async(&mut connection).await.unwrap();
    assert_eq!(policy[1], "noeviction");
}

#[tokio::test]
async fn rabbitmq_opens_a_channel() {
    let options = lapin::ConnectionProperties::default();
    let connection = lapin::Connection::connect(&servers::amqp_url(), options).await.unwrap();
    connection.create_channel().await.unwrap();
}

#[test]
fn app_names_are_unique() {
    let (first, second) = (unique_app("shop"), unique_app("shop"));
    assert_ne!(first, second);
    let suffix = first.strip_prefix("shop-").unwrap();
    assert!(suffix.len() == 8 && suffix.chars().all(|digit| digit.is_ascii_hexdigit()), "{first}");
}

#[tokio::test]
#[should_panic(expected = "Waited 100ms in vain for a miracle.")]
async fn waiting_in_vain_ends_with_a_sentence() {
    until(Duration::from_millis(100), "a miracle", async || None).await
}

fn shell(script: &str) -> promiscuous_tests::processes::Builder {
    Process::new("/bin/sh").arg("-c").arg(script)
}

#[tokio::test]
async fn lines_of_a_process_are_events_in_order() {
    let mut process = shell("echo starting; echo ready $NAME; echo late; exit 3").env("NAME", "shop").spawn();
    assert_eq!(process.wait_for_line("ready").await, "ready shop");
    assert_eq!(process.wait().await.code(), Some(3));
    assert_eq!(process.said(), ["starting", "ready shop", "late"]);
}

#[tokio::test]
#[should_panic(expected = "The process ended before a line with \"ready\". It has said:\nsorry")]
async fn a_process_that_ends_early_fails_the_wait() {
    shell("echo sorry").spawn().wait_for_line("ready").await;
}

#[tokio::test]
async fn a_process_gets_its_signals() {
    let mut process =
        shell("trap 'echo asked; exit 7' TERM; echo ready; while :; do sleep 0.01; done").spawn();
    process.wait_for_line("ready").await;
    process.pause();
    let status = format!("/proc/{}/status", process.id().unwrap());
    until(Duration::from_secs(5), "the process to stop", async || {
        std::fs::read_to_string(&status).unwrap().contains("State:\tT").then_some(())
    })
    .await;
    process.terminate();
    process.resume();
    process.wait_for_line("asked").await;
    assert_eq!(process.wait().await.code(), Some(7));
}

#[tokio::test]
async fn a_dropped_process_is_gone() {
    let mut process = shell("echo ready; exec sleep 1000").spawn();
    process.wait_for_line("ready").await;
    let id = process.id().unwrap();
    drop(process);
    until(Duration::from_secs(5), "the process to be gone", async || {
        let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
        (status.is_empty() || status.contains("State:\tZ")).then_some(())
    })
    .await;
}

/// A server that says back what it hears.
async fn echo() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut reads, mut writes) = client.split();
                tokio::io::copy(&mut reads, &mut writes).await
            });
        }
    });
    address
}

async fn hears(client: &mut TcpStream, text: &str) {
    let mut heard = vec![0; text.len()];
    client.read_exact(&mut heard).await.unwrap();
    assert_eq!(heard, text.as_bytes());
}

#[tokio::test]
async fn a_cut_proxy_drops_connections_and_refuses_new_ones_until_it_resumes() {
    let proxy = Proxy::to(&echo().await).await;
    let mut client = TcpStream::connect(proxy.address()).await.unwrap();
    client.write_all(b"one").await.unwrap();
    hears(&mut client, "one").await;
    assert_eq!(proxy.connections(), 1);

    proxy.cut().await;
    assert_eq!(client.read(&mut [0; 8]).await.unwrap_or(0), 0, "The connection must be gone.");
    let refused = TcpStream::connect(proxy.address()).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);

    proxy.resume().await;
    let mut client = TcpStream::connect(proxy.address()).await.unwrap();
    client.write_all(b"two").await.unwrap();
    hears(&mut client, "two").await;
}

#[tokio::test]
async fn a_stalled_proxy_holds_bytes_until_it_resumes() {
    let proxy = Proxy::to(&echo().await).await;
    let mut client = TcpStream::connect(proxy.address()).await.unwrap();
    client.write_all(b"one").await.unwrap();
    hears(&mut client, "one").await;

    proxy.stall();
    client.write_all(b"two").await.unwrap();
    let mut buffer = [0; 8];
    // The only sleep here: that nothing comes has no event.
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(client.read(&mut buffer).now_or_never().is_none(), "Bytes must be held.");

    proxy.resume().await;
    hears(&mut client, "two").await;
}

#[tokio::test]
async fn a_url_leads_through_the_proxy() {
    let (proxy, url) = Proxy::to_url(&servers::redis_url()).await;
    let client = redis::Client::open(url).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let pong: String = redis::cmd("PING").query_async(&mut connection).await.unwrap();
    assert_eq!(pong, "PONG");
    assert_eq!(proxy.connections(), 1);
}

/// Tests that kill servers of their own; nextest runs one at a time.
mod faults {
    use super::*;
    use promiscuous_tests::servers::{PrivateServers, Server};

    #[tokio::test]
    async fn a_killed_server_comes_back_at_the_same_address_with_its_data() {
        let servers = PrivateServers::new(&[Server::Postgres]).await;
        let database = TestDatabase::on(servers.url(Server::Postgres)).await;
        let connection = database.connect(1).await;
        connection.execute_unprepared("CREATE TABLE t AS SELECT 'kept' AS name").await.unwrap();
        drop(connection);

        servers.kill(&[Server::Postgres]).await;
        servers.start(&[Server::Postgres]).await;
        assert_eq!(text(&database.connect(1).await, "SELECT name FROM t").await, "kept");
    }

    #[tokio::test]
    async fn a_paused_server_answers_after_it_resumes() {
        let servers = PrivateServers::new(&[Server::Redis]).await;
        let client = redis::Client::open(servers.url(Server::Redis)).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        servers.pause(Server::Redis);
        let ping = redis::cmd("PING");
        let mut answer = Box::pin(ping.query_async::<String>(&mut connection));
        assert!(tokio::time::timeout(Duration::from_millis(100), &mut answer).await.is_err());
        servers.resume(Server::Redis);
        assert_eq!(answer.await.unwrap(), "PONG");
    }
}
