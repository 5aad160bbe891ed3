//! `promiscuous_versions`: the truth about what was applied, in the subscriber's database, written in the same
//! transaction as the rows (section 7 of the protocol).
//!
//! Advancing a version is also the claim on its key: the row lock makes a second worker that applies the same key wait,
//! and then find it done.

use std::collections::{BTreeMap, HashMap};

use crate::database::{
    Database, DatabaseError, DatabaseErrorKind, Dialect, Sql, SqlRow, SqlType, SqlValue, Transaction,
};
use crate::dependency::Version;
use crate::key::Key;

/// Keys per statement: three bound values each, far below every driver's limit.
const CHUNK: usize = 1_000;

/// The applied versions of keys; unknown keys are left out.
pub(crate) async fn read(
    database: &dyn Database,
    keys: &[Key],
) -> Result<Vec<(Key, Version)>, DatabaseError> {
    let mut known = Vec::new();
    for chunk in keys.chunks(CHUNK) {
        let mut sql = Sql::new(
            database.dialect(),
            "SELECT object, generation, version FROM promiscuous_versions WHERE object IN ",
        );
        sql.bind_in(chunk.iter().map(Key::as_str));
        let rows = database.query(sql, &[SqlType::Text, SqlType::Int, SqlType::Int]).await?;
        for row in rows {
            known.push(read_row(row)?);
        }
    }
    Ok(known)
}

/// Advances each key to the newest of its versions in `writes`, and answers for each write whether it is
/// newer than what was applied before: only then its operation is applied.
///
/// A key may come more than once, oldest version first (a chain inside one batch).
pub(crate) async fn advance(
    transaction: &mut dyn Transaction,
    dialect: Dialect,
    writes: &[(Key, Version)],
) -> Result<Vec<bool>, DatabaseError> {
    // Sorted, so that workers that advance the same keys lock them in the same order.
    let mut newest: BTreeMap<&Key, Version> = BTreeMap::new();
    for (key, version) in writes {
        let slot = newest.entry(key).or_insert(*version);
        *slot = (*slot).max(*version);
    }
    let unique = newest.len() == writes.len();
    let targets: Vec<(&Key, Version)> = newest.into_iter().collect();
    if unique && dialect != Dialect::Mysql {
        let advanced = upsert_returning(transaction, dialect, &targets).await?;
        return Ok(writes.iter().map(|(key, _)| advanced.contains_key(key)).collect());
    }
    let mut applied = lock(transaction, dialect, &targets).await?;
    let higher: Vec<(&Key, Version)> = targets
        .into_iter()
        .filter(|(key, version)| applied.get(*key).is_none_or(|own| own < version))
        .collect();
    upsert(transaction, dialect, &higher).await?;
    let newer = writes.iter().map(|(key, version)| {
        let own = applied.entry(key.clone()).or_insert(Version::new(0, 0));
        let newer = *own < *version;
        *own = (*own).max(*version);
        newer
    });
    Ok(newer.collect())
}

/// One statement where the database tells which rows it advanced.
async fn upsert_returning(
    transaction: &mut dyn Transaction,
    dialect: Dialect,
    targets: &[(&Key, Version)],
) -> Result<HashMap<Key, Version>, DatabaseError> {
    let mut advanced = HashMap::new();
    for chunk in targets.chunks(CHUNK) {
        let mut sql = insert(dialect, chunk);
        sql.push(
            " ON CONFLICT (object) DO UPDATE SET generation = excluded.generation, version = excluded.version \
             WHERE promiscuous_versions.generation < excluded.generation \
             OR (promiscuous_versions.generation = excluded.generation \
             AND promiscuous_versions.version < excluded.version) \
             RETURNING object, generation, version",
        );
        let rows = transaction.query(sql, &[SqlType::Text, SqlType::Int, SqlType::Int]).await?;
        for row in rows {
            let (key, version) = read_row(row)?;
            advanced.insert(key, version);
        }
    }
    Ok(advanced)
}

/// Makes sure that every key has a row, locks them all, and answers with their versions.
async fn lock(
    transaction: &mut dyn Transaction,
    dialect: Dialect,
    targets: &[(&Key, Version)],
) -> Result<HashMap<Key, Version>, DatabaseError> {
    let mut applied = HashMap::new();
    for chunk in targets.chunks(CHUNK) {
        let unknown: Vec<(&Key, Version)> = chunk.iter().map(|(key, _)| (*key, Version::new(0, 0))).collect();
        let mut sql = insert(dialect, &unknown);
        match dialect {
            // Not INSERT IGNORE, which would swallow other errors too.
            Dialect::Mysql => sql.push(" ON DUPLICATE KEY UPDATE object = VALUES(object)"),
            Dialect::Postgres | Dialect::Sqlite => sql.push(" ON CONFLICT (object) DO NOTHING"),
        };
        transaction.execute(sql).await?;
        let mut sql = Sql::new(
            dialect,
            "SELECT object, generation, version FROM promiscuous_versions WHERE object IN ",
        );
        sql.bind_in(chunk.iter().map(|(key, _)| key.as_str())).push(" ORDER BY object");
        if dialect != Dialect::Sqlite {
            sql.push(" FOR UPDATE");
        }
        let rows = transaction.query(sql, &[SqlType::Text, SqlType::Int, SqlType::Int]).await?;
        for row in rows {
            let (key, version) = read_row(row)?;
            applied.insert(key, version);
        }
    }
    Ok(applied)
}

async fn upsert(
    transaction: &mut dyn Transaction,
    dialect: Dialect,
    targets: &[(&Key, Version)],
) -> Result<(), DatabaseError> {
    for chunk in targets.chunks(CHUNK) {
        let mut sql = insert(dialect, chunk);
        sql.push(match dialect {
            Dialect::Mysql => {
                " ON DUPLICATE KEY UPDATE generation = VALUES(generation), version = VALUES(version)"
            }
            Dialect::Postgres | Dialect::Sqlite => {
                " ON CONFLICT (object) DO UPDATE SET generation = excluded.generation, version = excluded.version"
            }
        });
        transaction.execute(sql).await?;
    }
    Ok(())
}

fn insert(dialect: Dialect, rows: &[(&Key, Version)]) -> Sql {
    let mut sql = Sql::new(dialect, "INSERT INTO promiscuous_versions (object, generation, version) VALUES ");
    for (position, (key, version)) in rows.iter().enumerate() {
        if position > 0 {
            sql.push(", ");
        }
        sql.bind_list([SqlValue::from(key.as_str()), version.generation.into(), version.version.into()]);
    }
    sql
}

fn read_row(row: SqlRow) -> Result<(Key, Version), DatabaseError> {
    let unreadable = |why: String| DatabaseError::new(DatabaseErrorKind::Other, why);
    match row.as_slice() {
        [SqlValue::Text(key), SqlValue::Int(generation), SqlValue::Int(version)] => {
            let key = Key::parse(key).map_err(|error| unreadable(error.to_string()))?;
            let version =
                Version::new((*generation).try_into().unwrap_or(0), (*version).try_into().unwrap_or(0));
            Ok((key, version))
        }
        _ => Err(unreadable("promiscuous_versions has a column of another type".into())),
    }
}
