//! Tables and models for tests, published without the derive.

use diesel::deserialize::FromSql;
use diesel::prelude::*;
use diesel::sql_types::{Integer, Text};
use promiscuous_core::key::{Endpoint, encode_id};
use promiscuous_core::operation::Attributes;

use crate::backend::PromiscuousBackend;
use crate::model::{PublishedModel, PublishedModels, UnreadableRow};
use crate::row::RowValues;
use crate::statement::Table;

diesel::table! {
    cake {
        id -> Integer,
        name -> Text,
        notes -> Nullable<Text>,
        code -> Nullable<Text>,
    }
}

diesel::table! {
    fruit {
        id -> Text,
        name -> Text,
        cake_id -> Nullable<Integer>,
    }
}

diesel::table! {
    cake_filling (cake_id, filling_id) {
        cake_id -> Integer,
        filling_id -> Integer,
        amount -> Integer,
    }
}

diesel::table! {
    /// Not published.
    pan {
        id -> Integer,
        name -> Text,
    }
}

diesel::joinable!(fruit -> cake (cake_id));
diesel::allow_tables_to_appear_in_same_query!(cake, fruit, cake_filling, pan);

#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Identifiable, AsChangeset)]
#[diesel(table_name = cake)]
pub struct Cake {
    pub id: i32,
    pub name: String,
    /// Not published.
    pub notes: Option<String>,
    pub code: Option<String>,
}

#[derive(
    Debug,
    Clone,
    PartialEq,
    Eq,
    Queryable,
    QueryableByName,
    Selectable,
    Identifiable,
    Associations,
    AsChangeset,
)]
#[diesel(table_name = fruit, belongs_to(Cake))]
pub struct Fruit {
    pub id: String,
    pub name: String,
    pub cake_id: Option<i32>,
}

#[derive(
    Debug, Clone, PartialEq, Eq, Queryable, QueryableByName, Selectable, Identifiable, Insertable, AsChangeset,
)]
#[diesel(table_name = cake_filling, primary_key(cake_id, filling_id))]
pub struct CakeFilling {
    pub cake_id: i32,
    pub filling_id: i32,
    pub amount: i32,
}

/// As an app would write it without promiscuous: what may be left out is an option.
#[derive(Debug, Clone, Default, Insertable)]
#[diesel(table_name = cake)]
pub struct NewCake {
    pub id: Option<i32>,
    pub name: String,
    pub code: Option<String>,
}

pub fn named(name: &str) -> NewCake {
    NewCake { name: name.into(), ..NewCake::default() }
}

pub fn coded(name: &str, code: &str) -> NewCake {
    NewCake { name: name.into(), code: Some(code.into()), ..NewCake::default() }
}

pub fn known(id: i32, name: &str) -> NewCake {
    NewCake { id: Some(id), name: name.into(), ..NewCake::default() }
}

/// Creates the fixtures' tables, for each of the three databases.
pub const TABLES: &str = "
    CREATE TABLE cake (id {serial}, name VARCHAR(100) NOT NULL DEFAULT 'plain', notes TEXT, code VARCHAR(20) UNIQUE);
    CREATE TABLE fruit (id VARCHAR(50) PRIMARY KEY NOT NULL, name VARCHAR(100) NOT NULL, cake_id INTEGER);
    CREATE TABLE cake_filling (cake_id INTEGER NOT NULL, filling_id INTEGER NOT NULL, amount INTEGER NOT NULL,
                               PRIMARY KEY (cake_id, filling_id));
    CREATE TABLE pan (id {serial}, name VARCHAR(100) NOT NULL UNIQUE);
";

/// cake (without its notes), fruit and cake_filling.
pub fn models<DB>() -> PublishedModels<DB>
where
    DB: PromiscuousBackend,
    i32: FromSql<Integer, DB>,
    String: FromSql<Text, DB>,
{
    PublishedModels::new([
        model("cake", &["id"], &["name", "code"], int_id::<DB>, |row| {
            Ok(attributes([("name", text(row, 0)?), ("code", text(row, 1)?)]))
        }),
        model("fruit", &["id"], &["name", "cake_id"], text_id::<DB>, |row| {
            Ok(attributes([("name", text(row, 0)?), ("cake_id", int(row, 1)?.into())]))
        }),
        model("cake_filling", &["cake_id", "filling_id"], &["amount"], ints_id::<DB>, |row| {
            Ok(attributes([("amount", int(row, 0)?.into())]))
        }),
    ])
}

pub(crate) type Read<DB, T> = fn(&dyn RowValues<DB>) -> Result<T, UnreadableRow>;

pub(crate) fn model<DB: PromiscuousBackend>(
    name: &str,
    key: &[&str],
    columns: &[&str],
    read_id: Read<DB, Option<String>>,
    read_attributes: Read<DB, Attributes>,
) -> PublishedModel<DB> {
    let owned = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
    PublishedModel {
        name: name.to_owned(),
        endpoint: Endpoint::parse(&format!("app/{name}")).unwrap(),
        types: vec![name.to_owned()],
        table: Table {
            name: name.to_owned(),
            schema: None,
            primary_key: owned(key),
            attribute_columns: owned(columns),
            has_virtual_attributes: false,
        },
        columns: owned(columns),
        read_id,
        // Nothing is published again here.
        key_values: |_| Ok(Vec::new()),
        read_attributes,
    }
}

pub(crate) fn attributes<const N: usize>(values: [(&str, serde_json::Value); N]) -> Attributes {
    values.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn value<DB, ST, T>(row: &dyn RowValues<DB>, at: usize) -> Result<Option<T>, UnreadableRow>
where
    DB: PromiscuousBackend,
    T: FromSql<ST, DB>,
{
    let mut read = Ok(None);
    row.value(at, &mut |value| {
        if let Some(value) = value {
            read = T::from_sql(value).map(Some);
        }
    });
    read.map_err(|_| unreadable("of another type"))
}

fn unreadable(reason: &str) -> UnreadableRow {
    UnreadableRow { table: "table".into(), column: "column".into(), reason: reason.into() }
}

fn int<DB>(row: &dyn RowValues<DB>, at: usize) -> Result<Option<i32>, UnreadableRow>
where
    DB: PromiscuousBackend,
    i32: FromSql<Integer, DB>,
{
    value::<DB, Integer, i32>(row, at)
}

pub(crate) fn text<DB>(row: &dyn RowValues<DB>, at: usize) -> Result<serde_json::Value, UnreadableRow>
where
    DB: PromiscuousBackend,
    String: FromSql<Text, DB>,
{
    let text = value::<DB, Text, String>(row, at)?;
    match text.as_deref() {
        Some("poison") => Err(unreadable("the test says so")),
        Some("panic") => panic!("the test says so"),
        _ => Ok(text.into()),
    }
}

pub(crate) fn int_id<DB>(row: &dyn RowValues<DB>) -> Result<Option<String>, UnreadableRow>
where
    DB: PromiscuousBackend,
    i32: FromSql<Integer, DB>,
{
    Ok(int(row, 0)?.map(|id| id.to_string()))
}

pub(crate) fn text_id<DB>(row: &dyn RowValues<DB>) -> Result<Option<String>, UnreadableRow>
where
    DB: PromiscuousBackend,
    String: FromSql<Text, DB>,
{
    Ok(text(row, 0)?.as_str().map(|id| encode_id([id])))
}

fn ints_id<DB>(row: &dyn RowValues<DB>) -> Result<Option<String>, UnreadableRow>
where
    DB: PromiscuousBackend,
    i32: FromSql<Integer, DB>,
{
    let (one, two) = (int(row, 0)?, int(row, 1)?);
    Ok(one.zip(two).map(|(one, two)| encode_id([one.to_string().as_str(), two.to_string().as_str()])))
}
