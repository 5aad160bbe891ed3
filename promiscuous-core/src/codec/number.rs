//! Numbers: exact, or refused.

use serde_json::Value as Json;

use super::CodecError;

/// A float as a JSON number, or by name when JSON has no number for it.
pub fn encode_float(value: f64) -> Json {
    match serde_json::Number::from_f64(value) {
        Some(number) => Json::Number(number),
        None if value.is_nan() => Json::from("NaN"),
        None if value > 0.0 => Json::from("Infinity"),
        None => Json::from("-Infinity"),
    }
}

/// Reads a float.
///
/// # Errors
/// When it is neither a number nor the name of one.
pub fn float(json: &Json) -> Result<f64, CodecError> {
    match json {
        Json::String(text) if text == "NaN" => Some(f64::NAN),
        Json::String(text) if text == "Infinity" => Some(f64::INFINITY),
        Json::String(text) if text == "-Infinity" => Some(f64::NEG_INFINITY),
        Json::Number(number) => number.as_f64(),
        _ => None,
    }
    .ok_or_else(|| CodecError::expected("a number, \"NaN\", \"Infinity\" or \"-Infinity\""))
}

/// The nearest `f32`: a column of that type has chosen its precision, but a finite number never becomes an infinite one.
///
/// # Errors
/// When it would.
#[allow(clippy::cast_possible_truncation)]
pub fn single(value: f64) -> Result<f32, CodecError> {
    let single = value as f32;
    if single.is_infinite() && value.is_finite() {
        return Err(CodecError::expected("a number in the range of a 32-bit float"));
    }
    Ok(single)
}

/// Reads an integer of any width, without rounding.
///
/// # Errors
/// When it is none, or out of the type's range.
pub fn integer<T: TryFrom<i128>>(json: &Json) -> Result<T, CodecError> {
    let wide = json.as_i64().map(i128::from).or_else(|| json.as_u64().map(i128::from));
    wide.and_then(|wide| T::try_from(wide).ok()).ok_or_else(|| {
        CodecError::expected(format!("an integer in the range of {}", std::any::type_name::<T>()))
    })
}
