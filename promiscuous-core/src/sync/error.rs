//! Why rows could not be published again.

use std::time::Duration;

use uuid::Uuid;

use super::SelectionError;
use crate::broker::BrokerError;
use crate::database::{DatabaseError, DatabaseErrorKind};
use crate::error::Error;
use crate::version_store::StoreError;

/// Why rows could not be published again. What was sent before is sent, and the run can be resumed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SyncError {
    /// The rows could not be read: the condition names a column that is not there, for instance.
    #[error("the rows of `{selection}` could not be read")]
    Rows {
        /// What was asked for.
        selection: String,
        /// What the database said.
        #[source]
        source: DatabaseError,
    },
    /// The model is none of those that the connection's app publishes.
    #[error(
        "`{model}` is not published through this connection: use one from {connections}, and where models are named, name it with \
         `Models::publish`"
    )]
    Unpublished {
        /// What it is called.
        model: String,
        /// Where the adapter's publishing connections come from.
        connections: &'static str,
    },
    /// The connection is in a transaction.
    #[error(
        "rows are published again as they are committed, and this connection is in a transaction: call this after its end"
    )]
    InTransaction,
    /// What publishes in the background has ended, or panicked.
    #[error("the rows could not be published again: {0}")]
    Stopped(String),
    /// A row does not fit into a message.
    #[error("{0}")]
    Unsendable(String),
    /// Rows are being written all the time.
    #[error(
        "{rows} rows of `{selection}` have been in the hands of writers for {} s: look for a transaction that does not end, then resume",
        waited.as_secs()
    )]
    Busy {
        /// What was asked for.
        selection: String,
        /// How many rows.
        rows: usize,
        /// How long they were waited for.
        waited: Duration,
    },
    /// The app that is to get them does not subscribe.
    #[error(
        "the app `{app}` has no queue {queue}: start its `promiscuous subscribe` first, or look whether it is called so"
    )]
    NoQueue {
        /// The app.
        app: String,
        /// The queue that is missing.
        queue: String,
    },
    /// Nothing to go on with.
    #[error("there is no unfinished run{}: begin one with `promiscuous publish MODEL`", run.map(|run| format!(" {run}")).unwrap_or_default())]
    NoRun {
        /// The one that was asked for.
        run: Option<Uuid>,
    },
    /// A selection that is none any more: a model was renamed since.
    #[error(transparent)]
    Selection(#[from] SelectionError),
    /// How far the run has come could not be kept.
    #[error(
        "the table promiscuous_sync could not be used: check the database, and that `promiscuous migrate` was run"
    )]
    Cursor(#[source] DatabaseError),
    /// The broker failed or refused.
    #[error("the broker did not take the rows")]
    Broker(#[from] BrokerError),
    /// The version store failed.
    #[error(transparent)]
    Publisher(#[from] Error),
}

impl SyncError {
    /// Whether a server is away or busy, so that the same again may succeed.
    pub(crate) fn is_transient(&self) -> bool {
        let database = |error: &DatabaseError| {
            matches!(error.kind, DatabaseErrorKind::Connection | DatabaseErrorKind::Contention)
        };
        let store = |error: &StoreError| matches!(error, StoreError::Unavailable { .. });
        match self {
            Self::Rows { source, .. } | Self::Cursor(source) => database(source),
            Self::Broker(error) => {
                matches!(error, BrokerError::Connection { .. } | BrokerError::Nacked { .. })
            }
            Self::Publisher(Error::VersionStore(error)) => store(error),
            Self::Publisher(Error::Database(error)) => database(error),
            _ => false,
        }
    }
}
