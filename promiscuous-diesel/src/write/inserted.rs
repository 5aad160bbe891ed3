//! How MySQL's and MariaDB's new rows are found.
//!
//! They tell only the first of the keys that they generated; the others are in the statement's values, or cannot be known.
//! (MariaDB's RETURNING is of no use here: its columns are not announced when a statement is prepared, and Diesel needs that.)
//! The one row of an `ON DUPLICATE KEY UPDATE` says itself, by way of a variable, which row it met.

use diesel::mysql::Mysql;
use diesel::query_builder::{QueryFragment, QueryId};
use promiscuous_core::operation::Operation;

use super::keyed::{KeyValues, Lock, Value, binds, find, find_where, find_with_keys};
use super::session::Session;
use super::{Failure, Task, astray};
use crate::error::unpublished;
use crate::query::{Appended, Text, number};
use crate::statement::{KeySource, OnConflict};

const ADVICE: &str =
    "MySQL and MariaDB do not tell which rows these are: insert them one by one, or bind their primary keys";

/// Runs an INSERT.
///
/// # Errors
/// [`Failure`].
pub(super) async fn run<S, T>(
    session: &mut S,
    task: &Task<'_, Mysql>,
    source: &T,
    on_conflict: OnConflict,
    rows: Option<usize>,
    keys: &[Vec<KeySource>],
) -> Result<(usize, Vec<Operation>), Failure>
where
    S: Session<Backend = Mysql>,
    T: QueryFragment<Mysql> + QueryId,
{
    let sources = Sources::of(source, rows, keys, task)?;
    Ok(match (on_conflict, sources) {
        (_, Sources::Unknown) => return Err(task.refused(ADVICE)),
        (OnConflict::Update, sources) if rows == Some(1) => {
            match upserted(session, task, source, sources).await? {
                (count, Upserted::New(row) | Upserted::Met(row)) => (count, vec![row]),
            }
        }
        // This is how Diesel says DO NOTHING: `ON DUPLICATE KEY UPDATE id = id`.
        (OnConflict::Ignore, sources)
            if rows == Some(1) && task.sql.to_ascii_lowercase().contains("duplicate") =>
        {
            match upserted(session, task, source, sources).await? {
                (count, Upserted::New(row)) => (count, vec![row]),
                (count, Upserted::Met(_)) => (count, Vec::new()),
            }
        }
        (OnConflict::Fail, Sources::Known(keys)) => {
            let count = execute(session, source).await?;
            (count, all(find(session, task, &keys, Lock::Yes).await?, keys.len(), task)?)
        }
        (OnConflict::Fail, Sources::Generated(partial, at)) => {
            let (count, keys) = generated(session, source, partial, at).await?;
            (count, all(find(session, task, &keys, Lock::Yes).await?, keys.len(), task)?)
        }
        (OnConflict::Ignore, Sources::Known(keys)) => appeared(session, task, source, &keys).await?,
        (OnConflict::Ignore, Sources::Generated(partial, at)) if partial.len() == 1 => {
            reset(session).await?;
            match execute(session, source).await? {
                0 => (0, Vec::new()),
                count => {
                    let keys = numbered(session, partial, at).await?;
                    (count, all(find(session, task, &keys, Lock::Yes).await?, keys.len(), task)?)
                }
            }
        }
        (OnConflict::Update, Sources::Known(keys)) => {
            let count = execute(session, source).await?;
            let met = find(session, task, &keys, Lock::Yes).await?;
            let asked = keys.iter().enumerate().filter(|(at, key)| !keys[..*at].contains(key)).count();
            if met.len() < asked {
                return Err(met_another(task));
            }
            (count, met)
        }
        _ => return Err(task.refused(ADVICE)),
    })
}

/// Where the new rows' keys come from.
#[derive(Debug, PartialEq)]
enum Sources {
    /// The statement binds them.
    Known(Vec<KeyValues>),
    /// The database generates the column at this place of the key, whose value is NULL here; the statement binds the others.
    Generated(Vec<KeyValues>, usize),
    /// They are computed or selected.
    Unknown,
}

impl Sources {
    fn of<T: QueryFragment<Mysql>>(
        source: &T,
        rows: Option<usize>,
        keys: &[Vec<KeySource>],
        task: &Task<'_, Mysql>,
    ) -> Result<Self, Failure> {
        let width = task.names.key.len();
        if keys.is_empty() || rows != Some(keys.len()) || keys.iter().any(|key| key.len() != width) {
            return Ok(Self::Unknown);
        }
        let binds = binds(source).map_err(Failure::Unwritten)?;
        let mut generated = None;
        let mut values = Vec::with_capacity(keys.len());
        for (row, key) in keys.iter().enumerate() {
            let mut missing = None;
            let mut parts = Vec::with_capacity(width);
            for (at, part) in key.iter().enumerate() {
                let bound = match part {
                    KeySource::Bind(place) => {
                        binds.get(*place).filter(|value| value.bytes.is_some()).cloned()
                    }
                    KeySource::Database => None,
                    KeySource::Other => return Ok(Self::Unknown),
                };
                if bound.is_none() && missing.replace(at).is_some() {
                    return Ok(Self::Unknown);
                }
                parts.push(bound.unwrap_or_else(|| Value::integer(0)));
            }
            // All rows alike: otherwise the generated keys do not follow each other.
            if row > 0 && missing != generated {
                return Ok(Self::Unknown);
            }
            generated = missing;
            values.push(parts);
        }
        Ok(match generated {
            None => Self::Known(values),
            Some(at) => Self::Generated(values, at),
        })
    }
}

async fn execute<S, T>(session: &mut S, source: &T) -> Result<usize, Failure>
where
    S: Session<Backend = Mysql>,
    T: QueryFragment<Mysql> + QueryId,
{
    session.count(source).await.map_err(Failure::Unwritten)
}

fn all(found: Vec<Operation>, wanted: usize, task: &Task<'_, Mysql>) -> Result<Vec<Operation>, Failure> {
    if found.len() == wanted { Ok(found) } else { Err(astray(task)) }
}

/// `LAST_INSERT_ID()` keeps its value until a key is generated: an old one would name another row.
async fn reset<S: Session<Backend = Mysql>>(session: &mut S) -> Result<(), Failure> {
    session.count(&Text("DO LAST_INSERT_ID(0)")).await.map(drop).map_err(Failure::Unwritten)
}

/// Runs an INSERT of which the database generates the keys.
async fn generated<S, T>(
    session: &mut S,
    source: &T,
    partial: Vec<KeyValues>,
    at: usize,
) -> Result<(usize, Vec<KeyValues>), Failure>
where
    S: Session<Backend = Mysql>,
    T: QueryFragment<Mysql> + QueryId,
{
    reset(session).await?;
    let count = execute(session, source).await?;
    Ok((count, numbered(session, partial, at).await?))
}

/// MySQL tells the first of the keys that one INSERT of plain values generates; they are evenly spaced.
async fn numbered<S>(session: &mut S, mut keys: Vec<KeyValues>, at: usize) -> Result<Vec<KeyValues>, Failure>
where
    S: Session<Backend = Mysql>,
{
    let first = ask(session, "SELECT CAST(LAST_INSERT_ID() AS SIGNED)").await?;
    if first == 0 {
        return Err(Failure::Uncaptured(unpublished(
            "the database tells no generated key for an INSERT without one: set the primary key in the program",
        )));
    }
    let step = match keys.len() {
        1 => 1,
        _ => ask(session, "SELECT CAST(@@auto_increment_increment AS SIGNED)").await?,
    };
    let mut next = first;
    for key in &mut keys {
        if let Some(part) = key.get_mut(at) {
            *part = Value::integer(next);
        }
        next = next.saturating_add(step);
    }
    Ok(keys)
}

async fn ask<S: Session<Backend = Mysql>>(session: &mut S, sql: &str) -> Result<i64, Failure> {
    number(session, sql).await.map(Option::unwrap_or_default).map_err(Failure::Uncaptured)
}

/// Runs an INSERT IGNORE: those of its rows are new that were not there before.
async fn appeared<S, T>(
    session: &mut S,
    task: &Task<'_, Mysql>,
    source: &T,
    keys: &[KeyValues],
) -> Result<(usize, Vec<Operation>), Failure>
where
    S: Session<Backend = Mysql>,
    T: QueryFragment<Mysql> + QueryId,
{
    // A look first: to lock what is not there locks out everybody who wants to insert near it. But a row counts as one that was
    // there only when nobody can delete it before the statement.
    let seen: Vec<KeyValues> =
        find_with_keys(session, task, keys, Lock::No).await?.into_iter().map(|(key, _)| key).collect();
    let before = match seen.is_empty() {
        true => Vec::new(),
        false => find(session, task, &seen, Lock::Yes).await?,
    };
    let count = execute(session, source).await?;
    if count == 0 {
        return Ok((0, Vec::new()));
    }
    let mut rows = find(session, task, keys, Lock::Yes).await?;
    rows.retain(|row| before.iter().all(|known| known.id != row.id));
    Ok((count, rows))
}

/// The row of an `ON DUPLICATE KEY UPDATE`.
enum Upserted {
    /// It was inserted.
    New(Operation),
    /// It was there.
    Met(Operation),
}

/// Runs an `ON DUPLICATE KEY UPDATE` of one row, which may meet any row by any unique index.
async fn upserted<S, T>(
    session: &mut S,
    task: &Task<'_, Mysql>,
    source: &T,
    sources: Sources,
) -> Result<(usize, Upserted), Failure>
where
    S: Session<Backend = Mysql>,
    T: QueryFragment<Mysql> + QueryId,
{
    let qualifier = &task.writing.qualifier;
    let variable = |at: usize| format!("@promiscuous_key_{at}");
    let each = |part: &dyn Fn(usize, &str) -> String, between: &str| {
        let parts =
            task.names.key.iter().enumerate().map(|(at, column)| part(at, &format!("{qualifier}.{column}")));
        parts.collect::<Vec<_>>().join(between)
    };
    let forget = each(&|at, _| format!("{} := NULL", variable(at)), ", ");
    let forget = format!("DO {forget}, LAST_INSERT_ID(0)");
    session.count(&Text(&forget)).await.map_err(Failure::Unwritten)?;
    // Each key column is set to itself, and remembered.
    let remember = each(
        &|at, column| format!("{column} = IF(({} := {column}) IS NULL, {column}, {column})", variable(at)),
        ", ",
    );
    let suffix = format!("\n, {remember}");
    let count = session.count(&Appended { source, suffix: &suffix }).await.map_err(Failure::Unwritten)?;
    let same = each(&|at, column| format!("{column} = {}", variable(at)), " AND ");
    let mut met = find_where(session, task, &same, Vec::new(), Lock::Yes).await?;
    if let Some((_, row)) = met.pop() {
        return if met.is_empty() { Ok((count, Upserted::Met(row))) } else { Err(astray(task)) };
    }
    let keys = match sources {
        Sources::Known(keys) => keys,
        Sources::Generated(partial, at) => numbered(session, partial, at).await?,
        Sources::Unknown => return Err(astray(task)),
    };
    let mut new = find(session, task, &keys, Lock::Yes).await?;
    match new.pop() {
        Some(row) if new.is_empty() => Ok((count, Upserted::New(row))),
        _ => Err(astray(task)),
    }
}

fn met_another(task: &Task<'_, Mysql>) -> Failure {
    Failure::Uncaptured(unpublished(format!(
        "the upsert met a row of the published model `{}` by another unique index than the primary key, which \
         MySQL does not tell: upsert the rows one by one",
        task.model.name
    )))
}
