//! `promiscuous_parked`: blocked messages, in the subscriber's database rather than in memory (section 7 of the protocol).
//!
//! A parked message is a delivery from another source: acknowledging it deletes its row.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use uuid::Uuid;

use crate::broker::{Acknowledger, Delivery};
use crate::clock;
use crate::database::{Database, DatabaseError, DatabaseErrorKind, Dialect, Sql, SqlRow, SqlType, SqlValue};
use crate::dependency::Version;
use crate::error::chain;
use crate::key::Key;

/// Rows of one statement.
const CHUNK: usize = 100;

/// Bytes of messages in one statement, but for one that is larger alone.
const CHUNK_BYTES: usize = 1 << 20;

/// A message to park.
#[derive(Debug, Clone)]
pub(super) struct Parking {
    /// Its identity: see `Message::identity`.
    pub(super) id: Uuid,
    /// When it came first, in milliseconds since 1970: what it is worth to wait is counted from there.
    pub(super) arrived_at: u64,
    /// What must change before it can be ready.
    pub(super) waits_for: Key,
    /// The version that this key must reach; the lowest when its readers are waited for, which the database does not know.
    pub(super) version: Version,
    /// As it came.
    pub(super) body: Bytes,
}

/// A message that was parked.
#[derive(Debug, Clone)]
pub(super) struct Parked {
    /// Its id.
    pub(super) id: Uuid,
    /// See [`Parking::arrived_at`].
    pub(super) arrived_at: u64,
    /// As it came.
    pub(super) body: Bytes,
}

/// Puts messages there; from then on they can be acknowledged. One that is there already waits for something else now.
pub(super) async fn park(database: &dyn Database, messages: &[Parking]) -> Result<(), DatabaseError> {
    let mut left = messages;
    while !left.is_empty() {
        let mut bytes = 0;
        let fits = left.iter().take(CHUNK).take_while(|message| {
            bytes += message.body.len();
            bytes <= CHUNK_BYTES
        });
        let (chunk, rest) = left.split_at(fits.count().max(1));
        database.execute(insert(database.dialect(), chunk)?).await?;
        left = rest;
    }
    Ok(())
}

fn insert(dialect: Dialect, messages: &[Parking]) -> Result<Sql, DatabaseError> {
    let mut sql = Sql::new(
        dialect,
        "INSERT INTO promiscuous_parked \
         (id, arrived_at, parked_at, waits_for, endpoint, generation, version, message) VALUES ",
    );
    let now = clock::millis();
    for (position, message) in messages.iter().enumerate() {
        sql.push(if position > 0 { ", " } else { "" });
        let Parking { id, arrived_at, waits_for, version, body } = message;
        let endpoint = waits_for.of_generation().map_err(unreadable)?;
        let text = std::str::from_utf8(body).map_err(unreadable)?;
        sql.bind_list::<SqlValue>([
            id.to_string().into(),
            (*arrived_at).into(),
            now.into(),
            waits_for.as_str().into(),
            endpoint.as_str().into(),
            version.generation.into(),
            version.version.into(),
            text.into(),
        ]);
    }
    let (prefix, excluded) = match dialect {
        Dialect::Mysql => (" ON DUPLICATE KEY UPDATE ", "VALUES({})"),
        Dialect::Postgres | Dialect::Sqlite => (" ON CONFLICT (id) DO UPDATE SET ", "excluded.{}"),
    };
    sql.push(prefix);
    for (position, column) in
        ["parked_at", "waits_for", "endpoint", "generation", "version"].iter().enumerate()
    {
        sql.push(if position > 0 { ", " } else { "" });
        sql.push(&format!("{column} = {}", excluded.replace("{}", column)));
    }
    Ok(sql)
}

/// Which parked messages to look at.
#[derive(Debug, Clone)]
pub(super) enum Look {
    /// Those whose cause has come, as far as the database knows; of these keys or, if none are named, of any.
    Ready(Vec<Key>),
    /// Those whose turn comes next in a total order, one after the other.
    Next(Key),
    /// Those that wait for a version of a generation that is over, and came before this time.
    Over(u64),
    /// Those that came before this time.
    Since(u64),
}

/// At most so many parked messages, the oldest first.
pub(super) async fn look(
    database: &dyn Database,
    look: &Look,
    limit: usize,
) -> Result<Vec<Parked>, DatabaseError> {
    let mut sql =
        Sql::new(database.dialect(), "SELECT p.id, p.arrived_at, p.message FROM promiscuous_parked p ");
    let order = match look {
        Look::Ready(keys) => {
            // Readers are waited for with version 0: the database cannot tell.
            sql.push(
                "LEFT JOIN promiscuous_versions v ON v.object = p.waits_for \
                 WHERE (p.version = 0 OR p.generation < v.generation \
                 OR (p.generation = v.generation AND p.version <= v.version))",
            );
            if keys.is_empty() {
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
            sql.push("WHERE p.arrived_at <= ").bind(*before);
            "p.id"
        }
    };
    sql.push(&format!(" ORDER BY {order} LIMIT {limit}"));
    let rows = database.query(sql, &[SqlType::Text, SqlType::Int, SqlType::Text]).await?;
    rows.into_iter().map(read_row).collect()
}

/// How many messages are parked, and when the first of them came, in milliseconds since 1970.
pub(crate) async fn tally(database: &dyn Database) -> Result<(u64, Option<u64>), DatabaseError> {
    let sql = Sql::new(database.dialect(), "SELECT COUNT(*), MIN(arrived_at) FROM promiscuous_parked");
    let rows = database.query(sql, &[SqlType::Int, SqlType::Int]).await?;
    match rows.first().map(Vec::as_slice) {
        Some([SqlValue::Int(count), SqlValue::Int(oldest)]) => {
            Ok((u64::try_from(*count).unwrap_or(0), u64::try_from(*oldest).ok()))
        }
        Some([_, SqlValue::Null]) => Ok((0, None)),
        _ => Err(unreadable("a count is no number")),
    }
}

/// A parked message, and what it waits for.
#[derive(Debug, Clone)]
pub(crate) struct Waiting {
    /// Its id.
    pub(crate) id: Uuid,
    /// When it came, in milliseconds since 1970.
    pub(crate) arrived_at: u64,
    /// What must change before it can be ready.
    pub(crate) waits_for: Key,
    /// See [`Parking::version`].
    pub(crate) version: Version,
    /// As it came.
    pub(crate) body: String,
}

/// At most so many parked messages, the oldest first, after this one.
pub(crate) async fn page(
    database: &dyn Database,
    after: Option<&Waiting>,
    limit: usize,
) -> Result<Vec<Waiting>, DatabaseError> {
    let mut sql = Sql::new(
        database.dialect(),
        "SELECT id, arrived_at, waits_for, generation, version, message FROM promiscuous_parked ",
    );
    if let Some(Waiting { id, arrived_at, .. }) = after {
        sql.push("WHERE arrived_at > ").bind(*arrived_at);
        sql.push(" OR (arrived_at = ").bind(*arrived_at).push(" AND id > ").bind(id.to_string()).push(")");
    }
    sql.push(&format!(" ORDER BY arrived_at, id LIMIT {limit}"));
    use SqlType::{Int, Text};
    let rows = database.query(sql, &[Text, Int, Text, Int, Int, Text]).await?;
    rows.into_iter().map(read_waiting).collect()
}

fn read_waiting(row: SqlRow) -> Result<Waiting, DatabaseError> {
    use SqlValue::{Int, Text};
    let number = |number: i64| u64::try_from(number).unwrap_or(0);
    match <[SqlValue; 6]>::try_from(row) {
        Ok([Text(id), Int(arrived_at), Text(key), Int(generation), Int(version), Text(body)]) => {
            Ok(Waiting {
                id: Uuid::parse_str(id.trim()).map_err(unreadable)?,
                arrived_at: number(arrived_at),
                waits_for: Key::parse(&key).map_err(unreadable)?,
                version: Version::new(number(generation), number(version)),
                body,
            })
        }
        _ => Err(unreadable("a column has another type than `promiscuous migrate` gave it")),
    }
}

/// Whether any message is parked.
pub(super) async fn any(database: &dyn Database) -> Result<bool, DatabaseError> {
    let sql = Sql::new(database.dialect(), "SELECT id FROM promiscuous_parked LIMIT 1");
    Ok(!database.query(sql, &[SqlType::Text]).await?.is_empty())
}

async fn delete(database: &dyn Database, ids: &[Uuid]) -> Result<(), DatabaseError> {
    for chunk in ids.chunks(CHUNK) {
        let mut sql = Sql::new(database.dialect(), "DELETE FROM promiscuous_parked WHERE id IN ");
        sql.bind_in(chunk.iter().map(Uuid::to_string));
        database.execute(sql).await?;
    }
    Ok(())
}

fn read_row(row: SqlRow) -> Result<Parked, DatabaseError> {
    match row.as_slice() {
        [SqlValue::Text(id), SqlValue::Int(arrived_at), SqlValue::Text(message)] => Ok(Parked {
            id: Uuid::parse_str(id.trim()).map_err(unreadable)?,
            arrived_at: (*arrived_at).try_into().unwrap_or(0),
            body: Bytes::from(message.clone()),
        }),
        _ => Err(unreadable("a column has another type than `promiscuous migrate` gave it")),
    }
}

fn unreadable(why: impl std::fmt::Display) -> DatabaseError {
    let text = format!("promiscuous_parked holds a row that this program did not write: {why}");
    DatabaseError::new(DatabaseErrorKind::Other, text)
}

/// Acknowledges parked messages.
pub(super) struct Lot {
    database: Arc<dyn Database>,
    state: Mutex<LotState>,
}

#[derive(Default)]
struct LotState {
    /// The last tag that was given out.
    last: u64,
    /// What the tags in use stand for.
    ids: HashMap<u64, Uuid>,
}

impl Lot {
    pub(super) fn new(database: Arc<dyn Database>) -> Arc<Self> {
        Arc::new(Self { database, state: Mutex::default() })
    }

    /// A parked message as a delivery.
    pub(super) fn deliver(self: &Arc<Self>, parked: Parked) -> Delivery {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.last += 1;
        let tag = state.last;
        state.ids.insert(tag, parked.id);
        let acknowledger: Arc<dyn Acknowledger> = self.clone();
        Delivery { body: parked.body, redelivered: true, tag, acknowledger }
    }

    /// The tags are not used any more.
    fn forget(&self, tags: &[u64]) -> Vec<Uuid> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        tags.iter().filter_map(|tag| state.ids.remove(tag)).collect()
    }
}

#[async_trait]
impl Acknowledger for Lot {
    async fn ack(&self, tags: &[u64]) {
        let ids = self.forget(tags);
        if let Err(error) = delete(self.database.as_ref(), &ids).await {
            // They are applied, so they are skipped then.
            tracing::debug!(error = %chain(&error), "parked messages stay, and are looked at again");
        }
    }

    async fn requeue(&self, tags: &[u64]) {
        self.forget(tags);
    }
}
