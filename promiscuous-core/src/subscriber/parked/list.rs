//! What operators see of parked messages.

use uuid::Uuid;

use super::{LEFT, NEVER, Until, unreadable};
use crate::database::{Database, DatabaseError, Sql, SqlRow, SqlType, SqlValue};
use crate::dependency::Version;
use crate::key::Key;

/// How many messages are parked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Those that wait for a cause.
    pub(crate) blocked: u64,
    /// When the first of these came, in milliseconds since 1970.
    pub(crate) oldest_at: Option<u64>,
    /// Those that have failed, and wait for their next attempt.
    pub(crate) failing: u64,
    /// Those that are left to another program of this app.
    pub(crate) left: u64,
}

/// Counts them.
pub(crate) async fn tally(database: &dyn Database) -> Result<Tally, DatabaseError> {
    let text = format!(
        "SELECT COUNT(*), COUNT(CASE WHEN retry_at > 0 THEN 1 END), COUNT(CASE WHEN retry_at = {NEVER} THEN 1 END), \
         MIN(CASE WHEN retry_at = 0 THEN arrived_at END) FROM promiscuous_parked"
    );
    let sql = Sql::new(database.dialect(), &text);
    let rows = database.query(sql, &[SqlType::Int, SqlType::Int, SqlType::Int, SqlType::Int]).await?;
    match rows.first().map(Vec::as_slice) {
        Some([SqlValue::Int(all), SqlValue::Int(timed), SqlValue::Int(left), oldest]) => Ok(Tally {
            blocked: u64::try_from(all - timed).unwrap_or(0),
            oldest_at: match oldest {
                SqlValue::Int(at) => u64::try_from(*at).ok(),
                _ => None,
            },
            failing: u64::try_from(timed - left).unwrap_or(0),
            left: u64::try_from(*left).unwrap_or(0),
        }),
        _ => Err(unreadable("a count is no number")),
    }
}

/// A parked message, and what it waits for.
#[derive(Debug, Clone)]
pub(crate) struct Waiting {
    /// Its identity.
    pub(crate) id: Uuid,
    /// When it came, in milliseconds since 1970.
    pub(crate) arrived_at: u64,
    /// How often it has failed.
    pub(crate) attempts: u32,
    /// What it waits for.
    pub(crate) until: Until,
    /// As it came.
    pub(crate) body: String,
}

const COLUMNS: &str = "SELECT id, arrived_at, waits_for, generation, version, attempts, retry_at, message FROM promiscuous_parked ";

/// At most so many parked messages, the oldest first, after this one.
pub(crate) async fn page(
    database: &dyn Database,
    after: Option<&Waiting>,
    limit: usize,
) -> Result<Vec<Waiting>, DatabaseError> {
    let mut sql = Sql::new(database.dialect(), COLUMNS);
    if let Some(Waiting { id, arrived_at, .. }) = after {
        sql.push("WHERE arrived_at > ").bind(*arrived_at);
        sql.push(" OR (arrived_at = ").bind(*arrived_at).push(" AND id > ").bind(id.to_string()).push(")");
    }
    sql.push(&format!(" ORDER BY arrived_at, id LIMIT {limit}"));
    read(database, sql).await
}

/// What has waited longest for its cause.
pub(in crate::subscriber) async fn longest_blocked(
    database: &dyn Database,
) -> Result<Option<Waiting>, DatabaseError> {
    let mut sql = Sql::new(database.dialect(), COLUMNS);
    sql.push("WHERE retry_at = 0 ORDER BY arrived_at, id LIMIT 1");
    Ok(read(database, sql).await?.pop())
}

async fn read(database: &dyn Database, sql: Sql) -> Result<Vec<Waiting>, DatabaseError> {
    use SqlType::{Int, Text};
    let rows = database.query(sql, &[Text, Int, Text, Int, Int, Int, Int, Text]).await?;
    rows.into_iter().map(read_row).collect()
}

fn read_row(row: SqlRow) -> Result<Waiting, DatabaseError> {
    use SqlValue::{Int, Text};
    let number = |number: i64| u64::try_from(number).unwrap_or(0);
    match <[SqlValue; 8]>::try_from(row) {
        Ok(
            [
                Text(id),
                Int(arrived_at),
                Text(key),
                Int(generation),
                Int(version),
                Int(attempts),
                Int(retry_at),
                Text(body),
            ],
        ) => Ok(Waiting {
            id: Uuid::parse_str(id.trim()).map_err(unreadable)?,
            arrived_at: number(arrived_at),
            attempts: attempts.try_into().unwrap_or(0),
            until: match number(retry_at) {
                0 => Until::Cause(
                    Key::parse(&key).map_err(unreadable)?,
                    Version::new(number(generation), number(version)),
                ),
                NEVER => Until::Taken(key.trim_start_matches(LEFT).to_owned()),
                at => Until::Attempt(at),
            },
            body,
        }),
        _ => Err(unreadable("a column has another type than `promiscuous migrate` gave it")),
    }
}
