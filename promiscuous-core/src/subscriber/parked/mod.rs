//! `promiscuous_parked`: messages that cannot be applied yet, in the subscriber's database rather than in memory (section 7 of the
//! protocol). They are blocked, or they have failed and wait for their next attempt, or they are left to another version of the app.
//!
//! * this file: what is parked, and how it gets there
//! * `look`: which of them may go on
//! * `lot`: a parked message is a delivery from another source: acknowledging it deletes its row
//! * `list`: for operators

use bytes::Bytes;
use uuid::Uuid;

use crate::clock;
use crate::database::{Database, DatabaseError, DatabaseErrorKind, Dialect, Sql, SqlValue};
use crate::dependency::Version;
use crate::key::Key;

mod list;
mod look;
mod lot;

pub(super) use list::longest_blocked;
pub(crate) use list::{Waiting, page, tally};
pub(super) use look::{Failing, Look, any, failing, fetch, left, look};
pub(super) use lot::Lot;

/// Rows of one statement.
const CHUNK: usize = 100;

/// Bytes of messages in one statement, but for one that is larger alone.
const CHUNK_BYTES: usize = 1 << 20;

/// What precedes the name of a source in the place of the key that is waited for. No key begins so.
const LEFT: &str = "=";

/// What comes after all of these names.
const AFTER_LEFT: &str = ">";

/// When messages are tried again that wait for no time.
const NEVER: u64 = i64::MAX as u64;

/// What a parked message waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Until {
    /// This key has this version; the lowest one where the version's readers are waited for, of which the database does not know.
    Cause(Key, Version),
    /// Its next attempt, at this time in milliseconds since 1970: it has failed.
    Attempt(u64),
    /// A program of this app that takes this source, as subscriptions name it: the app has bound it, and the program that was given the message has no model for
    /// it. Or that it is bound no more.
    Taken(String),
}

/// A message to park.
#[derive(Debug, Clone)]
pub(super) struct Parking {
    /// Its identity: see `Message::identity`.
    pub(super) id: Uuid,
    /// When it came first, in milliseconds since 1970: what it is worth to wait is counted from there.
    pub(super) arrived_at: u64,
    /// How often it has failed: counted on when it comes back, also in another process.
    pub(super) attempts: u32,
    /// What must happen before it can go on.
    pub(super) until: Until,
    /// As it came.
    pub(super) body: Bytes,
}

/// A message that was parked.
#[derive(Debug, Clone)]
pub(super) struct Parked {
    /// Its identity.
    pub(super) id: Uuid,
    /// See [`Parking::arrived_at`].
    pub(super) arrived_at: u64,
    /// See [`Parking::attempts`].
    pub(super) attempts: u32,
    /// As it came.
    pub(super) body: Bytes,
}

impl From<Parking> for Parked {
    fn from(Parking { id, arrived_at, attempts, body, .. }: Parking) -> Self {
        Self { id, arrived_at, attempts, body }
    }
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
         (id, arrived_at, parked_at, waits_for, endpoint, generation, version, attempts, retry_at, message) VALUES ",
    );
    let now = clock::millis();
    for (position, message) in messages.iter().enumerate() {
        sql.push(if position > 0 { ", " } else { "" });
        let Parking { id, arrived_at, attempts, until, body } = message;
        let (waits_for, endpoint, version, retry_at) = match until {
            Until::Cause(key, version) => {
                let endpoint = key.of_generation().map_err(unreadable)?;
                (key.to_string(), endpoint.to_string(), *version, 0)
            }
            Until::Attempt(at) => (String::new(), String::new(), Version::new(0, 0), *at),
            Until::Taken(source) => (format!("{LEFT}{source}"), String::new(), Version::new(0, 0), NEVER),
        };
        let text = std::str::from_utf8(body).map_err(unreadable)?;
        sql.bind_list::<SqlValue>([
            id.to_string().into(),
            (*arrived_at).into(),
            now.into(),
            waits_for.into(),
            endpoint.into(),
            version.generation.into(),
            version.version.into(),
            u64::from(*attempts).into(),
            retry_at.into(),
            text.into(),
        ]);
    }
    let (prefix, excluded) = match dialect {
        Dialect::Mysql => (" ON DUPLICATE KEY UPDATE ", "VALUES({})"),
        Dialect::Postgres | Dialect::Sqlite => (" ON CONFLICT (id) DO UPDATE SET ", "excluded.{}"),
    };
    sql.push(prefix);
    let changes = ["parked_at", "waits_for", "endpoint", "generation", "version", "attempts", "retry_at"];
    for (position, column) in changes.iter().enumerate() {
        sql.push(if position > 0 { ", " } else { "" });
        sql.push(&format!("{column} = {}", excluded.replace("{}", column)));
    }
    Ok(sql)
}

async fn delete(database: &dyn Database, ids: &[Uuid]) -> Result<(), DatabaseError> {
    for chunk in ids.chunks(CHUNK) {
        let mut sql = Sql::new(database.dialect(), "DELETE FROM promiscuous_parked WHERE id IN ");
        sql.bind_in(chunk.iter().map(Uuid::to_string));
        database.execute(sql).await?;
    }
    Ok(())
}

fn unreadable(why: impl std::fmt::Display) -> DatabaseError {
    let text = format!("promiscuous_parked holds a row that this program did not write: {why}");
    DatabaseError::new(DatabaseErrorKind::Other, text)
}
