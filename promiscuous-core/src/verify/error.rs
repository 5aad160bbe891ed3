//! Why rows could not be compared.

use std::time::Duration;

use crate::broker::BrokerError;
use crate::database::{ApplyError, DatabaseError};
use crate::error::Error;

/// Why rows could not be compared. What was found before was found.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// Nobody answers for some sources.
    #[error(
        "nobody who publishes {} has answered in {} s: run `promiscuous publish --serve` there, or `promiscuous subscribe --serve`",
        sources.join(", "),
        waited.as_secs()
    )]
    NoPublisher {
        /// What was asked for.
        sources: Vec<String>,
        /// For how long.
        waited: Duration,
    },
    /// A publisher has stopped answering.
    #[error("`{app}` has not answered for {} s: look whether its `--serve` still runs, and begin again", waited.as_secs())]
    Silent {
        /// The publisher.
        app: String,
        /// For how long.
        waited: Duration,
    },
    /// A publisher cannot answer.
    #[error("`{app}` cannot answer: {reason}")]
    Failed {
        /// The publisher.
        app: String,
        /// What it says.
        reason: String,
    },
    /// Rows are on their way anyway.
    #[error(
        "a bootstrap of {} is under way: compare when it has ended (`promiscuous status` says so)",
        sources.join(", ")
    )]
    Joining {
        /// What it still waits for.
        sources: Vec<String>,
    },
    /// Two of them would take each other's answers.
    #[error("another `promiscuous verify` of `{app}` is running: wait for its end, or stop it")]
    Running {
        /// This app.
        app: String,
    },
    /// The app's own rows could not be read.
    #[error("this app's rows cannot be read")]
    Rows(#[from] DatabaseError),
    /// A row could not be compared.
    #[error("a row cannot be compared: what is sent of it could not be applied either")]
    Unfit(#[from] ApplyError),
    /// The broker refuses.
    #[error("the broker does not do its part")]
    Broker(#[from] BrokerError),
    /// Anything else.
    #[error(transparent)]
    Other(#[from] Error),
}
