//! SQLite, which has no asynchronous interface: a blocking connection on threads.

use std::error::Error;
use std::pin::Pin;
use std::sync::mpsc::{Receiver, sync_channel};
use std::task::{Context as Task, Poll};

use diesel::SqliteConnection;
use diesel_async::sync_connection_wrapper::{SpawnBlocking, SyncConnectionWrapper};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use promiscuous_core::context::Context;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::task::JoinHandle;

use crate::Promiscuous;

/// A SQLite connection for `diesel-async` that publishes what is written through it:
/// ```no_run
/// # async fn example(connection: promiscuous_diesel::Promiscuous<diesel::SqliteConnection>) {
/// use promiscuous_diesel::AsyncSqlite;
///
/// let connection = &mut AsyncSqlite::new(connection);
/// # }
/// ```
/// Each statement runs on one of tokio's threads for blocking work, inside of the task's context. One that was sent is not cancelled with
/// its future: it is waited for, and a published write is either committed and published, or neither. A cancelled transaction stays open, as
/// always in `diesel-async`: pools discard such a connection.
pub type AsyncSqlite = SyncConnectionWrapper<Promiscuous<SqliteConnection>, Threads>;

/// Tokio's threads for blocking work. What runs there is in the [`Context`] of whoever sent it.
#[derive(Debug)]
pub struct Threads(Option<Handle>);

impl SpawnBlocking for Threads {
    fn spawn_blocking<'a, R>(
        &mut self,
        task: impl FnOnce() -> R + Send + 'static,
    ) -> BoxFuture<'a, Result<R, Box<dyn Error + Send + Sync + 'static>>>
    where
        R: Send + 'static,
    {
        // The runtime of now: a connection may be used on another one than it was made on.
        let Some(runtime) = Handle::try_current().ok().or_else(|| self.0.clone()) else {
            return futures_util::future::ready(Err(
                "a tokio runtime is needed: call this inside of one".into()
            ))
            .boxed();
        };
        let context = Context::current();
        let (done, is_done) = sync_channel(1);
        let task = runtime.spawn_blocking(move || {
            let output = match context {
                Some(context) => context.sync_scope(task),
                None => task(),
            };
            // The connection is free again, before anybody is told.
            drop(done);
            output
        });
        Started { task, is_done }.boxed()
    }

    fn get_runtime() -> Self {
        Self(Handle::try_current().ok())
    }
}

/// A statement on a thread.
struct Started<R> {
    task: JoinHandle<R>,
    /// Ends when the thread has let the connection go.
    is_done: Receiver<()>,
}

impl<R> Future for Started<R> {
    type Output = Result<R, Box<dyn Error + Send + Sync + 'static>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Task<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.task).poll(cx).map_err(Into::into)
    }
}

/// `diesel-async` panics when a connection is used again while a statement is still running on it.
impl<R> Drop for Started<R> {
    fn drop(&mut self) {
        if self.task.is_finished() {
            return;
        }
        let wait = || {
            // An error: that is how it ends.
            let _ = self.is_done.recv();
        };
        match Handle::try_current().map(|runtime| runtime.runtime_flavor()) {
            Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(wait),
            // The thread needs nothing of this runtime.
            _ => wait(),
        }
    }
}
