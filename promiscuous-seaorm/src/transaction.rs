//! The transaction that an app uses instead of SeaORM's: its life from BEGIN to COMMIT.
//!
//! Its use as a connection is in `transaction_connection`.

use std::fmt::{Debug, Display};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use async_trait::async_trait;
use promiscuous_core::context::Context;
use promiscuous_core::operation::coalesce;
use sea_orm::{
    ConnectionTrait, DatabaseTransaction, DbBackend, DbErr, ExecResult, QueryResult, TransactionError,
    TransactionOptions, TransactionSession, TransactionTrait,
};

use crate::capture::Capture;
use crate::commit::db_err;
use crate::recording::{Recording, Turn};
use crate::statement::Write;
use crate::steady::{Steady, SteadyTransaction, steadily};
use crate::write::{Failure, executed, returned};

/// A transaction whose published writes become one message when it commits, and nothing when it does not.
///
/// A transaction begun inside of another one is a savepoint: its writes count when both commit.
pub struct PromiscuousTransaction {
    /// SeaORM's transaction; taken when it ends.
    inner: Option<Arc<DatabaseTransaction>>,
    /// What was written so far, shared with all savepoints.
    recording: Arc<Recording>,
    /// What is published, where to, and how.
    capture: Arc<Capture>,
    /// The context given to the connection; it outranks the task's.
    given: Option<Context>,
    /// For a transaction outside of any context: what is read in it is a cause of what is written in it.
    own: Option<Context>,
}

/// Who asked for a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The app.
    Explicit,
    /// A published write outside of one.
    SingleWrite,
}

const CANCELLED_WRITE: &str = "a published write was cancelled or failed halfway";
const CANCELLED_BEGIN: &str = "a nested transaction was cancelled or failed while it began";
const CANCELLED_END: &str = "a nested transaction was cancelled or failed while it ended";
const DROPPED_IN_USE: &str = "a nested transaction was dropped while its connection was in use";

impl PromiscuousTransaction {
    pub(crate) fn outermost(
        inner: DatabaseTransaction,
        capture: Arc<Capture>,
        given: Option<Context>,
        origin: Origin,
    ) -> Self {
        let own = (origin == Origin::Explicit).then(|| Context::new("transaction"));
        Self { inner: Some(Arc::new(inner)), recording: Recording::new(), capture, given, own }
    }

    /// Begins a savepoint in this transaction.
    pub(crate) async fn nested(&self, options: TransactionOptions) -> Result<Self, DbErr> {
        let turn = self.recording.turn().await?;
        // When its BEGIN does not come to an end, SeaORM rolls back a level that was never opened.
        let fuse = self.recording.fuse(CANCELLED_BEGIN);
        let outer = Arc::clone(self.open());
        let begin = async move { outer.begin_with_options(options).await };
        let inner = steadily(self.get_database_backend(), Some(&turn), begin).await?;
        self.recording.nest();
        fuse.defuse();
        Ok(Self {
            inner: Some(Arc::new(inner)),
            recording: Arc::clone(&self.recording),
            capture: Arc::clone(&self.capture),
            given: self.given.clone(),
            own: self.own.clone(),
        })
    }

    /// Commits: publishes what was written, when this is not a savepoint.
    ///
    /// # Errors
    /// When the version store or the database says no. Then nothing was committed, except when the connection broke
    /// during COMMIT: what became of it is found out by the recovery, and published if it was committed.
    pub async fn commit(mut self) -> Result<(), DbErr> {
        // Until it is this handle's turn, `drop` has to know about the inner transaction.
        let turn = match self.recording.turn().await {
            Ok(turn) => turn,
            Err(spoiled) => {
                let turn = self.recording.turn_to_end().await;
                rolled_back(self.take()?, &turn).await;
                return Err(spoiled);
            }
        };
        let inner = self.take()?;
        let fuse = self.recording.fuse(CANCELLED_END);
        if self.recording.depth() > 1 {
            commit(inner, &turn).await?;
            self.recording.merge();
        } else {
            self.publish(inner, &turn).await?;
        }
        fuse.defuse();
        drop(turn);
        Ok(())
    }

    /// Steps 2 to 4 of the protocol's section 5.
    async fn publish(&self, inner: Arc<DatabaseTransaction>, turn: &Turn) -> Result<(), DbErr> {
        let operations = coalesce(self.recording.take());
        if operations.is_empty() {
            return commit(inner, turn).await;
        }
        let context = self.context();
        let outside_any = self.given.is_none() && self.own.is_none() && context.is_none();
        if outside_any {
            self.capture.warn_without_context(&operations);
        }
        let bumped = match self.capture.path.lock_and_bump(operations, context.as_ref()).await {
            Ok(Some(bumped)) => bumped,
            Ok(None) => return commit(inner, turn).await,
            Err(error) => {
                rolled_back(inner, turn).await;
                return Err(db_err(&error));
            }
        };
        let outbox_insert = bumped.outbox_insert(ConnectionTrait::get_database_backend(&*inner));
        let inserted = Steady::new(&inner, Some(turn)).execute_raw(outbox_insert).await;
        if let Err(error) = inserted {
            rolled_back(inner, turn).await;
            bumped.failed();
            return Err(error);
        }
        fail::fail_point!("after_outbox_insert");
        match commit(inner, turn).await {
            Ok(()) => {
                bumped.committed();
                Ok(())
            }
            Err(error) => {
                bumped.failed();
                Err(error)
            }
        }
    }

    /// Rolls back: nothing that was written in it is published.
    ///
    /// # Errors
    /// When the database says so.
    pub async fn rollback(mut self) -> Result<(), DbErr> {
        let turn = self.recording.turn_to_end().await;
        let inner = self.take()?;
        let fuse = self.recording.fuse(CANCELLED_END);
        rollback(inner, &turn).await?;
        self.recording.discard();
        fuse.defuse();
        Ok(())
    }

    /// Ends a transaction that was opened for one write.
    pub(crate) async fn end<T>(self, result: Result<T, DbErr>) -> Result<T, DbErr> {
        match result {
            Ok(value) => {
                self.commit().await?;
                Ok(value)
            }
            Err(error) => {
                if let Err(second) = self.rollback().await {
                    tracing::warn!("the rollback of a failed write failed too: {second}");
                }
                Err(error)
            }
        }
    }

    /// Runs a function in this transaction and ends it.
    pub(crate) async fn run<F, T, E>(self, callback: F) -> Result<T, TransactionError<E>>
    where
        F: for<'b> FnOnce(&'b Self) -> Pin<Box<dyn Future<Output = Result<T, E>> + Send + 'b>> + Send,
        T: Send,
        E: Display + Debug + Send,
    {
        let result = callback(&self).await;
        self.end_after(result).await
    }

    /// The same for an async closure.
    pub(crate) async fn run_async<F, T, E>(self, callback: F) -> Result<T, TransactionError<E>>
    where
        F: for<'b> AsyncFnOnce(&'b Self) -> Result<T, E> + Send,
        T: Send,
        E: Display + Debug + Send,
    {
        let result = callback(&self).await;
        self.end_after(result).await
    }

    async fn end_after<T, E: Display + Debug>(self, result: Result<T, E>) -> Result<T, TransactionError<E>> {
        match result {
            Ok(value) => {
                self.commit().await.map_err(TransactionError::Connection)?;
                Ok(value)
            }
            Err(error) => {
                self.rollback().await.map_err(TransactionError::Connection)?;
                Err(TransactionError::Transaction(error))
            }
        }
    }

    pub(crate) async fn write_returning(&self, write: &Write<'_>) -> Result<Vec<QueryResult>, DbErr> {
        let turn = self.recording.turn().await?;
        self.recording.admit_write()?;
        let fuse = self.recording.fuse(CANCELLED_WRITE);
        match returned(&self.steady(&turn), write, &self.capture.settings).await {
            Ok((rows, operations)) => {
                self.recording.record(operations);
                fuse.defuse();
                Ok(rows)
            }
            Err(Failure::Unwritten(error)) => {
                fuse.defuse();
                Err(error)
            }
            Err(Failure::Uncaptured(error)) => Err(error),
        }
    }

    pub(crate) async fn write_executing(&self, write: &Write<'_>) -> Result<ExecResult, DbErr> {
        let turn = self.recording.turn().await?;
        self.recording.admit_write()?;
        let fuse = self.recording.fuse(CANCELLED_WRITE);
        match executed(&self.steady(&turn), write, &self.capture.settings).await {
            Ok((result, operations)) => {
                self.recording.record(operations);
                fuse.defuse();
                Ok(result)
            }
            Err(Failure::Unwritten(error)) => {
                fuse.defuse();
                Err(error)
            }
            Err(Failure::Uncaptured(error)) => Err(error),
        }
    }

    /// SeaORM's own transaction. **What is written through it is not published**, which is logged with the place of the
    /// call. Do not begin or end a nested transaction through it.
    #[track_caller]
    pub fn without_promiscuous(&self) -> &DatabaseTransaction {
        tracing::warn!("writes are not published from here on: {}", std::panic::Location::caller());
        self.inner()
    }

    /// The database's dialect.
    pub fn get_database_backend(&self) -> DbBackend {
        ConnectionTrait::get_database_backend(self.inner())
    }

    pub(crate) fn inner(&self) -> &DatabaseTransaction {
        self.open()
    }

    fn open(&self) -> &Arc<DatabaseTransaction> {
        // It is only taken by methods that consume `self`.
        self.inner.as_ref().expect("a transaction that has not ended")
    }

    /// The driver's side of this transaction, for whoever has the turn.
    pub(crate) fn steady(&self, turn: &Turn) -> SteadyTransaction {
        Steady::new(self.open(), Some(turn))
    }

    pub(crate) fn capture(&self) -> &Arc<Capture> {
        &self.capture
    }

    pub(crate) fn recording(&self) -> &Arc<Recording> {
        &self.recording
    }

    /// The context that reads and writes belong to: the one given, or else the running task's, or else its own.
    pub(crate) fn context(&self) -> Option<Context> {
        self.given.clone().or_else(Context::current).or_else(|| self.own.clone())
    }

    fn take(&mut self) -> Result<Arc<DatabaseTransaction>, DbErr> {
        self.inner.take().ok_or_else(|| DbErr::Custom("the transaction has ended".into()))
    }
}

async fn commit(inner: Arc<DatabaseTransaction>, turn: &Turn) -> Result<(), DbErr> {
    let inner = sole(inner)?;
    let backend = ConnectionTrait::get_database_backend(&inner);
    steadily(backend, Some(turn), async move { inner.commit().await }).await
}

async fn rollback(inner: Arc<DatabaseTransaction>, turn: &Turn) -> Result<(), DbErr> {
    let inner = sole(inner)?;
    let backend = ConnectionTrait::get_database_backend(&inner);
    steadily(backend, Some(turn), async move { inner.rollback().await }).await
}

/// What is shared with a statement only. Whoever has the turn has no statement beside it.
fn sole(inner: Arc<DatabaseTransaction>) -> Result<DatabaseTransaction, DbErr> {
    Arc::into_inner(inner).ok_or_else(|| DbErr::Custom("the transaction is still in use".into()))
}

/// Rolls back because of an error that matters more than whether this succeeds.
async fn rolled_back(inner: Arc<DatabaseTransaction>, turn: &Turn) {
    if let Err(error) = rollback(inner, turn).await {
        tracing::warn!("a rollback failed; the database does it when the connection closes: {error}");
    }
}

#[async_trait]
impl TransactionSession for PromiscuousTransaction {
    async fn commit(self) -> Result<(), DbErr> {
        PromiscuousTransaction::commit(self).await
    }

    async fn rollback(self) -> Result<(), DbErr> {
        PromiscuousTransaction::rollback(self).await
    }
}

impl Drop for PromiscuousTransaction {
    fn drop(&mut self) {
        let Some(inner) = self.inner.take() else { return };
        if let Some(turn) = self.recording.turn_now() {
            drop(inner);
            self.recording.discard();
            drop(turn);
            return;
        }
        // Another handle of the same database transaction is in the middle of a statement, which will end up on one
        // side or the other of this rollback.
        self.recording.spoil(DROPPED_IN_USE);
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => {
                let recording = Arc::clone(&self.recording);
                runtime.spawn(async move {
                    let _turn = recording.turn_to_end().await;
                    drop(inner);
                    recording.discard();
                });
            }
            Err(_) => drop(inner),
        }
    }
}

impl Debug for PromiscuousTransaction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PromiscuousTransaction").finish_non_exhaustive()
    }
}
