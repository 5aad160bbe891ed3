//! A write whose rows the database returns.

use diesel::query_builder::{QueryFragment, QueryId};
use diesel::row::Row;

use super::{Failure, Task, Written};
use crate::backend::PromiscuousBackend;
use crate::connection::Wrapped;
use crate::query::Appended;
use crate::statement::Verb;

/// Runs the statement with the model's columns at the end of its RETURNING list. All rows are read before any is handed on, so
/// that a caller who stops reading stops nothing.
///
/// # Errors
/// [`Failure`].
pub(crate) fn run<DB, C, T>(
    inner: &mut C,
    task: &Task<'_, DB>,
    source: &T,
) -> Result<Written<C::Kept>, Failure>
where
    DB: PromiscuousBackend,
    C: Wrapped<Backend = DB>,
    T: QueryFragment<DB> + QueryId,
{
    let keys = task.model.table.primary_key.len();
    let (list, added) = match task.writing.verb {
        Verb::Delete { .. } => (&task.names.keys, keys),
        _ => (&task.names.keys_and_columns, keys + task.model.columns.len()),
    };
    let before = if task.writing.has_returning { "," } else { " RETURNING" };
    let suffix = format!("{before} {list}");
    let rows = fetch(inner, task, &Appended { source, suffix: &suffix })?;
    let visible = rows.first().map_or(0, |row| row.field_count().saturating_sub(added));
    let operations = rows.iter().map(|row| task.operation(row, visible)).collect::<Result<Vec<_>, _>>()?;
    Ok(Written { visible, count: rows.len(), operations, rows })
}

fn fetch<DB, C, T>(
    inner: &mut C,
    task: &Task<'_, DB>,
    statement: &Appended<'_, T>,
) -> Result<Vec<C::Kept>, Failure>
where
    DB: PromiscuousBackend,
    C: Wrapped<Backend = DB>,
    T: QueryFragment<DB> + QueryId,
{
    let mut keeper = C::Keeper::default();
    let mut rows = Vec::new();
    for row in inner.load(statement).map_err(Failure::Unwritten)? {
        // A statement that fails has done nothing; one that has returned a row has done everything.
        let row = row.map_err(|error| match rows.is_empty() {
            true => Failure::Unwritten(error),
            false => Failure::Uncaptured(error),
        })?;
        rows.push(C::keep(row, &mut keeper));
        task.within_limit(rows.len()).map_err(Failure::Uncaptured)?;
    }
    Ok(rows)
}
