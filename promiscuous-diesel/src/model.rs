//! What `#[derive(Publish)]` says about a model, and what the rest of the adapter sees of it: typed code behind plain functions.

use std::sync::Arc;

use diesel::query_builder::QueryFragment;
use promiscuous_core::key::Endpoint;
use promiscuous_core::operation::Attributes;

use crate::backend::PromiscuousBackend;
use crate::key::KeyValues;
use crate::row::RowValues;
use crate::statement::{Table, Tables};

/// What `#[derive(Publish)]` says about a model. Implemented by the derive.
///
/// # The derive
/// It stands on the struct that Diesel reads the table's rows into:
/// ```
/// use diesel::prelude::*;
/// use promiscuous_diesel::Publish;
///
/// diesel::table! {
///     users (id) {
///         id -> BigInt,
///         first -> Text,
///         last -> Text,
///         password -> Text,
///     }
/// }
///
/// #[derive(Queryable, Selectable, Publish)]
/// #[diesel(table_name = users)]
/// #[publish(attributes(first, last), virtual_attributes(full_name))]
/// struct User {
///     id: i64,
///     first: String,
///     last: String,
///     password: String,
/// }
///
/// impl User {
///     fn full_name(&self) -> String {
///         format!("{} {}", self.first, self.last)
///     }
/// }
/// # use promiscuous_diesel::model::Publish as _;
/// assert_eq!(User::declaration().name, "User");
/// ```
/// * `attributes(…)`: the fields to publish; or `#[publish]` on each of them. Nothing else ever leaves.
/// * `virtual_attributes(…)`: computed by a method of the struct of the same name, which answers anything that serde can serialize.
/// * `to = "app/model"`: the endpoint; by default this app's, with the struct's name in snake case.
/// * `as = "User"`: the model's name; by default the struct's.
/// * `types("Admin", "User")`: the published type and its parents, nearest first; by default only the name.
/// * `backend(Pg, Mysql, Sqlite)`: the databases to generate code for; by default those of Diesel's `check_for_backend`, else every
///   one whose feature of this crate is enabled. A column type that only one of them has needs it.
///
/// Diesel's own `table_name`, `primary_key`, `column_name` and `deserialize_as` mean here what they mean there. The primary key's
/// columns must be among the fields; not all of the table's columns must.
pub trait Publish: Sized + 'static {
    /// Names, attributes and types.
    fn declaration() -> PublishDeclaration;
}

/// The declaration of a published model.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PublishDeclaration {
    /// The model's name, such as `User`: from `as`, else the struct's.
    pub name: String,
    /// The endpoint from `to`; otherwise `<app>/<name in snake case>`.
    pub to: Option<String>,
    /// The type and its parents, nearest first; empty is the name alone.
    pub types: Vec<&'static str>,
    /// The names of the published columns' fields: nothing else ever leaves.
    pub attributes: Vec<&'static str>,
    /// The names of the virtual attributes.
    pub virtual_attributes: Vec<&'static str>,
}

/// How a published model's rows are read over one backend. Implemented by the derive, for each backend in use.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not published over `{DB}`",
    note = "write `#[derive(Publish)]` on it; where it has `backend(...)`, name the backend there; and enable promiscuous-diesel's feature for it"
)]
pub trait PublishOn<DB: PromiscuousBackend>: Publish {
    /// Its table.
    fn table() -> impl QueryFragment<DB>;

    /// The primary key's columns, in key order.
    fn key_columns() -> Vec<&'static str>;

    /// The published columns.
    fn attribute_columns() -> Vec<&'static str>;

    /// The columns that [`read_attributes`](Self::read_attributes) wants.
    fn columns() -> Vec<&'static str>;

    /// The encoded id, from the primary key's values in key order; none when one is NULL.
    ///
    /// # Errors
    /// When a value is not what the field's type reads.
    fn read_id(row: &dyn RowValues<DB>) -> Result<Option<String>, UnreadableRow>;

    /// The values of an id's parts, to find rows by, in key order.
    ///
    /// # Errors
    /// When there are more or fewer parts than columns, or one is not what the column's field writes.
    fn key_values(parts: &[String]) -> KeyValues<DB>;

    /// The parts of this row's own id, in key order.
    ///
    /// # Errors
    /// When one is NULL, or cannot be written.
    fn own_key(&self) -> Result<Vec<String>, UnreadableRow>;

    /// The published attributes, from the values of [`columns`](Self::columns).
    ///
    /// # Errors
    /// When a value is not what the field's type reads, or cannot be sent.
    fn read_attributes(row: &dyn RowValues<DB>) -> Result<Attributes, UnreadableRow>;
}

/// Why a row could not be read. Never tells a value.
#[derive(Debug, thiserror::Error)]
#[error("the column `{column}` of the table `{table}` cannot be sent: {reason}")]
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
    /// The values of an id's parts, to find rows by, in key order.
    pub key_values: fn(&[String]) -> KeyValues<DB>,
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
