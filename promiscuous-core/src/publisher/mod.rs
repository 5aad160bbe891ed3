//! The publishing side (sections 5 and 6 of the protocol).

use crate::context::Context;
use crate::database::Sql;
use crate::error::Error;
use crate::operation::Operation;

/// Publishes what an app's database commits. A cheaply cloned handle.
#[derive(Clone)]
pub struct Publisher {}

impl Publisher {
    /// The app's name, the first part of its endpoints.
    pub fn app(&self) -> &str {
        todo!()
    }

    /// Step 2 of the commit path: call it right before COMMIT, with everything that the transaction did.
    /// None when nothing is left to say, then just commit.
    ///
    /// # Errors
    /// When the version store fails: roll back.
    pub async fn lock_and_bump(
        &self,
        _operations: Vec<Operation>,
        _context: Option<&Context>,
    ) -> Result<Option<Pending>, Error> {
        todo!()
    }
}

/// A message whose versions are bumped and whose transaction is not yet known to be committed.
/// Dropping it, or [`Pending::failed`], has the op settled by section 6 at once.
#[must_use = "say whether the transaction committed"]
pub struct Pending {}

impl Pending {
    /// Step 3: run this in the transaction, then COMMIT.
    pub fn outbox_insert(&self) -> Sql {
        todo!()
    }

    /// Steps 4 and 5 go on in the background. Call it once COMMIT has succeeded. Never blocks.
    pub fn committed(self) {
        todo!()
    }

    /// The outbox INSERT or COMMIT failed, or its answer was lost: the op is settled by section 6.
    pub fn failed(self) {}
}
