//! `save_changes`.

use diesel::QueryResult;
use diesel::associations::HasTable;
use diesel::prelude::Identifiable;
use diesel_async::UpdateAndFetchResults;
use futures_util::future::BoxFuture;

use super::{AsyncPromiscuous, AsyncWrapped};

/// How a backend updates a row and answers with it, as `diesel-async` does for its own connection.
pub trait SaveChanges<C, Changes, Output> {
    /// Does it.
    fn save<'changes>(
        connection: &'changes mut C,
        changes: Changes,
    ) -> BoxFuture<'changes, QueryResult<Output>>
    where
        Changes: 'changes;
}

impl<C, Changes, Output> UpdateAndFetchResults<Changes, Output> for AsyncPromiscuous<C>
where
    C: AsyncWrapped,
    Changes: Identifiable + HasTable,
    C::Backend: SaveChanges<Self, Changes, Output>,
{
    fn update_and_fetch<'conn, 'changes>(
        &'conn mut self,
        changes: Changes,
    ) -> BoxFuture<'changes, QueryResult<Output>>
    where
        Changes: 'changes,
        'conn: 'changes,
        Self: 'changes,
    {
        C::Backend::save(self, changes)
    }
}

#[cfg(feature = "postgres")]
mod returning {
    use diesel::Table;
    use diesel::dsl::{Find, Update};
    use diesel::query_builder::{AsChangeset, AsQuery, IntoUpdateTarget, UpdateStatement};
    use diesel::query_dsl::methods::FindDsl;
    use diesel_async::RunQueryDsl;
    use diesel_async::methods::LoadQuery;
    use futures_util::FutureExt;

    use super::*;

    impl<'b, C, Changes, Output, Tab, V> SaveChanges<AsyncPromiscuous<C>, Changes, Output> for diesel::pg::Pg
    where
        C: AsyncWrapped<Backend = Self>,
        Output: Send + 'static,
        Changes: Copy + AsChangeset<Target = Tab> + Send + Identifiable<Table = Tab>,
        Tab: Table + FindDsl<Changes::Id> + 'b,
        Find<Tab, Changes::Id>: IntoUpdateTarget<Table = Tab, WhereClause = V>,
        UpdateStatement<Tab, V, Changes::Changeset>: AsQuery,
        Update<Changes, Changes>: LoadQuery<'b, AsyncPromiscuous<C>, Output>,
        V: Send + 'b,
        Changes::Changeset: Send + 'b,
        Tab::FromClause: Send,
    {
        fn save<'changes>(
            connection: &'changes mut AsyncPromiscuous<C>,
            changes: Changes,
        ) -> BoxFuture<'changes, QueryResult<Output>>
        where
            Changes: 'changes,
        {
            async move { diesel::update(changes).set(changes).get_result(connection).await }.boxed()
        }
    }
}

#[cfg(feature = "mysql")]
mod found {
    use diesel::Table;
    use diesel::dsl::{Find, Update};
    use diesel::query_builder::{AsChangeset, AsQuery, IntoUpdateTarget, UpdateStatement};
    use diesel::query_dsl::methods::FindDsl;
    use diesel_async::RunQueryDsl;
    use diesel_async::methods::{ExecuteDsl, LoadQuery};
    use futures_util::FutureExt;

    use super::*;

    impl<'b, C, Changes, Output, Tab, V> SaveChanges<AsyncPromiscuous<C>, Changes, Output>
        for diesel::mysql::Mysql
    where
        C: AsyncWrapped<Backend = Self>,
        Output: Send + 'static,
        Changes: Copy + AsChangeset<Target = Tab> + Send + Identifiable<Table = Tab>,
        Tab: Table + FindDsl<Changes::Id> + 'b,
        Find<Tab, Changes::Id>: IntoUpdateTarget<Table = Tab, WhereClause = V>,
        UpdateStatement<Tab, V, Changes::Changeset>: AsQuery,
        Update<Changes, Changes>: ExecuteDsl<AsyncPromiscuous<C>>,
        V: Send + 'b,
        Changes::Changeset: Send + 'b,
        Changes::Id: 'b,
        Tab::FromClause: Send,
        Find<Changes::Table, Changes::Id>: LoadQuery<'b, AsyncPromiscuous<C>, Output> + Send,
    {
        fn save<'changes>(
            connection: &'changes mut AsyncPromiscuous<C>,
            changes: Changes,
        ) -> BoxFuture<'changes, QueryResult<Output>>
        where
            Changes: 'changes,
        {
            async move {
                diesel::update(changes).set(changes).execute(connection).await?;
                Changes::table().find(changes.id()).get_result(connection).await
            }
            .boxed()
        }
    }
}
