//! What core needs of an app's database; adapters implement it on their ORM's connections.
//!
//! Core writes the SQL of its own few tables (see [`schema`](crate::schema)); the adapter only executes it, in
//! transactions that also hold the app's rows.

use async_trait::async_trait;

use crate::operation::Operation;

/// The SQL dialects that are spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// PostgreSQL 13 and later.
    Postgres,
    /// MariaDB 10.5 and MySQL 8.0, and later.
    Mysql,
    /// SQLite 3.35 and later.
    Sqlite,
}

/// A value bound to or read from one of core's tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SqlValue {
    /// NULL.
    Null,
    /// Any integer column.
    Int(i64),
    /// Any text column.
    Text(String),
}

/// The type of a result column, for drivers that must know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SqlType {
    /// `BIGINT`, perhaps NULL.
    Int,
    /// `TEXT` or `VARCHAR`, perhaps NULL.
    Text,
}

/// A statement with its bound values. Values never become text of the statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sql {
    /// The dialect that `text` is written in.
    pub dialect: Dialect,
    /// With `$1` (PostgreSQL) or `?` placeholders.
    pub text: String,
    /// One for each placeholder, in order.
    pub values: Vec<SqlValue>,
}

impl Sql {
    /// The beginning of a statement.
    pub fn new(dialect: Dialect, text: &str) -> Self {
        Self { dialect, text: text.to_owned(), values: Vec::new() }
    }

    /// Appends text.
    pub fn push(&mut self, text: &str) -> &mut Self {
        self.text.push_str(text);
        self
    }

    /// Appends a placeholder and binds its value.
    pub fn bind(&mut self, value: impl Into<SqlValue>) -> &mut Self {
        self.values.push(value.into());
        if self.dialect == Dialect::Postgres {
            self.text.push('$');
            self.text.push_str(&self.values.len().to_string());
        } else {
            self.text.push('?');
        }
        self
    }

    /// Appends `(a, b, …)` of placeholders, for `IN` and `VALUES`.
    pub fn bind_list<V: Into<SqlValue>>(&mut self, values: impl IntoIterator<Item = V>) -> &mut Self {
        self.text.push('(');
        for (position, value) in values.into_iter().enumerate() {
            if position > 0 {
                self.text.push_str(", ");
            }
            self.bind(value);
        }
        self.text.push(')');
        self
    }
}

impl Sql {
    /// [`bind_list`](Self::bind_list) for `IN`, where a value that comes twice changes nothing: the last one is repeated until
    /// there are a power of two. Drivers keep prepared statements by their text, and would else prepare one for every length.
    pub fn bind_in<V: Into<SqlValue> + Clone>(&mut self, values: impl IntoIterator<Item = V>) -> &mut Self {
        let mut values: Vec<V> = values.into_iter().collect();
        if let Some(last) = values.last().cloned() {
            values.resize(values.len().next_power_of_two(), last);
        }
        self.bind_list(values)
    }
}

impl From<i64> for SqlValue {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<u64> for SqlValue {
    /// Versions, generations and times stay far below 2^63; anything above is kept at the largest value.
    fn from(value: u64) -> Self {
        Self::Int(i64::try_from(value).unwrap_or(i64::MAX))
    }
}

impl From<String> for SqlValue {
    fn from(value: String) -> Self {
        Self::Text(value)
    }
}

impl From<&str> for SqlValue {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

/// A result row, one value for each column asked for.
pub type SqlRow = Vec<SqlValue>;

/// What a database error means to whoever must decide on a retry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum DatabaseErrorKind {
    /// A primary or unique key is taken.
    UniqueViolation,
    /// A deadlock, a serialization failure, a busy or lock-timeout answer: the same again may succeed.
    Contention,
    /// The connection was lost or could not be made; whether a COMMIT took effect is unknown.
    Connection,
    /// Anything else: trying again without a change will not help.
    Other,
}

/// A database error as core sees it.
#[derive(Debug, thiserror::Error)]
#[error("the database refused or failed ({kind:?})")]
pub struct DatabaseError {
    /// What it means.
    pub kind: DatabaseErrorKind,
    /// What the driver said.
    #[source]
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

impl DatabaseError {
    /// Wraps a driver's error.
    pub fn new(kind: DatabaseErrorKind, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self { kind, source: source.into() }
    }
}

/// Why an operation could not be applied to the app's model. It is retried; only its causal successors wait.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApplyError {
    /// None of the message's types is subscribed.
    #[error(
        "{endpoint} {id}: none of the types {types:?} is known here: subscribe one of them, or map one with `as = \"…\"`"
    )]
    UnknownType {
        /// The endpoint.
        endpoint: String,
        /// The object.
        id: String,
        /// The message's types.
        types: Vec<String>,
    },
    /// The message lacks an attribute that is subscribed.
    #[error(
        "{endpoint} {id}: the attribute `{attribute}` is not in the message: deploy the publisher that sends it first, or run with --relaxed-schema"
    )]
    MissingAttribute {
        /// The endpoint.
        endpoint: String,
        /// The object.
        id: String,
        /// The attribute.
        attribute: String,
    },
    /// A value does not fit the local column or setter. The value itself is not told.
    #[error("{endpoint} {id}: the attribute `{attribute}` does not fit: expected {expected}")]
    WrongType {
        /// The endpoint.
        endpoint: String,
        /// The object.
        id: String,
        /// The attribute.
        attribute: String,
        /// What the local column wants.
        expected: String,
    },
    /// The id does not fit the local primary or foreign key column.
    #[error(
        "{endpoint} {id}: the id does not fit the column `{column}`: expected {expected}; keep foreign ids in a column of their own with `foreign_key = \"…\"`"
    )]
    WrongId {
        /// The endpoint.
        endpoint: String,
        /// The object.
        id: String,
        /// The local column.
        column: String,
        /// What it wants.
        expected: String,
    },
    /// The app's own hook or setter said no, or panicked.
    #[error("{endpoint} {id}: the model's own code failed: {reason}")]
    Callback {
        /// The endpoint.
        endpoint: String,
        /// The object.
        id: String,
        /// What it said.
        reason: String,
    },
    /// The database said no.
    #[error("{endpoint} {id}: the database failed")]
    Database {
        /// The endpoint.
        endpoint: String,
        /// The object.
        id: String,
        /// What it said.
        #[source]
        source: DatabaseError,
    },
}

/// An app's database, through its ORM's connection pool.
#[async_trait]
pub trait Database: Send + Sync + 'static {
    /// The dialect to write SQL in.
    fn dialect(&self) -> Dialect;
    /// Runs a statement in a transaction of its own; answers with the number of affected rows.
    async fn execute(&self, sql: Sql) -> Result<u64, DatabaseError>;
    /// Runs a query; every row has one value for each of `columns`.
    async fn query(&self, sql: Sql, columns: &[SqlType]) -> Result<Vec<SqlRow>, DatabaseError>;
    /// Begins a transaction. Dropping it rolls it back.
    async fn begin(&self) -> Result<Box<dyn Transaction>, DatabaseError>;
}

/// An open database transaction.
#[async_trait]
pub trait Transaction: Send {
    /// Runs a statement; answers with the number of affected rows.
    async fn execute(&mut self, sql: Sql) -> Result<u64, DatabaseError>;
    /// Runs a query; every row has one value for each of `columns`.
    async fn query(&mut self, sql: Sql, columns: &[SqlType]) -> Result<Vec<SqlRow>, DatabaseError>;
    /// Applies one operation to the app's model, whose own hooks run (section 7 of the protocol: `create` of an
    /// existing row updates it, `update` of a missing row creates it, `destroy` of a missing row is fine).
    async fn apply(&mut self, operation: &Operation) -> Result<(), ApplyError>;
    /// Applies operations that send objects again (`sync`, with attributes), each of another object, in their order. An adapter may look for
    /// several of them at a time, and write them so, as long as the model's own hooks run for each.
    async fn apply_all(&mut self, operations: &[&Operation]) -> Result<(), ApplyError> {
        for operation in operations {
            self.apply(operation).await?;
        }
        Ok(())
    }
    /// Commits.
    async fn commit(self: Box<Self>) -> Result<(), DatabaseError>;
    /// Rolls back.
    async fn rollback(self: Box<Self>) -> Result<(), DatabaseError>;
}
