//! What is published when an app works with `diesel-async`: on servers where `TEST_POSTGRES_URL` or `TEST_MARIADB_URL` names one, with a
//! user who may create databases; and on SQLite.

// The same tests for each kind of connection.
#![allow(clippy::duplicate_mod)]

#[cfg(feature = "mysql")]
mod mariadb;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "sqlite")]
mod sqlite;

use std::task::Poll;

/// Drops a future after it has been polled so many times, each time because it was woken. None when it was not done.
async fn cancelled_after<F: Future>(polls: usize, future: F) -> Option<F::Output> {
    let mut future = Box::pin(future);
    let mut left = polls;
    std::future::poll_fn(|task| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        match future.as_mut().poll(task) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending if left == 0 => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}
