//! Which parked messages may go on.

use std::collections::HashMap;

use bytes::Bytes;
use uuid::Uuid;

use super::{AFTER_LEFT, CHUNK, LEFT, NEVER, Parked, unreadable};
use crate::database::{Database, DatabaseError, Dialect, Sql, SqlRow, SqlType, SqlValue};
use crate::key::Key;

/// Messages that have failed are counted up to this number.
const COUNTED: u64 = 1_000;

/// Which parked messages to look at.
#[derive(Debug, Clone)]
pub(in crate::subscriber) enum Look {
    /// Those whose cause has come, as far as the database knows; of these keys or, if none are named, of any.
    Ready(Vec<Key>),
    /// Those whose turn comes next in a total order, one after the other.
    Next(Key),
    /// Those that wait for a version of a generation that is over, and came before this time.
    Over(u64),
    /// Those that wait for a cause, and came before this time.
    Since(u64),
    /// Those that have failed, and whose next attempt is due at this time.
    Due(u64),
    /// Those that were left to programs that take one of these sources.
    Left(Vec<String>),
}

/// At most so many parked messages, the oldest first: which they are and how many bytes each has. They may be of any size, so that whoever looks
/// decides how many of them to [`fetch`].
pub(in crate::subscriber) async fn look(
    database: &dyn Database,
    look: &Look,
    limit: usize,
) -> Result<Vec<(Uuid, usize)>, DatabaseError> {
    let bytes = match database.dialect() {
        Dialect::Postgres => "CAST(OCTET_LENGTH(p.message) AS BIGINT)",
        Dialect::Mysql => "CAST(LENGTH(p.message) AS SIGNED)",
        Dialect::Sqlite => "LENGTH(CAST(p.message AS BLOB))",
    };
    let select = format!("SELECT p.id, {bytes} FROM promiscuous_parked p ");
    let mut sql = Sql::new(database.dialect(), &select);
    let order = match look {
        Look::Ready(keys) => {
            // Readers are waited for with version 0: the database cannot tell.
            sql.push(
                "LEFT JOIN promiscuous_versions v ON v.object = p.waits_for \
                 WHERE (p.version = 0 OR p.generation < v.generation \
                 OR (p.generation = v.generation AND p.version <= v.version))",
            );
            if keys.is_empty() {
                sql.push(" AND p.retry_at = 0");
                // Each gets its turn.
                "p.parked_at, p.id"
            } else {
                sql.push(" AND p.waits_for IN ").bind_in(keys.iter().map(Key::as_str));
                "p.id"
            }
        }
        Look::Next(order) => {
            sql.push("WHERE p.waits_for = ").bind(order.as_str());
            "p.generation, p.version, p.id"
        }
        Look::Over(before) => {
            sql.push(
                "JOIN promiscuous_versions v ON v.object = p.endpoint \
                 WHERE p.generation < v.generation AND p.version > 0 AND p.arrived_at <= ",
            );
            sql.bind(*before);
            "p.id"
        }
        Look::Since(before) => {
            sql.push("WHERE p.retry_at = 0 AND p.arrived_at <= ").bind(*before);
            "p.id"
        }
        Look::Due(now) => {
            sql.push("WHERE p.retry_at > 0 AND p.retry_at <= ").bind(*now);
            "p.retry_at, p.id"
        }
        Look::Left(sources) => {
            sql.push("WHERE p.waits_for IN ").bind_in(sources.iter().map(|source| format!("{LEFT}{source}")));
            "p.id"
        }
    };
    sql.push(&format!(" ORDER BY {order} LIMIT {limit}"));
    let rows = database.query(sql, &[SqlType::Text, SqlType::Int]).await?;
    rows.iter()
        .map(|row| match row.as_slice() {
            [SqlValue::Text(id), SqlValue::Int(bytes)] => {
                Ok((Uuid::parse_str(id.trim()).map_err(unreadable)?, (*bytes).try_into().unwrap_or(0)))
            }
            _ => Err(unreadable("an id is no text, or a length no number")),
        })
        .collect()
}

/// These messages, in this order, but for those that are gone meanwhile.
pub(in crate::subscriber) async fn fetch(
    database: &dyn Database,
    ids: &[Uuid],
) -> Result<Vec<Parked>, DatabaseError> {
    let mut fetched = HashMap::new();
    for chunk in ids.chunks(CHUNK) {
        let select = "SELECT id, arrived_at, attempts, message FROM promiscuous_parked WHERE id IN ";
        let mut sql = Sql::new(database.dialect(), select);
        sql.bind_in(chunk.iter().map(Uuid::to_string));
        use SqlType::{Int, Text};
        for row in database.query(sql, &[Text, Int, Int, Text]).await? {
            let parked = read_row(row)?;
            fetched.insert(parked.id, parked);
        }
    }
    Ok(ids.iter().filter_map(|id| fetched.remove(id)).collect())
}

fn read_row(row: SqlRow) -> Result<Parked, DatabaseError> {
    match <[SqlValue; 4]>::try_from(row) {
        Ok(
            [SqlValue::Text(id), SqlValue::Int(arrived_at), SqlValue::Int(attempts), SqlValue::Text(message)],
        ) => Ok(Parked {
            id: Uuid::parse_str(id.trim()).map_err(unreadable)?,
            arrived_at: arrived_at.try_into().unwrap_or(0),
            attempts: attempts.try_into().unwrap_or(0),
            body: Bytes::from(message),
        }),
        _ => Err(unreadable("a column has another type than `promiscuous migrate` gave it")),
    }
}

/// Messages that have failed and wait for their next attempt.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::subscriber) struct Failing {
    /// How many; of very many, not all are counted.
    pub(in crate::subscriber) count: u64,
    /// When the first attempt is due, in milliseconds since 1970.
    pub(in crate::subscriber) first_at: Option<u64>,
}

/// What has failed.
pub(in crate::subscriber) async fn failing(database: &dyn Database) -> Result<Failing, DatabaseError> {
    let text = format!(
        "SELECT COUNT(*), MIN(retry_at) FROM (SELECT retry_at FROM promiscuous_parked \
         WHERE retry_at > 0 AND retry_at < {NEVER} ORDER BY retry_at LIMIT {COUNTED}) AS failing"
    );
    let sql = Sql::new(database.dialect(), &text);
    let rows = database.query(sql, &[SqlType::Int, SqlType::Int]).await?;
    match rows.first().map(Vec::as_slice) {
        Some([SqlValue::Int(count), first]) => Ok(Failing {
            count: u64::try_from(*count).unwrap_or(0),
            first_at: match first {
                SqlValue::Int(at) => u64::try_from(*at).ok(),
                _ => None,
            },
        }),
        _ => Err(unreadable("a count is no number")),
    }
}

/// The sources whose messages are left to programs that take them; one step along an index for each, however many messages there are.
pub(in crate::subscriber) async fn left(database: &dyn Database) -> Result<Vec<String>, DatabaseError> {
    let mut sources: Vec<String> = Vec::new();
    loop {
        let mut sql =
            Sql::new(database.dialect(), "SELECT MIN(waits_for) FROM promiscuous_parked WHERE waits_for > ");
        sql.bind(format!("{LEFT}{}", sources.last().map_or("", String::as_str)));
        sql.push(" AND waits_for < ").bind(AFTER_LEFT);
        let rows = database.query(sql, &[SqlType::Text]).await?;
        match rows.first().map(Vec::as_slice) {
            Some([SqlValue::Text(next)]) => sources.push(next.trim_start_matches(LEFT).to_owned()),
            _ => return Ok(sources),
        }
    }
}

/// Whether any message is parked.
pub(in crate::subscriber) async fn any(database: &dyn Database) -> Result<bool, DatabaseError> {
    let sql = Sql::new(database.dialect(), "SELECT id FROM promiscuous_parked LIMIT 1");
    Ok(!database.query(sql, &[SqlType::Text]).await?.is_empty())
}
