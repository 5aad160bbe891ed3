//! Plain text, and what it answers.

use diesel::QueryResult;
use diesel::deserialize::FromSql;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::result::Error;
use diesel::row::Row;
use diesel::sql_types::{BigInt, Untyped};

use crate::backend::PromiscuousBackend;
use crate::write::session::Session;

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
