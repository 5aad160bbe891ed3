//! What else `diesel-async` expects of a connection.

use diesel::connection::{CacheSize, Instrumentation};
use diesel::query_builder::{AsQuery, QueryFragment, QueryId};
use diesel::{ConnectionError, ConnectionResult, QueryResult};
use diesel_async::pooled_connection::PoolableConnection;
use diesel_async::{AsyncConnection, AsyncConnectionCore, SimpleAsyncConnection, TransactionManager};
use futures_util::FutureExt;

use super::collected::Collected;
use super::futures::{ExecuteFuture, LoadFuture, RowStream};
use super::running::Prepared;
use super::transaction::AsyncPromiscuousTransactionManager;
use super::{AsyncPromiscuous, AsyncWrapped};
use crate::cursor::PromiscuousRow;
use crate::default;
use crate::kept::KeptRow;

impl<C: AsyncWrapped> SimpleAsyncConnection for AsyncPromiscuous<C> {
    async fn batch_execute(&mut self, sql: &str) -> QueryResult<()> {
        self.run_script(sql).await
    }
}

impl<C: AsyncWrapped> AsyncConnectionCore for AsyncPromiscuous<C> {
    type ExecuteFuture<'conn, 'query> = ExecuteFuture<'conn, 'query, C>;
    type LoadFuture<'conn, 'query> = LoadFuture<'conn, 'query, C>;
    type Stream<'conn, 'query> = RowStream<'conn, 'query, C>;
    type Row<'conn, 'query> = PromiscuousRow<C::Row<'conn, 'query>, KeptRow<C::Backend>>;
    type Backend = C::Backend;

    fn load<'conn, 'query, T>(&'conn mut self, source: T) -> Self::LoadFuture<'conn, 'query>
    where
        T: AsQuery + 'query,
        T::Query: QueryFragment<C::Backend> + QueryId + 'query,
    {
        let query = source.as_query();
        if !self.ledger.publishes() {
            return LoadFuture::Loading { rows: self.inner.0.load(query), ledger: None, plan: None };
        }
        let decided = match self.decide(&query) {
            Ok(decided) => decided,
            Err(error) => return LoadFuture::Refused { error: Some(error) },
        };
        if let Some(plan) = self.passes_at_once(&decided) {
            let rows = self.inner.0.load(query);
            return LoadFuture::Loading { rows, ledger: Some(&mut self.ledger), plan };
        }
        // The query itself may not be sent to another thread.
        match Collected::new(decided.sql, decided.cacheable, &query) {
            Ok(collected) => {
                LoadFuture::Preparing { preparing: self.prepare(decided.decision, collected).boxed() }
            }
            Err(error) => LoadFuture::Refused { error: Some(error) },
        }
    }

    fn execute_returning_count<'conn, 'query, T>(
        &'conn mut self,
        source: T,
    ) -> Self::ExecuteFuture<'conn, 'query>
    where
        T: QueryFragment<C::Backend> + QueryId + 'query,
    {
        if !self.ledger.publishes() {
            return ExecuteFuture::Passed {
                count: self.inner.0.execute_returning_count(source),
                ledger: None,
            };
        }
        let decided = match self.decide(&source) {
            Ok(decided) => decided,
            Err(error) => return ExecuteFuture::Refused { error: Some(error) },
        };
        if self.passes_at_once(&decided).is_some() {
            let count = self.inner.0.execute_returning_count(source);
            return ExecuteFuture::Passed { count, ledger: Some(&mut self.ledger) };
        }
        match Collected::new(decided.sql, decided.cacheable, &source) {
            Ok(collected) => {
                let prepared = async move {
                    match self.prepare(decided.decision, collected).await? {
                        Prepared::Written(written) => Ok(written.count),
                        Prepared::Query(connection, query, _) => connection.counted(query).await,
                    }
                };
                ExecuteFuture::Prepared { prepared: prepared.boxed() }
            }
            Err(error) => ExecuteFuture::Refused { error: Some(error) },
        }
    }
}

impl<C: AsyncWrapped> AsyncConnection for AsyncPromiscuous<C> {
    type TransactionManager = AsyncPromiscuousTransactionManager<C::TransactionManager>;

    async fn establish(url: &str) -> ConnectionResult<Self> {
        let given = url.to_owned();
        // It may start the app, which waits for its servers.
        let app = tokio::task::spawn_blocking(move || default::capture_for(&given)).await;
        let (url, capture) = app.map_err(|error| ConnectionError::BadConnection(error.to_string()))??;
        Ok(Self::with_capture(C::establish(&url).await?, capture))
    }

    fn transaction_state(
        &mut self,
    ) -> &mut <Self::TransactionManager as TransactionManager<Self>>::TransactionStateData {
        self.inner.0.transaction_state()
    }

    fn instrumentation(&mut self) -> &mut dyn Instrumentation {
        self.inner.0.instrumentation()
    }

    fn set_instrumentation(&mut self, instrumentation: impl Instrumentation) {
        self.inner.0.set_instrumentation(instrumentation);
    }

    fn set_prepared_statement_cache_size(&mut self, size: CacheSize) {
        self.inner.0.set_prepared_statement_cache_size(size);
    }
}

/// For pools of `AsyncPromiscuous` connections.
impl<C: AsyncWrapped> PoolableConnection for AsyncPromiscuous<C> {
    /// A pool asks when a connection comes back, and whoever gets it next is in another context.
    fn is_broken(&mut self) -> bool {
        self.ledger.given = None;
        <Self as AsyncConnection>::TransactionManager::is_broken_transaction_manager(self)
    }
}
