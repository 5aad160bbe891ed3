//! The connections that rows are read through to be published again: not the app's own, which the caller may have the last one of.

use std::sync::{Arc, OnceLock};

use promiscuous_core::config::SecretUrl;
use promiscuous_core::database::Database;
use promiscuous_core::error::Error;
use promiscuous_core::sync::PublishedRows;

use crate::backend::PromiscuousBackend;
use crate::database::DieselDatabase;
use crate::model::PublishedModels;
use crate::pool::{Manager, open};
use crate::rows::DieselRows;

/// As many as a run has chunks under way unless it is told otherwise, and one to keep how far it is. Those that are not needed for ten
/// minutes are closed but for one.
const CONNECTIONS: u32 = 5;

/// An app's published rows, and its database as core sees it, over connections that are opened when they are first needed.
#[derive(Default)]
pub(crate) struct Elsewhere(OnceLock<Opened>);

type Opened = (Arc<dyn PublishedRows>, Arc<dyn Database>);

impl Elsewhere {
    /// # Errors
    /// [`Error::Database`] when the database is away.
    pub(crate) fn open<DB: PromiscuousBackend>(
        &self,
        url: &SecretUrl,
        models: &PublishedModels<DB>,
    ) -> Result<Opened, Error> {
        if let Some((rows, database)) = self.0.get() {
            return Ok((Arc::clone(rows), Arc::clone(database)));
        }
        // Who is asked for the first time by two at once opens two, and closes one.
        let pool = open(Manager::<DB>::plain(url.clone())?, CONNECTIONS)?;
        let rows: Arc<dyn PublishedRows> =
            Arc::new(DieselRows::new(pool.clone(), models.iter().map(Arc::clone)));
        let database: Arc<dyn Database> = Arc::new(DieselDatabase::new(pool, |_, _| Ok(())));
        let (rows, database) = self.0.get_or_init(|| (rows, database));
        Ok((Arc::clone(rows), Arc::clone(database)))
    }
}
