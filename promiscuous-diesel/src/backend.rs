//! What capturing needs to know of a database that Diesel speaks to.

use diesel::backend::{Backend, DieselReserveSpecialization};
use diesel::connection::{AnsiTransactionManager, LoadConnection};
use diesel::r2d2::R2D2Connection;
use promiscuous_core::database::Dialect;

use crate::sql::SqlBackend;

/// A backend of Diesel's whose writes can be captured: PostgreSQL, MySQL and MariaDB, SQLite.
pub trait PromiscuousBackend:
    Backend<QueryBuilder: Default> + DieselReserveSpecialization + SqlBackend + Default + 'static
{
    /// What Diesel connects to it with.
    type Connection: LoadConnection<Backend = Self, TransactionManager = AnsiTransactionManager>
        + R2D2Connection
        + Send
        + 'static;

    /// The dialect of its SQL.
    const DIALECT: Dialect;

    /// Begins a transaction that will write.
    const BEGIN: &'static str = "BEGIN";

    /// What this crate's own connections begin with; an app's connections are its own affair.
    const SET_UP: &'static [&'static str] = &[];
}

#[cfg(feature = "postgres")]
impl PromiscuousBackend for diesel::pg::Pg {
    type Connection = diesel::PgConnection;
    const DIALECT: Dialect = Dialect::Postgres;
}

#[cfg(feature = "mysql")]
impl PromiscuousBackend for diesel::mysql::Mysql {
    type Connection = diesel::MysqlConnection;
    const DIALECT: Dialect = Dialect::Mysql;
}

#[cfg(feature = "sqlite")]
impl PromiscuousBackend for diesel::sqlite::Sqlite {
    type Connection = diesel::SqliteConnection;
    const DIALECT: Dialect = Dialect::Sqlite;
    // A transaction that reads first fails when another one writes in between.
    const BEGIN: &'static str = "BEGIN IMMEDIATE";
    // Wait for another writer instead of failing, in milliseconds; and let others read while one writes.
    const SET_UP: &'static [&'static str] = &["PRAGMA busy_timeout = 5000", "PRAGMA journal_mode = WAL"];
}
