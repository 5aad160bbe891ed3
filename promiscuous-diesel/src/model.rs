//! A published model, as the rest of the adapter sees it: typed code behind plain functions.

use std::sync::Arc;

use promiscuous_core::key::Endpoint;
use promiscuous_core::operation::Attributes;

use crate::backend::PromiscuousBackend;
use crate::row::RowValues;
use crate::statement::{Table, Tables};

/// Why a row could not be read. Never tells a value.
#[derive(Debug, thiserror::Error)]
#[error("the column `{column}` of the published table `{table}` cannot be sent: {reason}")]
pub struct UnreadableRow {
    /// The table.
    pub table: String,
    /// The column.
    pub column: String,
    /// What is wrong with it.
    pub reason: String,
}

/// A model that is published over one backend.
pub struct PublishedModel<DB: PromiscuousBackend> {
    /// For people: `User`.
    pub name: String,
    /// Where it is published.
    pub endpoint: Endpoint,
    /// The type and its parents, nearest first.
    pub types: Vec<String>,
    /// Its table, its primary key and its published columns, as SQL calls them.
    pub table: Table,
    /// The columns that `read_attributes` wants, in its order: the published ones, or all of the struct's when there are virtual
    /// attributes.
    pub columns: Vec<String>,
    /// The encoded id, from the primary key's values in key order; none when one is NULL (an outer join).
    pub read_id: fn(&dyn RowValues<DB>) -> Result<Option<String>, UnreadableRow>,
    /// The published attributes, from the values of `columns`.
    pub read_attributes: fn(&dyn RowValues<DB>) -> Result<Attributes, UnreadableRow>,
}

/// The published models of an app over one backend.
pub struct PublishedModels<DB: PromiscuousBackend> {
    /// By position, which is also their table's in `tables`.
    models: Vec<Arc<PublishedModel<DB>>>,
    /// What statements are understood by.
    tables: Tables,
}

impl<DB: PromiscuousBackend> PublishedModels<DB> {
    /// From the models, each table once.
    pub fn new(models: impl IntoIterator<Item = PublishedModel<DB>>) -> Self {
        let models: Vec<_> = models.into_iter().map(Arc::new).collect();
        let tables = Tables::new(models.iter().map(|model| model.table.clone()));
        Self { models, tables }
    }

    /// What statements are understood by.
    pub fn tables(&self) -> &Tables {
        &self.tables
    }

    /// The model of a table that a plan names.
    pub fn model(&self, table: usize) -> Option<&Arc<PublishedModel<DB>>> {
        self.models.get(table)
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<PublishedModel<DB>>> {
        self.models.iter()
    }

    /// Whether nothing is published.
    pub fn is_empty(&self) -> bool {
        self.models.is_empty()
    }
}
