//! Every kind of column both ways: what arrives is written, read back, and published again as it came.

use std::cell::RefCell;
use std::str::FromStr;

use bigdecimal::BigDecimal;
use chrono::{DateTime, Local, NaiveDate, NaiveDateTime, NaiveTime, Timelike as _, Utc};
use diesel::connection::LoadConnection;
use diesel::expression::QueryMetadata;
use diesel::mysql::Mysql;
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::query_builder::{QueryFragment, SqlQuery};
use diesel::sql_types::Untyped;
use diesel::sqlite::Sqlite;
use promiscuous_core::database::Dialect;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use serde_json::{Map, Value as Json, json};
use uuid::Uuid;

use super::database::{Fresh, Tested, insert, published, update};
use crate::attribute::Attribute as _;
use crate::model::PublishOn;
use crate::subscription::SubscribeOn;
use crate::{Publish, Subscribe};

/// The columns that every backend has, and some that only one has.
macro_rules! kinds {
    ($module:ident, $backend:ident, { $($column:ident: $sql:ty => $rust:ty),* $(,)? }) => {
        mod $module {
            use super::*;

            diesel::table! {
                use diesel::sql_types::*;
                #[allow(unused_imports)]
                use diesel::mysql::sql_types::{Datetime, Unsigned};

                kinds (id) {
                    id -> BigInt,
                    flag -> Bool,
                    small -> SmallInt,
                    int -> Integer,
                    big -> BigInt,
                    single -> Float,
                    double -> Double,
                    text -> Text,
                    bytes -> Binary,
                    decimal -> Numeric,
                    date -> Date,
                    time -> Time,
                    naive -> Timestamp,
                    json -> Json,
                    maybe_flag -> Nullable<Bool>,
                    maybe_big -> Nullable<BigInt>,
                    maybe_double -> Nullable<Double>,
                    maybe_text -> Nullable<Text>,
                    maybe_bytes -> Nullable<Binary>,
                    maybe_decimal -> Nullable<Numeric>,
                    maybe_naive -> Nullable<Timestamp>,
                    maybe_json -> Nullable<Json>,
                    time_date -> Date,
                    time_time -> Time,
                    time_naive -> Timestamp,
                    $($column -> $sql,)*
                }
            }

            #[derive(Queryable, Selectable, Publish, Subscribe)]
            #[diesel(table_name = kinds, check_for_backend(diesel::$module::$backend))]
            pub(super) struct Kinds {
                pub(super) id: i64,
                #[publish] #[subscribe] pub(super) flag: bool,
                #[publish] #[subscribe] pub(super) small: i16,
                #[publish] #[subscribe] pub(super) int: i32,
                #[publish] #[subscribe] pub(super) big: i64,
                #[publish] #[subscribe] pub(super) single: f32,
                #[publish] #[subscribe] pub(super) double: f64,
                #[publish] #[subscribe] pub(super) text: String,
                #[publish] #[subscribe] pub(super) bytes: Vec<u8>,
                #[publish] #[subscribe] pub(super) decimal: BigDecimal,
                #[publish] #[subscribe] pub(super) date: NaiveDate,
                #[publish] #[subscribe] pub(super) time: NaiveTime,
                #[publish] #[subscribe] pub(super) naive: NaiveDateTime,
                #[publish] #[subscribe] pub(super) json: Json,
                #[publish] #[subscribe] pub(super) maybe_flag: Option<bool>,
                #[publish] #[subscribe] pub(super) maybe_big: Option<i64>,
                #[publish] #[subscribe] pub(super) maybe_double: Option<f64>,
                #[publish] #[subscribe] pub(super) maybe_text: Option<String>,
                #[publish] #[subscribe] pub(super) maybe_bytes: Option<Vec<u8>>,
                #[publish] #[subscribe] pub(super) maybe_decimal: Option<BigDecimal>,
                #[publish] #[subscribe] pub(super) maybe_naive: Option<NaiveDateTime>,
                #[publish] #[subscribe] pub(super) maybe_json: Option<Json>,
                #[publish] #[subscribe] pub(super) time_date: ::time::Date,
                #[publish] #[subscribe] pub(super) time_time: ::time::Time,
                #[publish] #[subscribe] pub(super) time_naive: ::time::PrimitiveDateTime,
                $(#[publish] #[subscribe] pub(super) $column: $rust,)*
            }
        }
    };
}

kinds!(pg, Pg, {
    uuid: Uuid => Uuid,
    moment: Timestamptz => DateTime<Utc>,
    local: Timestamptz => DateTime<Local>,
    time_moment: Timestamptz => ::time::OffsetDateTime,
    document: Jsonb => Json,
    words: Array<Text> => Vec<String>,
    numbers: Nullable<Array<Nullable<Integer>>> => Option<Vec<Option<i32>>>,
});
kinds!(mysql, Mysql, {
    tiny: TinyInt => i8,
    u_tiny: Unsigned<TinyInt> => u8,
    u_small: Unsigned<SmallInt> => u16,
    u_int: Unsigned<Integer> => u32,
    u_big: Unsigned<BigInt> => u64,
    date_time: Datetime => NaiveDateTime,
});
kinds!(sqlite, Sqlite, {
    moment: TimestamptzSqlite => DateTime<Utc>,
    local: TimestamptzSqlite => DateTime<Local>,
    time_moment: TimestamptzSqlite => ::time::OffsetDateTime,
});

/// The tables' columns, in the models' order.
fn table(dialect: Dialect) -> String {
    let (bytes, decimal, time, moment) = match dialect {
        Dialect::Postgres => ("BYTEA", "NUMERIC", "TIME", "TIMESTAMP"),
        Dialect::Mysql => ("LONGBLOB", "DECIMAL(65, 30)", "TIME(6)", "DATETIME(6)"),
        Dialect::Sqlite => ("BLOB", "NUMERIC", "TIME", "TIMESTAMP"),
    };
    let (double, text) = match dialect {
        Dialect::Mysql => ("DOUBLE", "LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin"),
        _ => ("DOUBLE PRECISION", "TEXT"),
    };
    let single = if dialect == Dialect::Mysql { "FLOAT" } else { "REAL" };
    let own = match dialect {
        Dialect::Postgres => {
            "uuid UUID NOT NULL, moment TIMESTAMPTZ NOT NULL, local TIMESTAMPTZ NOT NULL, time_moment TIMESTAMPTZ NOT NULL,
             document JSONB NOT NULL, words TEXT[] NOT NULL, numbers INTEGER[]"
        }
        Dialect::Mysql => {
            "tiny TINYINT NOT NULL, u_tiny TINYINT UNSIGNED NOT NULL, u_small SMALLINT UNSIGNED NOT NULL,
             u_int INTEGER UNSIGNED NOT NULL, u_big BIGINT UNSIGNED NOT NULL, date_time DATETIME(6) NOT NULL"
        }
        Dialect::Sqlite => "moment TEXT NOT NULL, local TEXT NOT NULL, time_moment TEXT NOT NULL",
    };
    let sql = format!(
        r#"CREATE TABLE kinds (
             id BIGINT PRIMARY KEY, flag BOOLEAN NOT NULL, small SMALLINT NOT NULL, "int" INTEGER NOT NULL, big BIGINT NOT NULL,
             single {single} NOT NULL, "double" {double} NOT NULL, text {text} NOT NULL, bytes {bytes} NOT NULL,
             "decimal" {decimal} NOT NULL, date DATE NOT NULL, time {time} NOT NULL, naive {moment} NOT NULL, json JSON NOT NULL,
             maybe_flag BOOLEAN, maybe_big BIGINT, maybe_double {double}, maybe_text {text}, maybe_bytes {bytes},
             maybe_decimal {decimal}, maybe_naive {moment} NULL, maybe_json JSON,
             time_date DATE NOT NULL, time_time {time} NOT NULL, time_naive {moment} NOT NULL, {own}
         )"#
    );
    quoted(dialect, &sql)
}

/// With this database's quotes around names.
fn quoted(dialect: Dialect, sql: &str) -> String {
    if dialect == Dialect::Mysql { sql.replace('"', "`") } else { sql.to_owned() }
}

/// Microseconds of the years 1000 to 9999: what every database keeps.
fn moment() -> impl Strategy<Value = DateTime<Utc>> {
    (-30_610_224_000_000_000..253_402_300_800_000_000_i64)
        .prop_map(|micros| DateTime::from_timestamp_micros(micros).unwrap())
}

/// What Diesel's `Timestamp` holds: on MariaDB, what a TIMESTAMP does.
fn timestamp(dialect: Dialect) -> BoxedStrategy<DateTime<Utc>> {
    match dialect {
        Dialect::Mysql => (1_000_000..2_147_483_647_000_000_i64)
            .prop_map(|micros| DateTime::from_timestamp_micros(micros).unwrap())
            .boxed(),
        _ => moment().boxed(),
    }
}

/// PostgreSQL takes no U+0000.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>().prop_map(|text| text.replace('\0', "")),
        Just(String::new()),
        Just("'; DROP TABLE kinds; -- \\ \" ` 👩‍👩‍👧‍👦 \u{FEFF}  ".to_owned()),
    ]
}

/// MariaDB keeps 35 digits before the point here, SQLite 15 altogether.
fn decimal(dialect: Dialect) -> BoxedStrategy<String> {
    if dialect == Dialect::Sqlite {
        let of = |(digits, scale): (i64, i64)| BigDecimal::new(digits.into(), scale).to_plain_string();
        return (-999_999_999_999_999_i64..1_000_000_000_000_000, 0..16_i64).prop_map(of).boxed();
    }
    let of = |(digits, scale): (i128, i64)| BigDecimal::new(digits.into(), scale).to_plain_string();
    prop_oneof![
        (-10_i128.pow(34)..10_i128.pow(34), 0..31_i64).prop_map(of),
        (-100_000_i128..100_000, 0..31_i64).prop_map(of),
        Just("0.00".to_owned()),
        Just("-0.000000000000000000000000000001".to_owned()),
        Just("99999999999999999999999999999999999".to_owned()),
    ]
    .boxed()
}

/// MariaDB and SQLite have no NaN, MariaDB no infinities; SQLite loses the sign of -0.0.
fn double(dialect: Dialect) -> BoxedStrategy<f64> {
    let finite = any::<f64>().prop_filter("a number", |float| float.is_finite() && *float != 0.0);
    let special = match dialect {
        Dialect::Postgres => vec![f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0, 0.0],
        Dialect::Mysql => vec![0.0, f64::MAX, f64::MIN_POSITIVE],
        Dialect::Sqlite => vec![0.0, f64::INFINITY, f64::NEG_INFINITY, 5e-324],
    };
    prop_oneof![finite, proptest::sample::select(special)].boxed()
}

/// JSON without a `null` at its root, which a nullable column takes for NULL, and without floats, which JSONB writes anew.
fn document() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        text().prop_map(Json::from)
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        let with_null = prop_oneof![inner, Just(Json::Null)];
        prop_oneof![
            prop::collection::vec(with_null.clone(), 0..4).prop_map(Json::from),
            prop::collection::hash_map(text(), with_null, 0..4)
                .prop_map(|map| Json::Object(map.into_iter().collect())),
        ]
    })
}

/// A row's attributes, as a message brings them.
fn row(dialect: Dialect) -> BoxedStrategy<Map<String, Json>> {
    let numbers = (any::<bool>(), any::<i16>(), any::<i32>(), any::<i64>(), any::<u64>());
    let floats = (any::<f32>(), double(dialect), proptest::option::of(double(dialect)));
    let texts =
        (text(), any::<Vec<u8>>(), proptest::option::of(text()), proptest::option::of(any::<Vec<u8>>()));
    let decimals = (decimal(dialect), proptest::option::of(decimal(dialect)));
    let times = (timestamp(dialect), timestamp(dialect), proptest::option::of(timestamp(dialect)), moment());
    let documents = (document(), proptest::option::of(document()));
    let lists = (
        prop::collection::vec(text(), 0..4),
        proptest::option::of(prop::collection::vec(any::<Option<i32>>(), 0..4)),
    );
    let flags = (any::<Option<bool>>(), any::<Option<i64>>());
    (numbers, floats, texts, decimals, times, documents, lists, flags)
        .prop_map(move |(numbers, floats, texts, decimals, times, documents, lists, flags)| {
            // Diesel drops the microseconds of the time crate's times on MariaDB.
            let second = |time: NaiveTime| match dialect {
                Dialect::Mysql => time.with_nanosecond(0).unwrap(),
                _ => time,
            };
            let single = if floats.0.is_finite() && floats.0 != 0.0 { floats.0 } else { 0.5 };
            let mut row = json!({
                "flag": numbers.0, "small": numbers.1, "int": numbers.2, "big": numbers.3,
                "single": single, "double": floats.1.to_wire().unwrap(), "maybe_double": floats.2.to_wire().unwrap(),
                "text": texts.0, "bytes": texts.1.to_wire().unwrap(), "maybe_text": texts.2, "maybe_bytes": texts.3.to_wire().unwrap(),
                "decimal": decimals.0, "maybe_decimal": decimals.1,
                "date": times.0.date_naive().to_wire().unwrap(), "time": times.0.time().to_wire().unwrap(),
                "naive": times.0.naive_utc().to_wire().unwrap(), "maybe_naive": times.2.map(|at| at.naive_utc()).to_wire().unwrap(),
                "time_date": times.1.date_naive().to_wire().unwrap(), "time_time": second(times.1.time()).to_wire().unwrap(),
                "time_naive": times.1.naive_utc().to_wire().unwrap(),
                "json": documents.0, "maybe_json": documents.1, "maybe_flag": flags.0, "maybe_big": flags.1,
            });
            let own = match dialect {
                Dialect::Postgres => json!({
                    "uuid": Uuid::from_u128(u128::from(numbers.4)).to_wire().unwrap(),
                    "moment": times.0.to_wire().unwrap(), "local": times.1.to_wire().unwrap(), "time_moment": times.1.to_wire().unwrap(),
                    "document": documents.0, "words": lists.0, "numbers": lists.1,
                }),
                Dialect::Mysql => json!({
                    "tiny": numbers.4 as i8, "u_tiny": numbers.4 as u8, "u_small": numbers.4 as u16, "u_int": numbers.4 as u32,
                    "u_big": numbers.4, "date_time": times.3.naive_utc().to_wire().unwrap(),
                }),
                Dialect::Sqlite => json!({
                    "moment": times.0.to_wire().unwrap(), "local": times.1.to_wire().unwrap(), "time_moment": times.1.to_wire().unwrap(),
                }),
            };
            let (Json::Object(row), Json::Object(own)) = (row.take(), own) else { unreachable!() };
            row.into_iter().chain(own).collect()
        })
        .boxed()
}

/// Decimals without the zeros at their end, and moments of this machine's zone in UTC: neither is a change.
fn settled(attributes: &Map<String, Json>) -> Map<String, Json> {
    let settle = |(name, value): (&String, &Json)| {
        let text = value.as_str().unwrap_or_default();
        let value = match name.as_str() {
            "decimal" | "maybe_decimal" if value.is_string() => {
                BigDecimal::from_str(text).unwrap().normalized().to_plain_string().into()
            }
            "local" => DateTime::parse_from_rfc3339(text).unwrap().to_utc().to_wire().unwrap(),
            _ => value.clone(),
        };
        (name.clone(), value)
    };
    attributes.iter().map(settle).collect()
}

/// Each case is one row, inserted and then updated.
fn every_kind_survives<DB, M>()
where
    DB: Tested<Connection: LoadConnection> + QueryMetadata<Untyped>,
    M: PublishOn<DB> + SubscribeOn<DB>,
    SqlQuery: QueryFragment<DB>,
{
    let Some(db) = Fresh::<DB>::with(&table(DB::DIALECT)) else { return };
    let db = RefCell::new((db, 0_i64));
    let strategy = (row(DB::DIALECT), row(DB::DIALECT));
    let config = ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() };
    let outcome = TestRunner::new(config).run(&strategy, |(first, second)| {
        let (db, id) = &mut *db.borrow_mut();
        *id += 1;
        let key = id.to_string();
        let read = |db: &mut Fresh<DB>| {
            let columns = M::columns().join("\", \"");
            let sql = format!(r#"SELECT id, "{columns}" FROM kinds WHERE id = {key}"#);
            let sql = quoted(DB::DIALECT, &sql);
            published::<DB, M, _>(diesel::sql_query(sql), db).pop().unwrap().unwrap()
        };
        // When a row arrives, then it is published as it came.
        let row: M = insert::<DB, M>(&[&key], &Json::Object(first.clone()), db);
        let (published_id, attributes) = read(db);
        prop_assert_eq!(published_id, Some(key.clone()));
        prop_assert_eq!(settled(&attributes), settled(&first));
        // When it arrives again, then nothing is to be written.
        prop_assert!(update::<DB, M>(&row, &Json::Object(first.clone()), db).is_none());
        prop_assert!(update::<DB, M>(&row, &Json::Object(attributes), db).is_none());
        // When it changes, then all of the change is written, and found.
        if let Some(row) = update::<DB, M>(&row, &Json::Object(second.clone()), db) {
            prop_assert!(update::<DB, M>(&row, &Json::Object(second.clone()), db).is_none());
        }
        prop_assert_eq!(settled(&read(db).1), settled(&second));
        let found = M::find(std::slice::from_ref(&key), db).unwrap().unwrap();
        prop_assert!(update::<DB, M>(&found, &Json::Object(second), db).is_none());
        prop_assert_eq!(found.stranger(std::slice::from_ref(&key)), None);
        found.delete(db).unwrap();
        prop_assert!(M::find(&[key], db).unwrap().is_none());
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn every_kind_survives_on_postgres() {
    every_kind_survives::<Pg, pg::Kinds>();
}

#[test]
fn every_kind_survives_on_mariadb() {
    every_kind_survives::<Mysql, mysql::Kinds>();
}

#[test]
fn every_kind_survives_on_sqlite() {
    every_kind_survives::<Sqlite, sqlite::Kinds>();
}
