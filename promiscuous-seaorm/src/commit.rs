//! What a transaction's commit calls: the publisher, or nothing at all.

use promiscuous_core::context::Context;
use promiscuous_core::error::{Error, chain};
use promiscuous_core::operation::Operation;
use promiscuous_core::publisher::{Pending, Publisher};
use sea_orm::{DbBackend, DbErr, Statement};

use crate::database::statement;

/// Where operations go.
#[derive(Clone)]
pub(crate) enum CommitPath {
    /// Nowhere: the app only subscribes.
    Nothing,
    /// To the version store and the outbox.
    Publisher(Publisher),
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
            Self::Publisher(publisher) => Some(publisher),
            _ => None,
        }
    }

    /// The last step before COMMIT.
    pub async fn lock_and_bump(
        &self,
        operations: Vec<Operation>,
        context: Option<&Context>,
    ) -> Result<Option<Bumped>, Error> {
        match self {
            Self::Nothing => Ok(None),
            Self::Publisher(publisher) => {
                let pending = publisher.lock_and_bump(operations, context).await?;
                Ok(pending.map(|pending| Bumped::Pending(Box::new(pending))))
            }
            #[cfg(test)]
            Self::Recorded(recorded) => recorded.lock_and_bump(operations, context).await,
        }
    }
}

impl Bumped {
    /// To be run in the transaction.
    pub fn outbox_insert(&self, backend: DbBackend) -> Statement {
        match self {
            Self::Pending(pending) => statement(pending.outbox_insert(), backend),
            #[cfg(test)]
            Self::Recorded(open) => statement(open.outbox_insert(), backend),
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

    /// The outbox INSERT or COMMIT failed.
    pub fn failed(self) {
        match self {
            Self::Pending(pending) => pending.failed(),
            #[cfg(test)]
            Self::Recorded(open) => drop(open),
        }
    }
}

/// SeaORM's errors are the only ones its traits can give. The whole chain of causes is kept as text.
pub(crate) fn db_err(error: &Error) -> DbErr {
    DbErr::Custom(chain(error))
}

#[cfg(test)]
pub(crate) mod tests;
