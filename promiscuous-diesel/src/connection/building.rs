//! Transactions with an isolation level or a lock: what Diesel's connections offer by methods of their own.

use diesel::connection::TransactionManager;
use diesel::result::Error;

use super::{Promiscuous, Wrapped};

type Manager<C> = <Promiscuous<C> as diesel::Connection>::TransactionManager;

impl<C: Wrapped> Promiscuous<C> {
    /// Diesel's `transaction` with another BEGIN.
    pub(super) fn transaction_sql<T, E, F>(&mut self, sql: &str, function: F) -> Result<T, E>
    where
        F: FnOnce(&mut Self) -> Result<T, E>,
        E: From<Error>,
    {
        self.begin_with(sql)?;
        match function(self) {
            Ok(value) => {
                Manager::<C>::commit_transaction(self)?;
                Ok(value)
            }
            Err(error) => match Manager::<C>::rollback_transaction(self) {
                // The first error tells more.
                Ok(()) | Err(Error::BrokenTransactionManager) => Err(error),
                Err(failed) => Err(failed.into()),
            },
        }
    }
}

#[cfg(feature = "sqlite")]
impl<C: Wrapped<Backend = diesel::sqlite::Sqlite>> Promiscuous<C> {
    /// Runs a function in a transaction that takes the write lock at once, as each does when the app publishes anything.
    ///
    /// # Errors
    /// The function's error, after a rollback; or why it could not begin, be published, or commit.
    pub fn immediate_transaction<T, E, F>(&mut self, function: F) -> Result<T, E>
    where
        F: FnOnce(&mut Self) -> Result<T, E>,
        E: From<Error>,
    {
        self.transaction_sql("BEGIN IMMEDIATE", function)
    }

    /// Runs a function in a transaction that keeps others from reading, too.
    ///
    /// # Errors
    /// The function's error, after a rollback; or why it could not begin, be published, or commit.
    pub fn exclusive_transaction<T, E, F>(&mut self, function: F) -> Result<T, E>
    where
        F: FnOnce(&mut Self) -> Result<T, E>,
        E: From<Error>,
    {
        self.transaction_sql("BEGIN EXCLUSIVE", function)
    }

    /// Runs a function in a transaction that takes locks when it needs them: for one that only reads. A write after a read fails
    /// with `database is locked` when another connection has written in between, however long the busy timeout is.
    ///
    /// # Errors
    /// The function's error, after a rollback; or why it could not begin, be published, or commit.
    pub fn deferred_transaction<T, E, F>(&mut self, function: F) -> Result<T, E>
    where
        F: FnOnce(&mut Self) -> Result<T, E>,
        E: From<Error>,
    {
        self.transaction_sql("BEGIN DEFERRED", function)
    }
}

/// A PostgreSQL transaction with characteristics. See [`Promiscuous::build_transaction`].
#[cfg(feature = "postgres")]
#[must_use = "a transaction builder does nothing before `run`"]
#[derive(Debug)]
pub struct TransactionBuilder<'c, C: Wrapped> {
    /// Where it will run.
    connection: &'c mut Promiscuous<C>,
    /// `ISOLATION LEVEL …`.
    isolation: &'static str,
    /// `READ …`.
    mode: &'static str,
    /// `… DEFERRABLE`.
    deferrable: &'static str,
}

#[cfg(feature = "postgres")]
impl<C: Wrapped<Backend = diesel::pg::Pg>> Promiscuous<C> {
    /// Builds a transaction with an isolation level, as `PgConnection::build_transaction` does.
    pub fn build_transaction(&mut self) -> TransactionBuilder<'_, C> {
        TransactionBuilder { connection: self, isolation: "", mode: "", deferrable: "" }
    }
}

#[cfg(feature = "postgres")]
impl<C: Wrapped<Backend = diesel::pg::Pg>> TransactionBuilder<'_, C> {
    /// It may not write.
    pub fn read_only(self) -> Self {
        Self { mode: " READ ONLY", ..self }
    }

    /// It may write: the default.
    pub fn read_write(self) -> Self {
        Self { mode: " READ WRITE", ..self }
    }

    /// It waits until it can run without being aborted: for one that is serializable and reads only.
    pub fn deferrable(self) -> Self {
        Self { deferrable: " DEFERRABLE", ..self }
    }

    /// It does not wait: the default.
    pub fn not_deferrable(self) -> Self {
        Self { deferrable: " NOT DEFERRABLE", ..self }
    }

    /// Each statement sees what was committed before it.
    pub fn read_committed(self) -> Self {
        Self { isolation: " ISOLATION LEVEL READ COMMITTED", ..self }
    }

    /// All statements see what was committed before the first.
    pub fn repeatable_read(self) -> Self {
        Self { isolation: " ISOLATION LEVEL REPEATABLE READ", ..self }
    }

    /// As if transactions ran one after the other.
    pub fn serializable(self) -> Self {
        Self { isolation: " ISOLATION LEVEL SERIALIZABLE", ..self }
    }

    /// Runs a function in the transaction.
    ///
    /// # Errors
    /// The function's error, after a rollback; or why it could not begin, be published, or commit.
    pub fn run<T, E, F>(&mut self, function: F) -> Result<T, E>
    where
        F: FnOnce(&mut Promiscuous<C>) -> Result<T, E>,
        E: From<Error>,
    {
        let sql = format!("BEGIN TRANSACTION{}{}{}", self.isolation, self.mode, self.deferrable);
        self.connection.transaction_sql(&sql, function)
    }
}
