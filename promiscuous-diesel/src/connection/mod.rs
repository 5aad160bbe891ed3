//! The connection that an app uses instead of Diesel's.
//!
//! * here: what an app says to it, and what its parts have in common;
//! * `running`: statements on their way to the database;
//! * `ending`: COMMIT and what has to happen before it;
//! * `transaction`: Diesel's transactions;
//! * `building`: transactions with an isolation level or a lock;
//! * `traits`: what else Diesel expects of a connection;
//! * `saving`: `save_changes`;
//! * `wrapped`: the connections that can be wrapped.

use std::panic::Location;
use std::sync::Arc;

use diesel::QueryResult;
use diesel::connection::TransactionManager;
use promiscuous_core::context::Context;
use promiscuous_core::publisher::Publisher;

use crate::backend::Doubt;
use crate::capture::Capture;
use crate::recording::Recording;

#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod building;
mod ending;
mod running;
mod saving;
mod traits;
mod transaction;
mod wrapped;

#[cfg(feature = "postgres")]
pub use building::TransactionBuilder;
pub use transaction::PromiscuousTransactionManager;
pub use wrapped::Wrapped;

/// A connection that publishes what is written through it, and remembers what is read.
///
/// It stands in for `PgConnection`, `MysqlConnection`, `SqliteConnection`, or a pooled one of them, in all of Diesel's methods: give
/// your functions the type `Promiscuous<PgConnection>` where they had `PgConnection`. A published write outside of a transaction gets
/// a transaction of its own.
///
/// What is different from Diesel:
///
/// * On SQLite a transaction begins with `BEGIN IMMEDIATE` when the app publishes anything: one that begins by reading would fail
///   with `database is locked` as soon as another connection had written in between, and publishing writes all the time. Use
///   [`deferred_transaction`](Self::deferred_transaction) for one that only reads. `establish` makes a connection wait up to 5 s for
///   another writer; give those that you wrap a `busy_timeout`.
/// * On MySQL and MariaDB a statement that commits by itself, such as `CREATE TABLE`, is refused in a transaction that has written
///   published rows. An `INSERT` whose new keys the server does not tell is refused, too: `INSERT … SELECT`, and several rows at once
///   with `INSERT IGNORE` or `ON DUPLICATE KEY UPDATE` that leave their keys to the database.
/// * PostgreSQL's `COPY` is not offered, and on SQLite `insert_into(table).values(&vec).get_results(…)` does not compile, as it does
///   not with a pooled connection of Diesel's: use `execute`.
/// * Instrumentation sees what publishing adds: a longer RETURNING list, a search by key, the outbox's INSERT.
/// * In a test transaction (`begin_test_transaction`, `test_transaction`) writes work as usual and nothing is published, because
///   nothing is ever committed.
pub struct Promiscuous<C: Wrapped> {
    /// Diesel's connection. Never handed out by accident: whoever has it writes unseen.
    inner: C,
    /// What is published, where to, and how.
    capture: Arc<Capture<C::Backend>>,
    /// How many statements its user has sent, or tried to.
    statements: u64,
    /// What the open transaction has written.
    recording: Recording,
    /// Whether a failed statement may have ended the transaction.
    doubt: Doubt,
    /// The context given by [`with_context`](Self::with_context); it outranks the thread's or task's.
    given: Option<Context>,
    /// For a transaction outside of any context: what is read in it is a cause of what is written in it.
    own: Option<Context>,
}

impl<C: Wrapped> Promiscuous<C> {
    pub(crate) fn with_capture(inner: C, capture: Arc<Capture<C::Backend>>) -> Self {
        Self {
            inner,
            capture,
            statements: 0,
            recording: Recording::default(),
            doubt: Doubt::No,
            given: None,
            own: None,
        }
    }

    /// The same connection, bound to a context: for code whose thread or task is not inside of one.
    #[must_use]
    pub fn with_context(self, context: Context) -> Self {
        Self { given: Some(context), ..self }
    }

    /// Binds the connection to a context, or unbinds it: for a connection from a pool of `Promiscuous` connections, which forgets
    /// it when it goes back there.
    pub fn set_context(&mut self, context: Option<Context>) {
        self.given = context;
    }

    /// Runs a function with Diesel's own connection. **What is written through it is not published**, which is logged with the place
    /// of the call. Leave no transaction open, and end none that was.
    #[track_caller]
    pub fn without_promiscuous<R>(&mut self, function: impl FnOnce(&mut C) -> R) -> R {
        tracing::warn!("writes are not published here: {}", Location::caller());
        self.statements += 1;
        let before = self.depth().ok();
        let result = function(&mut self.inner);
        if before != Some(0) {
            // A failed statement, or on MySQL one that commits, may have ended the transaction around it.
            self.doubt = self.doubt.and(Doubt::Ask);
        }
        let after = self.depth().ok();
        if before != after {
            let ended = after.unwrap_or_default() < before.unwrap_or_default();
            if ended && !self.recording.is_empty() {
                tracing::error!(
                    "a transaction or savepoint with published writes was ended inside of `without_promiscuous`: if it was \
                     committed, they are not published"
                );
            }
            self.recording.fit(after.unwrap_or_default());
        }
        result
    }

    /// What publishes this connection's writes, if anything is published.
    pub fn publisher(&self) -> Option<&Publisher> {
        self.capture.path.publisher()
    }

    /// Goes up with every statement that is not the protocol's own.
    pub(crate) fn statements(&self) -> u64 {
        self.statements
    }

    /// What all connections of the app share.
    pub(crate) fn capture(&self) -> &Arc<Capture<C::Backend>> {
        &self.capture
    }

    /// The context that reads and writes belong to: the one given, or else the thread's or task's, or else the transaction's own.
    fn context(&self) -> Option<Context> {
        self.given.clone().or_else(Context::current).or_else(|| self.own.clone())
    }

    /// Diesel's own connection, for the protocol's own tables.
    pub(crate) fn inner(&mut self) -> &mut C {
        &mut self.inner
    }

    /// How many transactions and savepoints are open.
    pub(crate) fn depth(&mut self) -> QueryResult<usize> {
        let status = C::TransactionManager::transaction_manager_status_mut(&mut self.inner);
        let depth = status.transaction_depth()?.map_or(0, std::num::NonZeroU32::get);
        Ok(usize::try_from(depth).unwrap_or(usize::MAX))
    }
}

impl<C: Wrapped> std::fmt::Debug for Promiscuous<C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Promiscuous").field("connection", &std::any::type_name::<C>()).finish_non_exhaustive()
    }
}
