//! Finds the rows of an INSERT that returned none.

use std::collections::HashSet;

use promiscuous_core::operation::{Operation, OperationKind};
use sea_orm::sea_query::{Alias, Expr, ExprTrait, InsertStatement, Value};
use sea_orm::{ConnectionTrait, DbBackend, DbErr, ExecResult, Statement};

use crate::model::PublishedModel;
use crate::row::{Row, find, lock_existing, operation, read};
use crate::statement::{FoundBy, KeySet};
use crate::steady::SteadyTransaction;
use crate::write::{Failure, astray, read_back};

/// Runs the statement and finds its rows.
pub(crate) async fn inserted(
    inner: &SteadyTransaction,
    model: &PublishedModel,
    statement: &InsertStatement,
    found_by: &FoundBy,
) -> Result<(ExecResult, Vec<Operation>), Failure> {
    let before: HashSet<String> = match found_by {
        FoundBy::Appeared(set) => {
            let rows = lock_existing(inner, model, set).await.map_err(Failure::Unwritten)?;
            rows.into_iter().map(|row| row.id).collect()
        }
        _ => HashSet::new(),
    };
    let result = inner.execute(statement).await.map_err(Failure::Unwritten)?;
    if result.rows_affected() == 0 {
        return Ok((result, Vec::new()));
    }
    let operations = match found_by {
        FoundBy::Inserted(set) => read_back(inner, model, OperationKind::Create, set.rows.clone()).await?,
        FoundBy::Appeared(set) => {
            let mut rows = find(inner, model, set, true).await.map_err(Failure::Uncaptured)?;
            rows.retain(|row| !before.contains(&row.id));
            operations(model, OperationKind::Create, rows)
        }
        FoundBy::Touched(sets) => {
            let rows = touched(inner, model, sets).await?;
            operations(model, OperationKind::Update, rows)
        }
        FoundBy::Generated(count) if inner.get_database_backend() == DbBackend::Sqlite => {
            debug_assert_eq!(*count, 1);
            let rows = by_row_id(inner, model, result.last_insert_id()).await.map_err(Failure::Uncaptured)?;
            if rows.len() != 1 {
                return Err(Failure::Uncaptured(astray(model)));
            }
            operations(model, OperationKind::Create, rows)
        }
        FoundBy::Generated(count) => {
            let keys =
                generated(inner, result.last_insert_id(), *count).await.map_err(Failure::Uncaptured)?;
            read_back(inner, model, OperationKind::Create, keys).await?
        }
        FoundBy::GeneratedUnlessConflict => match result.last_insert_id() {
            0 => Vec::new(),
            id => {
                let set = KeySet { columns: model.primary_key.clone(), rows: vec![vec![Value::from(id)]] };
                let rows = find(inner, model, &set, true).await.map_err(Failure::Uncaptured)?;
                // Some servers tell the id of the row in the way. Publishing it as it is changes nothing.
                operations(model, OperationKind::Update, rows)
            }
        },
    };
    Ok((result, operations))
}

fn operations(model: &PublishedModel, kind: OperationKind, rows: Vec<Row>) -> Vec<Operation> {
    rows.into_iter().map(|row| operation(model, kind, row)).collect()
}

/// The rows that an upsert inserted or updated. Every inserted or conflicting row has to be in one of the sets.
async fn touched(
    inner: &SteadyTransaction,
    model: &PublishedModel,
    sets: &[KeySet],
) -> Result<Vec<Row>, Failure> {
    let mut rows: Vec<Row> = Vec::new();
    let mut complete = false;
    for set in sets {
        let found = find(inner, model, set, true).await.map_err(Failure::Uncaptured)?;
        let asked = set.rows.iter().enumerate().filter(|(at, row)| !set.rows[..*at].contains(row)).count();
        complete |= found.len() >= asked;
        for row in found {
            if rows.iter().all(|known| known.id != row.id) {
                rows.push(row);
            }
        }
    }
    if complete || each_found(inner, model, sets).await.map_err(Failure::Uncaptured)? {
        return Ok(rows);
    }
    Err(Failure::Uncaptured(DbErr::Custom(format!(
        "the upsert met a row of the published model `{}` by another unique index than the statement names, so it was \
         not published: name the unique columns in `OnConflict::columns`",
        model.name
    ))))
}

/// Whether each row of the statement is in one of the sets: asked row by row, because the sets overlap.
async fn each_found(
    inner: &SteadyTransaction,
    model: &PublishedModel,
    sets: &[KeySet],
) -> Result<bool, DbErr> {
    let count = sets.first().map_or(0, |set| set.rows.len());
    for at in 0..count {
        let mut there = false;
        for set in sets {
            let one = KeySet { columns: set.columns.clone(), rows: vec![set.rows[at].clone()] };
            there = there || !find(inner, model, &one, true).await?.is_empty();
        }
        if !there {
            return Ok(false);
        }
    }
    Ok(true)
}

/// SQLite tells the internal row id, which is the primary key only if that is an integer.
async fn by_row_id(
    inner: &SteadyTransaction,
    model: &PublishedModel,
    row_id: u64,
) -> Result<Vec<Row>, DbErr> {
    let row_id = i64::try_from(row_id).unwrap_or(i64::MAX);
    let mut select = (model.select_rows)();
    select.and_where(Expr::col(Alias::new("_rowid_")).eq(row_id));
    inner.query_all(&select).await?.iter().map(|row| read(model, row)).collect()
}

/// MySQL tells the first of the keys that one INSERT of plain values generates; they are evenly spaced.
async fn generated(inner: &SteadyTransaction, first: u64, count: usize) -> Result<Vec<Vec<Value>>, DbErr> {
    if first == 0 {
        return Err(DbErr::Custom(
            "the database tells no generated key for an INSERT without one, so it was not published: set the primary \
             key in the program"
                .into(),
        ));
    }
    let step = match count {
        1 => 1,
        _ => step(inner).await?,
    };
    Ok((0..count as u64).map(|at| vec![Value::from(first + at * step)]).collect())
}

async fn step(inner: &SteadyTransaction) -> Result<u64, DbErr> {
    let backend = inner.get_database_backend();
    let ask = Statement::from_string(backend, "SELECT CAST(@@auto_increment_increment AS SIGNED) AS step");
    let row = inner.query_one_raw(ask).await?;
    let step = row.map_or(Ok(1), |row| row.try_get::<i64>("", "step"))?;
    Ok(u64::try_from(step).unwrap_or(1))
}
