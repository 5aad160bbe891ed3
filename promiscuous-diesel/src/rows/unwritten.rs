//! Reads the rows of a selection but for those that a transaction in flight has changed.

use std::sync::OnceLock;

use diesel::QueryResult;
use diesel::connection::{Connection, TransactionManager};
use promiscuous_core::database::{DatabaseError, Dialect, Sql, SqlType, SqlValue};

use super::other;
use super::selection::Selection;
use crate::backend::PromiscuousBackend;
use crate::connection::Wrapped;
use crate::database_error::database_error;
use crate::sql;

/// What the database can do about it.
#[derive(Default)]
pub(super) struct Unwritten {
    /// MariaDB speaks MySQL's dialect but for this, and its version is not another one while an app runs.
    mysql: OnceLock<&'static str>,
}

impl Unwritten {
    /// Runs the selection, and reads all rows.
    ///
    /// # Errors
    /// The database's, and when it cannot do it.
    pub fn load<DB, C>(
        &self,
        selection: Selection<'_, DB>,
        connection: &mut C,
    ) -> Result<Vec<C::Kept>, DatabaseError>
    where
        DB: PromiscuousBackend,
        C: Wrapped<Backend = DB>,
    {
        let lock = match DB::DIALECT {
            Dialect::Postgres => "FOR SHARE SKIP LOCKED",
            Dialect::Mysql => self.mysql(connection)?,
            Dialect::Sqlite => return as_writer(selection, connection).map_err(database_error),
        };
        selection.lock_while_reading(lock).load(connection).map_err(database_error)
    }

    fn mysql<C: Wrapped>(&self, connection: &mut C) -> Result<&'static str, DatabaseError> {
        if let Some(lock) = self.mysql.get() {
            return Ok(lock);
        }
        let version = Sql::new(C::Backend::DIALECT, "SELECT VERSION()");
        let rows = sql::query(connection, version, &[SqlType::Text]).map_err(database_error)?;
        let lock = match rows.first().and_then(|row| row.first()) {
            Some(SqlValue::Text(version)) => share_lock(version).map_err(other)?,
            _ => return Err(other("the database did not say its version")),
        };
        Ok(self.mysql.get_or_init(|| lock))
    }
}

/// How MySQL or MariaDB of a version takes shared locks of the rows that nobody else has locked.
///
/// # Errors
/// A sentence, when it cannot.
fn share_lock(version: &str) -> Result<&'static str, String> {
    if !version.contains("MariaDB") {
        return Ok("FOR SHARE SKIP LOCKED");
    }
    // Some servers say 5.5.5 first, for replicas of old.
    let mut numbers = version.strip_prefix("5.5.5-").unwrap_or(version).split(['.', '-']);
    let mut number = || numbers.next().and_then(|number| number.parse::<u32>().ok()).unwrap_or(u32::MAX);
    if (number(), number()) < (10, 6) {
        return Err(format!(
            "this server is {version}, which cannot skip the rows that others have locked: MariaDB can from 10.6 on, so update it, or \
             publish rows again while nothing writes them"
        ));
    }
    Ok("LOCK IN SHARE MODE SKIP LOCKED")
}

/// SQLite has one writer at a time, which this is for as long as it reads.
fn as_writer<DB, C>(selection: Selection<'_, DB>, connection: &mut C) -> QueryResult<Vec<C::Kept>>
where
    DB: PromiscuousBackend,
    C: Wrapped<Backend = DB>,
{
    connection.begin_with(DB::BEGIN.unwrap_or("BEGIN"))?;
    let rows = selection.load(connection);
    // Nothing was written. Where it cannot be ended, the pool finds the connection broken and closes it.
    <C as Connection>::TransactionManager::rollback_transaction(connection).and(rows)
}

#[cfg(test)]
mod tests {
    use super::share_lock;

    #[test]
    fn mariadb_is_told_from_mysql_and_an_old_one_is_refused() {
        for version in ["8.0.36", "8.4.0-log", "9.1.0"] {
            assert_eq!(share_lock(version).as_deref(), Ok("FOR SHARE SKIP LOCKED"), "{version}");
        }
        for version in ["10.6.2-MariaDB", "11.8.3-MariaDB-ubu2404", "5.5.5-10.11.6-MariaDB-log"] {
            assert_eq!(share_lock(version).as_deref(), Ok("LOCK IN SHARE MODE SKIP LOCKED"), "{version}");
        }
        for version in ["10.5.23-MariaDB", "5.5.5-10.4.32-MariaDB"] {
            let refused = share_lock(version).unwrap_err();
            assert!(refused.contains("10.6"), "{refused}");
        }
    }
}
