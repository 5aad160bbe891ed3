//! Finding rows by key, and reading them as they are now.

use std::collections::HashMap;

use promiscuous_core::operation::{Attributes, Operation, OperationKind};
use sea_orm::sea_query::{ConditionHolder, SelectStatement, Value};
use sea_orm::{ConnectionTrait, DbBackend, DbErr, QueryResult, Statement};

use crate::model::PublishedModel;
use crate::statement::KeySet;
use crate::statement::condition::{copy_onto, one_of};
use crate::steady::SteadyTransaction;

/// Keys in one statement: databases limit the number of bound values.
const KEYS_AT_ONCE: usize = 500;

/// A row as it is now.
pub(crate) struct Row {
    pub id: String,
    pub attributes: Attributes,
}

/// The primary keys of the rows that match a condition, locked: their ids, and their values.
pub(crate) async fn lock_keys(
    inner: &SteadyTransaction,
    model: &PublishedModel,
    condition: &ConditionHolder,
    limit: usize,
) -> Result<Vec<(String, Vec<Value>)>, DbErr> {
    let mut select = (model.select_keys)();
    copy_onto(condition, &mut select);
    // One more than allowed is enough to know that there are too many.
    select.limit(u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1));
    if inner.get_database_backend() != DbBackend::Sqlite {
        select.lock_exclusive();
    }
    inner.query_all_raw(typed(&select, inner)).await?.iter().map(|row| key(model, row)).collect()
}

/// A query of our own whose values came with the user's statements, which may bind now an `i32` and now an `i64` to the same column.
///
/// PostgreSQL's driver keeps prepared statements by their text, with the types of the first values. Two of the user's statements
/// differ in their text; what we ask about their rows need not. So the text tells the types.
pub(crate) fn typed(select: &SelectStatement, inner: &impl ConnectionTrait) -> Statement {
    let mut statement = inner.get_database_backend().build(select);
    if inner.get_database_backend() == DbBackend::Postgres {
        let values = statement.values.iter().flat_map(|values| &values.0);
        statement.sql.push_str(&format!(" /* {} */", types(values)));
    }
    statement
}

/// `2 BigInt, 1 String`, for instance.
fn types<'a>(values: impl Iterator<Item = &'a Value>) -> String {
    let mut runs: Vec<(String, usize)> = Vec::new();
    for value in values {
        let name = format!("{:?}", value.array_type());
        match runs.last_mut() {
            Some((last, count)) if *last == name => *count += 1,
            _ => runs.push((name, 1)),
        }
    }
    let runs: Vec<String> = runs.into_iter().map(|(name, count)| format!("{count} {name}")).collect();
    // An enum's name is the user's: it must not end the comment.
    runs.join(", ").replace(|c: char| !c.is_ascii_alphanumeric() && !" ,".contains(c), "_")
}

fn key(model: &PublishedModel, row: &QueryResult) -> Result<(String, Vec<Value>), DbErr> {
    let id = (model.id_of_row)(row, &model.primary_key)?;
    let candidates = model.primary_key.iter().map(|column| values(row, column));
    // Drivers are lenient: what is a UUID may also be had as text. The right values are those that have the row's id.
    let combinations = candidates.fold(vec![Vec::new()], |begun: Vec<Vec<Value>>, next| {
        let with = |begun: &Vec<Value>, value| begun.iter().cloned().chain([value]).collect();
        begun.iter().flat_map(|begun| next.iter().cloned().map(move |value| with(begun, value))).collect()
    });
    let values = combinations.into_iter().find(|values| id.is_some() && (model.id_of_values)(values) == id);
    id.zip(values).ok_or_else(|| {
        DbErr::Type(format!(
            "the primary key of `{}` has a type that cannot be bound again: write its rows by primary key, one by one",
            model.name
        ))
    })
}

/// What the driver can make of a column.
fn values(row: &QueryResult, column: &str) -> Vec<Value> {
    fn get<T: sea_orm::TryGetable + Into<Value>>(row: &QueryResult, column: &str) -> Option<Value> {
        row.try_get::<T>("", column).ok().map(Into::into)
    }
    [
        get::<i64>,
        get::<i32>,
        get::<i16>,
        get::<u64>,
        get::<String>,
        get::<uuid::Uuid>,
        get::<Vec<u8>>,
        get::<rust_decimal::Decimal>,
        get::<chrono::DateTime<chrono::Utc>>,
        get::<chrono::NaiveDateTime>,
        get::<chrono::NaiveDate>,
    ]
    .iter()
    .filter_map(|get| get(row, column))
    .collect()
}

/// The rows of a set that exist, in the set's order. With `lock` nobody else can change them before this transaction
/// ends, and what others have committed meanwhile is seen whatever the isolation level.
pub(crate) async fn find(
    inner: &SteadyTransaction,
    model: &PublishedModel,
    set: &KeySet,
    lock: bool,
) -> Result<Vec<Row>, DbErr> {
    let mut found = Vec::with_capacity(set.rows.len());
    for keys in set.rows.chunks(KEYS_AT_ONCE) {
        let mut select = (model.select_rows)();
        select.and_where(one_of(&set.columns, keys));
        if lock && inner.get_database_backend() != DbBackend::Sqlite {
            select.lock_exclusive();
        }
        for row in inner.query_all_raw(typed(&select, inner)).await? {
            found.push(read(model, &row)?);
        }
    }
    if set.columns == model.primary_key {
        let ids = set.rows.iter().map(|values| (model.id_of_values)(values));
        let places: HashMap<_, _> = ids.enumerate().filter_map(|(at, id)| Some((id?, at))).collect();
        found.sort_by_key(|row| places.get(&row.id).copied().unwrap_or(usize::MAX));
    }
    Ok(found)
}

/// The rows of a set that are there, locked: nobody can delete them any more. Only those: to lock what is not there would lock out
/// everybody who wants to insert near it.
pub(crate) async fn lock_existing(
    inner: &SteadyTransaction,
    model: &PublishedModel,
    set: &KeySet,
) -> Result<Vec<Row>, DbErr> {
    let mut seen = Vec::new();
    for keys in set.rows.chunks(KEYS_AT_ONCE) {
        let mut select = (model.select_keys)();
        select.and_where(one_of(&set.columns, keys));
        for row in inner.query_all_raw(typed(&select, inner)).await? {
            seen.push(key(model, &row)?.1);
        }
    }
    if seen.is_empty() {
        return Ok(Vec::new());
    }
    let seen = KeySet { columns: model.primary_key.clone(), rows: seen };
    find(inner, model, &seen, true).await
}

/// A result row that has all of the model's columns.
pub(crate) fn read(model: &PublishedModel, row: &QueryResult) -> Result<Row, DbErr> {
    let (id, attributes) = (model.read_row)(row)?;
    Ok(Row { id, attributes })
}

/// What happened to a row.
pub(crate) fn operation(model: &PublishedModel, kind: OperationKind, row: Row) -> Operation {
    let attributes = (kind != OperationKind::Destroy).then_some(row.attributes);
    Operation {
        operation: kind,
        endpoint: model.endpoint.clone(),
        types: model.types.clone(),
        id: row.id,
        attributes,
    }
}

/// A row is gone.
pub(crate) fn destroyed(model: &PublishedModel, id: String) -> Operation {
    operation(model, OperationKind::Destroy, Row { id, attributes: Attributes::new() })
}
