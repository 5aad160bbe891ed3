//! What a connection knows besides its database. Pure.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use diesel::result::Error as DieselError;
use promiscuous_core::context::Context;

use super::backend::AsyncBackend;
use crate::backend::Doubt;
use crate::capture::Capture;
use crate::recording::Recording;

/// What a connection knows.
pub struct Ledger<DB: AsyncBackend> {
    /// What is published, where to, and how.
    pub(super) capture: Arc<Capture<DB>>,
    /// What the open transaction has written.
    pub(super) recording: Recording,
    /// Whether a failed statement may have ended the transaction.
    pub(super) doubt: Doubt,
    /// The context that the app gave; it outranks the task's.
    pub(super) given: Option<Context>,
    /// For a transaction outside of any context: what is read in it is a cause of what is written in it.
    pub(super) own: Option<Context>,
    /// What is under way. Found at the beginning of something else, it was cancelled.
    pub(super) flight: Option<Flight>,
    /// Why the connection cannot be used any more.
    pub(super) broken: Option<&'static str>,
    /// The outermost transaction or savepoint whose function was cancelled.
    pub(super) abandoned: Abandoned,
    /// Types of the database.
    pub(super) known: DB::Known,
}

/// What is under way on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flight {
    /// A statement whose rows are not published.
    Statement,
    /// A published write.
    Write,
    /// BEGIN, COMMIT, ROLLBACK, or the same for a savepoint.
    Boundary,
    /// What the app does without us.
    Unknown,
}

impl<DB: AsyncBackend> Ledger<DB> {
    pub(super) fn new(capture: Arc<Capture<DB>>) -> Self {
        Self {
            capture,
            recording: Recording::default(),
            doubt: Doubt::No,
            given: None,
            own: None,
            flight: None,
            broken: None,
            abandoned: Abandoned::default(),
            known: DB::Known::default(),
        }
    }

    /// The context that reads and writes belong to: the one given, or else the task's, or else the transaction's own.
    pub(super) fn context(&self) -> Option<Context> {
        self.given.clone().or_else(Context::current).or_else(|| self.own.clone())
    }

    /// Whether anything is published at all.
    pub(super) fn publishes(&self) -> bool {
        self.capture.path.publishes()
    }

    /// Whether nothing has to be done or asked before the next statement.
    pub(super) fn is_settled(&self) -> bool {
        self.flight.is_none()
            && self.broken.is_none()
            && self.abandoned.level().is_none()
            && self.doubt == Doubt::No
            && self.recording.check().is_ok()
    }

    /// Notes a statement's failure.
    pub(super) fn note<R>(&mut self, result: &Result<R, DieselError>) {
        if let Err(error) = result {
            self.doubt = self.doubt.and(DB::doubt(error));
        }
    }

    /// A future that was under way was dropped.
    pub(super) fn land(&mut self) {
        match self.flight.take() {
            None => {}
            Some(Flight::Statement) if DB::SURVIVES_CANCELLATION => {}
            Some(Flight::Write) if DB::SURVIVES_CANCELLATION => {
                self.recording.spoil("a published write was cancelled");
            }
            Some(Flight::Statement | Flight::Write) => {
                self.broken =
                    Some("a statement was cancelled, whose answer would be taken for the next one's");
            }
            Some(Flight::Boundary) => {
                self.broken = Some("a BEGIN, COMMIT or ROLLBACK was cancelled");
            }
            Some(Flight::Unknown) => {
                self.broken = Some("a function that used the connection without promiscuous was cancelled");
            }
        }
    }
}

/// The outermost transaction or savepoint whose function was cancelled: 1 is the transaction. Shared with those functions.
#[derive(Debug, Clone)]
pub(super) struct Abandoned(Arc<AtomicUsize>);

const NONE: usize = usize::MAX;

impl Default for Abandoned {
    fn default() -> Self {
        Self(Arc::new(AtomicUsize::new(NONE)))
    }
}

impl Abandoned {
    /// Which one.
    pub(super) fn level(&self) -> Option<usize> {
        Some(self.0.load(Ordering::Acquire)).filter(|level| *level != NONE)
    }

    /// All that were cancelled are rolled back.
    pub(super) fn clear(&self) {
        self.0.store(NONE, Ordering::Release);
    }

    /// Watches the innermost transaction or savepoint, which is the `level`th.
    pub(super) fn watch(&self, level: usize) -> Watch {
        Watch { abandoned: self.clone(), level, over: false }
    }
}

/// Dropped before it is over, it says that its transaction or savepoint was abandoned.
pub(super) struct Watch {
    abandoned: Abandoned,
    level: usize,
    over: bool,
}

impl Watch {
    /// The transaction has ended in one way or the other.
    pub(super) fn over(mut self) {
        self.over = true;
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if !self.over {
            self.abandoned.0.fetch_min(self.level, Ordering::AcqRel);
        }
    }
}
