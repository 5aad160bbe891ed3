//! The harness: what tests and benchmarks of Promiscuous stand on.
//!
//! # Layout
//!
//! * [`servers`]: the addresses of the servers that `scripts/test` has started, and servers of a test's own.
//! * [`certificates`]: authorities of a test's own, for servers with TLS.
//! * [`databases`]: a fresh database for each test.
//! * [`processes`]: child processes that a test watches, pauses and kills.
//! * [`proxy`]: a TCP connection that a test can cut, stall and resume.
//! * [`redis_servers`]: what a test says to a Redis of its own, and replicas of it.
//! * [`entities`]: the models that tests replicate, on both sides, in SeaORM.
//! * [`conformance`]: what a scenario asks of an app, and how each adapter does it.
//! * [`apps`]: how the apps of tests are configured.
//! * [`deaths`]: where a process is told to stand still until it is killed.
//! * [`unique_app`] and [`until`], here.
//!
//! Harness code panics instead of returning errors: the reader of a failed test wants a sentence and a line
//! number, and no caller could do anything else with the error.

pub mod apps;
pub mod certificates;
pub mod conformance;
pub mod databases;
pub mod deaths;
pub mod entities;
pub mod entities_diesel;
pub mod processes;
pub mod proxy;
pub mod redis_servers;
pub mod servers;

use std::time::Duration;

/// A name for an app that no other test uses: `shop` becomes `shop-1f0c9a3e`.
///
/// Exchanges, queues and keys are named after apps, so tests with different app names share a server without
/// seeing each other.
pub fn unique_app(name: &str) -> String {
    format!("{name}-{}", unique_suffix())
}

/// Eight random hexadecimal digits.
pub(crate) fn unique_suffix() -> String {
    // The end of a v7 UUID is random; its beginning is the time, which two tests may share.
    let id = uuid::Uuid::now_v7().simple().to_string();
    id[id.len() - 8..].to_owned()
}

/// Asks `probe` again and again until it returns a value, and panics when there is none within `deadline`.
///
/// For what nothing announces: the state of a server, a row that another process writes. Where there is a
/// notification to wait for, wait for that instead. `what` completes the sentence *Waited 5s in vain for …*.
///
/// ```
/// # use std::time::Duration;
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// let mut calls = 0;
/// let third = promiscuous_tests::until(Duration::from_secs(5), "the third call", async || {
///     calls += 1;
///     (calls == 3).then_some(calls)
/// });
/// assert_eq!(third.await, 3);
/// # });
/// ```
pub async fn until<T>(deadline: Duration, what: &str, mut probe: impl AsyncFnMut() -> Option<T>) -> T {
    let polling = async {
        loop {
            if let Some(value) = probe().await {
                return value;
            }
            tokio::time::sleep(PROBE_INTERVAL).await;
        }
    };
    match tokio::time::timeout(deadline, polling).await {
        Ok(value) => value,
        Err(_) => panic!("Waited {deadline:?} in vain for {what}."),
    }
}

/// How long [`until`] rests between two probes: short beside a test, long beside a query.
const PROBE_INTERVAL: Duration = Duration::from_millis(20);

// Compiles the code in the README, for which both adapters are needed.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
