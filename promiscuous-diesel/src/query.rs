//! Statements that Diesel runs for us: an app's own one made longer, and plain text.

use std::any::Any;

use diesel::QueryResult;
use diesel::deserialize::FromSql;
use diesel::query_builder::{AstPass, Query, QueryBuilder, QueryFragment, QueryId};
use diesel::result::Error;
use diesel::row::Row;
use diesel::sql_types::{BigInt, Untyped};
use promiscuous_core::database::Sql;

use crate::backend::PromiscuousBackend;
use crate::write::session::Session;

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

/// Text without values.
pub(crate) struct Text<'t>(pub &'t str);

impl<DB: PromiscuousBackend> QueryFragment<DB> for Text<'_> {
    fn walk_ast<'b>(&'b self, mut pass: AstPass<'_, 'b, DB>) -> QueryResult<()> {
        pass.push_sql(self.0);
        Ok(())
    }
}

impl QueryId for Text<'_> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl Query for Text<'_> {
    type SqlType = Untyped;
}

/// Asks for one number. None when there is no row, or it is NULL.
///
/// # Errors
/// The database's.
pub(crate) async fn number<S>(session: &mut S, sql: &str) -> QueryResult<Option<i64>>
where
    S: Session,
    i64: FromSql<BigInt, S::Backend>,
{
    let rows = session.load(&Text(sql), 1).await?;
    let Some(field) = rows.first().and_then(|row| row.get(0)) else { return Ok(None) };
    let read = |value| i64::from_nullable_sql(Some(value)).map_err(Error::DeserializationError);
    diesel::row::Field::value(&field).map(read).transpose()
}
