//! MySQL and MariaDB: rows are found by their keys, and some statements end the transaction around them.

use diesel::QueryResult;
use diesel::mysql::Mysql;
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::result::{DatabaseErrorKind, Error};
use promiscuous_core::database::SqlValue;

use super::glue::{Capturing, Doubt, push_value};
use crate::connection::Wrapped;
use crate::write::session::{Blocking, done};
use crate::write::{Failure, Task, Written, keyed};

impl Capturing for Mysql {
    fn instance() -> &'static Self {
        &Mysql
    }

    push_value!();

    fn run<C, T>(inner: &mut C, task: &Task<'_, Self>, source: &T) -> Result<Written<C::Kept>, Failure>
    where
        C: Wrapped<Backend = Self>,
        T: QueryFragment<Self> + QueryId,
    {
        done(keyed::run(&mut Blocking(inner), task, source))
    }

    fn doubt(error: &Error) -> Doubt {
        match error {
            // A deadlock.
            Error::DatabaseError(DatabaseErrorKind::SerializationFailure, _) => Doubt::Lost,
            // Among others: a lock was waited for in vain, the table of locks is full, another transaction was faster.
            Error::DatabaseError(DatabaseErrorKind::Unknown | DatabaseErrorKind::ClosedConnection, _) => {
                Doubt::Ask
            }
            _ => Doubt::No,
        }
    }

    fn in_transaction<C>(inner: &mut C) -> QueryResult<bool>
    where
        C: Wrapped<Backend = Self>,
    {
        // The servers do not tell. A savepoint is forgotten at once where nothing is open: releasing it then fails.
        inner.batch_execute("SAVEPOINT promiscuous_probe")?;
        Ok(inner.batch_execute("RELEASE SAVEPOINT promiscuous_probe").is_ok())
    }
}
