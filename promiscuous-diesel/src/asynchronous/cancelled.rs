//! What is put in order after a future was dropped, before anything else is done.

use diesel::QueryResult;
use diesel_async::TransactionManager;

use super::{AsyncPromiscuous, AsyncWrapped};
use crate::error::unpublished;

impl<C: AsyncWrapped> AsyncPromiscuous<C> {
    /// Notes what was cancelled, and tells a pool inside if the connection is of no use any more.
    pub(super) fn land(&mut self) {
        self.ledger.land();
        if self.ledger.broken.is_some() {
            C::TransactionManager::transaction_manager_status_mut(&mut self.inner.0).set_in_error();
        }
    }

    /// Makes the connection usable again: rolls back what was abandoned.
    ///
    /// # Errors
    /// The database's; and that the connection cannot be used any more.
    pub(super) async fn settle(&mut self) -> QueryResult<()> {
        self.land();
        if let Some(reason) = self.ledger.broken {
            return Err(unpublished(format!(
                "the connection cannot be used any more: {reason}: take another one"
            )));
        }
        if let Some(level) = self.ledger.abandoned.level() {
            while self.depth()? >= level {
                self.rollback_innermost().await?;
            }
            self.ledger.abandoned.clear();
        }
        Ok(())
    }
}
