//! How a write talks to its database: the one thing in which Diesel's connections and `diesel-async`'s differ.
//!
//! What is to be sent, and what the answers mean, is written once, as `async` functions. On a blocking connection their futures never
//! wait: each is done when it is polled for the first time.

use std::future::{Future, Ready};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use diesel::query_builder::{Query, QueryFragment, QueryId};
use diesel::result::Error;
use diesel::row::Row;

use super::Failure;
use crate::backend::PromiscuousBackend;
use crate::connection::Wrapped;
use crate::error::unpublished;

/// A connection inside of a transaction.
pub(crate) trait Session {
    /// What it speaks to.
    type Backend: PromiscuousBackend;

    /// A row that outlives the statement.
    type Row: for<'r> Row<'r, Self::Backend>;

    /// The number of rows, once it is known.
    #[cfg(feature = "mysql")]
    type Counting<'s>: Future<Output = diesel::QueryResult<usize>>
    where
        Self: 's;

    /// The rows, once all are there.
    type Loading<'s>: Future<Output = Result<Vec<Self::Row>, Stopped>>
    where
        Self: 's;

    /// Runs a statement whose rows nobody wants, or the database does not return.
    #[cfg(feature = "mysql")]
    fn count<'s, T>(&'s mut self, statement: &'s T) -> Self::Counting<'s>
    where
        T: QueryFragment<Self::Backend> + QueryId;

    /// Runs a statement and reads its rows, but not further than one row beyond `most`.
    fn load<'s, T>(&'s mut self, statement: &'s T, most: usize) -> Self::Loading<'s>
    where
        T: Query + QueryFragment<Self::Backend> + QueryId,
        Self::Backend: diesel::expression::QueryMetadata<T::SqlType>;
}

/// Reading rows failed.
pub(crate) enum Stopped {
    /// There was none: the statement has done nothing.
    First(Error),
    /// There were some: the statement has done what it was to do.
    Later(Error),
}

impl Stopped {
    /// Behind so many rows.
    pub fn behind(rows: usize, error: Error) -> Self {
        if rows == 0 { Self::First(error) } else { Self::Later(error) }
    }
}

impl From<Stopped> for Error {
    fn from(stopped: Stopped) -> Self {
        match stopped {
            Stopped::First(error) | Stopped::Later(error) => error,
        }
    }
}

/// A connection of Diesel's own.
pub(crate) struct Blocking<'c, C>(pub &'c mut C);

impl<C: Wrapped> Blocking<'_, C> {
    fn read<T>(&mut self, statement: &T, most: usize) -> Result<Vec<C::Kept>, Stopped>
    where
        T: Query + QueryFragment<C::Backend> + QueryId,
        C::Backend: diesel::expression::QueryMetadata<T::SqlType>,
    {
        let mut keeper = C::Keeper::default();
        let mut rows = Vec::new();
        for row in self.0.load(statement).map_err(Stopped::First)? {
            let row = row.map_err(|error| Stopped::behind(rows.len(), error))?;
            rows.push(C::keep(row, &mut keeper));
            if rows.len() > most {
                break;
            }
        }
        Ok(rows)
    }
}

impl<C: Wrapped> Session for Blocking<'_, C> {
    type Backend = C::Backend;
    type Row = C::Kept;
    #[cfg(feature = "mysql")]
    type Counting<'s>
        = Ready<diesel::QueryResult<usize>>
    where
        Self: 's;
    type Loading<'s>
        = Ready<Result<Vec<C::Kept>, Stopped>>
    where
        Self: 's;

    #[cfg(feature = "mysql")]
    fn count<'s, T>(&'s mut self, statement: &'s T) -> Self::Counting<'s>
    where
        T: QueryFragment<C::Backend> + QueryId,
    {
        std::future::ready(self.0.execute_returning_count(statement))
    }

    fn load<'s, T>(&'s mut self, statement: &'s T, most: usize) -> Self::Loading<'s>
    where
        T: Query + QueryFragment<C::Backend> + QueryId,
        C::Backend: diesel::expression::QueryMetadata<T::SqlType>,
    {
        std::future::ready(self.read(statement, most))
    }
}

/// The output of a future on a [`Blocking`] connection.
///
/// # Errors
/// The future's.
pub(crate) fn done<R>(future: impl Future<Output = Result<R, Failure>>) -> Result<R, Failure> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => result,
        // Cannot be, as nothing in it waits.
        Poll::Pending => Err(Failure::Uncaptured(unpublished("a blocking connection was waited for"))),
    }
}
