//! Rows of subscribed entities, read to be compared with the publisher's.

#[cfg(test)]
mod tests;

use async_trait::async_trait;
use promiscuous_core::apply::Subject;
use promiscuous_core::database::{ApplyError, DatabaseError, DatabaseErrorKind};
use promiscuous_core::operation::Operation;
use promiscuous_core::sync::SyncRow;
use promiscuous_core::verify::{Comparison, SubscribedRows};

use crate::applier::{AnyPlan, ApplyOptions};
use crate::connection::PromiscuousConnection;
use crate::subscription::SubscribedModels;

/// See the module.
pub(crate) struct SeaSubscribedRows {
    /// What reads, past its own capture.
    connection: PromiscuousConnection,
    /// How each is read, in the order of the app's subscriptions.
    models: SubscribedModels,
    /// How operations would be applied.
    options: ApplyOptions,
}

impl SeaSubscribedRows {
    pub(crate) fn new(
        connection: PromiscuousConnection,
        models: SubscribedModels,
        options: ApplyOptions,
    ) -> Self {
        Self { connection, models, options }
    }

    fn plan(&self, position: usize) -> Result<&dyn AnyPlan, DatabaseError> {
        self.models.plan(position).ok_or_else(|| {
            let sentence = format!("there is no subscribed model number {position}: list them again");
            DatabaseError::new(DatabaseErrorKind::Other, sentence)
        })
    }
}

#[async_trait]
impl SubscribedRows for SeaSubscribedRows {
    fn attributes(&self, model: usize) -> Vec<String> {
        self.models.plan(model).map(AnyPlan::attributes).unwrap_or_default()
    }

    async fn ids_after(
        &self,
        model: usize,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<String>, DatabaseError> {
        self.plan(model)?.ids_after(&self.connection.steady(), after, limit).await
    }

    async fn read(&self, model: usize, ids: &[String]) -> Result<Vec<SyncRow>, DatabaseError> {
        self.plan(model)?.read(&self.connection.steady(), ids).await
    }

    async fn compare(&self, model: usize, operation: &Operation) -> Result<Comparison, ApplyError> {
        let plan = self.plan(model).map_err(|error| Subject { operation }.database(error))?;
        plan.compare(&self.connection.steady(), operation, self.options).await
    }
}
