//! COMMIT, and what has to happen before it.

use diesel::QueryResult;
use diesel::connection::{TransactionManager, TransactionManagerStatus};
use promiscuous_core::context::Context;
use promiscuous_core::operation::coalesce;

use super::{Promiscuous, Wrapped};
use crate::backend::{Capturing, Doubt};
use crate::error::{diesel_error, unpublished};
use crate::query::CoreSql;

impl<C: Wrapped> Promiscuous<C> {
    /// Begins the transaction of one published write. A write by primary key may one day skip it (section 5.1 of the protocol):
    /// the place to branch off is where this is called.
    pub(super) fn begin_single(&mut self) -> QueryResult<()> {
        match C::Backend::BEGIN {
            Some(sql) => self.inner.begin_with(sql)?,
            None => C::TransactionManager::begin_transaction(&mut self.inner)?,
        }
        self.began()
    }

    /// Begins a transaction or a savepoint of the app's.
    ///
    /// # Errors
    /// The database's, or that the transaction around it can only be rolled back.
    pub(super) fn begin(&mut self) -> QueryResult<()> {
        self.certain()?;
        let outermost = self.depth()? == 0;
        match C::Backend::BEGIN.filter(|_| outermost && self.capture.path.publishes()) {
            Some(sql) => self.inner.begin_with(sql)?,
            None => C::TransactionManager::begin_transaction(&mut self.inner)?,
        }
        self.began_by_app()
    }

    /// Begins a transaction of the app's with a statement of its own.
    ///
    /// # Errors
    /// The database's, or that one is open already.
    pub(crate) fn begin_with(&mut self, sql: &str) -> QueryResult<()> {
        self.inner.begin_with(sql)?;
        self.began_by_app()
    }

    fn began_by_app(&mut self) -> QueryResult<()> {
        self.began()?;
        if self.recording.depth() == 1 && self.capture.path.publishes() {
            self.own = Some(Context::new("transaction"));
        }
        Ok(())
    }

    fn began(&mut self) -> QueryResult<()> {
        let depth = self.depth()?;
        // What another transaction left behind belongs to it: its end was not seen.
        self.recording.fit(depth.saturating_sub(1));
        self.recording.open();
        Ok(())
    }

    /// Ends a savepoint: it becomes part of what surrounds it.
    ///
    /// # Errors
    /// The database's; or that the savepoint can only be rolled back, which has been done.
    pub(super) fn commit_savepoint(&mut self) -> QueryResult<()> {
        if let Err(spoiled) = self.certain() {
            self.roll_back();
            return Err(spoiled);
        }
        match C::TransactionManager::commit_transaction(&mut self.inner) {
            Ok(()) => {
                self.recording.merge();
                Ok(())
            }
            Err(error) => {
                self.ended();
                self.noted(Err(error))
            }
        }
    }

    /// Commits: publishes what was written.
    ///
    /// # Errors
    /// When the version store or the database says no. Then nothing was committed, except when the connection broke
    /// during COMMIT: what became of it is found out by the recovery, and published if it was committed.
    pub(super) fn commit_outermost(&mut self) -> QueryResult<()> {
        let result = self.publish();
        self.ended();
        result
    }

    /// Steps 2 to 4 of the protocol's section 5.
    fn publish(&mut self) -> QueryResult<()> {
        if let Err(spoiled) = self.certain() {
            self.roll_back();
            return Err(spoiled);
        }
        let operations = coalesce(self.recording.take());
        if operations.is_empty() {
            return C::TransactionManager::commit_transaction(&mut self.inner);
        }
        let context = self.context();
        if context.is_none() {
            self.capture.warn_without_context(&operations);
        }
        let bumped = match self.capture.path.lock_and_bump(operations, context.as_ref()) {
            Ok(Some(bumped)) => bumped,
            Ok(None) => return C::TransactionManager::commit_transaction(&mut self.inner),
            Err(error) => {
                self.roll_back();
                return Err(diesel_error(error));
            }
        };
        let outcome = match self.inner.execute_returning_count(&CoreSql(bumped.outbox_insert())) {
            Ok(1) => Ok(()),
            Ok(_) => Err(unpublished(
                "its row did not get into promiscuous_outbox: remove what changes that table's rows",
            )),
            Err(error) => Err(error),
        };
        if let Err(error) = outcome {
            self.roll_back();
            bumped.failed();
            return Err(error);
        }
        fail::fail_point!("after_outbox_insert");
        match C::TransactionManager::commit_transaction(&mut self.inner) {
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

    /// Rolls the innermost transaction or savepoint back because of an error that matters more than whether this succeeds.
    pub(super) fn roll_back(&mut self) {
        if let Err(error) = self.rollback() {
            tracing::warn!(
                "a rollback failed; the database does it when the connection closes: {}",
                promiscuous_core::error::chain(&error)
            );
        }
    }

    /// Rolls the transaction of one published write back.
    pub(super) fn roll_back_single(&mut self) {
        if self.is_lost().unwrap_or(false) {
            // There is nothing to roll back: Diesel would take the connection for broken.
            let status = C::TransactionManager::transaction_manager_status_mut(&mut self.inner);
            *status = TransactionManagerStatus::default();
            self.ended();
        } else {
            self.roll_back();
        }
    }

    /// Rolls the innermost transaction or savepoint back.
    ///
    /// # Errors
    /// The database's.
    pub(super) fn rollback(&mut self) -> QueryResult<()> {
        let result = C::TransactionManager::rollback_transaction(&mut self.inner);
        self.ended();
        if result.is_err() {
            // What the savepoint wrote may still be there.
            self.recording.spoil("a savepoint could not be rolled back");
        }
        result
    }

    /// Keeps only what the database has still open.
    fn ended(&mut self) {
        let depth = self.depth().unwrap_or_default();
        self.recording.fit(depth);
        if depth == 0 {
            self.own = None;
            self.doubt = Doubt::No;
        }
    }
}
