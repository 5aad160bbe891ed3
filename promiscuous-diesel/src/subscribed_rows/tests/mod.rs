//! Rows of derived models, on SQLite always and on the servers that there are.
//!
//! * `paging`: every id once and in order;
//! * `reading`: rows by their ids;
//! * `comparing`: what applying an operation would do.

mod comparing;
mod paging;
mod reading;

use bigdecimal::BigDecimal;
use chrono::NaiveDateTime;
use diesel::connection::SimpleConnection;
use diesel::deserialize::{self, FromSql};
use diesel::dsl::sql;
use diesel::expression::{AsExpression, SqlLiteral};
use diesel::mysql::Mysql;
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::serialize::{self, Output, ToSql};
use diesel::sql_types::Text;
use diesel::sqlite::Sqlite;
use promiscuous_core::config::SecretUrl;
use promiscuous_core::database::{DatabaseErrorKind, Dialect, Sql, SqlType, SqlValue};
use promiscuous_core::error::chain;
use promiscuous_core::key::{Endpoint, encode_id};
use promiscuous_core::operation::OperationKind;
use serde_json::{Value as Json, json};

use super::*;
use crate::models::Models;
use crate::pool::open;
use crate::subscription::{CallbackResult, Callbacks, Connection};
use crate::test_databases::{TestDatabase, on_each};
use crate::{Attribute, IdPart, Publish, Subscribe};

diesel::table! {
    items (id) {
        id -> BigInt,
        name -> Text,
        price -> Numeric,
        at -> Timestamp,
        weight -> Double,
        note -> Text,
        seen -> Nullable<BigInt>,
    }
}

diesel::table! {
    labels (id) {
        id -> Text,
        note -> Text,
    }
}

diesel::table! {
    places (owner, number) {
        owner -> Text,
        number -> Integer,
        note -> Text,
    }
}

diesel::table! {
    copies (id) {
        id -> Integer,
        origin -> Nullable<Text>,
        title -> Text,
    }
}

diesel::table! {
    links (id) {
        id -> Integer,
        #[sql_name = "item"]
        item_id -> Nullable<BigInt>,
        title -> Text,
    }
}

/// With kinds of values that databases write in their own way, and setters.
#[derive(Queryable, Selectable, Subscribe)]
#[diesel(table_name = items)]
#[subscribe(attributes(name, price, at, weight), virtual_attributes(shout, sight), callbacks)]
struct Item {
    id: i64,
    name: String,
    price: BigDecimal,
    at: NaiveDateTime,
    weight: f64,
    note: String,
    #[diesel(deserialize_as = Option<i64>, serialize_as = Option<i64>)]
    seen: Seen,
}

impl ItemChanges {
    fn set_shout(&mut self, shout: String) -> Result<(), &'static str> {
        match shout.as_str() {
            "refused" => Err("too loud"),
            "panic" => panic!("far too loud"),
            _ => {
                self.note = Some(format!("{shout}!"));
                Ok(())
            }
        }
    }

    /// Goes into a column that could be no attribute.
    fn set_sight(&mut self, sight: i64) {
        self.seen = Some(Seen(Some(sight)));
    }
}

/// No attribute, but its values can be compared.
#[derive(PartialEq)]
struct Seen(Option<i64>);

impl From<Option<i64>> for Seen {
    fn from(seen: Option<i64>) -> Self {
        Self(seen)
    }
}

impl From<Seen> for Option<i64> {
    fn from(seen: Seen) -> Self {
        seen.0
    }
}

impl<DB: PromiscuousBackend> Callbacks<DB> for Item {
    fn before_save(_: Option<&Self>, _: &mut ItemChanges, _: &mut Connection<DB>) -> CallbackResult {
        panic!("nothing is saved here")
    }
}

/// With a type of one's own, which knows no more of Diesel than a subscribed column needs.
#[derive(Queryable, Selectable, Subscribe)]
#[diesel(table_name = labels)]
#[subscribe(attributes(note))]
struct Label {
    id: Name,
    note: Name,
}

/// Text that is written, but read through another type only.
#[derive(Debug, AsExpression, Attribute, IdPart)]
#[diesel(sql_type = Text)]
struct Name(String);

impl<DB: PromiscuousBackend> ToSql<Text, DB> for Name
where
    String: ToSql<Text, DB>,
{
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, DB>) -> serialize::Result {
        self.0.to_sql(out)
    }
}

impl<DB: PromiscuousBackend> diesel::Queryable<Text, DB> for Name
where
    String: FromSql<Text, DB>,
{
    type Row = String;

    fn build(text: String) -> deserialize::Result<Self> {
        Ok(Self(text))
    }
}

/// With a composite key, in another order than the fields, and with something that is selected under the name of a column.
#[derive(Queryable, Selectable, Subscribe)]
#[diesel(table_name = places, primary_key(owner, number))]
#[subscribe(attributes(note))]
#[allow(dead_code)]
struct Place {
    note: String,
    number: i32,
    #[diesel(select_expression = sql::<Text>("'z' AS owner"), select_expression_type = SqlLiteral<Text>)]
    upside_down: String,
    owner: String,
}

/// With a foreign key that keeps any id.
#[derive(Queryable, Selectable, Subscribe)]
#[diesel(table_name = copies)]
#[subscribe(from = "crowdtap/place", as = "Copied", attributes(title), foreign_key = "origin")]
#[allow(dead_code)]
struct Copy {
    id: i32,
    origin: Option<String>,
    title: String,
}

/// With a foreign key of numbers, whose column has another name. It is published again.
#[derive(Queryable, Selectable, Publish, Subscribe)]
#[diesel(table_name = links)]
#[publish(attributes(title))]
#[subscribe(from = "crowdtap/item", as = "Linked", attributes(title), foreign_key = "item_id")]
#[allow(dead_code)]
struct Link {
    id: i32,
    item_id: Option<i64>,
    title: String,
}

/// The models' positions.
const ITEM: usize = 0;
const LABEL: usize = 1;
const PLACE: usize = 2;
const COPY: usize = 3;
const LINK: usize = 4;

/// A backend that tests run on.
trait Tested: PromiscuousBackend {
    fn subscribed() -> SubscribedModels<Self>;
}

macro_rules! tested {
    ($($backend:ty),*) => {$(
        impl Tested for $backend {
            fn subscribed() -> SubscribedModels<Self> {
                let models = Models::new().subscribe::<Item>().subscribe::<Label>().subscribe::<Place>();
                models.subscribe::<Copy>().subscribe::<Link>().subscribed().unwrap()
            }
        }
    )*};
}
tested!(Pg, Mysql, Sqlite);

/// Creates the tables.
fn prepare<DB: Tested>(test: &TestDatabase) -> DieselSubscribedRows<DB> {
    let rows = rows_of(test, DB::subscribed(), ApplyOptions::default());
    let (text, moment, own) = match DB::DIALECT {
        Dialect::Mysql => (
            "VARCHAR(50) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin",
            "DATETIME(6)",
            "INTEGER AUTO_INCREMENT PRIMARY KEY",
        ),
        Dialect::Postgres => ("VARCHAR(50)", "TIMESTAMP", "SERIAL PRIMARY KEY"),
        Dialect::Sqlite => ("VARCHAR(50)", "TIMESTAMP", "INTEGER PRIMARY KEY AUTOINCREMENT"),
    };
    test.create::<DB>(&format!(
        "CREATE TABLE items (id BIGINT NOT NULL PRIMARY KEY, name VARCHAR(50) NOT NULL DEFAULT '', price DECIMAL(20, 4) NOT NULL DEFAULT 0,
             at {moment} NOT NULL DEFAULT '2025-01-01 00:00:00', weight DOUBLE PRECISION NOT NULL DEFAULT 0, note VARCHAR(50) NOT NULL DEFAULT '',
             seen BIGINT);
         CREATE TABLE labels (id {text} NOT NULL PRIMARY KEY, note VARCHAR(50) NOT NULL DEFAULT '');
         CREATE TABLE places (owner {text} NOT NULL, number INTEGER NOT NULL, note VARCHAR(50) NOT NULL DEFAULT '', PRIMARY KEY (owner, number));
         CREATE TABLE copies (id {own}, origin {text} UNIQUE, title VARCHAR(50) NOT NULL DEFAULT '');
         CREATE TABLE links (id {own}, item BIGINT UNIQUE, title VARCHAR(50) NOT NULL DEFAULT '')"
    ));
    rows
}

fn rows_of<DB: PromiscuousBackend>(
    test: &TestDatabase,
    models: SubscribedModels<DB>,
    options: ApplyOptions,
) -> DieselSubscribedRows<DB> {
    let pool = open(Manager::<DB>::plain(SecretUrl::new(&test.url)).unwrap(), 2).unwrap();
    DieselSubscribedRows::new(pool, models, options)
}

fn run<DB: PromiscuousBackend>(test: &TestDatabase, statements: &str) {
    test.connect::<DB>().batch_execute(statements).unwrap();
}

fn texts(ids: &[&str]) -> Vec<String> {
    ids.iter().map(|&id| id.to_owned()).collect()
}
