//! Transactions.

use std::marker::PhantomData;

use diesel::QueryResult;
use diesel::connection::TransactionManagerStatus;
use diesel::result::Error;
use diesel_async::{AsyncConnection, TransactionManager};

use super::{AsyncPromiscuous, AsyncWrapped};

/// What makes one message of a transaction: when it commits, its published writes are published, and not when it does not. A
/// savepoint's count when it and all around it commit.
#[derive(Debug)]
pub struct AsyncPromiscuousTransactionManager<T>(PhantomData<T>);

impl<C, T> TransactionManager<AsyncPromiscuous<C>> for AsyncPromiscuousTransactionManager<T>
where
    C: AsyncWrapped + AsyncConnection<TransactionManager = T>,
    T: TransactionManager<C>,
{
    type TransactionStateData = T::TransactionStateData;

    async fn begin_transaction(connection: &mut AsyncPromiscuous<C>) -> QueryResult<()> {
        connection.begin().await
    }

    async fn rollback_transaction(connection: &mut AsyncPromiscuous<C>) -> QueryResult<()> {
        connection.rollback().await
    }

    async fn commit_transaction(connection: &mut AsyncPromiscuous<C>) -> QueryResult<()> {
        connection.commit().await
    }

    fn transaction_manager_status_mut(connection: &mut AsyncPromiscuous<C>) -> &mut TransactionManagerStatus {
        T::transaction_manager_status_mut(&mut connection.inner.0)
    }

    fn is_broken_transaction_manager(connection: &mut AsyncPromiscuous<C>) -> bool {
        connection.land();
        T::is_broken_transaction_manager(&mut connection.inner.0)
    }
}

/// An asynchronous function whose future can be sent to another thread: every `async |connection| …` that holds nothing else.
pub trait Callback<T, R>: FnOnce(T) -> <Self as Callback<T, R>>::Fut + AsyncFnOnce(T) -> R {
    /// The function's future.
    type Fut: Future<Output = R>;
}

impl<F, T, R, Fut> Callback<T, R> for F
where
    F: FnOnce(T) -> Fut + AsyncFnOnce(T) -> R,
    Fut: Future<Output = R>,
{
    type Fut = Fut;
}

impl<C: AsyncWrapped> AsyncPromiscuous<C> {
    /// Runs an asynchronous function in a transaction, or in a savepoint when one is open.
    ///
    /// It does what `AsyncConnection::transaction` does, and takes its place for whoever has an `AsyncPromiscuous`. Besides, the transaction
    /// is rolled back before the connection is used again when this future is dropped: in `diesel-async` it stays open, and so it does for
    /// code that is generic over its connection.
    ///
    /// # Errors
    /// The function's error, after a rollback; or why it could not begin, be published, or commit.
    pub fn transaction<'a, 'conn, R, E, F>(
        &'conn mut self,
        function: F,
    ) -> impl Future<Output = Result<R, E>> + Send + 'conn
    where
        F: for<'r> Callback<&'r mut Self, Result<R, E>, Fut: Send> + Send + 'a,
        E: From<Error> + Send + 'a,
        R: Send + 'a,
        'a: 'conn,
    {
        self.transaction_with(String::new(), function)
    }

    fn transaction_with<'a, 'conn, R, E, F>(
        &'conn mut self,
        first: String,
        function: F,
    ) -> impl Future<Output = Result<R, E>> + Send + 'conn
    where
        F: for<'r> Callback<&'r mut Self, Result<R, E>, Fut: Send> + Send + 'a,
        E: From<Error> + Send + 'a,
        R: Send + 'a,
        'a: 'conn,
    {
        async move {
            self.begin().await?;
            let level = self.depth()?;
            let watch = self.ledger.abandoned.watch(level);
            let begun = match first.as_str() {
                "" => Ok(()),
                first => self.run_script(first).await,
            };
            let result = match begun {
                Ok(()) => function(&mut *self).await,
                Err(error) => Err(error.into()),
            };
            let result = match result {
                Ok(value) => self.commit().await.map(|()| value).map_err(E::from),
                Err(error) => match self.rollback().await {
                    // The first error tells more.
                    Ok(()) | Err(Error::BrokenTransactionManager) => Err(error),
                    Err(failed) => Err(failed.into()),
                },
            };
            watch.over();
            result
        }
    }
}

/// A PostgreSQL transaction with characteristics. See [`AsyncPromiscuous::build_transaction`].
#[cfg(feature = "postgres")]
#[must_use = "a transaction builder does nothing before `run`"]
#[derive(Debug)]
pub struct AsyncTransactionBuilder<'c, C: AsyncWrapped> {
    /// Where it will run.
    connection: &'c mut AsyncPromiscuous<C>,
    /// `ISOLATION LEVEL …`.
    isolation: &'static str,
    /// `READ …`.
    mode: &'static str,
    /// `… DEFERRABLE`.
    deferrable: &'static str,
}

#[cfg(feature = "postgres")]
impl<C: AsyncWrapped<Backend = diesel::pg::Pg>> AsyncPromiscuous<C> {
    /// Builds a transaction with an isolation level, as `AsyncPgConnection::build_transaction` does. Only for outermost ones.
    pub fn build_transaction(&mut self) -> AsyncTransactionBuilder<'_, C> {
        AsyncTransactionBuilder { connection: self, isolation: "", mode: "", deferrable: "" }
    }
}

#[cfg(feature = "postgres")]
impl<'c, C: AsyncWrapped<Backend = diesel::pg::Pg>> AsyncTransactionBuilder<'c, C> {
    /// It may not write.
    pub fn read_only(self) -> Self {
        Self { mode: " READ ONLY", ..self }
    }

    /// It may write: the default.
    pub fn read_write(self) -> Self {
        Self { mode: " READ WRITE", ..self }
    }

    /// It waits until it can run without being aborted: for one that is serializable and reads only.
    pub fn deferrable(self) -> Self {
        Self { deferrable: " DEFERRABLE", ..self }
    }

    /// It does not wait: the default.
    pub fn not_deferrable(self) -> Self {
        Self { deferrable: " NOT DEFERRABLE", ..self }
    }

    /// Each statement sees what was committed before it.
    pub fn read_committed(self) -> Self {
        Self { isolation: " ISOLATION LEVEL READ COMMITTED", ..self }
    }

    /// All statements see what was committed before the first.
    pub fn repeatable_read(self) -> Self {
        Self { isolation: " ISOLATION LEVEL REPEATABLE READ", ..self }
    }

    /// As if transactions ran one after the other.
    pub fn serializable(self) -> Self {
        Self { isolation: " ISOLATION LEVEL SERIALIZABLE", ..self }
    }

    /// Runs an asynchronous function in the transaction.
    ///
    /// # Errors
    /// The function's error, after a rollback; or why it could not begin, be published, or commit.
    pub fn run<'a, 'r, R, E, F>(&'r mut self, function: F) -> impl Future<Output = Result<R, E>> + Send + 'r
    where
        F: for<'f> Callback<&'f mut AsyncPromiscuous<C>, Result<R, E>, Fut: Send> + Send + 'a,
        E: From<Error> + Send + 'a,
        R: Send + 'a,
        'a: 'r,
    {
        let characteristics = format!("{}{}{}", self.isolation, self.mode, self.deferrable);
        let first = match characteristics.as_str() {
            "" => String::new(),
            characteristics => format!("SET TRANSACTION{characteristics}"),
        };
        async move {
            if self.connection.depth()? > 0 {
                return Err(Error::AlreadyInTransaction.into());
            }
            self.connection.transaction_with(first, function).await
        }
    }
}
