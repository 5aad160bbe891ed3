//! A published or subscribed entity, as the rest of the adapter sees it: typed code behind plain functions.

use std::collections::HashMap;
use std::sync::Arc;

use promiscuous_core::key::Endpoint;
use promiscuous_core::operation::Attributes;
use sea_orm::sea_query::{Expr, ReturningClause, SelectStatement, Value};
use sea_orm::{DbBackend, DbErr, EntityTrait, IdenStatic, Iterable, QueryResult};

use crate::codec::CodecError;

/// What `#[derive(Publish)]` says about an entity. Implemented by the derive; write it by hand only in the same way.
///
/// # The derive
/// It stands on the `Model`, below `#[sea_orm::model]` where that is used:
/// ```
/// mod user {
///     use promiscuous_seaorm::Publish;
///     use sea_orm::entity::prelude::*;
///
///     #[sea_orm::model]
///     #[derive(Clone, Debug, PartialEq, DeriveEntityModel, Publish)]
///     #[sea_orm(table_name = "users")]
///     #[publish(attributes(first, last), virtual_attributes(full_name))]
///     pub struct Model {
///         #[sea_orm(primary_key)]
///         pub id: i64,
///         pub first: String,
///         pub last: String,
///         pub password: String,
///     }
///
///     impl Model {
///         fn full_name(&self) -> String {
///             format!("{} {}", self.first, self.last)
///         }
///     }
///
///     impl ActiveModelBehavior for ActiveModel {}
/// }
/// # use promiscuous_seaorm::Publish;
/// assert_eq!(user::Entity::declaration().name, "User");
/// ```
/// * `attributes(…)`: the fields to publish; or `#[publish]` on each of them. Nothing else ever leaves.
/// * `virtual_attributes(…)`: computed by a method of the `Model` of the same name, which answers anything that serde can serialize.
/// * `to = "app/model"`: the endpoint; by default this app's, with the model's name in snake case.
/// * `as = "User"`: the model's name; by default the entity's module in upper camel case (`mod user` is `User`).
/// * `types("Admin", "User")`: the published type and its parents, nearest first; by default only the name.
pub trait Publish: EntityTrait {
    /// Names, attributes and types.
    fn declaration() -> PublishDeclaration;

    /// The column of a published attribute. By default the one that is called so.
    fn column(attribute: &str) -> Option<Self::Column> {
        Self::Column::iter().find(|column| column.as_str() == attribute)
    }

    /// Computes the virtual attributes of a row and adds them.
    ///
    /// # Errors
    /// When a computed value cannot be written as JSON.
    fn virtual_attributes(model: &Self::Model, attributes: &mut Attributes) -> Result<(), CodecError>;
}

/// The declaration of a published entity.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PublishDeclaration {
    /// The model's name, such as `User`: from `as`, else from the entity's module.
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

/// A published entity.
#[derive(Clone)]
pub struct PublishedModel {
    /// For people: `User`.
    pub name: String,
    /// Where it is published.
    pub endpoint: Endpoint,
    /// The type and its parents, nearest first.
    pub types: Vec<String>,
    /// The table, without its schema.
    pub table: String,
    /// The table's schema, when the entity names one.
    pub schema: Option<String>,
    /// The primary key's columns, in key order.
    pub primary_key: Vec<String>,
    /// The published columns. A write that sets none of them, and neither creates nor destroys, is not published
    /// (unless there are virtual attributes, which may depend on any column).
    pub attribute_columns: Vec<String>,
    /// Whether virtual attributes exist.
    pub has_virtual_attributes: bool,
    /// The encoded id of a result row, from the result columns that hold the primary key; none when they are NULL (an outer join).
    pub id_of_row: fn(&QueryResult, &[String]) -> Result<Option<String>, DbErr>,
    /// The encoded id of primary key values, in key order; none when a value is NULL or has no id form.
    pub id_of_values: fn(&[Value]) -> Option<String>,
    /// The primary key's columns, in key order, in the form in which rows are compared and put in order by them.
    pub key_columns: fn(DbBackend) -> Vec<Expr>,
    /// The values of an encoded id, in key order, to be compared with `key_columns`: bound, with the casts that SeaORM gives such values;
    /// none when it is no id of this model.
    pub key_of_id: fn(DbBackend, &str) -> Option<Vec<Expr>>,
    /// The encoded id and the published attributes of a row that has all of the entity's columns.
    pub read_row: fn(&QueryResult) -> Result<(String, Attributes), DbErr>,
    /// `RETURNING` all columns, with the casts that SeaORM's own decoding expects.
    pub returning: fn(DbBackend) -> ReturningClause,
    /// `SELECT` the primary key's columns `FROM` the table, with the casts that SeaORM's own decoding expects, without a condition.
    pub select_keys: fn() -> SelectStatement,
    /// `SELECT` all columns `FROM` the table, with the casts that SeaORM's own decoding expects, without a condition.
    pub select_rows: fn() -> SelectStatement,
}

/// The published entities of an app, by table.
#[derive(Clone, Default)]
pub struct PublishedModels {
    by_table: HashMap<String, Arc<PublishedModel>>,
}

impl PublishedModels {
    /// From the models, each table once (the later one wins; the registry refuses that before).
    pub fn new(models: impl IntoIterator<Item = PublishedModel>) -> Self {
        Self { by_table: models.into_iter().map(|m| (m.table.clone(), Arc::new(m))).collect() }
    }

    /// The model published from a table. A schema of none matches any.
    pub fn by_table(&self, schema: Option<&str>, table: &str) -> Option<&Arc<PublishedModel>> {
        let model = self.by_table.get(table)?;
        match (schema, &model.schema) {
            (Some(asked), Some(own)) if asked != own => None,
            _ => Some(model),
        }
    }

    /// All of them, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<PublishedModel>> {
        self.by_table.values()
    }

    /// Whether nothing is published.
    pub fn is_empty(&self) -> bool {
        self.by_table.is_empty()
    }
}
