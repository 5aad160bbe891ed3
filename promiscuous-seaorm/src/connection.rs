//! The connection that an app uses instead of SeaORM's.

use std::fmt::{Debug, Display};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use async_trait::async_trait;
use promiscuous_core::context::Context;
use promiscuous_core::health::Health;
use promiscuous_core::publisher::Publisher;
use sea_orm::{
    AccessMode, ConnectionTrait, DatabaseConnection, DatabaseExecutor, DbBackend, DbErr, ExecResult,
    IntoDatabaseExecutor, IsolationLevel, QueryResult, SqliteTransactionMode, Statement, StatementBuilder,
    TransactionError, TransactionOptions, TransactionTrait,
};

use crate::capture::{Admitted, Capture, Queried};
use crate::commit::CommitPath;
use crate::model::PublishedModels;
use crate::reads::remember;
use crate::statement::Route;
use crate::steady::{Steady, steadily, to_its_end};
use crate::transaction::{Origin, PromiscuousTransaction};
use promiscuous_core::capture::CaptureSettings;

/// A connection pool that publishes what is written through it, and remembers what is read.
///
/// It stands in for [`DatabaseConnection`] in all of SeaORM's methods. A published write outside of a transaction gets a
/// transaction of its own. Clones share everything.
#[derive(Clone)]
pub struct PromiscuousConnection {
    /// SeaORM's pool. Never handed out by accident: whoever has it writes unseen.
    inner: Arc<DatabaseConnection>,
    /// What is published, where to, and how.
    capture: Arc<Capture>,
    /// The context given by [`PromiscuousConnection::with_context`]; it outranks the task's.
    context: Option<Context>,
}

impl PromiscuousConnection {
    /// Wraps a pool. Without a publisher nothing is captured: the app only subscribes.
    pub fn new(
        inner: DatabaseConnection,
        models: PublishedModels,
        publisher: Option<Publisher>,
        settings: CaptureSettings,
    ) -> Self {
        let path = publisher.map_or(CommitPath::Nothing, CommitPath::Publisher);
        Self::with_path(inner, models, path, settings)
    }

    pub(crate) fn with_path(
        inner: DatabaseConnection,
        models: PublishedModels,
        path: CommitPath,
        settings: CaptureSettings,
    ) -> Self {
        Self { inner: Arc::new(inner), capture: Capture::new(models, path, settings), context: None }
    }

    /// The same connection, bound to a context: for code whose task is not inside of one.
    #[must_use]
    pub fn with_context(&self, context: Context) -> Self {
        Self { context: Some(context), ..self.clone() }
    }

    /// SeaORM's own connection. **What is written through it is not published**, which is logged with the place of the
    /// call.
    #[track_caller]
    pub fn without_promiscuous(&self) -> &DatabaseConnection {
        tracing::warn!("writes are not published from here on: {}", std::panic::Location::caller());
        &self.inner
    }

    /// The database's dialect.
    pub fn get_database_backend(&self) -> DbBackend {
        self.inner.get_database_backend()
    }

    /// Checks that the database answers.
    ///
    /// # Errors
    /// When it does not.
    pub async fn ping(&self) -> Result<(), DbErr> {
        let inner = Arc::clone(&self.inner);
        steadily(self.get_database_backend(), None, async move { inner.ping().await }).await
    }

    /// Closes the pool, also for all clones.
    ///
    /// # Errors
    /// When the database says so.
    pub async fn close(self) -> Result<(), DbErr> {
        DatabaseConnection::clone(&self.inner).close().await
    }

    /// Begins a transaction: what is written in it becomes one message when it commits.
    ///
    /// # Errors
    /// When the database says so.
    pub async fn begin(&self) -> Result<PromiscuousTransaction, DbErr> {
        self.open(TransactionOptions::default(), Origin::Explicit).await
    }

    /// Runs a function in a transaction, which commits when the function succeeds.
    ///
    /// # Errors
    /// The function's error, after a rollback; or why it could not begin, be published, or commit.
    pub async fn transaction_async<F, T, E>(&self, callback: F) -> Result<T, TransactionError<E>>
    where
        F: for<'c> AsyncFnOnce(&'c PromiscuousTransaction) -> Result<T, E> + Send,
        T: Send,
        E: Display + Debug + Send,
    {
        let transaction = self.begin().await.map_err(TransactionError::Connection)?;
        transaction.run_async(callback).await
    }

    /// [`transaction_async`](Self::transaction_async) with an isolation level or access mode.
    ///
    /// # Errors
    /// The same.
    pub async fn transaction_with_config_async<F, T, E>(
        &self,
        callback: F,
        isolation_level: Option<IsolationLevel>,
        access_mode: Option<AccessMode>,
    ) -> Result<T, TransactionError<E>>
    where
        F: for<'c> AsyncFnOnce(&'c PromiscuousTransaction) -> Result<T, E> + Send,
        T: Send,
        E: Display + Debug + Send,
    {
        let transaction = self.begin_with_config(isolation_level, access_mode).await;
        transaction.map_err(TransactionError::Connection)?.run_async(callback).await
    }

    /// What publishes this connection's writes, if anything is published: to shut it down gracefully.
    pub fn publisher(&self) -> Option<&Publisher> {
        self.capture.path.publisher()
    }

    /// How what publishes in the background does; of an app that publishes nothing, nothing is to be said.
    ///
    /// `healthy()` of it is for a check of the app's own; [`Health::report`] says what is wrong, and with the feature `http`
    /// `promiscuous_core::health::http` answers `/healthz` and `/readyz`.
    pub fn health(&self) -> Health {
        self.publisher().map(Publisher::health).unwrap_or_default()
    }

    /// Publishes what is in hand and stops publishing: for the end of a program. What is left after `patience` waits in
    /// the outbox for the next process. The pool stays open.
    pub async fn shut_down(&self, patience: std::time::Duration) {
        if let Some(publisher) = self.publisher() {
            publisher.shut_down(patience).await;
        }
    }

    pub(crate) fn inner(&self) -> &DatabaseConnection {
        &self.inner
    }

    /// The pool, whose statements run to their end.
    pub(crate) fn steady(&self) -> Steady<DatabaseConnection> {
        Steady::new(&self.inner, None)
    }

    pub(crate) fn capture(&self) -> &Arc<Capture> {
        &self.capture
    }

    /// The context that reads belong to: the one given, or else the running task's.
    pub(crate) fn context(&self) -> Option<Context> {
        self.context.clone().or_else(Context::current)
    }

    async fn open(
        &self,
        mut options: TransactionOptions,
        origin: Origin,
    ) -> Result<PromiscuousTransaction, DbErr> {
        // SQLite: a deferred transaction that first reads and then writes fails at once when another one has written in
        // between, and the publisher, which tidies the outbox in the background, does that all the time.
        if self.get_database_backend() == DbBackend::Sqlite
            && self.capture.path.publishes()
            && options.access_mode != Some(AccessMode::ReadOnly)
        {
            options.sqlite_transaction_mode.get_or_insert(SqliteTransactionMode::Immediate);
        }
        let inner = Arc::clone(&self.inner);
        // On all servers: PostgreSQL's driver, too, gives a connection back inside of a transaction when BEGIN is
        // interrupted.
        let inner = to_its_end(async move { inner.begin_with_options(options).await }).await?;
        let capture = Arc::clone(&self.capture);
        Ok(PromiscuousTransaction::outermost(inner, capture, self.context.clone(), origin))
    }

    /// The transaction of one published write. A write by primary key may one day skip it (section 5.1 of the protocol):
    /// the place to branch off is where this is called.
    async fn begin_for_write(&self) -> Result<PromiscuousTransaction, DbErr> {
        self.open(TransactionOptions::default(), Origin::SingleWrite).await
    }

    async fn query<S: StatementBuilder>(&self, statement: &S) -> Result<Queried, DbErr> {
        let route = Route::Query { returning: self.support_returning() };
        match self.capture.admit(statement, self.get_database_backend(), route)? {
            Admitted::Pass | Admitted::Text(_) => Ok(Queried::Run(None)),
            Admitted::Read(selection) => Ok(Queried::Run(self.context().map(|context| (selection, context)))),
            Admitted::Write(write) => {
                let transaction = self.begin_for_write().await?;
                let rows = transaction.write_returning(&write).await;
                transaction.end(rows).await.map(Queried::Rows)
            }
        }
    }
}

#[async_trait]
impl ConnectionTrait for PromiscuousConnection {
    fn get_database_backend(&self) -> DbBackend {
        self.inner.get_database_backend()
    }

    fn support_returning(&self) -> bool {
        // SeaQuery renders no RETURNING for MySQL and MariaDB, whatever SeaORM's features say.
        self.get_database_backend() != DbBackend::MySql && self.inner.support_returning()
    }

    fn is_mock_connection(&self) -> bool {
        self.inner.is_mock_connection()
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        self.capture.admit_raw(&statement.sql, self.get_database_backend())?;
        self.steady().execute_raw(statement).await
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        self.capture.admit_raw(sql, self.get_database_backend())?;
        self.steady().execute_unprepared(sql).await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        self.capture.admit_raw(&statement.sql, self.get_database_backend())?;
        self.steady().query_one_raw(statement).await
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        self.capture.admit_raw(&statement.sql, self.get_database_backend())?;
        self.steady().query_all_raw(statement).await
    }

    async fn execute<S: StatementBuilder>(&self, statement: &S) -> Result<ExecResult, DbErr> {
        match self.capture.admit(statement, self.get_database_backend(), Route::Execute)? {
            Admitted::Pass | Admitted::Text(_) | Admitted::Read(_) => self.steady().execute(statement).await,
            Admitted::Write(write) => {
                let transaction = self.begin_for_write().await?;
                let result = transaction.write_executing(&write).await;
                transaction.end(result).await
            }
        }
    }

    async fn query_one<S: StatementBuilder>(&self, statement: &S) -> Result<Option<QueryResult>, DbErr> {
        match self.query(statement).await? {
            Queried::Rows(rows) => Ok(rows.into_iter().next()),
            Queried::Run(cause) => {
                let row = self.steady().query_one(statement).await?;
                if let (Some((selection, context)), Some(row)) = (&cause, &row) {
                    remember(selection, std::slice::from_ref(row), context);
                }
                Ok(row)
            }
        }
    }

    async fn query_all<S: StatementBuilder>(&self, statement: &S) -> Result<Vec<QueryResult>, DbErr> {
        match self.query(statement).await? {
            Queried::Rows(rows) => Ok(rows),
            Queried::Run(cause) => {
                let rows = self.steady().query_all(statement).await?;
                if let Some((selection, context)) = &cause {
                    remember(selection, &rows, context);
                }
                Ok(rows)
            }
        }
    }
}

#[async_trait]
impl TransactionTrait for PromiscuousConnection {
    type Transaction = PromiscuousTransaction;

    async fn begin(&self) -> Result<PromiscuousTransaction, DbErr> {
        PromiscuousConnection::begin(self).await
    }

    async fn begin_with_config(
        &self,
        isolation_level: Option<IsolationLevel>,
        access_mode: Option<AccessMode>,
    ) -> Result<PromiscuousTransaction, DbErr> {
        let options = TransactionOptions { isolation_level, access_mode, ..TransactionOptions::default() };
        self.open(options, Origin::Explicit).await
    }

    async fn begin_with_options(&self, options: TransactionOptions) -> Result<PromiscuousTransaction, DbErr> {
        self.open(options, Origin::Explicit).await
    }

    async fn transaction<F, T, E>(&self, callback: F) -> Result<T, TransactionError<E>>
    where
        F: for<'c> FnOnce(
                &'c PromiscuousTransaction,
            ) -> Pin<Box<dyn Future<Output = Result<T, E>> + Send + 'c>>
            + Send,
        T: Send,
        E: Display + Debug + Send,
    {
        self.begin().await.map_err(TransactionError::Connection)?.run(callback).await
    }

    async fn transaction_with_config<F, T, E>(
        &self,
        callback: F,
        isolation_level: Option<IsolationLevel>,
        access_mode: Option<AccessMode>,
    ) -> Result<T, TransactionError<E>>
    where
        F: for<'c> FnOnce(
                &'c PromiscuousTransaction,
            ) -> Pin<Box<dyn Future<Output = Result<T, E>> + Send + 'c>>
            + Send,
        T: Send,
        E: Display + Debug + Send,
    {
        let transaction = self.begin_with_config(isolation_level, access_mode).await;
        transaction.map_err(TransactionError::Connection)?.run(callback).await
    }
}

/// For migrations: they change tables, and what they write is not published.
impl<'c> IntoDatabaseExecutor<'c> for &'c PromiscuousConnection {
    fn into_database_executor(self) -> DatabaseExecutor<'c> {
        DatabaseExecutor::Connection(&self.inner)
    }
}

impl Debug for PromiscuousConnection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PromiscuousConnection").field("inner", &self.inner).finish_non_exhaustive()
    }
}
