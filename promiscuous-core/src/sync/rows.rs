//! What core needs of an adapter to publish rows again.

use async_trait::async_trait;

use super::Condition;
use crate::database::DatabaseError;
use crate::key::Endpoint;
use crate::operation::Attributes;

/// A published model, as whoever publishes its rows again knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyncModel {
    /// For people, and to choose it by: `User`.
    pub name: String,
    /// Where it is published.
    pub endpoint: Endpoint,
    /// The type and its parents, nearest first.
    pub types: Vec<String>,
}

/// A row as it is.
#[derive(Debug, Clone, PartialEq)]
pub struct SyncRow {
    /// Its primary key, see [`encode_id`](crate::key::encode_id).
    pub id: String,
    /// Its published attributes, the virtual ones too.
    pub attributes: Attributes,
}

/// A stretch of a table in the order of its primary key, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stretch<'a> {
    /// The id of its first row.
    pub first: &'a str,
    /// The id of its last row, which may be the same.
    pub last: &'a str,
}

/// A condition that is true on PostgreSQL, for a statement outside of a transaction that locks rows and changes none (section 8 of the protocol: rows
/// that are read unless somebody writes them).
///
/// Its COMMIT would hold the locks until the disk has written that they were taken, and whoever wants to write these rows would wait for the disk, too.
/// Nothing is lost when a crash forgets them. The setting holds for the statement only.
pub const NOTHING_TO_FLUSH: &str = "(SELECT set_config('synchronous_commit', 'off', true)) IS NOT NULL";

/// Rows of published models, read in the order of their primary keys, past the adapter's own capture: these reads are nobody's causes.
///
/// A model is named by its position in [`models`](Self::models). Rows are those that match the condition; none is all of them. Ids are those
/// that this trait has given, or (of a stored cursor) has given to an earlier process of the same app.
#[async_trait]
pub trait PublishedRows: Send + Sync + 'static {
    /// The published models, by name.
    fn models(&self) -> &[SyncModel];

    /// How many rows there are.
    ///
    /// # Errors
    /// What the database says, of the condition for instance.
    async fn count(&self, model: usize, condition: Option<&Condition>) -> Result<u64, DatabaseError>;

    /// The ids of the next rows after one (the first ones when there is none), in order, at most `limit`.
    ///
    /// # Errors
    /// What the database says; and when `after` is no id of this model.
    async fn ids_after(
        &self,
        model: usize,
        condition: Option<&Condition>,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<String>, DatabaseError>;

    /// The rows of a stretch as they are committed now, in order.
    ///
    /// Those that a transaction in flight has changed are left out where `unless_written` is set: the statement takes a shared lock
    /// on each row that it reads, for as long as it runs, and waits for nobody (`FOR SHARE SKIP LOCKED`; on SQLite, which has one writer at a time, a
    /// transaction that begins as a writer).
    ///
    /// # Errors
    /// What the database says; and when a row has a value that cannot be sent, or an id of the stretch is none of this model.
    async fn read(
        &self,
        model: usize,
        condition: Option<&Condition>,
        stretch: Stretch<'_>,
        unless_written: bool,
    ) -> Result<Vec<SyncRow>, DatabaseError>;

    /// Those of these ids that no committed row has now. What can be no id of this model is not among them.
    ///
    /// # Errors
    /// What the database says.
    async fn missing(&self, model: usize, ids: &[String]) -> Result<Vec<String>, DatabaseError>;
}
