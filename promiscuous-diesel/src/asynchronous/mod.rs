//! The connections of `diesel-async`.
//!
//! * here: what an app says to its connection, and what the connection's parts have in common;
//! * `ledger`: what the connection knows besides its database;
//! * `running`: statements on their way to the database;
//! * `futures`: what is waited for;
//! * `ending`: COMMIT and what has to happen before it;
//! * `transaction`: transactions, as functions and as `diesel-async` begins and ends them;
//! * `cancelled`: what is put in order after a future was dropped;
//! * `traits`: what else `diesel-async` expects of a connection; `saving`: `save_changes`;
//! * `again`: rows that are published again;
//! * `sqlite`: a blocking connection on threads;
//! * `backend`, with `postgres`, `custom_types` and `mysql`: where the databases differ;
//! * `collected`, `session`: statements that may wait.

use std::panic::Location;
use std::sync::Arc;

use diesel::QueryResult;
use diesel_async::{AsyncConnection, TransactionManager};
use promiscuous_core::context::Context;
use promiscuous_core::publisher::Publisher;

use crate::backend::Doubt;
use crate::capture::Capture;

mod again;
mod backend;
mod cancelled;
mod collected;
#[cfg(feature = "postgres")]
mod custom_types;
mod ending;
mod futures;
mod ledger;
#[cfg(feature = "mysql")]
mod mysql;
#[cfg(feature = "postgres")]
mod postgres;
mod running;
mod saving;
mod session;
#[cfg(feature = "sqlite")]
mod sqlite;
#[cfg(test)]
mod tests;
mod traits;
mod transaction;

pub use again::AsyncPromiscuousSync;
pub use backend::AsyncBackend;
use ledger::Ledger;
use session::Waiting;
#[cfg(feature = "sqlite")]
pub use sqlite::{AsyncSqlite, Threads};
#[cfg(feature = "postgres")]
pub use transaction::AsyncTransactionBuilder;
pub use transaction::{AsyncPromiscuousTransactionManager, Callback};

/// A connection of `diesel-async` that [`AsyncPromiscuous`] can stand in for: `AsyncPgConnection`, `AsyncMysqlConnection`, or a pooled
/// one of them.
pub trait AsyncWrapped: AsyncConnection<Backend: AsyncBackend> + 'static {}

impl<C: AsyncConnection<Backend: AsyncBackend> + 'static> AsyncWrapped for C {}

/// A connection of `diesel-async` that publishes what is written through it, and remembers what is read.
///
/// It stands in for `AsyncPgConnection` or `AsyncMysqlConnection`, or a pooled one of them, in all of `diesel-async`'s methods. Everything
/// that is said of [`Promiscuous`](crate::Promiscuous) holds here, too. (For SQLite see [`AsyncSqlite`].)
///
/// # Cancellation
/// A future may be dropped at any point, as timeouts and `select!` do: nothing that was committed is lost, and nothing is published that
/// was not committed.
///
/// * A published write that had a transaction of its own is rolled back before the connection is used again, unless it was committing:
///   then it either is committed and published, or neither.
/// * In an open transaction, a cancelled published write makes its COMMIT fail, because nobody knows what it has written.
/// * A cancelled [`transaction`](Self::transaction) is rolled back before the connection is used again.
/// * A connection whose BEGIN, COMMIT or ROLLBACK was cancelled is of no use any more, and pools discard it; on MySQL and MariaDB one on
///   which any statement was cancelled, because its driver would take the answer for the next statement's.
///
/// A pool's handle on an `AsyncPromiscuous` has `diesel-async`'s own `transaction`, which knows nothing of its being cancelled: the pool discards
/// the connection, but a cancelled savepoint takes the transaction around it along, which then answers `Ok`. Say `handle.deref_mut().transaction(…)`
/// where savepoints may be cancelled; or wrap the handle of a plain pool instead.
///
/// # What is different from `diesel-async`
/// Statements cannot be pipelined through a shared reference. On PostgreSQL, a published write may bind values of custom types (enums,
/// domains) and arrays of them, but not such values inside of composite types or ranges; reads and other writes may. Encryption is the
/// business of whoever makes the connection, as it is in `diesel-async`.
pub struct AsyncPromiscuous<C: AsyncWrapped> {
    /// The connection. Never handed out by accident: whoever has it writes unseen.
    inner: Waiting<C>,
    /// What is known besides.
    ledger: Ledger<C::Backend>,
}

impl<C: AsyncWrapped> AsyncPromiscuous<C> {
    pub(crate) fn with_capture(inner: C, capture: Arc<Capture<C::Backend>>) -> Self {
        Self { inner: Waiting(inner), ledger: Ledger::new(capture) }
    }

    /// The same connection, bound to a context: for code whose task is not inside of one.
    #[must_use]
    pub fn with_context(mut self, context: Context) -> Self {
        self.ledger.given = Some(context);
        self
    }

    /// Binds the connection to a context, or unbinds it: for a connection from a pool of `AsyncPromiscuous` connections, which forgets
    /// it when it goes back there.
    pub fn set_context(&mut self, context: Option<Context>) {
        self.ledger.given = context;
    }

    /// Runs an asynchronous function with the connection itself. **What is written through it is not published**, which is logged with the
    /// place of the call. Leave no transaction open, and end none that was.
    ///
    /// # Errors
    /// The function's; and why the connection cannot be used.
    #[track_caller]
    pub fn without_promiscuous<'a, 'conn, R, E, F>(
        &'conn mut self,
        function: F,
    ) -> impl Future<Output = Result<R, E>> + Send + 'conn
    where
        F: for<'r> Callback<&'r mut C, Result<R, E>, Fut: Send> + Send + 'a,
        E: From<diesel::result::Error> + Send + 'a,
        R: Send + 'a,
        'a: 'conn,
    {
        tracing::warn!("writes are not published here: {}", Location::caller());
        async move {
            self.settle().await?;
            let before = self.depth()?;
            // Dropped halfway, it may leave anything behind.
            self.ledger.flight = Some(ledger::Flight::Unknown);
            let result = function(&mut self.inner.0).await;
            self.ledger.flight = None;
            self.looked_away(before);
            result
        }
    }

    /// Somebody else has used the connection.
    fn looked_away(&mut self, before: usize) {
        if before != 0 {
            // A failed statement, or on MySQL one that commits, may have ended the transaction around it.
            self.ledger.doubt = self.ledger.doubt.and(Doubt::Ask);
        }
        let after = self.depth().unwrap_or_default();
        if before != after {
            if after < before && !self.ledger.recording.is_empty() {
                tracing::error!(
                    "a transaction or savepoint with published writes was ended inside of `without_promiscuous`: if it was \
                     committed, they are not published"
                );
            }
            self.ledger.recording.fit(after);
        }
    }

    /// What publishes this connection's writes, if anything is published.
    pub fn publisher(&self) -> Option<&Publisher> {
        self.ledger.capture.path.publisher()
    }

    /// How many transactions and savepoints are open.
    fn depth(&mut self) -> QueryResult<usize> {
        let status = C::TransactionManager::transaction_manager_status_mut(&mut self.inner.0);
        let depth = status.transaction_depth()?.map_or(0, std::num::NonZeroU32::get);
        Ok(usize::try_from(depth).unwrap_or(usize::MAX))
    }

    /// The connection.
    #[cfg(test)]
    pub(crate) fn plain(&mut self) -> &mut C {
        &mut self.inner.0
    }
}

/// A pool that holds the connection inside must know that it is of no use any more.
impl<C: AsyncWrapped> Drop for AsyncPromiscuous<C> {
    fn drop(&mut self) {
        self.land();
    }
}

impl<C: AsyncWrapped> std::fmt::Debug for AsyncPromiscuous<C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AsyncPromiscuous")
            .field("connection", &std::any::type_name::<C>())
            .finish_non_exhaustive()
    }
}
