//! A statement without its Rust type, which may not be sent to another thread while the statement waits.

use diesel::QueryResult;
use diesel::query_builder::bind_collector::RawBytesBindCollector;
use diesel::query_builder::{CollectedQuery, QueryFragment};

use super::backend::AsyncBackend;

/// A statement that is ready to be sent.
#[doc(hidden)]
pub type Query<DB> = CollectedQuery<RawBytesBindCollector<DB>>;

/// A statement's text and values.
#[doc(hidden)]
pub struct Collected<DB: AsyncBackend> {
    /// The text.
    pub(super) sql: String,
    /// Whether its prepared form may be kept.
    pub(super) cacheable: bool,
    /// The values, and their types.
    pub(super) binds: RawBytesBindCollector<DB>,
    /// What is still to be found out about the types.
    pub(super) custom: DB::Custom,
}

impl<DB: AsyncBackend> Collected<DB> {
    /// Collects the values of a statement whose text is known already.
    ///
    /// # Errors
    /// Diesel's.
    pub(super) fn new<T: QueryFragment<DB>>(sql: String, cacheable: bool, source: &T) -> QueryResult<Self> {
        let (binds, custom) = DB::binds(source)?;
        Ok(Self { sql, cacheable, binds, custom })
    }

    /// The statement as it is, and what would still be to be found out.
    pub(super) fn into_parts(self) -> (Query<DB>, DB::Custom) {
        (CollectedQuery::new(self.sql, self.cacheable, self.binds), self.custom)
    }
}
