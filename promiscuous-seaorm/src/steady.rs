//! Statements that run to their end also when nobody waits for them any more.
//!
//! A future is dropped halfway whenever a web client hangs up or a timeout strikes. sqlx 0.9 does not survive that
//! everywhere:
//! * MySQL: while a statement is being prepared, the driver takes the rest of the server's answer for something else and
//!   waits for ever for what never comes. The pool never gets that connection back; a few of them, and it is empty.
//! * MySQL and PostgreSQL: during BEGIN, the connection returns to the pool inside of a transaction that nobody knows
//!   about, and whoever gets it next writes without ever committing.
//! * MySQL: during a ping, its answer is taken for that of the next statement, whose answer is taken for that of the one
//!   after it.
//!
//! So what cannot be interrupted goes on in the background, and keeps the transaction's turn until it is done.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use async_trait::async_trait;
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbBackend, DbErr, ExecResult, QueryResult, Statement};

use crate::database_error::has_rolled_back;
use crate::recording::Turn;

/// A future that is finished in the background when it is dropped halfway.
pub(crate) struct ToItsEnd<T: Send + 'static> {
    /// Taken when it is done.
    future: Option<Pin<Box<dyn Future<Output = T> + Send>>>,
    /// What was never begun needs no end.
    begun: bool,
}

/// Makes a future one that is finished whatever happens.
pub(crate) fn to_its_end<T: Send + 'static>(future: impl Future<Output = T> + Send + 'static) -> ToItsEnd<T> {
    ToItsEnd { future: Some(Box::pin(future)), begun: false }
}

impl<T: Send + 'static> Future for ToItsEnd<T> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let this = self.get_mut();
        this.begun = true;
        let Some(future) = &mut this.future else { return Poll::Pending };
        let output = ready!(future.as_mut().poll(cx));
        this.future = None;
        Poll::Ready(output)
    }
}

impl<T: Send + 'static> Drop for ToItsEnd<T> {
    fn drop(&mut self) {
        if let (true, Some(future)) = (self.begun, self.future.take()) {
            go_on(future);
        }
    }
}

/// Finishes what was begun, without anybody who waits for it.
pub(crate) fn go_on<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) {
    // Without a runtime the program is ending, and its connections with it.
    if let Ok(runtime) = tokio::runtime::Handle::try_current() {
        runtime.spawn(work);
    }
}

/// Whether the driver loses a connection whose statement is interrupted.
pub(crate) fn is_fragile(backend: DbBackend) -> bool {
    backend == DbBackend::MySql
}

/// Runs what the driver has to do. Where it cannot be interrupted, it goes on in the background, with the turn.
pub(crate) async fn steadily<T: Send + 'static>(
    backend: DbBackend,
    turn: Option<&Turn>,
    work: impl Future<Output = T> + Send + 'static,
) -> T {
    if !is_fragile(backend) {
        return work.await;
    }
    let turn = turn.cloned();
    // When nobody waits, the output is dropped before the turn: it may be a savepoint that has to be rolled back.
    to_its_end(async move { (work.await, turn) }).await.0
}

/// A pool, or a transaction whose turn one has, whose statements run to their end.
pub(crate) struct Steady<C> {
    /// What runs them.
    connection: Arc<C>,
    /// In a transaction: nothing else uses its connection, and it does not end, before the statement is done.
    turn: Option<Turn>,
}

/// A transaction while one has its turn.
pub(crate) type SteadyTransaction = Steady<DatabaseTransaction>;

impl<C: ConnectionTrait + Send + 'static> Steady<C> {
    pub fn new(connection: &Arc<C>, turn: Option<&Turn>) -> Self {
        Self { connection: Arc::clone(connection), turn: turn.cloned() }
    }

    async fn run<T, F>(&self, call: impl FnOnce(Arc<C>) -> F + Send) -> Result<T, DbErr>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, DbErr>> + Send + 'static,
    {
        let call = call(Arc::clone(&self.connection));
        let turn = self.turn.clone();
        let work = async move {
            let result = call.await;
            // MySQL then commits what follows statement by statement, without what came before.
            if let (Err(error), Some(turn)) = (&result, &turn)
                && has_rolled_back(error)
            {
                turn.spoil("the database has rolled it back because of a conflict with another one");
            }
            result
        };
        steadily(self.get_database_backend(), self.turn.as_ref(), work).await
    }
}

#[async_trait]
impl<C: ConnectionTrait + Send + 'static> ConnectionTrait for Steady<C> {
    fn get_database_backend(&self) -> DbBackend {
        self.connection.get_database_backend()
    }

    fn support_returning(&self) -> bool {
        self.connection.support_returning()
    }

    fn is_mock_connection(&self) -> bool {
        self.connection.is_mock_connection()
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        self.run(|connection| async move { connection.execute_raw(statement).await }).await
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        let sql = sql.to_owned();
        self.run(|connection| async move { connection.execute_unprepared(&sql).await }).await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        self.run(|connection| async move { connection.query_one_raw(statement).await }).await
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        self.run(|connection| async move { connection.query_all_raw(statement).await }).await
    }
}
