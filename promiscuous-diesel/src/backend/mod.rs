//! What capturing needs to know of a database that Diesel speaks to.

use diesel::backend::{Backend, DieselReserveSpecialization};
use diesel::r2d2::R2D2Connection;
use promiscuous_core::database::Dialect;

use crate::connection::Wrapped;
use crate::database::DatabaseBackend;
use crate::models::{DerivedPublish, DerivedSubscribe};

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
    Capturing + DatabaseBackend + Backend<QueryBuilder: Default> + DieselReserveSpecialization + Default + 'static
{
    /// What Diesel connects to it with.
    type Connection: Wrapped<Backend = Self> + R2D2Connection + Send;

    /// The dialect of its SQL.
    const DIALECT: Dialect;

    /// The models that derive `Publish` for it.
    #[doc(hidden)]
    fn derived_publish() -> Vec<&'static DerivedPublish<Self>>;

    /// The models that derive `Subscribe` for it.
    #[doc(hidden)]
    fn derived_subscribe() -> Vec<&'static DerivedSubscribe<Self>>;
}

/// What is known of a backend; its derived models are collected by the linker, for each of them apart.
#[cfg(any(feature = "postgres", feature = "mysql", feature = "sqlite"))]
macro_rules! backend {
    ($backend:ty, $connection:ty, $dialect:ident) => {
        inventory::collect!(DerivedPublish<$backend>);
        inventory::collect!(DerivedSubscribe<$backend>);

        impl PromiscuousBackend for $backend {
            type Connection = $connection;
            const DIALECT: Dialect = Dialect::$dialect;

            fn derived_publish() -> Vec<&'static DerivedPublish<Self>> {
                inventory::iter::<DerivedPublish<Self>>().collect()
            }

            fn derived_subscribe() -> Vec<&'static DerivedSubscribe<Self>> {
                inventory::iter::<DerivedSubscribe<Self>>().collect()
            }
        }
    };
}

#[cfg(feature = "postgres")]
backend!(diesel::pg::Pg, diesel::PgConnection, Postgres);
#[cfg(feature = "mysql")]
backend!(diesel::mysql::Mysql, diesel::MysqlConnection, Mysql);
#[cfg(feature = "sqlite")]
backend!(diesel::sqlite::Sqlite, diesel::SqliteConnection, Sqlite);
