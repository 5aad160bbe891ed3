//! MySQL and MariaDB.

use diesel::QueryResult;
use diesel::mysql::Mysql;
use diesel::query_builder::QueryFragment;
use diesel::query_builder::bind_collector::RawBytesBindCollector;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::AsyncWrapped;
use super::backend::AsyncBackend;
use super::collected::Query;
use super::session::Waiting;
use crate::kept::KeptRow;
use crate::write::{Failure, Task, Written, keyed};

impl AsyncBackend for Mysql {
    // mysql_async reads whatever answer comes next.
    const SURVIVES_CANCELLATION: bool = false;

    type Custom = ();
    type Known = ();

    fn binds<T: QueryFragment<Self>>(source: &T) -> QueryResult<(RawBytesBindCollector<Self>, ())> {
        let mut binds = RawBytesBindCollector::new();
        source.collect_binds(&mut binds, &mut (), &Self)?;
        Ok((binds, ()))
    }

    fn run_async<'f, C>(
        inner: &'f mut Waiting<C>,
        task: &'f Task<'f, Self>,
        source: &'f Query<Self>,
    ) -> BoxFuture<'f, Result<Written<KeptRow<Self>>, Failure>>
    where
        C: AsyncWrapped<Backend = Self>,
    {
        async move { keyed::run(inner, task, source).await }.boxed()
    }

    fn is_in_transaction<C>(inner: &mut Waiting<C>) -> BoxFuture<'_, QueryResult<bool>>
    where
        C: AsyncWrapped<Backend = Self>,
    {
        // As on a blocking connection.
        async move {
            inner.0.batch_execute("SAVEPOINT promiscuous_probe").await?;
            Ok(inner.0.batch_execute("RELEASE SAVEPOINT promiscuous_probe").await.is_ok())
        }
        .boxed()
    }
}
