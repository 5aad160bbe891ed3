//! Values between SeaORM and the wire.
//!
//! | value | wire form |
//! |---|---|
//! | integers | JSON numbers, exact to the limits of `i64` and `u64` |
//! | `f32`, `f64` | JSON numbers, or `"NaN"`, `"Infinity"`, `"-Infinity"` |
//! | decimals | strings, with their scale: `"1.10"` |
//! | booleans, text, characters | as they are |
//! | enums | their database value |
//! | dates and times | ISO 8601 to the microsecond; RFC 3339 where there is a zone |
//! | UUIDs | hyphenated text |
//! | bytes | base64 with padding |
//! | JSON | as it is |
//! | PostgreSQL arrays | arrays, element by element |
//! | NULL | `null` |
//!
//! A JSON `null` and SQL's NULL look alike on the wire. The receiving column decides: one that may be NULL takes NULL, a JSON
//! column that may not keeps the JSON value `null`. So only a *nullable* JSON column cannot tell the two apart.
//!
//! Nothing here panics, whatever the input, and no error tells the value.

mod decimal;
mod id;
#[cfg(test)]
mod tests;

use promiscuous_core::codec::{
    boolean, bytes, character, encode_bytes, encode_float, encode_json, float, integer, moment, single, text,
    timely, uuid,
};
use sea_orm::sea_query::{ArrayType, Enum, OptionEnum};
use sea_orm::{ActiveModelTrait, EntityTrait, ModelTrait, Value};
use serde_json::Value as Json;

use self::decimal::decimal;

pub use self::id::{id_text, id_value};
pub use promiscuous_core::codec::CodecError;

/// What a column holds, as exactly as its Rust type knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnKind {
    /// The value's type; of an array, the type of its elements.
    pub value: ArrayType,
    /// Whether the column is a PostgreSQL array: the value's type alone does not tell.
    pub array: bool,
    /// Whether the column may be NULL.
    pub nullable: bool,
}

impl ColumnKind {
    /// The kind of an entity's column.
    ///
    /// The field's Rust type decides, not the column's definition: hand-written entities often leave `.null()` out, and what
    /// counts is what the field accepts.
    pub fn of<E: EntityTrait>(column: E::Column) -> Self {
        let value = E::Model::get_value_type(column);
        let mut probe = <E::ActiveModel as ActiveModelTrait>::default();
        let mut accepts = |value: Value| probe.try_set(column, value).is_ok();
        let array = accepts(Value::Array(value.clone(), Some(Box::default())))
            || accepts(Value::Array(value.clone(), None));
        let nullable = null(&value, array).is_ok_and(accepts);
        Self { value, array, nullable }
    }

    /// Whether values of this kind can be sent at all.
    pub fn is_supported(&self) -> bool {
        null(&self.value, self.array).is_ok()
    }
}

/// The wire form of a value.
///
/// # Errors
/// When the value is of a kind that is not sent (ranges, vectors, network addresses), or lies outside what the wire form
/// can say (a year beyond what is calculable, JSON nested too deep).
pub fn encode(value: &Value) -> Result<Json, CodecError> {
    Ok(match value {
        Value::Bool(v) => to_json(*v),
        Value::TinyInt(v) => to_json(*v),
        Value::SmallInt(v) => to_json(*v),
        Value::Int(v) => to_json(*v),
        Value::BigInt(v) => to_json(*v),
        Value::TinyUnsigned(v) => to_json(*v),
        Value::SmallUnsigned(v) => to_json(*v),
        Value::Unsigned(v) => to_json(*v),
        Value::BigUnsigned(v) => to_json(*v),
        Value::Float(v) => v.map_or(Json::Null, |v| encode_float(f64::from(v))),
        Value::Double(v) => v.map_or(Json::Null, encode_float),
        Value::String(v) => to_json(v.as_deref()),
        Value::Enum(OptionEnum::Some(v)) => Json::from(&*v.value),
        Value::Enum(OptionEnum::None(_)) => Json::Null,
        Value::Char(v) => to_json(v.map(String::from)),
        Value::Bytes(v) => v.as_deref().map_or(Json::Null, encode_bytes),
        Value::Json(Some(v)) => encode_json(v)?,
        Value::Json(None) => Json::Null,
        Value::ChronoDate(v) => to_json(v.map(moment::date_text)),
        Value::ChronoTime(v) => to_json(v.map(moment::time_text)),
        Value::ChronoDateTime(v) => to_json(v.map(moment::naive_text)),
        Value::ChronoDateTimeUtc(v) => to_json(v.map(|v| moment::zoned_text(v.fixed_offset()))),
        Value::ChronoDateTimeLocal(v) => to_json(v.map(|v| moment::zoned_text(v.fixed_offset()))),
        Value::ChronoDateTimeWithTimeZone(v) => to_json(v.map(moment::zoned_text)),
        Value::TimeDate(v) => to_json(v.map(timely::from_date).transpose()?.map(moment::date_text)),
        Value::TimeTime(v) => to_json(v.map(timely::from_time).transpose()?.map(moment::time_text)),
        Value::TimeDateTime(v) => to_json(v.map(timely::from_naive).transpose()?.map(moment::naive_text)),
        Value::TimeDateTimeWithTimeZone(v) => {
            to_json(v.map(timely::from_zoned).transpose()?.map(moment::zoned_text))
        }
        Value::Uuid(v) => to_json(v.map(|v| v.to_string())),
        Value::Decimal(v) => to_json(v.map(|v| v.to_string())),
        Value::Array(_, None) => Json::Null,
        Value::Array(_, Some(elements)) => {
            Json::Array(elements.iter().map(encode).collect::<Result<_, _>>()?)
        }
        // Variants that exist only when another crate enables them.
        #[allow(unreachable_patterns)]
        _ => return Err(CodecError::expected("a kind of value that can be sent")),
    })
}

/// The value for a column, from its wire form.
///
/// # Errors
/// When the JSON is not the wire form of such a column's values, and for `null` where the column may not be NULL.
pub fn decode(json: &Json, kind: &ColumnKind) -> Result<Value, CodecError> {
    match json {
        Json::Null if kind.nullable => null(&kind.value, kind.array),
        _ if kind.array => {
            let elements = json.as_array().ok_or_else(|| CodecError::expected("an array"))?;
            let elements = elements.iter().map(|element| match element {
                Json::Null if kind.value != ArrayType::Json => null(&kind.value, false),
                element => decode_one(element, &kind.value),
            });
            let elements = elements.collect::<Result<Vec<_>, _>>()?;
            Ok(Value::Array(kind.value.clone(), Some(Box::new(elements))))
        }
        _ => decode_one(json, &kind.value),
    }
}

/// The NULL of a type: SeaORM wants it typed.
fn null(value: &ArrayType, array: bool) -> Result<Value, CodecError> {
    let null = match value {
        ArrayType::Bool => Value::Bool(None),
        ArrayType::TinyInt => Value::TinyInt(None),
        ArrayType::SmallInt => Value::SmallInt(None),
        ArrayType::Int => Value::Int(None),
        ArrayType::BigInt => Value::BigInt(None),
        ArrayType::TinyUnsigned => Value::TinyUnsigned(None),
        ArrayType::SmallUnsigned => Value::SmallUnsigned(None),
        ArrayType::Unsigned => Value::Unsigned(None),
        ArrayType::BigUnsigned => Value::BigUnsigned(None),
        ArrayType::Float => Value::Float(None),
        ArrayType::Double => Value::Double(None),
        ArrayType::String => Value::String(None),
        ArrayType::Enum(name) => Value::Enum(OptionEnum::None((**name).clone())),
        ArrayType::Char => Value::Char(None),
        ArrayType::Bytes => Value::Bytes(None),
        ArrayType::Json => Value::Json(None),
        ArrayType::ChronoDate => Value::ChronoDate(None),
        ArrayType::ChronoTime => Value::ChronoTime(None),
        ArrayType::ChronoDateTime => Value::ChronoDateTime(None),
        ArrayType::ChronoDateTimeUtc => Value::ChronoDateTimeUtc(None),
        ArrayType::ChronoDateTimeLocal => Value::ChronoDateTimeLocal(None),
        ArrayType::ChronoDateTimeWithTimeZone => Value::ChronoDateTimeWithTimeZone(None),
        ArrayType::TimeDate => Value::TimeDate(None),
        ArrayType::TimeTime => Value::TimeTime(None),
        ArrayType::TimeDateTime => Value::TimeDateTime(None),
        ArrayType::TimeDateTimeWithTimeZone => Value::TimeDateTimeWithTimeZone(None),
        ArrayType::Uuid => Value::Uuid(None),
        ArrayType::Decimal => Value::Decimal(None),
        // Types that exist only when another crate enables them.
        #[allow(unreachable_patterns)]
        _ => return Err(CodecError::expected("a kind of column that can be sent")),
    };
    Ok(if array { Value::Array(value.clone(), None) } else { null })
}

fn decode_one(json: &Json, value: &ArrayType) -> Result<Value, CodecError> {
    Ok(match value {
        ArrayType::Bool => boolean(json)?.into(),
        ArrayType::TinyInt => integer::<i8>(json)?.into(),
        ArrayType::SmallInt => integer::<i16>(json)?.into(),
        ArrayType::Int => integer::<i32>(json)?.into(),
        ArrayType::BigInt => integer::<i64>(json)?.into(),
        ArrayType::TinyUnsigned => integer::<u8>(json)?.into(),
        ArrayType::SmallUnsigned => integer::<u16>(json)?.into(),
        ArrayType::Unsigned => integer::<u32>(json)?.into(),
        ArrayType::BigUnsigned => integer::<u64>(json)?.into(),
        ArrayType::Float => single(float(json)?)?.into(),
        ArrayType::Double => float(json)?.into(),
        ArrayType::String => text(json, "a string")?.into(),
        ArrayType::Enum(name) => {
            let value = text(json, "an enum's database value")?.to_owned().into();
            Value::Enum(OptionEnum::Some(Box::new(Enum { type_name: (**name).clone(), value })))
        }
        ArrayType::Char => character(json)?.into(),
        ArrayType::Bytes => bytes(json)?.into(),
        ArrayType::Json => Value::Json(Some(Box::new(json.clone()))),
        ArrayType::Uuid => uuid(json)?.into(),
        ArrayType::Decimal => decimal(json)?.into(),
        ArrayType::ChronoDate => moment::date(text(json, moment::DATE)?)?.into(),
        ArrayType::ChronoTime => moment::time(text(json, moment::TIME)?)?.into(),
        ArrayType::ChronoDateTime => moment::naive(text(json, moment::NAIVE)?)?.into(),
        ArrayType::ChronoDateTimeUtc => moment::zoned(text(json, moment::ZONED)?)?.to_utc().into(),
        ArrayType::ChronoDateTimeLocal => {
            moment::zoned(text(json, moment::ZONED)?)?.with_timezone(&chrono::Local).into()
        }
        ArrayType::ChronoDateTimeWithTimeZone => moment::zoned(text(json, moment::ZONED)?)?.into(),
        ArrayType::TimeDate => timely::to_date(moment::date(text(json, moment::DATE)?)?)?.into(),
        ArrayType::TimeTime => timely::to_time(moment::time(text(json, moment::TIME)?)?)?.into(),
        ArrayType::TimeDateTime => timely::to_naive(moment::naive(text(json, moment::NAIVE)?)?)?.into(),
        ArrayType::TimeDateTimeWithTimeZone => {
            timely::to_zoned(moment::zoned(text(json, moment::ZONED)?)?)?.into()
        }
        // Types that exist only when another crate enables them.
        #[allow(unreachable_patterns)]
        _ => return Err(CodecError::expected("a kind of column that can be sent")),
    })
}

fn to_json<T: Into<Json>>(value: Option<T>) -> Json {
    value.map_or(Json::Null, Into::into)
}
