//! MySQL and MariaDB: rows are found by their keys before or after the statement, and read back.

use std::collections::HashMap;
use std::ops::Range;

use diesel::QueryResult;
use diesel::internal::derives::multiconnection::AstPassHelper;
use diesel::mysql::{Mysql, MysqlType};
use diesel::query_builder::bind_collector::RawBytesBindCollector;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::row::{Field, Row};
use diesel::sql_types::Untyped;
use promiscuous_core::operation::{Operation, OperationKind};

use super::session::Session;
use super::{Failure, Task, Written, astray, inserted};
use crate::backend::Capturing;
use crate::statement::{Condition, Verb};

/// Keys in one statement: databases limit the number of bound values.
const KEYS_AT_ONCE: usize = 500;

/// A value as the database sent it or as Diesel would send it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Value {
    /// None is NULL.
    pub bytes: Option<Vec<u8>>,
    /// What the bytes mean. Compared by name: Diesel's type has no order and no hash.
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Kind(MysqlType);

impl std::hash::Hash for Kind {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        std::mem::discriminant(&self.0).hash(state);
    }
}

impl Value {
    pub fn integer(value: i64) -> Self {
        Self { bytes: Some(value.to_ne_bytes().to_vec()), kind: Kind(MysqlType::LongLong) }
    }
}

/// The values of a primary key's columns, in key order.
pub(super) type KeyValues = Vec<Value>;

/// A statement of ours with values of the app's.
pub(super) struct Keyed<'s, T> {
    /// Whose binds come first, and which of them.
    pub source: Option<(&'s T, Range<usize>)>,
    /// The text.
    pub sql: String,
    /// What comes after the source's binds.
    pub values: Vec<Value>,
}

impl<T: QueryFragment<Mysql>> QueryFragment<Mysql> for Keyed<'_, T> {
    fn walk_ast<'b>(&'b self, mut pass: AstPass<'_, 'b, Mysql>) -> QueryResult<()> {
        // Lists of keys are of any length: Diesel would keep a prepared statement for each.
        if self.values.len() > 1 {
            pass.unsafe_to_cache_prepared();
        }
        pass.push_sql(&self.sql);
        let Some((collector, lookup)) = pass.bind_collector() else { return Ok(()) };
        if let Some((source, range)) = &self.source {
            let mut all = RawBytesBindCollector::<Mysql>::new();
            source.collect_binds(&mut all, lookup, Mysql::instance())?;
            let end = range.end.min(all.binds.len());
            let range = range.start.min(end)..end;
            collector.binds.extend(all.binds.drain(range.clone()));
            collector.metadata.extend(all.metadata.drain(range));
        }
        collector.binds.extend(self.values.iter().map(|value| value.bytes.clone()));
        collector.metadata.extend(self.values.iter().map(|value| value.kind.0));
        Ok(())
    }
}

impl<T> QueryId for Keyed<'_, T> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<T> Query for Keyed<'_, T> {
    type SqlType = Untyped;
}

/// The values that a statement binds.
///
/// # Errors
/// Diesel's.
pub(super) fn binds<T: QueryFragment<Mysql>>(source: &T) -> QueryResult<Vec<Value>> {
    let mut all = RawBytesBindCollector::<Mysql>::new();
    source.collect_binds(&mut all, &mut (), Mysql::instance())?;
    let values = all.binds.into_iter().zip(all.metadata);
    Ok(values.map(|(bytes, kind)| Value { bytes, kind: Kind(kind) }).collect())
}

/// Runs a write.
///
/// # Errors
/// [`Failure`].
pub(crate) async fn run<S, T>(
    session: &mut S,
    task: &Task<'_, Mysql>,
    source: &T,
) -> Result<Written<S::Row>, Failure>
where
    S: Session<Backend = Mysql>,
    T: QueryFragment<Mysql> + QueryId,
{
    if task.writing.has_returning {
        return Err(task.refused(
            "Diesel cannot read what MariaDB's RETURNING returns: leave it out, and select the rows",
        ));
    }
    let (count, operations) = match &task.writing.verb {
        Verb::Insert { on_conflict, rows, keys } => {
            inserted::run(session, task, source, *on_conflict, *rows, keys).await?
        }
        Verb::Update { condition } => updated(session, task, source, condition).await?,
        Verb::Delete { condition } => deleted(session, task, source, condition).await?,
    };
    Ok(Written { rows: Vec::new(), visible: 0, count, operations })
}

async fn updated<S, T>(
    session: &mut S,
    task: &Task<'_, Mysql>,
    source: &T,
    condition: &Condition,
) -> Result<(usize, Vec<Operation>), Failure>
where
    S: Session<Backend = Mysql>,
    T: QueryFragment<Mysql> + QueryId,
{
    // Which row is known without asking. What compares equal may be another text (letter case, padding): the row is read back by
    // the same comparison.
    if let Some(key) = pinned(source, condition)? {
        let count = session.count(source).await.map_err(Failure::Unwritten)?;
        if count == 0 {
            return Ok((0, Vec::new()));
        }
        let operations = find(session, task, &[key], Lock::Yes).await?;
        return if operations.len() == count { Ok((count, operations)) } else { Err(astray(task)) };
    }
    let (keys, _) = matching(session, task, source, condition).await?;
    if keys.is_empty() {
        return Ok((0, Vec::new()));
    }
    let narrowed = narrowed(task, source, condition, &keys);
    let count = session.count(&narrowed).await.map_err(Failure::Unwritten)?;
    let operations = find(session, task, &keys, Lock::Yes).await?;
    if operations.len() == keys.len() { Ok((count, operations)) } else { Err(astray(task)) }
}

async fn deleted<S, T>(
    session: &mut S,
    task: &Task<'_, Mysql>,
    source: &T,
    condition: &Condition,
) -> Result<(usize, Vec<Operation>), Failure>
where
    S: Session<Backend = Mysql>,
    T: QueryFragment<Mysql> + QueryId,
{
    let (keys, operations) = matching(session, task, source, condition).await?;
    if keys.is_empty() {
        return Ok((0, Vec::new()));
    }
    let narrowed = narrowed(task, source, condition, &keys);
    let count = session.count(&narrowed).await.map_err(Failure::Unwritten)?;
    if count == keys.len() { Ok((count, operations)) } else { Err(astray(task)) }
}

/// The key of the one row that the condition names.
fn pinned<T: QueryFragment<Mysql>>(source: &T, condition: &Condition) -> Result<Option<KeyValues>, Failure> {
    let Some(places) = &condition.pinned else { return Ok(None) };
    let binds = binds(source).map_err(Failure::Unwritten)?;
    Ok(places.iter().map(|place| binds.get(*place).cloned()).collect())
}

/// The keys of the rows that a statement will write, locked for the rest of the transaction; and the operations where they are all
/// that is to be told, because the rows will be gone.
async fn matching<S, T>(
    session: &mut S,
    task: &Task<'_, Mysql>,
    source: &T,
    condition: &Condition,
) -> Result<(Vec<KeyValues>, Vec<Operation>), Failure>
where
    S: Session<Backend = Mysql>,
    T: QueryFragment<Mysql>,
{
    let select = Keyed {
        // One more than allowed is enough to know that there are too many.
        sql: format!(
            "SELECT {} FROM {} {}\nLIMIT {}\nFOR UPDATE",
            qualified(task, &task.names.key),
            task.writing.target,
            condition.text,
            task.settings.bulk_limit.saturating_add(1)
        ),
        source: Some((source, condition.binds.clone())),
        values: Vec::new(),
    };
    let (mut keys, mut operations) = (Vec::new(), Vec::new());
    let found = session.load(&select, task.settings.bulk_limit).await;
    for row in found.map_err(|stopped| Failure::Unwritten(stopped.into()))? {
        keys.push((0..task.names.key.len()).map(|at| value(&row, at)).collect());
        task.within_limit(keys.len()).map_err(Failure::Unwritten)?;
        if task.kind() == OperationKind::Destroy {
            operations.push(task.operation(&row, 0)?);
        }
    }
    Ok((keys, operations))
}

fn value<'r, R: Row<'r, Mysql>>(row: &R, at: usize) -> Value {
    let field = row.get(at);
    match field.as_ref().and_then(Field::value) {
        Some(value) => Value { bytes: Some(value.as_bytes().to_vec()), kind: Kind(value.value_type()) },
        None => Value { bytes: None, kind: Kind(MysqlType::String) },
    }
}

/// The statement for just these rows: it writes no other, even when others change rows between the search and the statement. An
/// ORDER BY stays, and orders the rows as before, as nobody can change them: they may have to be written so, to avoid conflicts among
/// themselves.
fn narrowed<'s, T>(
    task: &Task<'_, Mysql>,
    source: &'s T,
    condition: &Condition,
    keys: &[KeyValues],
) -> Keyed<'s, T> {
    let (before, after) = (&task.sql[..condition.filter.start], &task.sql[condition.filter.end..]);
    let (list, values) = one_of(task, keys);
    // The binds of a condition are all in its WHERE.
    Keyed {
        source: Some((source, 0..condition.binds.start)),
        sql: format!("{before}\nWHERE {list}\n{after}"),
        values,
    }
}

/// `key IN (…)`.
fn one_of(task: &Task<'_, Mysql>, keys: &[KeyValues]) -> (String, Vec<Value>) {
    let columns = qualified(task, &task.names.key);
    let (columns, one) = match task.names.key.len() {
        1 => (columns, "?".to_owned()),
        n => (format!("({columns})"), format!("({})", vec!["?"; n].join(", "))),
    };
    let list = format!("{columns} IN ({})", vec![one.as_str(); keys.len()].join(", "));
    (list, keys.iter().flatten().cloned().collect())
}

/// Columns as a list, each with its table before it.
pub(super) fn qualified(task: &Task<'_, Mysql>, columns: &[String]) -> String {
    let qualifier = &task.writing.qualifier;
    columns.iter().map(|column| format!("{qualifier}.{column}")).collect::<Vec<_>>().join(", ")
}

/// Whether found rows are locked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lock {
    /// Nobody else can change them before this transaction ends, and what others have committed meanwhile is seen whatever the
    /// isolation level.
    Yes,
    /// A look, without waiting.
    No,
}

/// What the task did to the rows with these keys, as far as they exist, in the keys' order.
///
/// # Errors
/// [`Failure::Uncaptured`].
pub(super) async fn find<S>(
    session: &mut S,
    task: &Task<'_, Mysql>,
    keys: &[KeyValues],
    lock: Lock,
) -> Result<Vec<Operation>, Failure>
where
    S: Session<Backend = Mysql>,
{
    let found = find_with_keys(session, task, keys, lock).await?;
    Ok(found.into_iter().map(|(_, operation)| operation).collect())
}

/// The same, with the keys as the database has them.
///
/// # Errors
/// [`Failure::Uncaptured`].
pub(super) async fn find_with_keys<S>(
    session: &mut S,
    task: &Task<'_, Mysql>,
    keys: &[KeyValues],
    lock: Lock,
) -> Result<Vec<(KeyValues, Operation)>, Failure>
where
    S: Session<Backend = Mysql>,
{
    let mut found = Vec::with_capacity(keys.len());
    for keys in keys.chunks(KEYS_AT_ONCE) {
        let (list, values) = one_of(task, keys);
        found.extend(find_where(session, task, &list, values, lock).await?);
    }
    let places: HashMap<&KeyValues, usize> = keys.iter().enumerate().map(|(at, key)| (key, at)).collect();
    found.sort_by_key(|(key, _)| places.get(key).copied().unwrap_or(usize::MAX));
    Ok(found)
}

/// The rows that match a condition.
///
/// # Errors
/// [`Failure::Uncaptured`].
pub(super) async fn find_where<S>(
    session: &mut S,
    task: &Task<'_, Mysql>,
    condition: &str,
    values: Vec<Value>,
    lock: Lock,
) -> Result<Vec<(KeyValues, Operation)>, Failure>
where
    S: Session<Backend = Mysql>,
{
    let mut columns = task.names.key.clone();
    columns.extend(task.names.columns.iter().cloned());
    let select = Keyed::<()> {
        sql: format!(
            "SELECT {} FROM {} WHERE {condition}{}",
            qualified(task, &columns),
            task.writing.target,
            if lock == Lock::Yes { " FOR UPDATE" } else { "" }
        ),
        source: None,
        values,
    };
    let mut found = Vec::new();
    let rows = session.load(&select, usize::MAX).await;
    for row in rows.map_err(|stopped| Failure::Uncaptured(stopped.into()))? {
        let key = (0..task.names.key.len()).map(|at| value(&row, at)).collect();
        found.push((key, task.operation(&row, 0)?));
    }
    Ok(found)
}
