//! Decimals: exact, or refused.

use std::str::FromStr;

use rust_decimal::Decimal;
use serde_json::Value as Json;

use super::CodecError;

/// Reads a decimal. A JSON number is taken only when it is an integer: the others have lost their decimal digits already.
pub(super) fn decimal(json: &Json) -> Result<Decimal, CodecError> {
    match json {
        Json::String(text) => Decimal::from_str_exact(text).ok(),
        Json::Number(number) if number.is_i64() || number.is_u64() => {
            Decimal::from_str(&number.to_string()).ok()
        }
        _ => None,
    }
    .ok_or_else(|| CodecError::expected("a decimal number in a string, of at most 28 digits"))
}
