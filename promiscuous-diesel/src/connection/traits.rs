//! What else Diesel expects of a connection.

use std::any::Any;

use diesel::connection::{
    CacheSize, Connection, ConnectionSealed, Instrumentation, MultiConnectionHelper, TransactionManager,
    WithMetadataLookup,
};
use diesel::migration::MigrationConnection;
use diesel::query_builder::{QueryFragment, QueryId};
use diesel::r2d2::R2D2Connection;
use diesel::sql_types::TypeMetadata;
use diesel::{ConnectionError, ConnectionResult, QueryResult};

use super::{Promiscuous, PromiscuousTransactionManager, Wrapped};
use crate::database::DatabaseBackend as _;
use crate::default;

type Lookup<C> = <<C as Connection>::Backend as TypeMetadata>::MetadataLookup;

impl<C: Wrapped> ConnectionSealed for Promiscuous<C> {}

impl<C: Wrapped> Connection for Promiscuous<C> {
    type Backend = C::Backend;
    type TransactionManager = PromiscuousTransactionManager<C::TransactionManager>;

    fn establish(url: &str) -> ConnectionResult<Self> {
        let (url, capture) = default::capture_for(url)?;
        let mut inner = C::establish(&url)?;
        if capture.path.publishes()
            && let Some(patience) = C::Backend::PATIENCE
        {
            inner.batch_execute(patience).map_err(ConnectionError::CouldntSetupConfiguration)?;
        }
        Ok(Self::with_capture(inner, capture))
    }

    fn execute_returning_count<T>(&mut self, source: &T) -> QueryResult<usize>
    where
        T: QueryFragment<C::Backend> + QueryId,
    {
        self.count(source)
    }

    fn transaction_state(
        &mut self,
    ) -> &mut <Self::TransactionManager as TransactionManager<Self>>::TransactionStateData {
        self.inner.transaction_state()
    }

    fn instrumentation(&mut self) -> &mut dyn Instrumentation {
        self.inner.instrumentation()
    }

    fn set_instrumentation(&mut self, instrumentation: impl Instrumentation) {
        self.inner.set_instrumentation(instrumentation);
    }

    fn set_prepared_statement_cache_size(&mut self, size: CacheSize) {
        self.inner.set_prepared_statement_cache_size(size);
    }
}

impl<C: Wrapped + R2D2Connection> R2D2Connection for Promiscuous<C> {
    fn ping(&mut self) -> QueryResult<()> {
        self.inner.ping()
    }

    /// A pool asks when a connection comes back, and whoever gets it next is in another context.
    fn is_broken(&mut self) -> bool {
        self.given = None;
        self.inner.is_broken()
    }
}

/// Migrations define tables; what they write to published ones is refused, as elsewhere: run such a migration inside of
/// [`without_promiscuous`](Promiscuous::without_promiscuous), and send the rows with `promiscuous publish`.
impl<C: Wrapped + MigrationConnection> MigrationConnection for Promiscuous<C> {
    fn setup(&mut self) -> QueryResult<usize> {
        self.inner.setup()
    }
}

/// For `diesel-async`'s wrapper of SQLite.
impl<C: Wrapped + WithMetadataLookup> WithMetadataLookup for Promiscuous<C> {
    fn metadata_lookup(&mut self) -> &mut Lookup<C> {
        self.inner.metadata_lookup()
    }
}

/// For `#[derive(MultiConnection)]`: give each variant a type alias, such as `type Pg = Promiscuous<PgConnection>`.
impl<C: Wrapped + MultiConnectionHelper> MultiConnectionHelper for Promiscuous<C> {
    fn to_any<'a>(lookup: &mut Lookup<C>) -> &mut (dyn Any + 'a) {
        C::to_any(lookup)
    }

    fn from_any(lookup: &mut dyn Any) -> Option<&mut Lookup<C>> {
        C::from_any(lookup)
    }
}
