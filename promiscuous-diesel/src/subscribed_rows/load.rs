//! Rows as the structs that applying a message finds them in.

use std::any::type_name;

use diesel::connection::LoadConnection;
use diesel::deserialize::FromSqlRow;
use diesel::dsl::SqlTypeOf;
use diesel::expression::{Expression, QueryMetadata};
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::result::Error;
use diesel::{QueryResult, Selectable};

use crate::backend::PromiscuousBackend;

/// A SELECT of what a struct is read from.
struct Select<'s, DB: PromiscuousBackend, E> {
    /// The struct's columns, and what else it has Diesel select.
    columns: E,
    /// FROM, and whatever follows it.
    from: &'s dyn QueryFragment<DB>,
}

impl<DB: PromiscuousBackend, E: QueryFragment<DB>> QueryFragment<DB> for Select<'_, DB, E> {
    fn walk_ast<'b>(&'b self, mut pass: AstPass<'_, 'b, DB>) -> QueryResult<()> {
        pass.push_sql("SELECT ");
        self.columns.walk_ast(pass.reborrow())?;
        self.from.walk_ast(pass)
    }
}

impl<DB: PromiscuousBackend, E> QueryId for Select<'_, DB, E> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<DB: PromiscuousBackend, E: Expression> Query for Select<'_, DB, E> {
    type SqlType = E::SqlType;
}

/// Runs a statement, of which `from` is all but what it selects, and reads all rows.
///
/// # Errors
/// The database's; and when a row is not what the struct reads. (What Diesel says may hold a value, so it is not passed on.)
pub fn load_rows<DB, M>(from: &dyn QueryFragment<DB>, connection: &mut DB::Connection) -> QueryResult<Vec<M>>
where
    DB: PromiscuousBackend + QueryMetadata<SqlTypeOf<M::SelectExpression>>,
    M: Selectable<DB, SelectExpression: QueryFragment<DB>> + FromSqlRow<SqlTypeOf<M::SelectExpression>, DB>,
{
    let rows = connection.load(Select { columns: M::construct_selection(), from })?;
    // Each is read before the next one comes, see `kept`.
    rows.map(|row| M::build_from_row(&row?).map_err(|_| unreadable::<M>())).collect()
}

fn unreadable<M>() -> Error {
    Error::DeserializationError(
        format!(
            "a row of its table cannot be read as a `{}`: the type of one of its fields does not read what its column holds",
            type_name::<M>()
        )
        .into(),
    )
}
