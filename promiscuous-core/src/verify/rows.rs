//! What core needs of an adapter to compare the rows of a subscriber with those of its publisher.

use async_trait::async_trait;

use crate::database::{ApplyError, DatabaseError};
use crate::operation::Operation;
use crate::sync::SyncRow;

/// How a row differs from an operation that was applied to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Comparison {
    /// To apply the operation again would change nothing.
    Same,
    /// There is no such row.
    Missing,
    /// These attributes would be changed.
    Different(Vec<String>),
}

/// Rows of subscribed models, read past the adapter's own capture: these reads are nobody's causes, and nothing is written.
///
/// A model is named by its position in the app's [`Subscriptions`](crate::registry::Subscriptions). Ids are the publisher's, as its messages
/// have them: those of the primary key, or of the foreign key that keeps them.
#[async_trait]
pub trait SubscribedRows: Send + Sync + 'static {
    /// The names of the model's attributes that are kept in columns as they are sent; not those that go through setters.
    fn attributes(&self, model: usize) -> Vec<String>;

    /// The ids of the next rows after one (the first ones when there is none), in the database's order of the columns that keep them, at
    /// most `limit`. Rows without an id (whose foreign key is NULL) are this app's own, and left out.
    ///
    /// # Errors
    /// What the database says; and when `after` is no id of this model.
    async fn ids_after(
        &self,
        model: usize,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<String>, DatabaseError>;

    /// Those of these objects that have a committed row, in any order, with [`attributes`](Self::attributes) as a publisher with such columns would send
    /// them. What can be no id of this model has no row.
    ///
    /// # Errors
    /// What the database says; and when a row has a value that cannot be sent.
    async fn read(&self, model: usize, ids: &[String]) -> Result<Vec<SyncRow>, DatabaseError>;

    /// Whether an operation with attributes would change its row, by the rules of applying it. Hooks and callbacks are not called, setters are.
    ///
    /// # Errors
    /// As when it is applied.
    async fn compare(&self, model: usize, operation: &Operation) -> Result<Comparison, ApplyError>;
}
