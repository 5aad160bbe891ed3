//! What an open database transaction has written so far.
//!
//! The driver numbers savepoints on its connection, and ends the innermost one whichever handle asks for it. So all
//! handles of one database transaction share one recording, whose levels are ended in just the same way.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use promiscuous_core::error::Error;
use promiscuous_core::operation::Operation;
use sea_orm::DbErr;
use tokio::sync::OwnedMutexGuard;

use crate::commit::db_err;

/// The right to use the connection. It is shared with a statement that goes on in the background.
#[derive(Clone)]
pub(crate) struct Turn {
    _guard: Arc<OwnedMutexGuard<()>>,
    levels: Arc<Mutex<Levels>>,
}

impl Turn {
    /// The transaction can only be rolled back.
    pub fn spoil(&self, reason: &'static str) {
        spoil(&self.levels, reason);
    }
}

pub(crate) struct Recording {
    levels: Arc<Mutex<Levels>>,
    /// Taken for every use of the connection. SeaORM panics when a transaction is dropped while another statement holds
    /// the connection; and the steps that capture one write must not be mixed with another statement.
    turn: Arc<tokio::sync::Mutex<()>>,
}

struct Levels {
    /// The operations of the transaction, then of each savepoint in it.
    open: Vec<Vec<Operation>>,
    /// Why it is not known any more what the database did. Such a transaction can only be rolled back.
    spoiled: Option<&'static str>,
    /// Whether the database has committed it on its own. What is written after that is committed statement by statement.
    ended: bool,
}

impl Recording {
    pub fn new() -> Arc<Self> {
        let levels = Arc::new(Mutex::new(Levels { open: vec![Vec::new()], spoiled: None, ended: false }));
        Arc::new(Self { levels, turn: Arc::default() })
    }

    /// Waits for the connection.
    ///
    /// # Errors
    /// When the transaction can only be rolled back.
    pub async fn turn(&self) -> Result<Turn, DbErr> {
        let turn = self.turn_to_end().await;
        match self.lock().spoiled {
            None => Ok(turn),
            Some(reason) => Err(DbErr::Custom(format!(
                "{reason}, so it is not known what this transaction wrote: roll it back and run it again"
            ))),
        }
    }

    /// Waits for the connection, in order to roll back.
    pub async fn turn_to_end(&self) -> Turn {
        self.taken(Arc::clone(&self.turn).lock_owned().await)
    }

    /// The connection, if it is free.
    pub fn turn_now(&self) -> Option<Turn> {
        Arc::clone(&self.turn).try_lock_owned().ok().map(|guard| self.taken(guard))
    }

    fn taken(&self, guard: OwnedMutexGuard<()>) -> Turn {
        Turn { _guard: Arc::new(guard), levels: Arc::clone(&self.levels) }
    }

    /// How many levels are open: 1 in a transaction without savepoints.
    pub fn depth(&self) -> usize {
        self.lock().open.len()
    }

    /// A savepoint begins.
    pub fn nest(&self) {
        self.lock().open.push(Vec::new());
    }

    /// The innermost savepoint became part of what surrounds it.
    pub fn merge(&self) {
        let mut levels = self.lock();
        let merged = levels.open.pop().unwrap_or_default();
        match levels.open.last_mut() {
            Some(level) => level.extend(merged),
            None => levels.open.push(merged),
        }
    }

    /// The innermost level was rolled back.
    pub fn discard(&self) {
        self.lock().open.pop();
    }

    /// Rows were written.
    pub fn record(&self, operations: Vec<Operation>) {
        let mut levels = self.lock();
        match levels.open.last_mut() {
            Some(level) => level.extend(operations),
            // Nothing is open in the database, so whatever was written is committed already.
            None => tracing::error!(
                "{} published rows were written outside of their transaction and are not published: write them again",
                operations.len()
            ),
        }
    }

    /// The next statement makes the database commit the transaction, as MySQL does before it defines a table.
    ///
    /// # Errors
    /// When that would commit published rows without their message.
    pub fn commits(&self) -> Result<(), DbErr> {
        let mut levels = self.lock();
        if levels.open.iter().any(|level| !level.is_empty()) {
            return Err(db_err(&Error::Configuration(
                "refused before it ran: MySQL would commit the open transaction before this statement, and its published writes \
                 would be lost: run it outside of the transaction"
                    .into(),
            )));
        }
        levels.ended = true;
        Ok(())
    }

    /// Whether published rows can be written.
    ///
    /// # Errors
    /// When the database has committed the transaction on its own.
    pub fn admit_write(&self) -> Result<(), DbErr> {
        if !self.lock().ended {
            return Ok(());
        }
        Err(db_err(&Error::Configuration(
            "refused before it ran: MySQL has committed this transaction because of an earlier statement in it, such as CREATE TABLE, \
             so that the write and its message would not be committed together: write in another transaction"
                .into(),
        )))
    }

    /// Everything that the transaction wrote.
    pub fn take(&self) -> Vec<Operation> {
        std::mem::take(&mut self.lock().open).into_iter().flatten().collect()
    }

    /// From here on until it is [defused](Fuse::defuse), an early end, also by cancellation, spoils the transaction.
    pub fn fuse(&self, reason: &'static str) -> Fuse<'_> {
        Fuse { recording: Some(self), reason }
    }

    /// The transaction can only be rolled back.
    pub fn spoil(&self, reason: &'static str) {
        spoil(&self.levels, reason);
    }

    fn lock(&self) -> MutexGuard<'_, Levels> {
        self.levels.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn spoil(levels: &Mutex<Levels>, reason: &'static str) {
    levels.lock().unwrap_or_else(PoisonError::into_inner).spoiled.get_or_insert(reason);
}

/// See [`Recording::fuse`].
pub(crate) struct Fuse<'r> {
    recording: Option<&'r Recording>,
    reason: &'static str,
}

impl Fuse<'_> {
    /// It is known what the database did.
    pub fn defuse(mut self) {
        self.recording = None;
    }
}

impl Drop for Fuse<'_> {
    fn drop(&mut self) {
        if let Some(recording) = self.recording {
            recording.spoil(self.reason);
        }
    }
}
