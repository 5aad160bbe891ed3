//! SQLite: every write returns its rows; some errors end the transaction around them.

use diesel::QueryResult;
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::result::{DatabaseErrorKind, Error};
use diesel::sqlite::Sqlite;
use promiscuous_core::database::SqlValue;

use super::glue::{Capturing, Doubt, push_value};
use crate::connection::Wrapped;
use crate::query::number;
use crate::write::session::{Blocking, done};
use crate::write::{Failure, Task, Written, partly, returning};

impl Capturing for Sqlite {
    // A transaction that begins by reading fails at once when another one writes before it does, whatever the busy timeout
    // says; and the publisher, which tidies the outbox in the background, writes all the time.
    const BEGIN: Option<&'static str> = Some("BEGIN IMMEDIATE");

    fn instance() -> &'static Self {
        &Sqlite
    }

    push_value!();

    fn run<C, T>(inner: &mut C, task: &Task<'_, Self>, source: &T) -> Result<Written<C::Kept>, Failure>
    where
        C: Wrapped<Backend = Self>,
        T: QueryFragment<Self> + QueryId,
    {
        match done(returning::run(&mut Blocking(inner), task, source)) {
            // A table may declare its constraints with ON CONFLICT FAIL: then the rows before the failure stay.
            Err(Failure::Unwritten(error)) if is_constraint(&error) => {
                let changes = async {
                    number(&mut Blocking(inner), "SELECT changes()").await.map_err(Failure::Uncaptured)
                };
                match done(changes) {
                    Ok(Some(0)) => Err(Failure::Unwritten(error)),
                    _ => Err(Failure::Uncaptured(partly(task))),
                }
            }
            result => result,
        }
    }

    /// A full disk, a trigger's `RAISE(ROLLBACK)` and a constraint `ON CONFLICT ROLLBACK`, among others, roll back the whole
    /// transaction. Diesel's errors do not tell.
    fn doubt(_error: &Error) -> Doubt {
        Doubt::Ask
    }

    fn in_transaction<C>(inner: &mut C) -> QueryResult<bool>
    where
        C: Wrapped<Backend = Self>,
    {
        // Inside of a transaction it fails, and changes nothing.
        match inner.batch_execute("BEGIN") {
            Err(_) => Ok(true),
            Ok(()) => inner.batch_execute("ROLLBACK").map(|()| false),
        }
    }
}

fn is_constraint(error: &Error) -> bool {
    matches!(
        error,
        Error::DatabaseError(
            DatabaseErrorKind::UniqueViolation
                | DatabaseErrorKind::NotNullViolation
                | DatabaseErrorKind::CheckViolation
                | DatabaseErrorKind::ForeignKeyViolation,
            _
        )
    )
}
