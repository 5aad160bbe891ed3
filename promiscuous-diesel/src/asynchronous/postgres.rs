//! PostgreSQL.

use diesel::QueryResult;
use diesel::pg::Pg;
use diesel::query_builder::QueryFragment;
use diesel::query_builder::bind_collector::RawBytesBindCollector;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};

use super::AsyncWrapped;
use super::backend::AsyncBackend;
use super::collected::{Collected, Query};
use super::custom_types::{self, Asked, Known};
use super::session::Waiting;
use crate::kept::KeptRow;
use crate::write::{Failure, Task, Written, returning};

impl AsyncBackend for Pg {
    // tokio-postgres sends answers that nobody wants to nobody.
    const SURVIVES_CANCELLATION: bool = true;

    type Custom = Vec<Asked>;
    type Known = Known;

    fn binds<T: QueryFragment<Self>>(source: &T) -> QueryResult<(RawBytesBindCollector<Self>, Vec<Asked>)> {
        custom_types::binds(source)
    }

    fn resolve<'f, C>(
        inner: &'f mut Waiting<C>,
        collected: Collected<Self>,
        known: &'f mut Known,
    ) -> BoxFuture<'f, QueryResult<Query<Self>>>
    where
        C: AsyncWrapped<Backend = Self>,
    {
        custom_types::resolve(inner, collected, known).boxed()
    }

    fn run_async<'f, C>(
        inner: &'f mut Waiting<C>,
        task: &'f Task<'f, Self>,
        source: &'f Query<Self>,
    ) -> BoxFuture<'f, Result<Written<KeptRow<Self>>, Failure>>
    where
        C: AsyncWrapped<Backend = Self>,
    {
        async move { returning::run(inner, task, source).await }.boxed()
    }

    fn is_in_transaction<C>(_: &mut Waiting<C>) -> BoxFuture<'_, QueryResult<bool>>
    where
        C: AsyncWrapped<Backend = Self>,
    {
        ready(Ok(true)).boxed()
    }
}
