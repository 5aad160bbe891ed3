//! Rows of derived models, on SQLite always and on the servers that there are.
//!
//! * `paging`: every row once and in order;
//! * `conditions`: only the rows that are asked for;
//! * `transactions`: rows that others are writing;
//! * `refusals`: what cannot be read.

mod conditions;
mod paging;
mod refusals;
mod transactions;

use diesel::backend::Backend;
use diesel::connection::SimpleConnection;
use diesel::deserialize::{self, FromSql};
use diesel::mysql::Mysql;
use diesel::pg::Pg;
use diesel::sql_types::Integer;
use diesel::sqlite::Sqlite;
use promiscuous_core::config::SecretUrl;
use promiscuous_core::database::{Dialect, Sql};
use promiscuous_core::error::chain;
use promiscuous_core::key::encode_id;
use serde_json::{Value as Json, json};

use super::*;
use crate::model::PublishedModels;
use crate::models::Models;
use crate::pool::open;
use crate::test_databases::{TestDatabase, on_each};
use crate::{Attribute, IdPart, Publish, sql};

diesel::table! {
    items (id) {
        id -> BigInt,
        name -> Text,
    }
}

diesel::table! {
    labels (id) {
        id -> Text,
        note -> Text,
    }
}

diesel::table! {
    carts (owner, place, slot) {
        owner -> Text,
        place -> BigInt,
        slot -> Integer,
        note -> Text,
    }
}

#[derive(Publish)]
#[diesel(table_name = items)]
#[publish(attributes(name), virtual_attributes(shout))]
struct Item {
    id: i64,
    name: String,
}

impl Item {
    fn shout(&self) -> String {
        format!("{} {}!", self.id, self.name.to_uppercase())
    }
}

#[derive(Publish)]
#[diesel(table_name = labels)]
#[publish(attributes(note))]
#[allow(dead_code)]
struct Label {
    id: String,
    note: String,
}

/// Its key has a type that Diesel writes, one that it writes as what it reads, and one that it cannot write.
#[derive(Publish)]
#[diesel(table_name = carts)]
#[diesel(primary_key(owner, place, slot))]
#[publish(attributes(note))]
#[allow(dead_code)]
struct Cart {
    note: String,
    owner: String,
    #[diesel(deserialize_as = i64)]
    place: Place,
    slot: Slot,
}

#[derive(Attribute, IdPart)]
struct Place(i64);

impl From<i64> for Place {
    fn from(place: i64) -> Self {
        Self(place)
    }
}

#[derive(Attribute, IdPart)]
struct Slot(i32);

impl<DB: Backend> FromSql<Integer, DB> for Slot
where
    i32: FromSql<Integer, DB>,
{
    fn from_sql(value: DB::RawValue<'_>) -> deserialize::Result<Self> {
        i32::from_sql(value).map(Self)
    }
}

/// The models' positions.
const CART: usize = 0;
const ITEM: usize = 1;
const LABEL: usize = 2;

/// A backend that tests run on.
trait Tested: PromiscuousBackend {
    fn published() -> PublishedModels<Self>;
}

macro_rules! tested {
    ($($backend:ty),*) => {$(
        impl Tested for $backend {
            fn published() -> PublishedModels<Self> {
                // Not in the order of their names.
                Models::new().publish::<Item>().publish::<Label>().publish::<Cart>().published("shop").unwrap()
            }
        }
    )*};
}
tested!(Pg, Mysql, Sqlite);

/// Creates the tables.
fn prepare<DB: Tested>(test: &TestDatabase) -> DieselRows<DB> {
    // As a service would have it whose keys tell upper from lower case.
    let text = if DB::DIALECT == Dialect::Mysql {
        "VARCHAR(50) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin"
    } else {
        "VARCHAR(50)"
    };
    let rows = rows_of(test, DB::published());
    test.create::<DB>(&format!(
        "CREATE TABLE items (id BIGINT NOT NULL PRIMARY KEY, name VARCHAR(50) NOT NULL);
         CREATE TABLE labels (id {text} NOT NULL PRIMARY KEY, note VARCHAR(50) NOT NULL DEFAULT '');
         CREATE TABLE carts (owner {text} NOT NULL, place BIGINT NOT NULL, slot INTEGER NOT NULL, note VARCHAR(50) NOT NULL DEFAULT '',
             PRIMARY KEY (owner, place, slot))"
    ));
    rows
}

fn rows_of<DB: PromiscuousBackend>(test: &TestDatabase, models: PublishedModels<DB>) -> DieselRows<DB> {
    let pool = open(Manager::<DB>::plain(SecretUrl::new(&test.url)).unwrap(), 2).unwrap();
    DieselRows::new(pool, models.iter().map(Arc::clone))
}

/// The items 1 to n, called `item n`.
fn fill<DB: PromiscuousBackend>(test: &TestDatabase, items: i64) -> DB::Connection {
    let mut connection = test.connect::<DB>();
    for id in 1..=items {
        connection.batch_execute(&format!("INSERT INTO items VALUES ({id}, 'item {id}')")).unwrap();
    }
    connection
}

/// The ids of a table in the order of its key, as a plain SELECT has them.
fn selected<DB: PromiscuousBackend>(
    test: &TestDatabase,
    columns: &[(&str, SqlType)],
    table: &str,
) -> Vec<String> {
    let names = columns.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
    let text = format!("SELECT {names} FROM {table} ORDER BY {names}");
    let types: Vec<SqlType> = columns.iter().map(|(_, of)| *of).collect();
    let rows = sql::query(&mut test.connect::<DB>(), Sql::new(DB::DIALECT, &text), &types).unwrap();
    let part = |value: &SqlValue| match value {
        SqlValue::Int(number) => number.to_string(),
        SqlValue::Text(text) => text.clone(),
        SqlValue::Null => panic!("a key that is NULL"),
    };
    let id =
        |row: &Vec<SqlValue>| encode_id(row.iter().map(part).collect::<Vec<_>>().iter().map(String::as_str));
    rows.iter().map(id).collect()
}

/// All ids, so many at a time.
async fn paged<DB: PromiscuousBackend>(
    rows: &DieselRows<DB>,
    model: usize,
    condition: Option<&Condition>,
    limit: usize,
) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    loop {
        let next = rows.ids_after(model, condition, all.last().map(String::as_str), limit).await.unwrap();
        assert!(next.len() <= limit && all.len() < 1000, "{next:?}");
        if next.is_empty() {
            return all;
        }
        all.extend(next);
    }
}

/// The rows of a stretch of items, as `1 name`.
async fn names<DB: PromiscuousBackend>(
    rows: &DieselRows<DB>,
    (first, last): (&str, &str),
    unless_written: bool,
) -> Vec<String> {
    let read = rows.read(ITEM, None, Stretch { first, last }, unless_written).await.unwrap();
    let name = |row: SyncRow| format!("{} {}", row.id, row.attributes["name"].as_str().unwrap());
    read.into_iter().map(name).collect()
}

fn condition<DB: PromiscuousBackend>(text: &str) -> Condition {
    Condition::parse(text, DB::DIALECT).unwrap()
}
