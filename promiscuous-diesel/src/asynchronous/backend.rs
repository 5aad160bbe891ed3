//! Where the databases differ when a write is captured asynchronously.

use diesel::QueryResult;
use diesel::backend::Backend;
use diesel::query_builder::QueryFragment;
use diesel::query_builder::bind_collector::RawBytesBindCollector;
use diesel::sql_types::TypeMetadata;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};

use super::AsyncWrapped;
use super::collected::{Collected, Query};
use super::session::Waiting;
use crate::backend::PromiscuousBackend;
use crate::kept::{Keeping, KeptRow};
use crate::write::{Failure, Task, Written};

/// A backend that `diesel-async` speaks to by itself: PostgreSQL, MySQL and MariaDB.
pub trait AsyncBackend:
    PromiscuousBackend
    + Keeping
    + for<'b> Backend<BindCollector<'b> = RawBytesBindCollector<Self>>
    + TypeMetadata<TypeMetadata: Send + Sync + Clone + std::fmt::Debug>
{
    /// Whether the driver can send another statement after it was not asked for the answer to the last one any more. Otherwise it
    /// would take that answer for the next one's.
    #[doc(hidden)]
    const SURVIVES_CANCELLATION: bool;

    /// Types that the statement binds and that the database has to be asked for.
    #[doc(hidden)]
    type Custom: Default + Send + Sync + 'static;

    /// What the database has been asked for already.
    #[doc(hidden)]
    type Known: Default + Send + Sync + 'static;

    /// Collects the values that a statement binds.
    ///
    /// # Errors
    /// Diesel's.
    #[doc(hidden)]
    fn binds<T: QueryFragment<Self>>(source: &T) -> QueryResult<(RawBytesBindCollector<Self>, Self::Custom)>;

    /// Asks the database for what is missing: nothing, where all types are known.
    ///
    /// # Errors
    /// The database's, and that a type cannot be resolved.
    #[doc(hidden)]
    fn resolve<'f, C>(
        _inner: &'f mut Waiting<C>,
        collected: Collected<Self>,
        _known: &'f mut Self::Known,
    ) -> BoxFuture<'f, QueryResult<Query<Self>>>
    where
        C: AsyncWrapped<Backend = Self>,
    {
        let (query, _) = collected.into_parts();
        ready(Ok(query)).boxed()
    }

    /// Runs a published write inside of a transaction, and finds out what it did to each row.
    ///
    /// # Errors
    /// [`Failure`].
    #[doc(hidden)]
    fn run_async<'f, C>(
        inner: &'f mut Waiting<C>,
        task: &'f Task<'f, Self>,
        source: &'f Query<Self>,
    ) -> BoxFuture<'f, Result<Written<KeptRow<Self>>, Failure>>
    where
        C: AsyncWrapped<Backend = Self>;

    /// Whether the transaction that Diesel believes in is really open.
    ///
    /// # Errors
    /// The database's.
    #[doc(hidden)]
    fn is_in_transaction<C>(inner: &mut Waiting<C>) -> BoxFuture<'_, QueryResult<bool>>
    where
        C: AsyncWrapped<Backend = Self>;
}
