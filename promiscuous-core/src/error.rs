//! The errors that users see. Each is a sentence that ends in what to do; causes are chained, never formatted in.

use crate::broker::BrokerError;
use crate::database::DatabaseError;
use crate::key::{Endpoint, NameError};
use crate::version_store::StoreError;

/// Everything that can go wrong for a user of the library.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A setting is missing or makes no sense.
    #[error("{0}")]
    Configuration(String),
    /// The version store is away or unfit. A published write that meets this was rolled back.
    #[error("the version store failed, so nothing was written: check Redis (REDIS_URL)")]
    VersionStore(#[from] StoreError),
    /// The broker refuses, or an endpoint is taken. (A broker that is merely away is no error: messages wait in the outbox.)
    #[error("the broker refused: check RabbitMQ (AMQP_URL) and what this app publishes")]
    Broker(#[from] BrokerError),
    /// The protocol's own tables could not be read or written.
    #[error(
        "the promiscuous tables could not be used: check the database, and that `promiscuous migrate` was run"
    )]
    Database(#[from] DatabaseError),
    /// A write could not be published; its transaction was rolled back.
    #[error("the write was rolled back, because it could not be published: {0}")]
    Publisher(String),
    /// It is not known any more what a transaction wrote: it does not commit.
    #[error("{0}, so it is not known what this transaction wrote: roll it back and run it again")]
    Spoiled(String),
    /// Dead writers' work could not be finished now.
    #[error("recovering stopped, and what is left waits for the next time: {0}")]
    Recovery(String),
    /// The write cannot be attributed to rows, so it was refused before it ran.
    #[error("refused before it ran: {statement} on the published model `{model}`: {advice}")]
    UnsupportedWrite {
        /// The published model.
        model: String,
        /// The statement's kind.
        statement: String,
        /// What to do instead.
        advice: String,
    },
    /// Two published models of one app claim one endpoint.
    #[error("two models are published as {0}: give one of them another name (`to = \"…\"`)")]
    EndpointTwice(Endpoint),
    /// A name that cannot be replicated.
    #[error(transparent)]
    Name(#[from] NameError),
}

/// An error with its causes, for a log line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let said = cause.to_string();
        // Some errors end in their cause's text already.
        if !text.ends_with(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        source = cause.source();
    }
    text
}
