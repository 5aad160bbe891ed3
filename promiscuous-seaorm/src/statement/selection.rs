//! How the rows of a SELECT will be recognised.

use std::sync::Arc;

use sea_orm::sea_query::{ColumnName, ColumnRef, Expr, TableName, TableRef};

use super::condition::pinned;
use super::visitor::{Anatomy, Part, Verb};
use crate::model::{PublishedModel, PublishedModels};

/// The published rows in a result.
#[derive(Clone)]
pub(crate) struct Selection {
    /// One for each published table in FROM and JOIN.
    pub sources: Vec<(Arc<PublishedModel>, Identity)>,
    /// How many published tables are read in a way that says nothing about rows: inside of a sub-query.
    pub hidden: usize,
}

/// What tells which rows of a model are in a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Identity {
    /// These result columns hold the primary key.
    Columns(Vec<String>),
    /// The condition names the one row with this id.
    Pinned(String),
    /// Nothing does.
    Unknown,
}

/// None when no published table is read.
pub(super) fn selection(anatomy: &Anatomy, models: &PublishedModels) -> Option<Selection> {
    let root = &anatomy.root;
    let published = |table: &TableRef| match table {
        TableRef::Table(TableName(schema, name), alias) => {
            let schema = schema.as_ref().map(|schema| schema.1.to_string());
            let name = name.to_string();
            let model = models.by_table(schema.as_deref(), &name)?;
            Some((Arc::clone(model), alias.as_ref().map_or(name, ToString::to_string)))
        }
        _ => None,
    };
    let sources = root
        .tables
        .iter()
        .filter_map(published)
        .map(|(model, name)| {
            let identity = identity(root, &model, &name);
            (model, identity)
        })
        .collect::<Vec<_>>();
    let inside_with = root.verb == Some(Verb::With);
    let hidden = anatomy
        .nested
        .iter()
        .filter(|part| part.derived || inside_with)
        .flat_map(|part| &part.tables)
        .filter(|table| published(table).is_some())
        .count();
    (!sources.is_empty() || hidden > 0).then_some(Selection { sources, hidden })
}

fn identity(root: &Part, model: &PublishedModel, name: &str) -> Identity {
    let alone = root.tables.len() == 1;
    let columns = model.primary_key.iter().map(|column| result_column(root, column, name, alone)).collect();
    match columns {
        // The other half of a UNION puts other rows into the same columns.
        Some(columns) if !root.united => Identity::Columns(columns),
        _ => pinned(&root.condition, &model.primary_key, &[name], alone)
            .filter(|_| !root.united)
            .and_then(|values| (model.id_of_values)(&values))
            .map_or(Identity::Unknown, Identity::Pinned),
    }
}

/// The name of the result column that holds a table's column.
fn result_column(root: &Part, column: &str, name: &str, alone: bool) -> Option<String> {
    let of_table = |table: &Option<TableName>| {
        table.as_ref().map_or(alone, |TableName(_, table)| table.to_string() == name)
    };
    root.selects.iter().find_map(|select| {
        let mut expr = &select.expr;
        while let Expr::AsEnum(_, inner) = expr {
            expr = inner;
        }
        match expr {
            Expr::Column(ColumnRef::Column(ColumnName(table, selected)))
                if selected.to_string() == column && of_table(table) =>
            {
                Some(select.alias.as_ref().map_or_else(|| column.to_owned(), ToString::to_string))
            }
            Expr::Column(ColumnRef::Asterisk(table)) if alone && of_table(table) => Some(column.to_owned()),
            _ => None,
        }
    })
}
