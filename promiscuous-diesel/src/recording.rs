//! What an open database transaction has written so far. Pure.

use diesel::result::Error as DieselError;
use promiscuous_core::error::Error;
use promiscuous_core::operation::Operation;

use crate::error::{diesel_error, spoiled};

/// Why a transaction can only be rolled back: a captured write did something that is not known.
pub(crate) const HALFWAY: &str = "a published write failed halfway";
/// There is nothing to commit any more.
pub(crate) const LOST: &str =
    "the database has rolled the transaction back by itself after a failed statement";
const COMMITTED: &str = "refused before it ran: a statement before has committed the transaction, as MySQL does for definitions of \
                         tables: write published rows in a transaction of their own";

/// The operations of a transaction and of the savepoints in it.
#[derive(Default)]
pub(crate) struct Recording {
    /// The transaction, then each savepoint in it: as many as Diesel counts.
    levels: Vec<Level>,
    /// Why published rows cannot be written any more, although the rest may go on.
    closed: Option<&'static str>,
}

#[derive(Default)]
struct Level {
    /// What was done to published rows.
    operations: Vec<Operation>,
    /// Why it is not known any more what the database did. Such a level can only be rolled back.
    spoiled: Option<&'static str>,
}

impl Recording {
    /// How many levels are open: 1 in a transaction without savepoints.
    pub fn depth(&self) -> usize {
        self.levels.len()
    }

    /// A transaction or a savepoint begins.
    pub fn open(&mut self) {
        self.levels.push(Level::default());
    }

    /// The innermost savepoint became part of what surrounds it.
    pub fn merge(&mut self) {
        let merged = self.levels.pop().unwrap_or_default();
        match self.levels.last_mut() {
            Some(level) => {
                level.operations.extend(merged.operations);
                level.spoiled = level.spoiled.or(merged.spoiled);
            }
            None => self.levels.push(merged),
        }
    }

    /// Drops what is deeper than the database's transaction is, which was rolled back; adds what is missing.
    pub fn fit(&mut self, depth: usize) {
        self.levels.resize_with(depth, Level::default);
        if depth == 0 {
            self.closed = None;
        }
    }

    /// Rows were written.
    pub fn record(&mut self, operations: Vec<Operation>) {
        match self.levels.last_mut() {
            Some(level) => level.operations.extend(operations),
            // Nothing is open in the database, so whatever was written is committed already.
            None => tracing::error!(
                "{} published rows were written outside of their transaction and are not published: write them again",
                operations.len()
            ),
        }
    }

    /// Whether anything was written that is to be published.
    pub fn is_empty(&self) -> bool {
        self.levels.iter().all(|level| level.operations.is_empty())
    }

    /// Everything that the transaction wrote.
    pub fn take(&mut self) -> Vec<Operation> {
        self.levels.iter_mut().flat_map(|level| std::mem::take(&mut level.operations)).collect()
    }

    /// The innermost level can only be rolled back.
    pub fn spoil(&mut self, reason: &'static str) {
        if let Some(level) = self.levels.last_mut() {
            level.spoiled.get_or_insert(reason);
        }
    }

    /// The whole transaction can only be rolled back.
    pub fn spoil_all(&mut self, reason: &'static str) {
        if let Some(level) = self.levels.first_mut() {
            level.spoiled.get_or_insert(reason);
        }
    }

    /// No published row can be written any more before the transaction ends.
    pub fn close(&mut self, reason: &'static str) {
        if !self.levels.is_empty() {
            self.closed.get_or_insert(reason);
        }
    }

    /// Whether statements may run.
    ///
    /// # Errors
    /// When the transaction can only be rolled back.
    pub fn check(&self) -> Result<(), DieselError> {
        match self.levels.iter().find_map(|level| level.spoiled) {
            None => Ok(()),
            Some(reason) => Err(spoiled(reason)),
        }
    }

    /// A statement that commits by itself, as MySQL does before it defines a table, must not commit published rows.
    ///
    /// # Errors
    /// That it would.
    pub fn commits(&mut self) -> Result<(), DieselError> {
        if self.is_empty() {
            self.close(COMMITTED);
            return Ok(());
        }
        Err(diesel_error(Error::Configuration(
            "refused before it ran: MySQL would commit the open transaction before this statement, and its published writes \
             would be lost: run it outside of the transaction"
                .into(),
        )))
    }

    /// Whether published rows can be written.
    ///
    /// # Errors
    /// When the transaction is closed to them.
    pub fn admit_write(&self) -> Result<(), DieselError> {
        self.closed.map_or(Ok(()), |reason| Err(diesel_error(Error::Configuration(reason.to_owned()))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use promiscuous_core::key::Endpoint;
    use promiscuous_core::operation::OperationKind;

    fn operation(id: &str) -> Operation {
        Operation {
            operation: OperationKind::Destroy,
            endpoint: Endpoint::parse("a/b").unwrap(),
            types: Vec::new(),
            id: id.into(),
            attributes: None,
        }
    }

    fn ids(recording: &mut Recording) -> Vec<String> {
        recording.take().into_iter().map(|operation| operation.id).collect()
    }

    #[test]
    fn a_savepoint_counts_when_it_is_merged_and_not_when_it_is_rolled_back() {
        let mut recording = Recording::default();
        recording.open();
        recording.record(vec![operation("outer")]);
        recording.open();
        recording.record(vec![operation("kept")]);
        recording.merge();
        recording.open();
        recording.record(vec![operation("lost")]);
        recording.fit(1);
        assert_eq!(ids(&mut recording), ["outer", "kept"]);
        assert!(recording.is_empty());
    }

    #[test]
    fn a_spoiled_savepoint_is_healed_by_its_rollback_and_a_spoiled_transaction_is_not() {
        let mut recording = Recording::default();
        recording.open();
        recording.open();
        recording.spoil("this");
        assert!(recording.check().is_err());
        recording.fit(1);
        assert!(recording.check().is_ok());
        recording.open();
        recording.spoil_all("that");
        recording.fit(1);
        assert!(recording.check().is_err());
        recording.fit(0);
        assert!(recording.check().is_ok());
    }

    #[test]
    fn a_closed_transaction_opens_when_it_has_ended() {
        let mut recording = Recording::default();
        recording.close("nothing is open");
        assert!(recording.admit_write().is_ok());
        recording.open();
        recording.close("ddl");
        recording.fit(1);
        assert!(recording.admit_write().is_err());
        recording.fit(0);
        assert!(recording.admit_write().is_ok());
    }
}
