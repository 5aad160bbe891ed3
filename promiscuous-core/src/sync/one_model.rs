//! The rows of one model, published again by the app's own code: what the adapters' `promiscuous_sync` functions have in common.

use std::sync::Arc;

use super::{Condition, PublishedRows, Run, Selection, SelectionError, SyncError, SyncSettings, publish_ids};
use crate::database::Database;
use crate::key::Endpoint;
use crate::publisher::Publisher;

/// A published model, and all that publishes its rows again.
pub struct OneModel {
    publisher: Publisher,
    rows: Arc<dyn PublishedRows>,
    database: Arc<dyn Database>,
    /// Its position in `rows`.
    model: usize,
}

impl OneModel {
    /// The model of this endpoint; none when the app does not publish it.
    ///
    /// `database` is where a run is kept that can be resumed.
    pub fn find(
        publisher: Publisher,
        rows: Arc<dyn PublishedRows>,
        database: Arc<dyn Database>,
        endpoint: &Endpoint,
    ) -> Option<Self> {
        let model = rows.models().iter().position(|model| model.endpoint == *endpoint)?;
        Some(Self { publisher, rows, database, model })
    }

    /// Publishes the row of this id again, as it is now; false when it is gone, of which nothing is sent. Servers that are away are not
    /// waited for.
    ///
    /// # Errors
    /// [`SyncError`].
    pub async fn publish_row(&self, id: String) -> Result<bool, SyncError> {
        let sent = publish_ids(&self.publisher, self.rows.as_ref(), self.model, &[id], None).await?;
        Ok(sent > 0)
    }

    /// Publishes all rows again, or those that match a condition; answers with how many were sent.
    ///
    /// # Errors
    /// [`SyncError`].
    pub async fn publish(&self, condition: Option<&str>, settings: SyncSettings) -> Result<u64, SyncError> {
        let mut sent = 0;
        let mut run = self.begin(condition, settings).await?;
        run.run(&mut |progress| sent = progress.sent).await?;
        Ok(sent)
    }

    /// The run that does so. Its rows are counted, and nothing is sent yet.
    ///
    /// # Errors
    /// [`SyncError`].
    pub async fn begin(&self, condition: Option<&str>, settings: SyncSettings) -> Result<Run, SyncError> {
        let parse = |text| Condition::parse(text, self.database.dialect());
        let condition = condition.map(parse).transpose().map_err(SelectionError::from)?;
        let name = self.rows.models()[self.model].name.clone();
        let selection = Selection { model: self.model, name, condition };
        let (publisher, rows) = (self.publisher.clone(), Arc::clone(&self.rows));
        Run::begin(publisher, rows, Arc::clone(&self.database), vec![selection], settings).await
    }
}
