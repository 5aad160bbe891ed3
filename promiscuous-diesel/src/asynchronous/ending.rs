//! BEGIN, COMMIT, and what has to happen before it.

use diesel::QueryResult;
use diesel_async::TransactionManager;
use promiscuous_core::context::Context;
use promiscuous_core::operation::coalesce;

use super::ledger::Flight;
use super::{AsyncPromiscuous, AsyncWrapped};
use crate::backend::Doubt;
use crate::error::{diesel_error, unpublished};
use crate::query::CoreSql;

impl<C: AsyncWrapped> AsyncPromiscuous<C> {
    /// Begins the transaction of one published write.
    pub(super) async fn begin_single(&mut self) -> QueryResult<()> {
        self.begin_inner().await?;
        self.began()
    }

    /// Begins a transaction or a savepoint of the app's.
    ///
    /// # Errors
    /// The database's, or that the transaction around it can only be rolled back.
    pub(super) async fn begin(&mut self) -> QueryResult<()> {
        self.settle().await?;
        self.certain().await?;
        self.begin_inner().await?;
        self.began()?;
        if self.ledger.recording.depth() == 1 && self.ledger.publishes() {
            self.ledger.own = Some(Context::new("transaction"));
        }
        Ok(())
    }

    async fn begin_inner(&mut self) -> QueryResult<()> {
        self.ledger.flight = Some(Flight::Boundary);
        let begun = C::TransactionManager::begin_transaction(&mut self.inner.0).await;
        self.ledger.flight = None;
        begun
    }

    fn began(&mut self) -> QueryResult<()> {
        let depth = self.depth()?;
        // What another transaction left behind belongs to it: its end was not seen.
        self.ledger.recording.fit(depth.saturating_sub(1));
        self.ledger.recording.open();
        Ok(())
    }

    /// Ends the innermost transaction or savepoint, for the app.
    ///
    /// # Errors
    /// See [`commit_outermost`](Self::commit_outermost).
    pub(super) async fn commit(&mut self) -> QueryResult<()> {
        self.settle().await?;
        match self.depth()? {
            1 => self.commit_outermost().await,
            // Outside of a transaction Diesel says so.
            _ => self.commit_savepoint().await,
        }
    }

    async fn commit_savepoint(&mut self) -> QueryResult<()> {
        if let Err(spoiled) = self.certain().await {
            self.roll_back().await;
            return Err(spoiled);
        }
        match self.commit_inner().await {
            Ok(()) => {
                self.ledger.recording.merge();
                Ok(())
            }
            Err(error) => {
                self.ended();
                let result = Err(error);
                self.ledger.note(&result);
                result
            }
        }
    }

    /// Commits: publishes what was written.
    ///
    /// # Errors
    /// When the version store or the database says no. Then nothing was committed, except when the connection broke
    /// during COMMIT: what became of it is found out by the recovery, and published if it was committed.
    pub(super) async fn commit_outermost(&mut self) -> QueryResult<()> {
        let result = self.publish().await;
        self.ended();
        result
    }

    /// Steps 2 to 4 of the protocol's section 5.
    async fn publish(&mut self) -> QueryResult<()> {
        if let Err(spoiled) = self.certain().await {
            self.roll_back().await;
            return Err(spoiled);
        }
        let operations = coalesce(self.ledger.recording.take());
        if operations.is_empty() {
            return self.commit_inner().await;
        }
        // Its operations are gone: cancelled from here on, it can only be rolled back.
        self.ledger.recording.spoil_all("its COMMIT was cancelled");
        let context = self.ledger.context();
        if context.is_none() {
            self.ledger.capture.warn_without_context(&operations);
        }
        let bumped = match self.ledger.capture.path.lock_and_bump_async(operations, context.as_ref()).await {
            Ok(Some(bumped)) => bumped,
            Ok(None) => return self.commit_inner().await,
            Err(error) => {
                self.roll_back().await;
                return Err(diesel_error(error));
            }
        };
        self.ledger.flight = Some(Flight::Write);
        let inserted = self.inner.0.execute_returning_count(CoreSql(bumped.outbox_insert())).await;
        self.ledger.flight = None;
        let outcome = match inserted {
            Ok(1) => Ok(()),
            Ok(_) => Err(unpublished(
                "its row did not get into promiscuous_outbox: remove what changes that table's rows",
            )),
            Err(error) => Err(error),
        };
        if let Err(error) = outcome {
            self.roll_back().await;
            bumped.failed();
            return Err(error);
        }
        fail::fail_point!("after_outbox_insert");
        match self.commit_inner().await {
            Ok(()) => {
                bumped.committed();
                Ok(())
            }
            // Diesel has rolled back, or the connection is of no use any more.
            Err(error) => {
                bumped.failed();
                Err(error)
            }
        }
    }

    async fn commit_inner(&mut self) -> QueryResult<()> {
        self.ledger.flight = Some(Flight::Boundary);
        let committed = C::TransactionManager::commit_transaction(&mut self.inner.0).await;
        self.ledger.flight = None;
        committed
    }

    /// Rolls the innermost transaction or savepoint back because of an error that matters more than whether this succeeds.
    pub(super) async fn roll_back(&mut self) {
        if let Err(error) = self.rollback_innermost().await {
            tracing::warn!(
                "a rollback failed; the database does it when the connection closes: {}",
                promiscuous_core::error::chain(&error)
            );
        }
    }

    /// Rolls the innermost transaction or savepoint back, for the app.
    ///
    /// # Errors
    /// The database's.
    pub(super) async fn rollback(&mut self) -> QueryResult<()> {
        self.settle().await?;
        self.rollback_innermost().await
    }

    pub(super) async fn rollback_innermost(&mut self) -> QueryResult<()> {
        self.ledger.flight = Some(Flight::Boundary);
        let result = C::TransactionManager::rollback_transaction(&mut self.inner.0).await;
        self.ledger.flight = None;
        self.ended();
        if result.is_err() {
            // What the savepoint wrote may still be there.
            self.ledger.recording.spoil("a savepoint could not be rolled back");
        }
        result
    }

    /// Keeps only what the database has still open.
    fn ended(&mut self) {
        let depth = self.depth().unwrap_or_default();
        self.ledger.recording.fit(depth);
        if depth == 0 {
            self.ledger.own = None;
            self.ledger.doubt = Doubt::No;
        }
    }
}
