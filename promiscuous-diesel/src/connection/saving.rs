//! `save_changes`.

use diesel::QueryResult;
use diesel::query_dsl::UpdateAndFetchResults;

use super::{Promiscuous, Wrapped};

/// How a backend updates a row and answers with it, as Diesel does for its own connection.
pub trait SaveChanges<C, Changes, Output> {
    /// Does it.
    ///
    /// # Errors
    /// Diesel's.
    fn save(connection: &mut C, changes: Changes) -> QueryResult<Output>;
}

impl<C, Changes, Output> UpdateAndFetchResults<Changes, Output> for Promiscuous<C>
where
    C: Wrapped,
    C::Backend: SaveChanges<Self, Changes, Output>,
{
    fn update_and_fetch(&mut self, changes: Changes) -> QueryResult<Output> {
        C::Backend::save(self, changes)
    }
}

#[cfg(feature = "postgres")]
mod returning {
    use diesel::Table;
    use diesel::associations::HasTable;
    use diesel::dsl::Update;
    use diesel::expression::{MixedAggregates, ValidGrouping, is_aggregate};
    use diesel::query_builder::{AsChangeset, IntoUpdateTarget};
    use diesel::query_dsl::{LoadQuery, RunQueryDsl};

    use super::*;

    impl<'b, C, Changes, Output> SaveChanges<Promiscuous<C>, Changes, Output> for diesel::pg::Pg
    where
        C: Wrapped<Backend = Self>,
        Changes: Copy + AsChangeset<Target = <Changes as HasTable>::Table> + IntoUpdateTarget,
        Update<Changes, Changes>: LoadQuery<'b, Promiscuous<C>, Output>,
        <Changes::Table as Table>::AllColumns: ValidGrouping<()>,
        <<Changes::Table as Table>::AllColumns as ValidGrouping<()>>::IsAggregate:
            MixedAggregates<is_aggregate::No, Output = is_aggregate::No>,
    {
        fn save(connection: &mut Promiscuous<C>, changes: Changes) -> QueryResult<Output> {
            diesel::update(changes).set(changes).get_result(connection)
        }
    }
}

#[cfg(any(feature = "mysql", feature = "sqlite"))]
macro_rules! update_and_find {
    ($module:ident, $backend:ty) => {
        mod $module {
            use diesel::Table;
            use diesel::associations::{HasTable, Identifiable};
            use diesel::dsl::{Find, Update};
            use diesel::expression::{MixedAggregates, ValidGrouping, is_aggregate};
            use diesel::query_builder::{AsChangeset, IntoUpdateTarget};
            use diesel::query_dsl::methods::{ExecuteDsl, FindDsl};
            use diesel::query_dsl::{LoadQuery, RunQueryDsl};

            use super::*;

            impl<'b, C, Changes, Output> SaveChanges<Promiscuous<C>, Changes, Output> for $backend
            where
                C: Wrapped<Backend = Self>,
                Changes: Copy + Identifiable,
                Changes: AsChangeset<Target = <Changes as HasTable>::Table> + IntoUpdateTarget,
                Changes::Table: FindDsl<Changes::Id>,
                Update<Changes, Changes>: ExecuteDsl<Promiscuous<C>>,
                Find<Changes::Table, Changes::Id>: LoadQuery<'b, Promiscuous<C>, Output>,
                <Changes::Table as Table>::AllColumns: ValidGrouping<()>,
                <<Changes::Table as Table>::AllColumns as ValidGrouping<()>>::IsAggregate:
                    MixedAggregates<is_aggregate::No, Output = is_aggregate::No>,
            {
                fn save(connection: &mut Promiscuous<C>, changes: Changes) -> QueryResult<Output> {
                    diesel::update(changes).set(changes).execute(connection)?;
                    let found = FindDsl::find(Changes::table(), changes.id());
                    RunQueryDsl::<Promiscuous<C>>::get_result(found, connection)
                }
            }
        }
    };
}

#[cfg(feature = "mysql")]
update_and_find!(mysql, diesel::mysql::Mysql);
#[cfg(feature = "sqlite")]
update_and_find!(sqlite, diesel::sqlite::Sqlite);
