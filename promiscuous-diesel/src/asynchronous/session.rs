//! How a write talks to a database that is waited for.

use std::pin::pin;

use diesel::query_builder::{Query, QueryFragment, QueryId};
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt};

use super::AsyncWrapped;
use crate::kept::KeptRow;
use crate::write::session::{Session, Stopped};

/// A connection of `diesel-async`.
pub struct Waiting<C>(pub(super) C);

impl<C: AsyncWrapped> Session for Waiting<C> {
    type Backend = C::Backend;
    type Row = KeptRow<C::Backend>;
    #[cfg(feature = "mysql")]
    type Counting<'s>
        = BoxFuture<'s, diesel::QueryResult<usize>>
    where
        Self: 's;
    type Loading<'s>
        = BoxFuture<'s, Result<Vec<Self::Row>, Stopped>>
    where
        Self: 's;

    #[cfg(feature = "mysql")]
    fn count<'s, T>(&'s mut self, statement: &'s T) -> Self::Counting<'s>
    where
        T: QueryFragment<C::Backend> + QueryId,
    {
        let counting: C::ExecuteFuture<'s, 's> = self.0.execute_returning_count(statement);
        counting.boxed()
    }

    fn load<'s, T>(&'s mut self, statement: &'s T, most: usize) -> Self::Loading<'s>
    where
        T: Query + QueryFragment<C::Backend> + QueryId,
    {
        let loading: C::LoadFuture<'s, 's> = self.0.load(statement);
        let mut rows = Vec::new();
        async move {
            let mut names = None;
            let stream = loading.await.map_err(Stopped::First)?;
            let mut stream = pin!(stream);
            while rows.len() <= most
                && let Some(row) = stream.next().await
            {
                let row = row.map_err(|error| Stopped::behind(rows.len(), error))?;
                rows.push(KeptRow::of(&row, &mut names));
            }
            Ok(rows)
        }
        .boxed()
    }
}
