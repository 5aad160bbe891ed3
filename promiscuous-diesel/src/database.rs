//! An app's database, as core sees it: its own few tables, and applying operations to the subscribed models.
//!
//! Diesel blocks, and core does not wait for it on its own threads. A single statement runs in `spawn_blocking`. A transaction has a
//! thread there for as long as it is open, which holds the connection and takes one statement after the other from a channel: the
//! connection never changes hands, and when whoever began the transaction is gone, at whatever await, the channel ends and the
//! thread rolls back.

mod backend;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use async_trait::async_trait;
use diesel::connection::TransactionManager;
use diesel::r2d2::{Pool, PoolError, PooledConnection};
use promiscuous_core::apply::Subject;
use promiscuous_core::config::SecretUrl;
use promiscuous_core::context::Context;
use promiscuous_core::database::{
    ApplyError, Database, DatabaseError, DatabaseErrorKind, Dialect, Sql, SqlRow, SqlType, Transaction,
};
use promiscuous_core::error::Error;
use promiscuous_core::operation::Operation;
use tokio::sync::oneshot;

use crate::backend::PromiscuousBackend;
use crate::database_error::database_error;
use crate::pool::{Manager, open};
use crate::sql;
use crate::subscription::Connection;

pub use backend::DatabaseBackend;

/// A database that core uses for its own tables only.
pub(crate) fn plain<DB: PromiscuousBackend>(
    url: SecretUrl,
    connections: u32,
) -> Result<Arc<dyn Database>, Error> {
    let pool = open(Manager::<DB>::plain(url)?, connections)?;
    Ok(Arc::new(DieselDatabase::new(pool, |_, _| Ok(()))))
}

/// A pool's connection.
type Pooled<DB> = PooledConnection<Manager<DB>>;
/// What is to be applied.
#[derive(Clone, Copy)]
pub(crate) enum Work<'o> {
    /// An operation.
    One(&'o Operation),
    /// Operations that send objects again, each another one, with their attributes.
    Again(&'o [Operation]),
}

/// Applies operations to the models that take them.
type Apply<DB> = dyn Fn(&mut Connection<DB>, Work<'_>) -> Result<(), ApplyError> + Send + Sync;

/// See the module.
pub(crate) struct DieselDatabase<DB: PromiscuousBackend> {
    /// Where connections come from.
    pool: Pool<Manager<DB>>,
    /// What takes operations.
    apply: Arc<Apply<DB>>,
}

impl<DB: PromiscuousBackend> DieselDatabase<DB> {
    pub(crate) fn new(
        pool: Pool<Manager<DB>>,
        apply: impl Fn(&mut Connection<DB>, Work<'_>) -> Result<(), ApplyError> + Send + Sync + 'static,
    ) -> Self {
        Self { pool, apply: Arc::new(apply) }
    }

    /// Runs a statement of its own.
    async fn run<R: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection<DB>) -> diesel::QueryResult<R> + Send + 'static,
    ) -> Result<R, DatabaseError> {
        with_connection(&self.pool, move |connection| work(connection).map_err(database_error)).await
    }
}

/// Runs something with a connection of a pool on a thread that may block. A caller that goes away does not stop it.
pub(crate) async fn with_connection<DB, R>(
    pool: &Pool<Manager<DB>>,
    work: impl FnOnce(&mut Connection<DB>) -> Result<R, DatabaseError> + Send + 'static,
) -> Result<R, DatabaseError>
where
    DB: PromiscuousBackend,
    R: Send + 'static,
{
    let pool = pool.clone();
    let done = tokio::task::spawn_blocking(move || {
        let mut connection = pool.get().map_err(no_connection)?;
        work(&mut connection)
    });
    done.await.unwrap_or_else(|_| Err(thread_ended()))
}

#[async_trait]
impl<DB: PromiscuousBackend> Database for DieselDatabase<DB> {
    fn dialect(&self) -> Dialect {
        DB::DIALECT
    }

    async fn execute(&self, sql: Sql) -> Result<u64, DatabaseError> {
        self.run(move |connection| sql::execute(connection.inner(), sql)).await
    }

    async fn query(&self, sql: Sql, columns: &[SqlType]) -> Result<Vec<SqlRow>, DatabaseError> {
        let columns = columns.to_vec();
        self.run(move |connection| sql::query(connection.inner(), sql, &columns)).await
    }

    async fn begin(&self) -> Result<Box<dyn Transaction>, DatabaseError> {
        let (jobs, inbox) = channel();
        let (began, beginning) = oneshot::channel();
        let pool = self.pool.clone();
        tokio::task::spawn_blocking(move || {
            let begun = pool.get().map_err(no_connection).and_then(|mut connection| {
                begin::<DB>(&mut connection).map_err(database_error)?;
                Ok(connection)
            });
            match begun {
                Ok(connection) => {
                    // Whoever asked may be gone: then the channel has ended too.
                    let _ = began.send(Ok(()));
                    serve(connection, inbox);
                }
                Err(error) => drop(began.send(Err(error))),
            }
        });
        beginning.await.unwrap_or_else(|_| Err(thread_ended()))?;
        Ok(Box::new(DieselTransaction::<DB> { jobs, apply: Arc::clone(&self.apply) }))
    }
}

/// A transaction's statement, for the thread that holds its connection.
type Job<DB> = Box<dyn FnOnce(&mut Connection<DB>) + Send>;

/// Runs a transaction's statements until nobody is left to ask for one; what is not committed then is rolled back.
fn serve<DB: PromiscuousBackend>(connection: Pooled<DB>, inbox: Receiver<Job<DB>>) {
    let mut open = Open(connection);
    for job in inbox {
        job(&mut open.0);
    }
}

/// Rolls back what is still open before the connection returns to its pool, also after a panic. Where that fails, the pool finds
/// the connection broken and closes it.
struct Open<DB: PromiscuousBackend>(Pooled<DB>);

impl<DB: PromiscuousBackend> Drop for Open<DB> {
    fn drop(&mut self) {
        if let Err(error) = roll_back::<DB>(&mut self.0) {
            tracing::debug!(%error, "a transaction could not be rolled back: its connection is closed");
        }
    }
}

/// Diesel's transactions on the app's connections.
type Transactions<DB> = <Connection<DB> as diesel::Connection>::TransactionManager;

fn begin<DB: PromiscuousBackend>(connection: &mut Connection<DB>) -> diesel::QueryResult<()> {
    connection.begin_with(DB::BEGIN.unwrap_or("BEGIN"))
}

fn commit<DB: PromiscuousBackend>(connection: &mut Connection<DB>) -> diesel::QueryResult<()> {
    Transactions::<DB>::commit_transaction(connection)
}

/// Rolls back whatever is open, savepoints that the model's own code left behind included.
fn roll_back<DB: PromiscuousBackend>(connection: &mut Connection<DB>) -> diesel::QueryResult<()> {
    while Transactions::<DB>::transaction_manager_status_mut(connection).transaction_depth()?.is_some() {
        Transactions::<DB>::rollback_transaction(connection)?;
    }
    Ok(())
}

struct DieselTransaction<DB: PromiscuousBackend> {
    /// To the thread that holds the connection; it rolls back when this is gone.
    jobs: Sender<Job<DB>>,
    /// What takes operations.
    apply: Arc<Apply<DB>>,
}

impl<DB: PromiscuousBackend> DieselTransaction<DB> {
    /// Runs something on the transaction's thread, in the caller's context: what the model's own code writes is caused by it.
    async fn ask<R: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection<DB>) -> R + Send + 'static,
    ) -> Result<R, DatabaseError> {
        let (reply, answer) = oneshot::channel();
        let context = Context::current();
        let job = move |connection: &mut Connection<DB>| {
            let done = match context {
                Some(context) => context.sync_scope(|| work(connection)),
                None => work(connection),
            };
            // A caller that is gone needs no answer.
            let _ = reply.send(done);
        };
        self.jobs.send(Box::new(job)).map_err(|_| thread_ended())?;
        answer.await.map_err(|_| thread_ended())
    }
}

#[async_trait]
impl<DB: PromiscuousBackend> Transaction for DieselTransaction<DB> {
    async fn execute(&mut self, sql: Sql) -> Result<u64, DatabaseError> {
        self.ask(move |connection| sql::execute(connection.inner(), sql)).await?.map_err(database_error)
    }

    async fn query(&mut self, sql: Sql, columns: &[SqlType]) -> Result<Vec<SqlRow>, DatabaseError> {
        let columns = columns.to_vec();
        self.ask(move |connection| sql::query(connection.inner(), sql, &columns))
            .await?
            .map_err(database_error)
    }

    async fn apply(&mut self, operation: &Operation) -> Result<(), ApplyError> {
        let (apply, owned) = (Arc::clone(&self.apply), operation.clone());
        let applied = self.ask(move |connection| apply(connection, Work::One(&owned))).await;
        applied.unwrap_or_else(|source| Err(Subject { operation }.database(source)))
    }

    async fn apply_all(&mut self, operations: &[&Operation]) -> Result<(), ApplyError> {
        let Some(&operation) = operations.first() else { return Ok(()) };
        let apply = Arc::clone(&self.apply);
        let owned: Vec<Operation> = operations.iter().copied().cloned().collect();
        let applied = self.ask(move |connection| apply(connection, Work::Again(&owned))).await;
        applied.unwrap_or_else(|source| Err(Subject { operation }.database(source)))
    }

    async fn commit(self: Box<Self>) -> Result<(), DatabaseError> {
        self.ask(|connection| commit::<DB>(connection)).await?.map_err(database_error)
    }

    async fn rollback(self: Box<Self>) -> Result<(), DatabaseError> {
        self.ask(|connection| roll_back::<DB>(connection)).await?.map_err(database_error)
    }
}

fn no_connection(error: PoolError) -> DatabaseError {
    DatabaseError::new(DatabaseErrorKind::Connection, error)
}

/// Its work panicked, or the runtime is ending.
fn thread_ended() -> DatabaseError {
    DatabaseError::new(DatabaseErrorKind::Other, "the thread that used the database's connection has ended")
}
