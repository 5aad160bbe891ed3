//! Core's SQL as Diesel runs it: the few statements of the protocol's own tables, with bound values and typed results.

use diesel::QueryResult;
use diesel::connection::{Connection, LoadConnection};
use diesel::result::Error;
use diesel::row::{Field, Row};
use promiscuous_core::database::{Sql, SqlRow, SqlType, SqlValue};

use crate::backend::PromiscuousBackend;
use crate::query::CoreSql;

/// Runs a statement; answers with the number of affected rows.
pub(crate) fn execute<C>(connection: &mut C, sql: Sql) -> QueryResult<u64>
where
    C: Connection<Backend: PromiscuousBackend>,
{
    let affected = connection.execute_returning_count(&CoreSql(sql))?;
    Ok(affected as u64)
}

/// Runs a query; every row has one value for each of `columns`.
pub(crate) fn query<C>(connection: &mut C, sql: Sql, columns: &[SqlType]) -> QueryResult<Vec<SqlRow>>
where
    C: LoadConnection<Backend: PromiscuousBackend>,
{
    let rows = connection.load(CoreSql(sql))?;
    rows.map(|row| read_row::<C::Backend>(&row?, columns)).collect()
}

fn read_row<'r, DB: PromiscuousBackend>(row: &impl Row<'r, DB>, columns: &[SqlType]) -> QueryResult<SqlRow> {
    let value = |(position, column): (usize, &SqlType)| {
        let field =
            row.get(position).ok_or_else(|| Error::DeserializationError("a column is missing".into()))?;
        match field.value() {
            Some(value) => DB::read(value, *column).map_err(Error::DeserializationError),
            None => Ok(SqlValue::Null),
        }
    };
    columns.iter().enumerate().map(value).collect()
}
