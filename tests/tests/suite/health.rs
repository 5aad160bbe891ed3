//! What health probes and error trackers are told.

use std::net::SocketAddr;
use std::sync::mpsc;
use std::time::Duration;

use promiscuous_core::broker::Broker;
use promiscuous_core::health::Level;
use promiscuous_core::notice::{Notice, on_error};
use promiscuous_tests::conformance::Stack;
use promiscuous_tests::deaths::PANIC_AT;
use promiscuous_tests::proxy::Proxy;
use promiscuous_tests::{servers, until};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::apps::Publishing;
use crate::core_tables::{bank, totals};
use crate::parking::deposit;
use crate::replica::{Kind, SOON};

/// The status and the body of an answer; none when nobody answers.
async fn probe(at: SocketAddr, path: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(at).await.ok()?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.ok()?;
    let status = answer.split(' ').nth(1)?.parse().ok()?;
    Some((status, answer.split("\r\n\r\n").nth(1).unwrap_or_default().to_owned()))
}

async fn until_probed(at: SocketAddr, path: &str, wanted: u16) -> String {
    let what = format!("{path} to answer {wanted}");
    until(SOON, &what, async || {
        probe(at, path).await.filter(|(status, _)| *status == wanted).map(|(_, body)| body)
    })
    .await
}

fn address(line: &str) -> SocketAddr {
    let (_, at) = line.rsplit_once("at=").expect("The line tells the address.");
    at.trim().parse().expect("It is one.")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_tells_probes_whether_it_consumes() {
    // Given a worker whose way to the broker is cut.
    let (broker, amqp_url) = Proxy::to_url(&servers::amqp_url()).await;
    let publishing = Publishing::new(Stack::SEAORM_POSTGRES).await;
    let subscribing = publishing.subscribing(Stack::SEAORM_POSTGRES, &["counter"]).await;
    broker.cut().await;
    let process =
        subscribing.process().env("AMQP_URL", amqp_url).env("RUST_LOG", "info").env("NO_COLOR", "1");
    let mut process = process.arg("--health").arg("127.0.0.1:0").with_log().spawn();
    let at = address(&process.wait_for_line("answering /healthz and /readyz").await);
    // Then it lives, and is not ready.
    until_probed(at, "/healthz", 200).await;
    let body = until_probed(at, "/readyz", 503).await;
    assert!(body.contains("not_ready") && body.contains("subscriber"), "{body}");
    assert!(!body.contains("guest"), "{body}");
    // When the broker is there, then it is; when it goes again, then no more.
    broker.resume().await;
    until_probed(at, "/readyz", 200).await;
    broker.cut().await;
    until_probed(at, "/readyz", 503).await;
    until_probed(at, "/healthz", 200).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_publisher_whose_task_has_died_is_told_apart_from_one_that_waits_for_a_server() {
    // Given a publisher that cannot reach the broker, and one whose publishing task panics.
    let (broker, amqp_url) = Proxy::to_url(&servers::amqp_url()).await;
    broker.cut().await;
    let publishing = Publishing::new(Stack::SEAORM_POSTGRES).await;
    let waiting = publishing.process(&["create:1"]).env("AMQP_URL", amqp_url).env("HEALTH", "127.0.0.1:0");
    let mut waiting = waiting.spawn();
    let at = address(&waiting.wait_for_line("health at=").await);
    waiting.wait_for_line("done create:1").await;
    // Then the first one is degraded, but alive and ready: its writes go on,
    let degraded = until(SOON, "a degraded sweeper", async || {
        probe(at, "/readyz").await.filter(|(_, body)| body.contains("the outbox cannot be published"))
    });
    assert_eq!(degraded.await.0, 200);
    until_probed(at, "/healthz", 200).await;

    let dying = publishing.process(&["create:2"]).env(PANIC_AT, "before_finish").env("HEALTH", "127.0.0.1:0");
    let mut dying = dying.spawn();
    let at = address(&dying.wait_for_line("health at=").await);
    // and the second one is dead, and says of what.
    let body = until_probed(at, "/healthz", 503).await;
    assert!(body.contains("publishing") && body.contains("it has ended by itself"), "{body}");
    until_probed(at, "/readyz", 503).await;
}

#[tokio::test]
async fn whoever_waits_for_too_long_turns_health_red_and_is_told_once() {
    // Given a notifier, and a subscriber that reports after a moment, when blocked messages are parked.
    let (told, notices) = mpsc::channel();
    on_error(move |notice| drop(told.send(notice.clone()))).unwrap();
    let mut pair = bank(Kind::Sqlite, Kind::Sqlite);
    pair.subscribing = |settings| {
        settings.prefetch = 1;
        settings.blocked_after = Duration::from_millis(50);
    };
    let replica = pair.start().await;
    until(SOON, "a healthy subscriber", async || replica.health.healthy().then_some(())).await;
    // When a message waits for its cause,
    for published in replica.broker.publish(vec![deposit(1, 1, 2)]).await {
        published.unwrap();
    }
    // Then health says for what,
    let report = until(SOON, "a report", async || {
        Some(replica.health.report()).filter(|report| report.level == Level::NotReady)
    })
    .await;
    assert!(report.to_string().contains("shop/deposit/1"), "{report}");
    // until the cause has come.
    for published in replica.broker.publish(vec![deposit(1, 0, 1)]).await {
        published.unwrap();
    }
    until(SOON, "the total", async || (totals(&replica).await == [3]).then_some(())).await;
    until(SOON, "health", async || replica.health.healthy().then_some(())).await;
    // And the notifier was told of it, once.
    let blocked: Vec<_> =
        notices.try_iter().filter(|notice| matches!(notice, Notice::Blocked { .. })).collect();
    let [Notice::Blocked { waits_for, .. }] = blocked.as_slice() else { panic!("{blocked:?}") };
    assert_eq!(waits_for, "shop/deposit/1");
}
