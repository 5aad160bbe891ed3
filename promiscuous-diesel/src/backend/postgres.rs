//! PostgreSQL: every write returns its rows, and a transaction with a failed statement commits nothing.

use diesel::QueryResult;
use diesel::pg::Pg;
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use promiscuous_core::database::SqlValue;

use super::glue::{Capturing, push_value};
use crate::connection::Wrapped;
use crate::write::session::{Blocking, done};
use crate::write::{Failure, Task, Written, returning};

impl Capturing for Pg {
    fn instance() -> &'static Self {
        &Pg
    }

    push_value!();

    fn run<C, T>(inner: &mut C, task: &Task<'_, Self>, source: &T) -> Result<Written<C::Kept>, Failure>
    where
        C: Wrapped<Backend = Self>,
        T: QueryFragment<Self> + QueryId,
    {
        done(returning::run(&mut Blocking(inner), task, source))
    }
}
