//! How the rows of an INSERT without RETURNING will be found again.

use sea_orm::DbBackend;
use sea_orm::sea_query::{Expr, Keyword, Value};

use super::condition::literal;
use super::visitor::Part;
use crate::model::PublishedModel;

/// Rows named by the values of some columns.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct KeySet {
    pub columns: Vec<String>,
    pub rows: Vec<Vec<Value>>,
}

/// How the rows will be found.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum FoundBy {
    /// All of these rows are new.
    Inserted(KeySet),
    /// Those of these rows are new that were not there before.
    Appeared(KeySet),
    /// Each row is, inserted or updated, in at least one of the sets.
    Touched(Vec<KeySet>),
    /// The database generates the keys and tells the first of this many.
    Generated(usize),
    /// The one row has a generated key that the database tells, if it was inserted.
    GeneratedUnlessConflict,
}

const ADVICE: &str = "the primary key is not known without RETURNING: use `.exec(db)`, `.exec_with_returning(db)` or \
                      `.insert(db)` instead of `exec_without_returning`, or set the primary key";

/// Decides it, or says what to do instead.
pub(super) fn found_by(
    part: &Part,
    model: &PublishedModel,
    backend: DbBackend,
) -> Result<FoundBy, &'static str> {
    if part.from_select {
        return Err(
            "the rows of INSERT … SELECT are not known without RETURNING: use `query_all` with RETURNING, or select \
             the rows first and insert them with `insert_many`",
        );
    }
    let by_key = key_set(part, &model.primary_key);
    let generated = generates_key(part, model);
    let Some(conflict) = &part.conflict else {
        return match (by_key, backend, rows(part)) {
            (Some(keys), _, _) => Ok(FoundBy::Inserted(keys)),
            (None, DbBackend::MySql, rows) if generated => Ok(FoundBy::Generated(rows)),
            (None, DbBackend::Sqlite, 1) if generated => Ok(FoundBy::Generated(1)),
            _ => Err(ADVICE),
        };
    };
    let by_target = conflict.target.as_ref().and_then(|target| {
        let changes = target.iter().any(|column| conflict.computes.contains(column));
        key_set(part, target).filter(|_| !changes)
    });
    if !conflict.updates {
        return match by_key.or(by_target) {
            Some(keys) => Ok(FoundBy::Appeared(keys)),
            None if backend == DbBackend::MySql && generated && rows(part) == 1 => {
                Ok(FoundBy::GeneratedUnlessConflict)
            }
            None => Err(ADVICE),
        };
    }
    // MySQL ignores the target: any unique index may conflict.
    let sets: Vec<KeySet> = match backend {
        DbBackend::MySql => [by_key, by_target].into_iter().flatten().fold(Vec::new(), |mut sets, set| {
            if !sets.contains(&set) {
                sets.push(set);
            }
            sets
        }),
        _ => by_target.into_iter().collect(),
    };
    if sets.is_empty() {
        return Err(
            "which rows an upsert meets is not known without RETURNING: use `.exec(db)` or `.exec_with_returning(db)`, \
             or name the unique columns in `OnConflict::columns` and set them to plain values",
        );
    }
    Ok(FoundBy::Touched(sets))
}

/// How many rows are inserted; only a guess for INSERT … SELECT.
pub(super) fn rows(part: &Part) -> usize {
    part.values.len().checked_div(part.columns.len()).unwrap_or_else(|| part.default_rows.max(1))
}

/// The literal values of these columns in every row.
fn key_set(part: &Part, columns: &[String]) -> Option<KeySet> {
    let places = places(part, columns).collect::<Option<Vec<_>>>()?;
    let rows = part
        .values
        .chunks(part.columns.len().max(1))
        .map(|row| places.iter().map(|place| row.get(*place).and_then(literal).cloned()).collect())
        .collect::<Option<Vec<Vec<_>>>>()?;
    Some(KeySet { columns: columns.to_vec(), rows })
}

fn places(part: &Part, columns: &[String]) -> impl Iterator<Item = Option<usize>> {
    columns.iter().map(|column| part.columns.iter().position(|named| named == column))
}

/// Whether the key is one column, for which no row has a value.
fn generates_key(part: &Part, model: &PublishedModel) -> bool {
    if model.primary_key.len() != 1 {
        return false;
    }
    let Some(place) = places(part, &model.primary_key).next().flatten() else { return true };
    part.values.chunks(part.columns.len().max(1)).all(|row| match row.get(place) {
        Some(Expr::Keyword(Keyword::Default | Keyword::Null)) => true,
        Some(Expr::Value(value)) => *value == value.as_null(),
        _ => false,
    })
}
