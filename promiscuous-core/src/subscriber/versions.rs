//! `promiscuous_versions`: the truth about what was applied, in the subscriber's database, written in the same
//! transaction as the rows (section 7 of the protocol).
//!
//! Advancing a version is also the claim on its key: the row lock makes a second worker that applies the same key wait,
//! and then find it done.
//!
//! A row has two versions, because a message without operations (a *dummy*) consumes a version and brings nothing:
//!
//! * `generation`, `version`: the newest that was consumed. That is what other messages wait for.
//! * `content_generation`, `content_version`: the newest of which an operation was applied. That is what an operation must be
//!   newer than. Were it the other one, the dummy of a chain that began anew (after a loss of the publisher's Redis, or when the
//!   key had expired there) would hide the last write of the old chain, if that is applied after it: a lost update.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use crate::database::{
    Database, DatabaseError, DatabaseErrorKind, Dialect, Sql, SqlRow, SqlType, SqlValue, Transaction,
};
use crate::dependency::Version;
use crate::key::Key;
use crate::version_store::NOTHING;

/// Keys per statement: five bound values each, far below every driver's limit.
const CHUNK: usize = 1_000;

/// A version that a message brings for a key.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Write<'m> {
    /// Whose.
    pub(crate) key: &'m Key,
    /// The newest from now on, if it is news.
    pub(crate) version: Version,
    /// What others wait for from now on; [`NOTHING`] where nobody can wait for the version, because nothing was written with it.
    pub(crate) consumed: Version,
    /// What comes with it.
    pub(crate) content: Content,
}

/// What comes with a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content {
    /// Nothing: a dummy.
    Nothing,
    /// The operation that made the version. It is news where the version is.
    Change,
    /// The object at that version, sent again. It is news unless something newer was applied.
    Sync,
}

/// What a row says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Versions {
    /// The newest that was consumed.
    consumed: Version,
    /// The newest of which an operation was applied.
    content: Version,
}

impl Versions {
    /// Nothing was consumed: older than every version.
    const NONE: Self = Self { consumed: NOTHING, content: NOTHING };

    /// Takes a write in, and answers whether its operation is news.
    fn advance(&mut self, write: &Write<'_>) -> bool {
        let newer = match write.content {
            Content::Nothing => false,
            Content::Change => self.content < write.version,
            Content::Sync => self.content <= write.version,
        };
        self.consumed = self.consumed.max(write.consumed);
        if newer {
            self.content = write.version;
        }
        newer
    }
}

/// The keys between two others, neither of them included, in order; each with the newest version of which an operation was applied
/// ([`NOTHING`] where none was).
pub(crate) async fn contents(
    database: &dyn Database,
    after: &str,
    before: &str,
    limit: usize,
) -> Result<Vec<(Key, Version)>, DatabaseError> {
    let select =
        "SELECT object, content_generation, content_version FROM promiscuous_versions WHERE object > ";
    let mut sql = Sql::new(database.dialect(), select);
    sql.bind(after).push(" AND object < ").bind(before);
    sql.push(&format!(" ORDER BY object LIMIT {limit}"));
    let rows = database.query(sql, &[SqlType::Text, SqlType::Int, SqlType::Int]).await?;
    rows.into_iter().map(read_row).collect()
}

/// The applied versions of keys; unknown keys are left out.
pub(crate) async fn read(
    database: &dyn Database,
    keys: &[Key],
) -> Result<Vec<(Key, Version)>, DatabaseError> {
    read_columns(database, "generation, version", keys).await
}

/// The newest versions of which an operation was applied; unknown keys are left out.
pub(crate) async fn contents_of(
    database: &dyn Database,
    keys: &[Key],
) -> Result<Vec<(Key, Version)>, DatabaseError> {
    read_columns(database, "content_generation, content_version", keys).await
}

async fn read_columns(
    database: &dyn Database,
    columns: &str,
    keys: &[Key],
) -> Result<Vec<(Key, Version)>, DatabaseError> {
    let mut known = Vec::new();
    for chunk in keys.chunks(CHUNK) {
        let select = format!("SELECT object, {columns} FROM promiscuous_versions WHERE object IN ");
        let mut sql = Sql::new(database.dialect(), &select);
        sql.bind_in(chunk.iter().map(Key::as_str));
        let rows = database.query(sql, &[SqlType::Text, SqlType::Int, SqlType::Int]).await?;
        for row in rows {
            known.push(read_row(row)?);
        }
    }
    Ok(known)
}

/// Advances each key to the newest of its versions in `writes`, and answers for each write whether its operation is newer than what
/// was applied before: only then it is applied.
///
/// A key may come more than once, oldest version first (a chain inside one batch).
pub(crate) async fn advance(
    transaction: &mut dyn Transaction,
    dialect: Dialect,
    writes: &[Write<'_>],
) -> Result<Vec<bool>, DatabaseError> {
    // Sorted, so that workers that advance the same keys lock them in the same order.
    let keys: BTreeSet<&Key> = writes.iter().map(|write| write.key).collect();
    let content = writes.first().map_or(Content::Nothing, |write| write.content);
    let is_simple = keys.len() == writes.len()
        && content != Content::Nothing
        && writes.iter().all(|write| write.content == content);
    if is_simple && dialect != Dialect::Mysql {
        let mut sorted: Vec<&Write<'_>> = writes.iter().collect();
        sorted.sort_unstable_by_key(|write| write.key);
        let newer = upsert_returning(transaction, dialect, content, &sorted).await?;
        return Ok(writes.iter().map(|write| newer.contains(write.key)).collect());
    }
    let keys: Vec<&Key> = keys.into_iter().collect();
    let before = lock(transaction, dialect, &keys).await?;
    let mut after: BTreeMap<&Key, Versions> = BTreeMap::new();
    let newer = writes.iter().map(|write| {
        let known = || before.get(write.key).copied().unwrap_or(Versions::NONE);
        after.entry(write.key).or_insert_with(known).advance(write)
    });
    let newer = newer.collect();
    let changed: Vec<_> = after.into_iter().filter(|(key, after)| before.get(*key) != Some(after)).collect();
    upsert(transaction, dialect, &changed).await?;
    Ok(newer)
}

/// One statement where the database tells which rows it advanced. Every write has the same kind of content.
async fn upsert_returning(
    transaction: &mut dyn Transaction,
    dialect: Dialect,
    content: Content,
    writes: &[&Write<'_>],
) -> Result<HashSet<Key>, DatabaseError> {
    let mut newer = HashSet::new();
    for chunk in writes.chunks(CHUNK) {
        let rows = chunk.iter().map(|write| {
            let Write { key, version, consumed, .. } = **write;
            (key, Versions { consumed, content: version })
        });
        let mut sql = insert(dialect, rows);
        // An operation that is news may be older than what a dummy has consumed; and one that is not may be newer, where a sync has brought
        // a version that nobody waits for.
        sql.push(KEEP_THE_NEWEST);
        sql.push(" WHERE (promiscuous_versions.content_generation, promiscuous_versions.content_version) ");
        sql.push(if content == Content::Sync { "<=" } else { "<" });
        sql.push(
            " (excluded.content_generation, excluded.content_version) \
             OR (promiscuous_versions.generation, promiscuous_versions.version) < (excluded.generation, excluded.version) \
             RETURNING object, content_generation, content_version",
        );
        let versions: HashMap<&Key, Version> = chunk.iter().map(|write| (write.key, write.version)).collect();
        for row in transaction.query(sql, &[SqlType::Text, SqlType::Int, SqlType::Int]).await? {
            let (key, content) = read_row(row)?;
            // Its own operation is the newest one now. It was not before: what makes a version is consumed with it.
            if versions.get(&key) == Some(&content) {
                newer.insert(key);
            }
        }
    }
    Ok(newer)
}

/// Of each of the two versions the newer one.
const KEEP_THE_NEWEST: &str = " ON CONFLICT (object) DO UPDATE SET \
    generation = CASE WHEN (promiscuous_versions.generation, promiscuous_versions.version) \
    < (excluded.generation, excluded.version) THEN excluded.generation ELSE promiscuous_versions.generation END, \
    version = CASE WHEN (promiscuous_versions.generation, promiscuous_versions.version) \
    < (excluded.generation, excluded.version) THEN excluded.version ELSE promiscuous_versions.version END, \
    content_generation = CASE WHEN (promiscuous_versions.content_generation, promiscuous_versions.content_version) \
    < (excluded.content_generation, excluded.content_version) THEN excluded.content_generation \
    ELSE promiscuous_versions.content_generation END, \
    content_version = CASE WHEN (promiscuous_versions.content_generation, promiscuous_versions.content_version) \
    < (excluded.content_generation, excluded.content_version) THEN excluded.content_version \
    ELSE promiscuous_versions.content_version END";

/// Makes sure that every key has a row, locks them all, and answers with what they say.
async fn lock(
    transaction: &mut dyn Transaction,
    dialect: Dialect,
    keys: &[&Key],
) -> Result<HashMap<Key, Versions>, DatabaseError> {
    let mut known = HashMap::new();
    for chunk in keys.chunks(CHUNK) {
        let mut sql = insert(dialect, chunk.iter().map(|key| (*key, Versions::NONE)));
        match dialect {
            // Not INSERT IGNORE, which would swallow other errors too.
            Dialect::Mysql => sql.push(" ON DUPLICATE KEY UPDATE object = VALUES(object)"),
            Dialect::Postgres | Dialect::Sqlite => sql.push(" ON CONFLICT (object) DO NOTHING"),
        };
        transaction.execute(sql).await?;
        let mut sql = Sql::new(
            dialect,
            "SELECT object, generation, version, content_generation, content_version \
             FROM promiscuous_versions WHERE object IN ",
        );
        sql.bind_in(chunk.iter().map(|key| key.as_str())).push(" ORDER BY object");
        if dialect != Dialect::Sqlite {
            sql.push(" FOR UPDATE");
        }
        let integers = [SqlType::Int; 4];
        let types: Vec<SqlType> = std::iter::once(SqlType::Text).chain(integers).collect();
        for row in transaction.query(sql, &types).await? {
            let [key, consumed @ .., content_generation, content] = row.as_slice() else {
                return Err(unreadable("promiscuous_versions misses columns"));
            };
            let consumed = read_version(consumed)?;
            let content = read_version(&[content_generation.clone(), content.clone()])?;
            known.insert(read_key(Some(key))?, Versions { consumed, content });
        }
    }
    Ok(known)
}

async fn upsert(
    transaction: &mut dyn Transaction,
    dialect: Dialect,
    rows: &[(&Key, Versions)],
) -> Result<(), DatabaseError> {
    for chunk in rows.chunks(CHUNK) {
        let mut sql = insert(dialect, chunk.iter().copied());
        sql.push(match dialect {
            Dialect::Mysql => " ON DUPLICATE KEY UPDATE ",
            Dialect::Postgres | Dialect::Sqlite => " ON CONFLICT (object) DO UPDATE SET ",
        });
        for (position, column) in COLUMNS.iter().enumerate() {
            sql.push(if position > 0 { ", " } else { "" });
            match dialect {
                Dialect::Mysql => sql.push(&format!("{column} = VALUES({column})")),
                Dialect::Postgres | Dialect::Sqlite => sql.push(&format!("{column} = excluded.{column}")),
            };
        }
        transaction.execute(sql).await?;
    }
    Ok(())
}

/// What a row says of its key.
const COLUMNS: [&str; 4] = ["generation", "version", "content_generation", "content_version"];

fn insert<'k>(dialect: Dialect, rows: impl Iterator<Item = (&'k Key, Versions)>) -> Sql {
    let mut sql = Sql::new(
        dialect,
        "INSERT INTO promiscuous_versions (object, generation, version, content_generation, content_version) VALUES ",
    );
    for (position, (key, Versions { consumed, content })) in rows.enumerate() {
        if position > 0 {
            sql.push(", ");
        }
        let numbers = [consumed.generation, consumed.version, content.generation, content.version];
        sql.bind_list(std::iter::once(SqlValue::from(key.as_str())).chain(numbers.map(SqlValue::from)));
    }
    sql
}

fn read_row(row: SqlRow) -> Result<(Key, Version), DatabaseError> {
    let (key, version) =
        row.split_first().ok_or_else(|| unreadable("promiscuous_versions misses columns"))?;
    Ok((read_key(Some(key))?, read_version(version)?))
}

fn read_key(value: Option<&SqlValue>) -> Result<Key, DatabaseError> {
    match value {
        Some(SqlValue::Text(key)) => Key::parse(key).map_err(|error| unreadable(&error.to_string())),
        _ => Err(unreadable("promiscuous_versions has a column of another type")),
    }
}

fn read_version(values: &[SqlValue]) -> Result<Version, DatabaseError> {
    match values {
        [SqlValue::Int(generation), SqlValue::Int(version)] => {
            Ok(Version::new((*generation).try_into().unwrap_or(0), (*version).try_into().unwrap_or(0)))
        }
        _ => Err(unreadable("promiscuous_versions has a column of another type")),
    }
}

fn unreadable(why: &str) -> DatabaseError {
    DatabaseError::new(DatabaseErrorKind::Other, why)
}
