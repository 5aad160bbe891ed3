//! Statements that Diesel runs for us: an app's own one made longer, core's, and plain text.

#[cfg(any(feature = "mysql", feature = "sqlite"))]
mod text;

use std::any::Any;

use diesel::QueryResult;
use diesel::query_builder::{AstPass, Query, QueryBuilder, QueryFragment, QueryId};
use diesel::sql_types::Untyped;
use promiscuous_core::database::Sql;

use crate::backend::PromiscuousBackend;
#[cfg(feature = "mysql")]
pub(crate) use text::Text;
#[cfg(any(feature = "mysql", feature = "sqlite"))]
pub(crate) use text::number;

/// The text of a statement.
///
/// # Errors
/// Diesel's, such as for a changeset without changes.
pub(crate) fn rendered<DB, T>(source: &T) -> QueryResult<String>
where
    DB: PromiscuousBackend,
    T: QueryFragment<DB>,
{
    let mut builder = DB::QueryBuilder::default();
    source.to_sql(&mut builder, DB::instance())?;
    Ok(builder.finish())
}

/// A name in the database's quotes.
///
/// # Errors
/// Diesel's.
pub(crate) fn quoted<DB: PromiscuousBackend>(name: &str) -> QueryResult<String> {
    let mut builder = DB::QueryBuilder::default();
    builder.push_identifier(name)?;
    Ok(builder.finish())
}

/// An app's statement with more text at its end.
pub(crate) struct Appended<'s, T> {
    /// The statement.
    pub source: &'s T,
    /// What follows it. Always the same for one type of statement and one connection.
    pub suffix: &'s str,
}

impl<DB, T> QueryFragment<DB> for Appended<'_, T>
where
    DB: PromiscuousBackend,
    T: QueryFragment<DB>,
{
    fn walk_ast<'b>(&'b self, mut pass: AstPass<'_, 'b, DB>) -> QueryResult<()> {
        self.source.walk_ast(pass.reborrow())?;
        pass.push_sql(self.suffix);
        Ok(())
    }
}

/// Stands for [`Appended`] in Diesel's cache of prepared statements.
pub(crate) struct AppendedId<Q>(std::marker::PhantomData<Q>);

impl<T: QueryId> QueryId for Appended<'_, T>
where
    T::QueryId: Any,
{
    type QueryId = AppendedId<T::QueryId>;
    const HAS_STATIC_QUERY_ID: bool = T::HAS_STATIC_QUERY_ID;
}

impl<T> Query for Appended<'_, T> {
    type SqlType = Untyped;
}

/// Statements of core's with more values than this are prepared anew each time. Diesel keeps every prepared statement as long as its
/// connection lives, and a statement about many keys has a text of its own for each number of them.
const MOST_VALUES_CACHED: usize = 64;

/// Core's own SQL with its bound values.
pub(crate) struct CoreSql(pub Sql);

impl<DB: PromiscuousBackend> QueryFragment<DB> for CoreSql {
    fn walk_ast<'b>(&'b self, mut pass: AstPass<'_, 'b, DB>) -> QueryResult<()> {
        if self.0.values.len() > MOST_VALUES_CACHED {
            pass.unsafe_to_cache_prepared();
        }
        pass.push_sql(&self.0.text);
        self.0.values.iter().try_for_each(|value| DB::push_value(value, pass.reborrow()))
    }
}

impl QueryId for CoreSql {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl Query for CoreSql {
    type SqlType = Untyped;
}
