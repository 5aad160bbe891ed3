//! A write whose rows the database returns.

use diesel::query_builder::{QueryFragment, QueryId};
use diesel::row::Row;

use super::session::{Session, Stopped};
use super::{Failure, Task, Written};
use crate::backend::PromiscuousBackend;
use crate::query::Appended;
use crate::statement::Verb;

/// Runs the statement with the model's columns at the end of its RETURNING list. All rows are read before any is handed on, so
/// that a caller who stops reading stops nothing.
///
/// # Errors
/// [`Failure`].
pub(crate) async fn run<DB, S, T>(
    session: &mut S,
    task: &Task<'_, DB>,
    source: &T,
) -> Result<Written<S::Row>, Failure>
where
    DB: PromiscuousBackend,
    S: Session<Backend = DB>,
    T: QueryFragment<DB> + QueryId,
{
    let keys = task.model.table.primary_key.len();
    let (list, added) = match task.writing.verb {
        Verb::Delete { .. } => (&task.names.keys, keys),
        _ => (&task.names.keys_and_columns, keys + task.model.columns.len()),
    };
    let before = if task.writing.has_returning { "," } else { " RETURNING" };
    let suffix = format!("{before} {list}");
    let statement = Appended { source, suffix: &suffix };
    // A statement that fails has done nothing; one that has returned a row has done everything.
    let rows = session.load(&statement, task.settings.bulk_limit).await.map_err(|stopped| match stopped {
        Stopped::First(error) => Failure::Unwritten(error),
        Stopped::Later(error) => Failure::Uncaptured(error),
    })?;
    task.within_limit(rows.len()).map_err(Failure::Uncaptured)?;
    let visible = rows.first().map_or(0, |row| row.field_count().saturating_sub(added));
    let operations = rows.iter().map(|row| task.operation(row, visible)).collect::<Result<Vec<_>, _>>()?;
    Ok(Written { visible, count: rows.len(), operations, rows })
}
