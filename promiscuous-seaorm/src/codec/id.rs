//! Primary key values as the text that keys are made of.

use promiscuous_core::codec::{moment, timely};
use sea_orm::Value;
use sea_orm::sea_query::{ArrayType, OptionEnum};
use serde_json::Value as Json;

use super::{CodecError, ColumnKind, decode, encode};

/// The text of one primary key value: the same for equal values, different for different ones.
///
/// None for NULL, and for what cannot identify a row: floats, JSON, arrays.
pub fn id_text(value: &Value) -> Option<String> {
    match value {
        Value::Float(_) | Value::Double(_) | Value::Json(_) | Value::Array(..) => None,
        Value::Enum(OptionEnum::None(_)) => None,
        // 1.1 and 1.10 are equal, and so are 10:00+01:00 and 09:00Z.
        Value::Decimal(v) => v.map(|v| v.normalize().to_string()),
        Value::ChronoDateTimeLocal(v) => v.map(|v| moment::zoned_text(moment::in_utc(v.fixed_offset()))),
        Value::ChronoDateTimeWithTimeZone(v) => v.map(|v| moment::zoned_text(moment::in_utc(v))),
        Value::TimeDateTimeWithTimeZone(v) => {
            Some(moment::zoned_text(moment::in_utc(timely::from_zoned((*v)?).ok()?)))
        }
        other => match encode(other).ok()? {
            Json::String(text) => Some(text),
            Json::Number(number) => Some(number.to_string()),
            Json::Bool(truth) => Some(truth.to_string()),
            _ => None,
        },
    }
}

/// The value of a primary or foreign key column, from its text: the inverse of [`id_text`].
///
/// # Errors
/// When the text does not fit. Numbers must be written as [`id_text`] writes them: were `007` and `7` both taken, two
/// objects would share a row.
pub fn id_value(text: &str, column: &ArrayType) -> Result<Value, CodecError> {
    let wrong = || CodecError::expected(format!("the id of a {} column", describe(column)));
    let kind = ColumnKind { value: column.clone(), array: false, nullable: false };
    let json = match column {
        ArrayType::TinyInt | ArrayType::SmallInt | ArrayType::Int | ArrayType::BigInt => {
            Json::from(text.parse::<i64>().map_err(|_| wrong())?)
        }
        ArrayType::TinyUnsigned | ArrayType::SmallUnsigned | ArrayType::Unsigned | ArrayType::BigUnsigned => {
            Json::from(text.parse::<u64>().map_err(|_| wrong())?)
        }
        ArrayType::Bool => Json::from(text.parse::<bool>().map_err(|_| wrong())?),
        ArrayType::Float | ArrayType::Double | ArrayType::Json => return Err(wrong()),
        _ => Json::from(text),
    };
    let value = decode(&json, &kind)?;
    let number = matches!(json, Json::Number(_)) || *column == ArrayType::Decimal;
    if number && id_text(&value).as_deref() != Some(text) {
        return Err(wrong());
    }
    Ok(value)
}

fn describe(column: &ArrayType) -> String {
    format!("{column:?}")
}
