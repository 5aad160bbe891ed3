//! The rows of subscribed models, as whoever compares them with their publisher's reads them: past the capture, and without locks.
//!
//! * `reading`: pages of ids, and rows by their ids;
//! * `comparing`: rows with operations;
//! * `load`: rows as the structs that applying a message finds; `held`: whether one holds what a setter has set.

mod comparing;
pub(crate) mod held;
pub(crate) mod load;
mod reading;
#[cfg(all(
    test,
    feature = "postgres",
    feature = "mysql",
    feature = "sqlite",
    feature = "uuid",
    feature = "chrono",
    feature = "numeric"
))]
mod tests;

use async_trait::async_trait;
use diesel::r2d2::Pool;
use promiscuous_core::apply::{ApplyOptions, Subject};
use promiscuous_core::database::{ApplyError, DatabaseError};
use promiscuous_core::operation::Operation;
use promiscuous_core::sync::SyncRow;
use promiscuous_core::verify::{Comparison, SubscribedRows};

use crate::backend::PromiscuousBackend;
use crate::database::with_connection;
use crate::pool::Manager;
use crate::rows::other;
use crate::subscription::{SubscribeOn, SubscribedModels};
use comparing::compare;
pub(crate) use reading::{AT_ONCE, Kept};
use reading::{ids_after, read};

/// The ids after one, at most so many.
type IdsAfter<DB> = fn(
    &mut <DB as PromiscuousBackend>::Connection,
    Option<&str>,
    usize,
) -> Result<Vec<String>, DatabaseError>;
/// The rows with these ids.
type Read<DB> =
    fn(&mut <DB as PromiscuousBackend>::Connection, &[String]) -> Result<Vec<SyncRow>, DatabaseError>;
/// What applying an operation would do.
type Compare<DB> = fn(
    &mut <DB as PromiscuousBackend>::Connection,
    &Operation,
    ApplyOptions,
) -> Result<Comparison, ApplyError>;

/// How one model's rows are read, behind plain functions.
pub(crate) struct ModelRows<DB: PromiscuousBackend> {
    /// The names of the attributes that columns keep.
    attributes: Vec<&'static str>,
    /// Pages of ids.
    ids_after: IdsAfter<DB>,
    /// Rows by their ids.
    read: Read<DB>,
    /// A row and an operation.
    compare: Compare<DB>,
}

impl<DB: PromiscuousBackend> ModelRows<DB> {
    /// Those of a struct.
    pub(crate) fn of<M: SubscribeOn<DB>>() -> Self {
        Self {
            attributes: M::declaration().attributes,
            ids_after: ids_after::<DB, M>,
            read: read::<DB, M>,
            compare: compare::<DB, M>,
        }
    }
}

// Derived, they would ask the same of the backend.
impl<DB: PromiscuousBackend> Clone for ModelRows<DB> {
    fn clone(&self) -> Self {
        Self { attributes: self.attributes.clone(), ..*self }
    }
}

/// The rows of an app's subscribed models.
pub(crate) struct DieselSubscribedRows<DB: PromiscuousBackend> {
    /// Where connections come from; what is read here is nobody's cause.
    pool: Pool<Manager<DB>>,
    /// By position, as core resolves them.
    models: SubscribedModels<DB>,
    /// How operations would be applied.
    options: ApplyOptions,
}

impl<DB: PromiscuousBackend> DieselSubscribedRows<DB> {
    pub(crate) fn new(pool: Pool<Manager<DB>>, models: SubscribedModels<DB>, options: ApplyOptions) -> Self {
        Self { pool, models, options }
    }

    /// How a model's rows are read.
    fn rows(&self, model: usize) -> Result<ModelRows<DB>, DatabaseError> {
        let found = self.models.get(model).map(|model| model.rows.clone());
        found.ok_or_else(|| {
            other(format!(
                "there is no subscribed model {model}: ask for one by its position among the subscriptions"
            ))
        })
    }
}

#[async_trait]
impl<DB: PromiscuousBackend> SubscribedRows for DieselSubscribedRows<DB> {
    fn attributes(&self, model: usize) -> Vec<String> {
        let names = self.models.get(model).map(|model| model.rows.attributes.as_slice());
        names.unwrap_or_default().iter().map(|&name| name.to_owned()).collect()
    }

    async fn ids_after(
        &self,
        model: usize,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<String>, DatabaseError> {
        let (rows, after) = (self.rows(model)?, after.map(str::to_owned));
        with_connection(&self.pool, move |connection| {
            (rows.ids_after)(connection.inner(), after.as_deref(), limit)
        })
        .await
    }

    async fn read(&self, model: usize, ids: &[String]) -> Result<Vec<SyncRow>, DatabaseError> {
        let (rows, ids) = (self.rows(model)?, ids.to_vec());
        with_connection(&self.pool, move |connection| (rows.read)(connection.inner(), &ids)).await
    }

    async fn compare(&self, model: usize, operation: &Operation) -> Result<Comparison, ApplyError> {
        let failed = |error| Subject { operation }.database(error);
        let rows = self.rows(model).map_err(failed)?;
        let (owned, options) = (operation.clone(), self.options);
        let compared = with_connection(&self.pool, move |connection| {
            // What is wrong with the operation is no error of the database's.
            Ok((rows.compare)(connection.inner(), &owned, options))
        });
        compared.await.map_err(failed)?
    }
}
