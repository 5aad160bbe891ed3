//! How values are kept that Diesel has no type for: on MariaDB and SQLite UUIDs, on MariaDB moments with a zone; and two enums.

use std::io::Write;

use bigdecimal::BigDecimal;
use chrono::{DateTime, FixedOffset, NaiveDate, NaiveDateTime, NaiveTime, Utc};
use diesel::backend::Backend;
use diesel::deserialize::{self, FromSql, FromSqlRow};
use diesel::expression::AsExpression;
use diesel::mysql::Mysql;
use diesel::serialize::{self, IsNull, Output, ToSql};
use diesel::sql_types::{Binary, Integer, Text, Timestamp};
use diesel::sqlite::Sqlite;
use promiscuous_diesel::{Attribute, IdPart};
use sea_orm::prelude::Decimal;
use uuid::Uuid;

use crate::entities::everything;

/// A UUID in sixteen bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, AsExpression, FromSqlRow, Attribute, IdPart)]
#[diesel(sql_type = Binary)]
pub struct Guid(pub Uuid);

impl ToSql<Binary, Mysql> for Guid {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Mysql>) -> serialize::Result {
        out.write_all(self.0.as_bytes())?;
        Ok(IsNull::No)
    }
}

impl ToSql<Binary, Sqlite> for Guid {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Sqlite>) -> serialize::Result {
        out.set_value(self.0.as_bytes().as_slice());
        Ok(IsNull::No)
    }
}

impl<DB: Backend> FromSql<Binary, DB> for Guid
where
    Vec<u8>: FromSql<Binary, DB>,
{
    fn from_sql(value: DB::RawValue<'_>) -> deserialize::Result<Self> {
        Ok(Self(Uuid::from_slice(&Vec::from_sql(value)?)?))
    }
}

/// A moment that MariaDB keeps in UTC: Diesel's connections are in that zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, AsExpression, FromSqlRow, Attribute, IdPart)]
#[diesel(sql_type = Timestamp, sql_type = diesel::mysql::sql_types::Datetime)]
pub struct Moment(pub DateTime<Utc>);

macro_rules! moment {
    ($kept:ty) => {
        impl ToSql<$kept, Mysql> for Moment {
            fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Mysql>) -> serialize::Result {
                <NaiveDateTime as ToSql<$kept, Mysql>>::to_sql(&self.0.naive_utc(), &mut out.reborrow())
            }
        }

        impl FromSql<$kept, Mysql> for Moment {
            fn from_sql(value: diesel::mysql::MysqlValue<'_>) -> deserialize::Result<Self> {
                <NaiveDateTime as FromSql<$kept, Mysql>>::from_sql(value).map(|moment| Self(moment.and_utc()))
            }
        }
    };
}

moment!(Timestamp);
moment!(diesel::mysql::sql_types::Datetime);

/// A text in the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, AsExpression, FromSqlRow, Attribute)]
#[diesel(sql_type = Text)]
#[allow(missing_docs)]
pub enum Color {
    #[attribute("r")]
    Red,
    #[attribute("bleu foncé")]
    Blue,
}

impl<DB: Backend> ToSql<Text, DB> for Color
where
    str: ToSql<Text, DB>,
{
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, DB>) -> serialize::Result {
        match self {
            Self::Red => "r",
            Self::Blue => "bleu foncé",
        }
        .to_sql(out)
    }
}

impl<DB: Backend> FromSql<Text, DB> for Color
where
    String: FromSql<Text, DB>,
{
    fn from_sql(value: DB::RawValue<'_>) -> deserialize::Result<Self> {
        match String::from_sql(value)?.as_str() {
            "r" => Ok(Self::Red),
            "bleu foncé" => Ok(Self::Blue),
            _ => Err("no color".into()),
        }
    }
}

/// A number in the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, AsExpression, FromSqlRow, Attribute)]
#[diesel(sql_type = Integer)]
#[allow(missing_docs)]
pub enum Level {
    #[attribute(-2147483648)]
    Low,
    #[attribute(2147483647)]
    High,
}

impl<DB: Backend> ToSql<Integer, DB> for Level
where
    i32: ToSql<Integer, DB>,
{
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, DB>) -> serialize::Result {
        match self {
            Self::Low => &i32::MIN,
            Self::High => &i32::MAX,
        }
        .to_sql(out)
    }
}

impl<DB: Backend> FromSql<Integer, DB> for Level
where
    i32: FromSql<Integer, DB>,
{
    fn from_sql(value: DB::RawValue<'_>) -> deserialize::Result<Self> {
        match i32::from_sql(value)? {
            i32::MIN => Ok(Self::Low),
            i32::MAX => Ok(Self::High),
            _ => Err("no level".into()),
        }
    }
}

/// How a database's model keeps a value that a test gives it.
pub trait Kept<T> {
    /// The same value.
    fn kept(value: T) -> Self;
}

impl<T, K: Kept<T>> Kept<Option<T>> for Option<K> {
    fn kept(value: Option<T>) -> Self {
        value.map(K::kept)
    }
}

macro_rules! as_they_are {
    ($($type:ty),*) => {$(
        impl Kept<$type> for $type {
            fn kept(value: $type) -> Self {
                value
            }
        }
    )*};
}

as_they_are!(bool, i16, i32, i64, f32, f64, String, Vec<u8>, Uuid, serde_json::Value);
as_they_are!(NaiveDate, NaiveTime, NaiveDateTime, DateTime<Utc>);
as_they_are!(time::Date, time::Time, time::PrimitiveDateTime, time::OffsetDateTime);

macro_rules! kept {
    ($($from:ty => $to:ty: |$value:ident| $kept:expr;)*) => {$(
        impl Kept<$from> for $to {
            fn kept($value: $from) -> Self {
                $kept
            }
        }
    )*};
}

kept! {
    Decimal => BigDecimal: |v| v.to_string().parse().expect("A decimal is a decimal.");
    Uuid => Guid: |v| Self(v);
    DateTime<Utc> => Moment: |v| Self(v);
    DateTime<FixedOffset> => DateTime<Utc>: |v| v.to_utc();
    DateTime<FixedOffset> => Moment: |v| Self(v.to_utc());
    time::Time => NaiveTime: |v| NaiveTime::from_hms_nano_opt(v.hour().into(), v.minute().into(), v.second().into(), v.nanosecond())
        .expect("A time is a time.");
    time::PrimitiveDateTime => NaiveDateTime: |v| <Moment as Kept<_>>::kept(v.assume_utc()).0.naive_utc();
    time::OffsetDateTime => Moment: |v| Self(
        DateTime::from_timestamp(v.unix_timestamp(), v.nanosecond()).expect("A moment is a moment."),
    );
    everything::Color => Color: |v| match v {
        everything::Color::Red => Self::Red,
        everything::Color::Blue => Self::Blue,
    };
    everything::Level => Level: |v| match v {
        everything::Level::Low => Self::Low,
        everything::Level::High => Self::High,
    };
}
