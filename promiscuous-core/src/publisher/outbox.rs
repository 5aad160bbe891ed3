//! The transactional outbox: its statements, and the few times that core runs them itself.
//!
//! A row's life: `PENDING` (a committed message) or `TOMBSTONE` (a dummy in the place of a dead writer's message), until it is
//! published. Then a message's row is deleted; a tombstone becomes `FENCE` and stays for days, so that a
//! writer that wakes up late runs into its primary key.

use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use crate::clock;
use crate::database::{Database, DatabaseError, Dialect, Sql, SqlType, SqlValue};
use crate::message::Message;

/// A committed message that is not known to be published.
pub(crate) const PENDING: i64 = 0;
/// A dummy that is not known to be published.
pub(crate) const TOMBSTONE: i64 = 1;
/// A published dummy, kept so that its op can never be used again.
pub(crate) const FENCE: i64 = 2;

/// Rows that one statement deletes or reads at the most.
pub(crate) const BATCH: usize = 200;

/// Step 3 of the commit path: the row that makes the message as durable as the write itself.
pub(crate) fn insert(dialect: Dialect, op: Uuid, state: i64, message: &str) -> Sql {
    let mut sql =
        Sql::new(dialect, "INSERT INTO promiscuous_outbox (op, state, created_at, message) VALUES ");
    let values: [SqlValue; 4] =
        [op.to_string().into(), state.into(), clock::millis().into(), message.to_owned().into()];
    sql.bind_list(values);
    sql
}

/// A row that waits to be published.
#[derive(Debug)]
pub(crate) struct OutboxRow {
    /// The primary key.
    pub(crate) op: Uuid,
    /// `PENDING` or `TOMBSTONE`.
    pub(crate) state: i64,
    /// The encoded message.
    pub(crate) message: String,
}

/// How much is in an outbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Rows that are not known to be published, dummies included.
    pub(crate) waiting: u64,
    /// When the oldest of them was written, in milliseconds since 1970.
    pub(crate) oldest_at: Option<u64>,
    /// Published dummies that are kept.
    pub(crate) fences: u64,
}

/// Core's own access to the outbox.
pub(crate) struct Outbox {
    /// The app's database.
    database: Arc<dyn Database>,
}

impl Outbox {
    pub(crate) fn new(database: Arc<dyn Database>) -> Self {
        Self { database }
    }

    pub(crate) fn dialect(&self) -> Dialect {
        self.database.dialect()
    }

    pub(crate) fn database(&self) -> &Arc<dyn Database> {
        &self.database
    }

    /// Unpublished rows that are older than `age` and come after `after`, in order.
    pub(crate) async fn unpublished(
        &self,
        age: Duration,
        after: Option<Uuid>,
    ) -> Result<Vec<OutboxRow>, DatabaseError> {
        let before = clock::millis().saturating_sub(clock::duration_millis(age));
        let mut sql =
            Sql::new(self.dialect(), "SELECT op, state, message FROM promiscuous_outbox WHERE state < ");
        sql.bind(FENCE).push(" AND created_at <= ").bind(before);
        if let Some(after) = after {
            sql.push(" AND op > ").bind(after.to_string());
        }
        sql.push(&format!(" ORDER BY op LIMIT {BATCH}"));
        let rows = self.database.query(sql, &[SqlType::Text, SqlType::Int, SqlType::Text]).await?;
        rows.into_iter().map(read_row).collect()
    }

    /// How much is in it.
    pub(crate) async fn tally(&self) -> Result<Tally, DatabaseError> {
        let select =
            "SELECT state, COUNT(*), MIN(created_at) FROM promiscuous_outbox GROUP BY state ORDER BY state";
        let columns = [SqlType::Int, SqlType::Int, SqlType::Int];
        let mut tally = Tally { waiting: 0, oldest_at: None, fences: 0 };
        for row in self.database.query(Sql::new(self.dialect(), select), &columns).await? {
            let [SqlValue::Int(state), SqlValue::Int(count), SqlValue::Int(oldest)] = row.as_slice() else {
                return Err(unreadable("a count is no number"));
            };
            let (count, oldest) = (u64::try_from(*count).unwrap_or(0), u64::try_from(*oldest).unwrap_or(0));
            if *state == FENCE {
                tally.fences += count;
            } else {
                tally.waiting += count;
                tally.oldest_at = Some(tally.oldest_at.map_or(oldest, |known| known.min(oldest)));
            }
        }
        Ok(tally)
    }

    /// Forgets published messages.
    pub(crate) async fn delete(&self, ops: &[Uuid]) -> Result<(), DatabaseError> {
        for chunk in ops.chunks(BATCH) {
            let mut sql = Sql::new(self.dialect(), "DELETE FROM promiscuous_outbox WHERE op IN ");
            sql.bind_in(chunk.iter().map(Uuid::to_string));
            self.database.execute(sql).await?;
        }
        Ok(())
    }

    /// Turns published tombstones into fences.
    pub(crate) async fn keep_as_fences(&self, ops: &[Uuid]) -> Result<(), DatabaseError> {
        for chunk in ops.chunks(BATCH) {
            let mut sql = Sql::new(self.dialect(), "UPDATE promiscuous_outbox SET state = ");
            sql.bind(FENCE).push(" WHERE op IN ").bind_in(chunk.iter().map(Uuid::to_string));
            self.database.execute(sql).await?;
        }
        Ok(())
    }

    /// Deletes fences that nobody can run into any more.
    pub(crate) async fn delete_old_fences(&self, kept: Duration) -> Result<u64, DatabaseError> {
        let before = clock::millis().saturating_sub(clock::duration_millis(kept));
        let mut sql = Sql::new(self.dialect(), "DELETE FROM promiscuous_outbox WHERE state = ");
        sql.bind(FENCE).push(" AND created_at < ").bind(before);
        self.database.execute(sql).await
    }
}

fn read_row(row: Vec<SqlValue>) -> Result<OutboxRow, DatabaseError> {
    match row.as_slice() {
        [SqlValue::Text(op), SqlValue::Int(state), SqlValue::Text(message)] => {
            let op = Uuid::parse_str(op.trim()).map_err(|error| unreadable(&error.to_string()))?;
            Ok(OutboxRow { op, state: *state, message: message.clone() })
        }
        _ => Err(unreadable("a column has another type than `promiscuous migrate` gave it")),
    }
}

fn unreadable(why: &str) -> DatabaseError {
    let text = format!("promiscuous_outbox holds a row that this program did not write: {why}");
    DatabaseError::new(crate::database::DatabaseErrorKind::Other, text)
}

/// The dummy of an op: it consumes the op's versions and reads, and does nothing.
pub(crate) fn dummy(app: &str, intent: crate::version_store::Bumped) -> Message {
    let dependencies =
        crate::dependency::Dependencies { write: intent.write, read: intent.read, external: Vec::new() };
    Message {
        id: intent.op,
        app: app.to_owned(),
        host: None,
        context: Some("promiscuous/recovery".into()),
        current_user_id: None,
        timestamp: clock::millis(),
        generation: intent.generation,
        operations: Vec::new(),
        dependencies: Some(dependencies),
        bootstrap: None,
    }
}
