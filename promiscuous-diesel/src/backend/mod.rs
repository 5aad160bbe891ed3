//! What capturing needs to know of a database that Diesel speaks to.

use diesel::backend::{Backend, DieselReserveSpecialization};
use promiscuous_core::database::Dialect;

use crate::connection::Wrapped;

mod glue;
#[cfg(feature = "mysql")]
mod mysql;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "sqlite")]
mod sqlite;

pub(crate) use glue::{Capturing, Doubt};

/// A backend of Diesel's whose writes can be captured: PostgreSQL, MySQL and MariaDB, SQLite.
pub trait PromiscuousBackend:
    Capturing + Backend<QueryBuilder: Default> + DieselReserveSpecialization + Default + 'static
{
    /// What Diesel connects to it with.
    type Connection: Wrapped<Backend = Self>;

    /// The dialect of its SQL.
    const DIALECT: Dialect;
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
}
