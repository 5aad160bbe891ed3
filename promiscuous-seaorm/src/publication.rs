//! From what an entity declares to what the connection needs to know of it.

use promiscuous_core::error::Error;
use promiscuous_core::key::{Endpoint, decode_id, encode_id};
use promiscuous_core::naming::endpoint_name;
use promiscuous_core::operation::Attributes;
use sea_orm::sea_query::{Alias, Expr, IntoValueTuple, Query, ReturningClause, SelectStatement};
use sea_orm::{
    ColumnTrait, DbBackend, DbErr, EntityTrait, FromQueryResult, IdenStatic, Iterable, ModelTrait,
    PrimaryKeyToColumn, PrimaryKeyTrait, QueryResult, QueryTrait, TryGetError, TryGetableMany, Value,
};

use crate::codec::{ColumnKind, encode, id_text, id_value};
use crate::keyset::{comparable, comparable_part};
use crate::model::{Publish, PublishedModel};

/// The published model of an app, from its entity.
///
/// # Errors
/// [`Error::Name`] when its endpoint is none, [`Error::Configuration`] when an attribute has no column or holds values
/// that cannot be sent, and when the primary key cannot identify a row.
pub fn describe<E: Publish>(app: &str) -> Result<PublishedModel, Error> {
    let declared = E::declaration();
    let endpoint = declared.to.clone().unwrap_or_else(|| format!("{app}/{}", endpoint_name(&declared.name)));
    let attribute_columns = declared.attributes.iter().map(|attribute| published_column::<E>(attribute));
    let types = match declared.types.as_slice() {
        [] => vec![declared.name.clone()],
        types => types.iter().map(|&name| name.to_owned()).collect(),
    };
    for column in key_columns::<E>() {
        check_key_column::<E>(column)?;
    }
    Ok(PublishedModel {
        endpoint: Endpoint::parse(&endpoint)?,
        types,
        table: E::default().table_name().to_owned(),
        schema: E::default().schema_name().map(str::to_owned),
        primary_key: key_columns::<E>().map(|column| column.as_str().to_owned()).collect(),
        attribute_columns: attribute_columns.collect::<Result<_, _>>()?,
        has_virtual_attributes: !declared.virtual_attributes.is_empty(),
        id_of_row: id_of_row::<E>,
        id_of_values: id_of_values::<E>,
        key_columns: comparable_columns::<E>,
        key_of_id: key_of_id::<E>,
        read_row: read_row::<E>,
        returning: returning::<E>,
        select_keys: select_keys::<E>,
        select_rows: select_rows::<E>,
        name: declared.name,
    })
}

/// The primary key's columns, in key order.
pub(crate) fn key_columns<E: EntityTrait>() -> impl Iterator<Item = E::Column> {
    E::PrimaryKey::iter().map(PrimaryKeyToColumn::into_column)
}

/// Checks that the values of a key column can be part of an id.
pub(crate) fn check_key_column<E: EntityTrait>(column: E::Column) -> Result<(), Error> {
    use sea_orm::sea_query::ArrayType;
    let kind = ColumnKind::of::<E>(column);
    let identifies = !matches!(kind.value, ArrayType::Float | ArrayType::Double | ArrayType::Json);
    if kind.is_supported() && identifies && !kind.array {
        return Ok(());
    }
    Err(Error::Configuration(format!(
        "the column `{}` of `{}` cannot be part of an id: use integers, text, UUIDs, dates or decimals",
        column.as_str(),
        E::default().table_name()
    )))
}

fn published_column<E: Publish>(attribute: &str) -> Result<String, Error> {
    let table = E::default().table_name();
    let column = E::column(attribute).ok_or_else(|| {
        Error::Configuration(format!("the published attribute `{attribute}` is no column of `{table}`"))
    })?;
    if !ColumnKind::of::<E>(column).is_supported() {
        return Err(Error::Configuration(format!(
            "the published attribute `{attribute}` of `{table}` holds values that cannot be sent: publish a virtual attribute instead"
        )));
    }
    Ok(column.as_str().to_owned())
}

pub(crate) fn id_of_row<E: EntityTrait>(
    row: &QueryResult,
    columns: &[String],
) -> Result<Option<String>, DbErr> {
    if columns.len() != key_columns::<E>().count() {
        return Err(DbErr::Type(format!(
            "`{}` has another number of key columns",
            E::default().table_name()
        )));
    }
    match <<E::PrimaryKey as PrimaryKeyTrait>::ValueType as TryGetableMany>::try_get_many(row, "", columns) {
        Ok(key) => Ok(encoded(key.into_value_tuple())),
        Err(TryGetError::Null(_)) => Ok(None),
        Err(TryGetError::DbErr(error)) => Err(error),
    }
}

fn id_of_values<E: EntityTrait>(values: &[Value]) -> Option<String> {
    let columns: Vec<E::Column> = key_columns::<E>().collect();
    if columns.len() != values.len() {
        return None;
    }
    // Through the column's own type: a statement may give a UUID or a number in another spelling.
    let canonical = columns
        .iter()
        .zip(values)
        .map(|(&column, value)| id_value(&id_text(value)?, &E::Model::get_value_type(column)).ok());
    encoded(canonical.collect::<Option<Vec<_>>>()?)
}

fn read_row<E: Publish>(row: &QueryResult) -> Result<(String, Attributes), DbErr> {
    let model = <E::Model as FromQueryResult>::from_query_result(row, "")?;
    let unfit = |what: &str, why: &dyn std::fmt::Display| {
        DbErr::Type(format!("{what} of `{}` cannot be published: {why}", E::default().table_name()))
    };
    let id =
        id_of_model(&model).ok_or_else(|| unfit("the primary key", &"expected values that are not NULL"))?;
    let mut attributes = Attributes::new();
    for attribute in E::declaration().attributes {
        if let Some(column) = E::column(attribute) {
            let value = encode(&model.get(column)).map_err(|why| unfit(attribute, &why))?;
            attributes.insert(attribute.to_owned(), value);
        }
    }
    E::virtual_attributes(&model, &mut attributes).map_err(|why| unfit("a virtual attribute", &why))?;
    Ok((id, attributes))
}

pub(crate) fn comparable_columns<E: EntityTrait>(backend: DbBackend) -> Vec<Expr> {
    key_columns::<E>().map(|column| comparable(backend, column)).collect()
}

pub(crate) fn key_of_id<E: EntityTrait>(backend: DbBackend, id: &str) -> Option<Vec<Expr>> {
    let parts = decode_id(id)?;
    let columns: Vec<E::Column> = key_columns::<E>().collect();
    if columns.len() != parts.len() {
        return None;
    }
    columns.iter().zip(&parts).map(|(&column, part)| comparable_part::<E>(backend, column, part)).collect()
}

/// The id of a row; none when its primary key has NULL in it.
pub(crate) fn id_of_model<M: ModelTrait>(model: &M) -> Option<String> {
    encoded(key_columns::<M::Entity>().map(|column| model.get(column)))
}

/// The id of a row's primary key values.
fn encoded(values: impl IntoIterator<Item = Value>) -> Option<String> {
    let parts = values.into_iter().map(|value| id_text(&value)).collect::<Option<Vec<_>>>()?;
    Some(encode_id(parts.iter().map(String::as_str)))
}

fn returning<E: EntityTrait>(backend: DbBackend) -> ReturningClause {
    Query::returning()
        .exprs(E::Column::iter().map(|column| column.select_as(column.into_returning_expr(backend))))
}

pub(crate) fn select_keys<E: EntityTrait>() -> SelectStatement {
    let mut select = Query::select();
    select.from(E::default().table_ref());
    for column in key_columns::<E>() {
        // As SeaORM selects it: the driver may know no other form of what the column holds.
        select.expr_as(column.select_as(Expr::col(column.as_column_ref())), Alias::new(column.as_str()));
    }
    select
}

fn select_rows<E: EntityTrait>() -> SelectStatement {
    E::find().into_query()
}

#[cfg(test)]
mod tests;
