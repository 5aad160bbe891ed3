//! The connections that can be wrapped.

use diesel::QueryResult;
use diesel::connection::{AnsiTransactionManager, Connection, LoadConnection};
use diesel::r2d2::{ManageConnection, PooledConnection, R2D2Connection};
use diesel::row::Row;

use crate::backend::PromiscuousBackend;

/// A connection of Diesel's that [`Promiscuous`](crate::Promiscuous) can stand in for.
pub trait Wrapped: Connection<Backend: PromiscuousBackend> + LoadConnection + 'static {
    /// A row that outlives its cursor.
    type Kept: for<'a> Row<'a, Self::Backend>;

    /// What kept rows of one statement share.
    type Keeper: Default;

    /// Makes a row outlive its cursor.
    fn keep(row: <Self as LoadConnection>::Row<'_, '_>, keeper: &mut Self::Keeper) -> Self::Kept;

    /// Begins a transaction with a statement of its own.
    ///
    /// # Errors
    /// When one is open already, and the database's.
    fn begin_with(&mut self, sql: &str) -> QueryResult<()>;
}

#[cfg(feature = "postgres")]
impl Wrapped for diesel::PgConnection {
    // It shares the result, and does not borrow the connection.
    type Kept = <Self as LoadConnection>::Row<'static, 'static>;
    type Keeper = ();

    fn keep(row: <Self as LoadConnection>::Row<'_, '_>, (): &mut ()) -> Self::Kept {
        row
    }

    fn begin_with(&mut self, sql: &str) -> QueryResult<()> {
        AnsiTransactionManager::begin_transaction_sql(self, sql)
    }
}

#[cfg(feature = "mysql")]
impl Wrapped for diesel::MysqlConnection {
    // Not the row itself, although it does not borrow the connection: see `kept`.
    type Kept = crate::kept::KeptRow<diesel::mysql::Mysql>;
    type Keeper = Option<std::sync::Arc<[Option<String>]>>;

    fn keep(row: <Self as LoadConnection>::Row<'_, '_>, keeper: &mut Self::Keeper) -> Self::Kept {
        crate::kept::KeptRow::of(&row, keeper)
    }

    fn begin_with(&mut self, sql: &str) -> QueryResult<()> {
        AnsiTransactionManager::begin_transaction_sql(self, sql)
    }
}

#[cfg(feature = "sqlite")]
mod sqlite {
    use diesel::row::IntoOwnedRow;
    use diesel::sqlite::{Sqlite, SqliteConnection};

    use super::*;

    type Live = <SqliteConnection as LoadConnection>::Row<'static, 'static>;

    impl Wrapped for SqliteConnection {
        type Kept = <Live as IntoOwnedRow<'static, Sqlite>>::OwnedRow;
        type Keeper = <Live as IntoOwnedRow<'static, Sqlite>>::Cache;

        fn keep(row: <Self as LoadConnection>::Row<'_, '_>, keeper: &mut Self::Keeper) -> Self::Kept {
            row.into_owned(keeper)
        }

        fn begin_with(&mut self, sql: &str) -> QueryResult<()> {
            AnsiTransactionManager::begin_transaction_sql(self, sql)
        }
    }
}

impl<M> Wrapped for PooledConnection<M>
where
    M: ManageConnection,
    M::Connection: Wrapped + R2D2Connection,
{
    type Kept = <M::Connection as Wrapped>::Kept;
    type Keeper = <M::Connection as Wrapped>::Keeper;

    fn keep(row: <Self as LoadConnection>::Row<'_, '_>, keeper: &mut Self::Keeper) -> Self::Kept {
        <M::Connection as Wrapped>::keep(row, keeper)
    }

    fn begin_with(&mut self, sql: &str) -> QueryResult<()> {
        (**self).begin_with(sql)
    }
}
