//! What a transaction's commit calls: the publisher, or nothing at all.

use promiscuous_core::blocking::Bridge;
use promiscuous_core::config::SecretUrl;
use promiscuous_core::context::Context;
use promiscuous_core::database::Sql;
use promiscuous_core::error::Error;
use promiscuous_core::operation::Operation;
use promiscuous_core::publisher::{Pending, Publisher};

/// Where operations go.
#[derive(Clone)]
pub(crate) enum CommitPath {
    /// Nowhere: the app only subscribes.
    Nothing,
    /// To the version store and the outbox.
    Publisher {
        /// What publishes.
        publisher: Publisher,
        /// The thread on which it does.
        bridge: Bridge,
        /// The database that it publishes from.
        url: SecretUrl,
    },
    /// To a list.
    #[cfg(test)]
    Recorded(std::sync::Arc<tests::Recorded>),
}

/// Operations whose versions are bumped. Dropping it is the same as [`Bumped::failed`].
pub(crate) enum Bumped {
    Pending(Box<Pending>),
    #[cfg(test)]
    Recorded(tests::Open),
}

impl CommitPath {
    /// Whether anything is published at all.
    pub fn publishes(&self) -> bool {
        !matches!(self, Self::Nothing)
    }

    /// The publisher, where there is one.
    pub fn publisher(&self) -> Option<&Publisher> {
        match self {
            Self::Publisher { publisher, .. } => Some(publisher),
            _ => None,
        }
    }

    /// The last step before COMMIT.
    ///
    /// # Errors
    /// When the version store says no: roll back.
    pub fn lock_and_bump(
        &self,
        operations: Vec<Operation>,
        context: Option<&Context>,
    ) -> Result<Option<Bumped>, Error> {
        match self {
            Self::Nothing => Ok(None),
            Self::Publisher { publisher, bridge, .. } => {
                let (publisher, context) = (publisher.clone(), context.cloned());
                let bump = async move { publisher.lock_and_bump(operations, context.as_ref()).await };
                Ok(bridge.call(bump)??.map(|pending| Bumped::Pending(Box::new(pending))))
            }
            #[cfg(test)]
            Self::Recorded(recorded) => recorded.lock_and_bump(operations, context),
        }
    }

    /// The same for whoever can wait.
    ///
    /// # Errors
    /// When the version store says no: roll back.
    #[cfg(feature = "async")]
    pub async fn lock_and_bump_async(
        &self,
        operations: Vec<Operation>,
        context: Option<&Context>,
    ) -> Result<Option<Bumped>, Error> {
        match self {
            Self::Nothing => Ok(None),
            Self::Publisher { publisher, .. } => {
                let pending = publisher.lock_and_bump(operations, context).await?;
                Ok(pending.map(|pending| Bumped::Pending(Box::new(pending))))
            }
            #[cfg(test)]
            Self::Recorded(recorded) => recorded.lock_and_bump_async(operations, context).await,
        }
    }
}

impl Bumped {
    /// To be run in the transaction.
    pub fn outbox_insert(&self) -> Sql {
        match self {
            Self::Pending(pending) => pending.outbox_insert(),
            #[cfg(test)]
            Self::Recorded(open) => open.outbox_insert(),
        }
    }

    /// COMMIT succeeded.
    pub fn committed(self) {
        match self {
            Self::Pending(pending) => drop(pending.committed()),
            #[cfg(test)]
            Self::Recorded(open) => open.committed(),
        }
    }

    /// The outbox INSERT or COMMIT failed, or its answer was lost.
    pub fn failed(self) {
        match self {
            Self::Pending(pending) => pending.failed(),
            #[cfg(test)]
            Self::Recorded(open) => drop(open),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
