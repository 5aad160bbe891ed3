//! A transaction used as a connection: statements, and transactions inside of it.

use std::fmt::{Debug, Display};
use std::future::Future;
use std::pin::Pin;

use async_trait::async_trait;
use sea_orm::{
    AccessMode, ConnectionTrait, DatabaseExecutor, DbBackend, DbErr, ExecResult, IntoDatabaseExecutor,
    IsolationLevel, QueryResult, Statement, StatementBuilder, TransactionError, TransactionOptions,
    TransactionTrait,
};

use crate::capture::{Admitted, Queried};
use crate::reads::remember;
use crate::statement::Route;
use crate::transaction::PromiscuousTransaction;

impl PromiscuousTransaction {
    async fn query<S: StatementBuilder>(&self, statement: &S) -> Result<Queried, DbErr> {
        let route = Route::Query { returning: self.support_returning() };
        match self.capture().admit(statement, self.get_database_backend(), route)? {
            Admitted::Pass => Ok(Queried::Run(None)),
            Admitted::Text(sql) => self.keeps_transaction(&sql).map(|()| Queried::Run(None)),
            Admitted::Read(selection) => Ok(Queried::Run(self.context().map(|context| (selection, context)))),
            Admitted::Write(write) => self.write_returning(&write).await.map(Queried::Rows),
        }
    }

    /// Decides about SQL that exists as text only.
    pub(crate) fn admit_raw(&self, sql: &str) -> Result<(), DbErr> {
        self.capture().admit_raw(sql, self.get_database_backend())?;
        self.keeps_transaction(sql)
    }

    /// A statement that commits by itself must not commit published rows.
    fn keeps_transaction(&self, sql: &str) -> Result<(), DbErr> {
        if self.capture().commits(sql, self.get_database_backend()) {
            self.recording().commits()?;
        }
        Ok(())
    }

    /// Begins a transaction inside of this one: a savepoint.
    ///
    /// # Errors
    /// When the database says so. Then the whole transaction can only be rolled back.
    pub async fn begin(&self) -> Result<PromiscuousTransaction, DbErr> {
        self.nested(TransactionOptions::default()).await
    }

    /// Runs a function in a transaction inside of this one, which counts when the function succeeds.
    ///
    /// # Errors
    /// The function's error, after a rollback; or why it could not begin or end.
    pub async fn transaction_async<F, T, E>(&self, callback: F) -> Result<T, TransactionError<E>>
    where
        F: for<'c> AsyncFnOnce(&'c PromiscuousTransaction) -> Result<T, E> + Send,
        T: Send,
        E: Display + Debug + Send,
    {
        self.begin().await.map_err(TransactionError::Connection)?.run_async(callback).await
    }
}

#[async_trait]
impl ConnectionTrait for PromiscuousTransaction {
    fn get_database_backend(&self) -> DbBackend {
        ConnectionTrait::get_database_backend(self.inner())
    }

    fn support_returning(&self) -> bool {
        // SeaQuery renders no RETURNING for MySQL and MariaDB, whatever SeaORM's features say.
        self.get_database_backend() != DbBackend::MySql && self.inner().support_returning()
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        self.admit_raw(&statement.sql)?;
        let turn = self.recording().turn().await?;
        self.steady(&turn).execute_raw(statement).await
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        self.admit_raw(sql)?;
        let turn = self.recording().turn().await?;
        self.steady(&turn).execute_unprepared(sql).await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        self.admit_raw(&statement.sql)?;
        let turn = self.recording().turn().await?;
        self.steady(&turn).query_one_raw(statement).await
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        self.admit_raw(&statement.sql)?;
        let turn = self.recording().turn().await?;
        self.steady(&turn).query_all_raw(statement).await
    }

    async fn execute<S: StatementBuilder>(&self, statement: &S) -> Result<ExecResult, DbErr> {
        match self.capture().admit(statement, self.get_database_backend(), Route::Execute)? {
            Admitted::Write(write) => self.write_executing(&write).await,
            other => {
                if let Admitted::Text(sql) = &other {
                    self.keeps_transaction(sql)?;
                }
                let turn = self.recording().turn().await?;
                self.steady(&turn).execute(statement).await
            }
        }
    }

    async fn query_one<S: StatementBuilder>(&self, statement: &S) -> Result<Option<QueryResult>, DbErr> {
        match self.query(statement).await? {
            Queried::Rows(rows) => Ok(rows.into_iter().next()),
            Queried::Run(cause) => {
                let turn = self.recording().turn().await?;
                let row = self.steady(&turn).query_one(statement).await?;
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
                let turn = self.recording().turn().await?;
                let rows = self.steady(&turn).query_all(statement).await?;
                if let Some((selection, context)) = &cause {
                    remember(selection, &rows, context);
                }
                Ok(rows)
            }
        }
    }
}

#[async_trait]
impl TransactionTrait for PromiscuousTransaction {
    type Transaction = PromiscuousTransaction;

    async fn begin(&self) -> Result<PromiscuousTransaction, DbErr> {
        PromiscuousTransaction::begin(self).await
    }

    async fn begin_with_config(
        &self,
        isolation_level: Option<IsolationLevel>,
        access_mode: Option<AccessMode>,
    ) -> Result<PromiscuousTransaction, DbErr> {
        self.nested(TransactionOptions { isolation_level, access_mode, ..TransactionOptions::default() })
            .await
    }

    async fn begin_with_options(&self, options: TransactionOptions) -> Result<PromiscuousTransaction, DbErr> {
        self.nested(options).await
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
impl<'c> IntoDatabaseExecutor<'c> for &'c PromiscuousTransaction {
    fn into_database_executor(self) -> DatabaseExecutor<'c> {
        DatabaseExecutor::Transaction(self.inner())
    }
}
