//! Runs a write inside of a transaction and finds out what it did to each row (step 1 of the protocol's section 5).

use promiscuous_core::operation::{Operation, OperationKind};
use sea_orm::sea_query::{ConditionHolder, DeleteStatement, InsertStatement, UpdateStatement, Value};
use sea_orm::{ConnectionTrait, DbErr, ExecResult, QueryResult};

use crate::capture::within_limit;
use crate::model::PublishedModel;
use crate::row::{destroyed, find, lock_keys, operation, read};
use crate::statement::condition::{narrow, one_of};
use crate::statement::{KeySet, Returned, Rows, Write};
use crate::steady::SteadyTransaction;
use promiscuous_core::capture::CaptureSettings;

/// Why a write failed.
pub(crate) enum Failure {
    /// Nothing was written.
    Unwritten(DbErr),
    /// Something may have been written that was not captured: the transaction must not commit.
    Uncaptured(DbErr),
}

/// A write that can only be captured with rows was asked for without, or the other way round.
fn misrouted() -> Failure {
    Failure::Unwritten(DbErr::Custom("a write was planned for another way of running it".into()))
}

/// Runs a write that returns its rows.
pub(crate) async fn returned(
    inner: &SteadyTransaction,
    write: &Write<'_>,
    settings: &CaptureSettings,
) -> Result<(Vec<QueryResult>, Vec<Operation>), Failure> {
    let Rows::Returned(returned) = &write.rows else { return Err(misrouted()) };
    let (kind, rows) = match returned {
        Returned::Created(statement, all) => {
            let mut statement = InsertStatement::clone(statement);
            (OperationKind::Create, inner.query_all(statement.returning(all.clone())).await)
        }
        Returned::Upserted(statement, all) => {
            let mut statement = InsertStatement::clone(statement);
            (OperationKind::Update, inner.query_all(statement.returning(all.clone())).await)
        }
        Returned::Updated(statement, all) => {
            let mut statement = UpdateStatement::clone(statement);
            (OperationKind::Update, inner.query_all(statement.returning(all.clone())).await)
        }
        Returned::Deleted(statement, all) => {
            let mut statement = DeleteStatement::clone(statement);
            (OperationKind::Destroy, inner.query_all(statement.returning(all.clone())).await)
        }
    };
    let rows = rows.map_err(Failure::Unwritten)?;
    within_limit(write, rows.len(), settings).map_err(Failure::Uncaptured)?;
    let operations = rows
        .iter()
        .map(|row| Ok(operation(&write.model, kind, read(&write.model, row)?)))
        .collect::<Result<_, DbErr>>()
        .map_err(Failure::Uncaptured)?;
    Ok((rows, operations))
}

/// Runs a write that returns a number only.
pub(crate) async fn executed(
    inner: &SteadyTransaction,
    write: &Write<'_>,
    settings: &CaptureSettings,
) -> Result<(ExecResult, Vec<Operation>), Failure> {
    match &write.rows {
        Rows::Returned(_) => Err(misrouted()),
        Rows::Inserted { statement, found_by } => {
            crate::insert::inserted(inner, &write.model, statement, found_by).await
        }
        Rows::Updated { statement, condition, key } => {
            let (statement, keys) = match key {
                Some(key) => (UpdateStatement::clone(statement), vec![key.clone()]),
                None => {
                    let keys = matching(inner, write, condition, settings).await?;
                    let keys = keys.into_iter().map(|(_, values)| values).collect::<Vec<_>>();
                    let mut narrowed = UpdateStatement::clone(statement);
                    narrow(condition, &mut narrowed, one_of(&write.model.primary_key, &keys));
                    (narrowed, keys)
                }
            };
            let result = inner.execute(&statement).await.map_err(Failure::Unwritten)?;
            if result.rows_affected() == 0 {
                return Ok((result, Vec::new()));
            }
            let operations = read_back(inner, &write.model, OperationKind::Update, keys).await?;
            Ok((result, operations))
        }
        Rows::Deleted { statement, condition, key } => {
            let known = key.as_ref().and_then(|key| (write.model.id_of_values)(key));
            let (statement, ids) = match known {
                Some(id) => (DeleteStatement::clone(statement), vec![id]),
                None => {
                    let keys = matching(inner, write, condition, settings).await?;
                    let (ids, keys): (Vec<_>, Vec<_>) = keys.into_iter().unzip();
                    let mut narrowed = DeleteStatement::clone(statement);
                    narrow(condition, &mut narrowed, one_of(&write.model.primary_key, &keys));
                    (narrowed, ids)
                }
            };
            let result = inner.execute(&statement).await.map_err(Failure::Unwritten)?;
            if result.rows_affected() == 0 {
                return Ok((result, Vec::new()));
            }
            if usize::try_from(result.rows_affected()) != Ok(ids.len()) {
                return Err(Failure::Uncaptured(astray(&write.model)));
            }
            Ok((result, ids.into_iter().map(|id| destroyed(&write.model, id)).collect()))
        }
    }
}

/// The rows that a statement will write. Narrowed to them, it writes no other row, even when others change rows between
/// this and the statement.
async fn matching(
    inner: &SteadyTransaction,
    write: &Write<'_>,
    condition: &ConditionHolder,
    settings: &CaptureSettings,
) -> Result<Vec<(String, Vec<Value>)>, Failure> {
    let keys =
        lock_keys(inner, &write.model, condition, settings.bulk_limit).await.map_err(Failure::Unwritten)?;
    within_limit(write, keys.len(), settings).map_err(Failure::Unwritten)?;
    Ok(keys)
}

/// The rows with these primary keys, all of which must be there.
pub(crate) async fn read_back(
    inner: &SteadyTransaction,
    model: &PublishedModel,
    kind: OperationKind,
    rows: Vec<Vec<Value>>,
) -> Result<Vec<Operation>, Failure> {
    let set = KeySet { columns: model.primary_key.clone(), rows };
    let found = find(inner, model, &set, true).await.map_err(Failure::Uncaptured)?;
    if found.len() != set.rows.len() {
        return Err(Failure::Uncaptured(astray(model)));
    }
    Ok(found.into_iter().map(|row| operation(model, kind, row)).collect())
}

/// What was written is not what was asked for.
pub(crate) fn astray(model: &PublishedModel) -> DbErr {
    DbErr::Custom(format!(
        "other rows of the published model `{}` were written than the statement names, so it was not published: look \
         for triggers or rules on its table, or write its rows by primary key",
        model.name
    ))
}
