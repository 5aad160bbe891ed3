//! From what a model declares to what the connection needs to know of it.

use std::any::type_name;

use diesel::deserialize::FromSql;
use diesel::expression::Expression;
use diesel::query_builder::{QueryBuilder, QueryFragment};
use diesel::query_source::Column;
use promiscuous_core::codec::CodecError;
use promiscuous_core::error::Error;
use promiscuous_core::key::{Endpoint, encode_id};
use promiscuous_core::naming::endpoint_name;
use promiscuous_core::operation::Attributes;
use serde::Serialize;
use serde_json::Value as Json;

use crate::attribute::id::id_of;
use crate::attribute::{Attribute, IdPart};
use crate::backend::PromiscuousBackend;
use crate::model::{PublishOn, PublishedModel, UnreadableRow};
use crate::row::RowValues;
use crate::statement::Table;

/// The published model of an app, from its struct.
///
/// # Errors
/// [`Error::Name`] when its endpoint is none, [`Error::Configuration`] when Diesel cannot say what its table is called.
pub fn describe<DB: PromiscuousBackend, M: PublishOn<DB>>(app: &str) -> Result<PublishedModel<DB>, Error> {
    let declared = M::declaration();
    let endpoint = declared.to.unwrap_or_else(|| format!("{app}/{}", endpoint_name(&declared.name)));
    let types = match declared.types.as_slice() {
        [] => vec![declared.name.clone()],
        types => types.iter().map(|&name| name.to_owned()).collect(),
    };
    let names = |columns: Vec<&str>| columns.into_iter().map(str::to_owned).collect::<Vec<_>>();
    let unnamed = || {
        Error::Configuration(format!(
            "the table of the published model `{}` has a name that is not understood: name it `table` or `schema.table` in `diesel::table!`",
            declared.name
        ))
    };
    let (schema, table) = table_name::<DB, _>(&M::table()).ok_or_else(unnamed)?;
    Ok(PublishedModel {
        endpoint: Endpoint::parse(&endpoint)?,
        types,
        table: Table {
            name: table,
            schema,
            primary_key: names(M::key_columns()),
            attribute_columns: names(M::attribute_columns()),
            has_virtual_attributes: !declared.virtual_attributes.is_empty(),
        },
        columns: names(M::columns()),
        read_id: M::read_id,
        key_values: M::key_values,
        read_attributes: M::read_attributes,
        name: declared.name,
    })
}

/// A table's schema, when it has one, and its name, as Diesel writes them.
pub(crate) fn table_name<DB: PromiscuousBackend, T: QueryFragment<DB>>(
    table: &T,
) -> Option<(Option<String>, String)> {
    let mut sql = DB::QueryBuilder::default();
    table.to_sql(&mut sql, &DB::default()).ok()?;
    match <[String; 2]>::try_from(identifiers(&sql.finish())?) {
        Ok([schema, table]) => Some((Some(schema), table)),
        Err(names) => <[String; 1]>::try_from(names).ok().map(|[table]| (None, table)),
    }
}

/// The names in `"schema"."table"`, in whatever quotes; inside of them, two quotes are one.
fn identifiers(sql: &str) -> Option<Vec<String>> {
    let mut names = Vec::new();
    let mut characters = sql.chars().peekable();
    loop {
        let quote = characters.next().filter(|quote| matches!(quote, '"' | '`'))?;
        let mut name = String::new();
        loop {
            let character = characters.next()?;
            if character == quote && characters.next_if_eq(&quote).is_none() {
                break;
            }
            name.push(character);
        }
        names.push(name);
        match characters.next() {
            None => return Some(names),
            Some('.') => {}
            Some(_) => return None,
        }
    }
}

/// The value of a row's column, as the field's type reads it.
///
/// # Errors
/// When it does not, or is NULL where the type has none. (What Diesel says may hold the value, so it is not passed on.)
pub fn read<DB, C, T>(row: &dyn RowValues<DB>, position: usize, table: &str) -> Result<T, UnreadableRow>
where
    DB: PromiscuousBackend,
    C: Column,
    T: FromSql<<C as Expression>::SqlType, DB>,
{
    let mut value = None;
    let mut is_null = false;
    row.value(position, &mut |raw| {
        is_null = raw.is_none();
        value = T::from_nullable_sql(raw).ok();
    });
    let wrong = || match is_null {
        true => format!("it is NULL, which a field of type `{}` cannot be", type_name::<T>()),
        false => format!("a field of type `{}` cannot be read from it", type_name::<T>()),
    };
    value.ok_or_else(|| unreadable::<C>(table, wrong()))
}

/// What was read, as the field's own type: `deserialize_as`.
///
/// # Errors
/// When the conversion fails.
pub fn convert<C: Column, R: TryInto<T>, T>(value: R, table: &str) -> Result<T, UnreadableRow> {
    value.try_into().map_err(|_| {
        unreadable::<C>(table, format!("it cannot be converted to a field of type `{}`", type_name::<T>()))
    })
}

/// Adds an attribute that is kept in a column.
///
/// # Errors
/// When the value cannot be written.
pub fn send<DB, C, T>(
    attributes: &mut Attributes,
    name: &str,
    value: &T,
    table: &str,
) -> Result<(), UnreadableRow>
where
    DB: PromiscuousBackend,
    C: Column,
    T: Attribute,
{
    let settled = value.settled(DB::DIALECT);
    let wire = settled.as_ref().unwrap_or(value).to_wire();
    attributes.insert(name.to_owned(), wire.map_err(|error| unreadable::<C>(table, error.to_string()))?);
    Ok(())
}

/// Adds a virtual attribute.
///
/// # Errors
/// When the value cannot be written as JSON.
pub fn compute<T: Serialize>(
    attributes: &mut Attributes,
    name: &str,
    value: &T,
    table: &str,
) -> Result<(), UnreadableRow> {
    let value: Result<Json, CodecError> = promiscuous_core::codec::encode_virtual(name, value);
    let value = value.map_err(|error| UnreadableRow {
        table: table.to_owned(),
        column: name.to_owned(),
        reason: error.to_string(),
    })?;
    attributes.insert(name.to_owned(), value);
    Ok(())
}

/// One part of a row's id; none when it is NULL.
///
/// # Errors
/// When it cannot be read or written.
pub fn read_key<DB, C, R, T>(
    row: &dyn RowValues<DB>,
    position: usize,
    table: &str,
) -> Result<Option<String>, UnreadableRow>
where
    DB: PromiscuousBackend,
    C: Column,
    R: FromSql<<C as Expression>::SqlType, DB> + TryInto<T>,
    T: IdPart,
{
    let mut is_null = true;
    row.value(position, &mut |raw| is_null = raw.is_none());
    if is_null {
        return Ok(None);
    }
    let value: T = convert::<C, _, T>(read::<DB, C, R>(row, position, table)?, table)?;
    written_id::<DB, C, T>(&value, table).map(Some)
}

/// One part of an id, from the value that a column holds.
///
/// # Errors
/// When it is NULL, or cannot be written.
pub fn written_id<DB, C, T>(value: &T, table: &str) -> Result<String, UnreadableRow>
where
    DB: PromiscuousBackend,
    C: Column,
    T: IdPart,
{
    id_of(value, DB::DIALECT).map_err(|error| unreadable::<C>(table, error.to_string()))
}

/// The id of these parts; none when one of them is NULL.
pub fn joined(parts: &[Option<String>]) -> Option<String> {
    let parts: Option<Vec<&str>> = parts.iter().map(Option::as_deref).collect();
    parts.map(encode_id)
}

fn unreadable<C: Column>(table: &str, reason: String) -> UnreadableRow {
    UnreadableRow { table: table.to_owned(), column: C::NAME.to_owned(), reason }
}

#[cfg(test)]
mod tests {
    use super::identifiers;

    #[test]
    fn quoted_names_are_taken_apart() {
        let names = |sql: &str| identifiers(sql).map(|names| names.join("|"));
        assert_eq!(names(r#""users""#).as_deref(), Some("users"));
        assert_eq!(names(r#""shop"."users""#).as_deref(), Some("shop|users"));
        assert_eq!(names("`a.b`.`c``d`").as_deref(), Some("a.b|c`d"));
        assert_eq!(names(r#""a""b""#).as_deref(), Some("a\"b"));
        for sql in ["", "users", r#""a"#, r#""a"."#, r#""a" "b""#] {
            assert_eq!(names(sql), None, "{sql}");
        }
    }
}
