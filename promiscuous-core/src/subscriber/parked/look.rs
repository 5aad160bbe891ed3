//! Which parked messages may go on.

use bytes::Bytes;
use uuid::Uuid;

use super::{AFTER_LEFT, LEFT, NEVER, Parked, unreadable};
use crate::database::{Database, DatabaseError, Sql, SqlRow, SqlType, SqlValue};
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

/// At most so many parked messages, the oldest first.
pub(in crate::subscriber) async fn look(
    database: &dyn Database,
    look: &Look,
    limit: usize,
) -> Result<Vec<Parked>, DatabaseError> {
    let mut sql = Sql::new(
        database.dialect(),
        "SELECT p.id, p.arrived_at, p.attempts, p.message FROM promiscuous_parked p ",
    );
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
    use SqlType::{Int, Text};
    let rows = database.query(sql, &[Text, Int, Int, Text]).await?;
    rows.into_iter().map(read_row).collect()
}

fn read_row(row: SqlRow) -> Result<Parked, DatabaseError> {
    match row.as_slice() {
        [SqlValue::Text(id), SqlValue::Int(arrived_at), SqlValue::Int(attempts), SqlValue::Text(message)] => {
            Ok(Parked {
                id: Uuid::parse_str(id.trim()).map_err(unreadable)?,
                arrived_at: (*arrived_at).try_into().unwrap_or(0),
                attempts: (*attempts).try_into().unwrap_or(0),
                body: Bytes::from(message.clone()),
            })
        }
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
