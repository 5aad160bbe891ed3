//! An app's database, as core sees it: its own few tables, and applying operations to the subscribed models.

use async_trait::async_trait;
use promiscuous_core::database::{
    ApplyError, Database, DatabaseError, DatabaseErrorKind, Dialect, Sql, SqlRow, SqlType, SqlValue,
    Transaction,
};
use promiscuous_core::operation::Operation;
use sea_orm::{
    ConnectionTrait, DbBackend, DbErr, QueryResult, SqliteTransactionMode, Statement, TransactionOptions,
    TransactionTrait, Value,
};

use crate::applier::ApplyOptions;
use crate::connection::PromiscuousConnection;
use crate::database_error::database_error;
use crate::subscription::SubscribedModels;
use crate::transaction::PromiscuousTransaction;

/// See the module.
pub(crate) struct SeaDatabase {
    /// What is applied is written through it, so that an app's hooks publish as they do elsewhere.
    connection: PromiscuousConnection,
    /// What takes operations.
    models: SubscribedModels,
    /// How they are taken.
    options: ApplyOptions,
}

impl SeaDatabase {
    pub(crate) fn new(
        connection: PromiscuousConnection,
        models: SubscribedModels,
        options: ApplyOptions,
    ) -> Self {
        Self { connection, models, options }
    }
}

#[async_trait]
impl Database for SeaDatabase {
    fn dialect(&self) -> Dialect {
        dialect(self.connection.get_database_backend())
    }

    async fn execute(&self, sql: Sql) -> Result<u64, DatabaseError> {
        execute(&self.connection.steady(), sql).await
    }

    async fn query(&self, sql: Sql, columns: &[SqlType]) -> Result<Vec<SqlRow>, DatabaseError> {
        query(&self.connection.steady(), sql, columns).await
    }

    async fn begin(&self) -> Result<Box<dyn Transaction>, DatabaseError> {
        // SQLite: a transaction that reads first fails when another one writes in between.
        let immediate = self.dialect() == Dialect::Sqlite;
        let options = TransactionOptions {
            sqlite_transaction_mode: immediate.then_some(SqliteTransactionMode::Immediate),
            ..TransactionOptions::default()
        };
        let transaction = self.connection.begin_with_options(options).await.map_err(database_error)?;
        Ok(Box::new(SeaTransaction { transaction, models: self.models.clone(), options: self.options }))
    }
}

struct SeaTransaction {
    transaction: PromiscuousTransaction,
    models: SubscribedModels,
    options: ApplyOptions,
}

#[async_trait]
impl Transaction for SeaTransaction {
    async fn execute(&mut self, sql: Sql) -> Result<u64, DatabaseError> {
        let turn = self.transaction.recording().turn().await.map_err(database_error)?;
        execute(&self.transaction.steady(&turn), sql).await
    }

    async fn query(&mut self, sql: Sql, columns: &[SqlType]) -> Result<Vec<SqlRow>, DatabaseError> {
        let turn = self.transaction.recording().turn().await.map_err(database_error)?;
        query(&self.transaction.steady(&turn), sql, columns).await
    }

    async fn apply(&mut self, operation: &Operation) -> Result<(), ApplyError> {
        self.models.apply(&self.transaction, operation, self.options).await
    }

    async fn apply_all(&mut self, operations: &[&Operation]) -> Result<(), ApplyError> {
        self.models.apply_all(&self.transaction, operations, self.options).await
    }

    async fn commit(self: Box<Self>) -> Result<(), DatabaseError> {
        self.transaction.commit().await.map_err(database_error)
    }

    async fn rollback(self: Box<Self>) -> Result<(), DatabaseError> {
        self.transaction.rollback().await.map_err(database_error)
    }
}

fn dialect(backend: DbBackend) -> Dialect {
    match backend {
        DbBackend::Postgres => Dialect::Postgres,
        DbBackend::MySql => Dialect::Mysql,
        _ => Dialect::Sqlite,
    }
}

async fn execute(connection: &impl ConnectionTrait, sql: Sql) -> Result<u64, DatabaseError> {
    let statement = statement(sql, connection.get_database_backend());
    let result = connection.execute_raw(statement).await.map_err(database_error)?;
    Ok(result.rows_affected())
}

async fn query(
    connection: &impl ConnectionTrait,
    sql: Sql,
    columns: &[SqlType],
) -> Result<Vec<SqlRow>, DatabaseError> {
    let statement = statement(sql, connection.get_database_backend());
    let rows = connection.query_all_raw(statement).await.map_err(database_error)?;
    rows.iter().map(|row| read(row, columns)).collect()
}

/// Core's SQL as SeaORM runs it.
pub(crate) fn statement(sql: Sql, backend: DbBackend) -> Statement {
    let values = sql.values.into_iter().map(|value| match value {
        SqlValue::Int(value) => Value::from(value),
        SqlValue::Text(value) => Value::from(value),
        SqlValue::Null => Value::String(None),
    });
    Statement::from_sql_and_values(backend, sql.text, values)
}

fn read(row: &QueryResult, columns: &[SqlType]) -> Result<SqlRow, DatabaseError> {
    let value = |(position, column): (usize, &SqlType)| match column {
        SqlType::Int => integer(row, position).map(|v| v.map_or(SqlValue::Null, SqlValue::Int)),
        SqlType::Text => {
            row.try_get_by_index::<Option<String>>(position).map(|v| v.map_or(SqlValue::Null, SqlValue::Text))
        }
    };
    let values = columns.iter().enumerate().map(value).collect::<Result<_, DbErr>>();
    values.map_err(|error| DatabaseError::new(DatabaseErrorKind::Other, error))
}

/// Drivers insist on the exact width of an integer.
fn integer(row: &QueryResult, position: usize) -> Result<Option<i64>, DbErr> {
    row.try_get_by_index::<Option<i64>>(position)
        .or_else(|_| row.try_get_by_index::<Option<i16>>(position).map(|value| value.map(i64::from)))
}
