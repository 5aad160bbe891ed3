//! Decimals: exact, or refused.

use std::str::FromStr;

use bigdecimal::{BigDecimal, ToPrimitive};
use promiscuous_core::database::Dialect;
use serde_json::Value as Json;

use super::id::canonical;
use super::{Attribute, CodecError, IdPart};

/// How many digits a decimal may have. PostgreSQL keeps the most, 131072 before the point and 16383 after it; without a limit, a few
/// letters in scientific notation could ask for gigabytes of zeros.
const MAX_DIGITS: usize = 131_072 + 16_383;

const WHAT: &str = "a decimal number in a string";

fn written(decimal: &BigDecimal) -> Result<String, CodecError> {
    let scale = decimal.fractional_digit_count().unsigned_abs();
    if scale > MAX_DIGITS as u64 {
        return Err(CodecError::expected(format!("a decimal of at most {MAX_DIGITS} digits")));
    }
    Ok(decimal.to_plain_string())
}

/// Digits, perhaps a point among them, perhaps a sign before them.
fn read(text: &str) -> Option<BigDecimal> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let some = digits.bytes().any(|byte| byte.is_ascii_digit());
    (plain && some && digits.len() <= MAX_DIGITS).then(|| BigDecimal::from_str(text).ok())?
}

impl Attribute for BigDecimal {
    fn to_wire(&self) -> Result<Json, CodecError> {
        written(self).map(Json::from)
    }

    /// A JSON number is taken only when it is an integer: the others have lost their decimal digits already.
    fn from_wire(json: &Json) -> Result<Self, CodecError> {
        match json {
            Json::String(text) => read(text),
            Json::Number(number) if number.is_i64() || number.is_u64() => read(&number.to_string()),
            _ => None,
        }
        .ok_or_else(|| CodecError::expected(WHAT))
    }

    fn same(&self, other: &Self) -> bool {
        self == other
    }

    /// SQLite keeps decimals as floats, and Diesel gives back the float's exact value: 1.100000000000000088817… for 1.1.
    fn settled(&self, dialect: Dialect) -> Option<Self> {
        let shortest = |float: f64| read(&float.to_string());
        (dialect == Dialect::Sqlite).then(|| self.to_f64().and_then(shortest))?
    }
}

impl IdPart for BigDecimal {
    fn to_id(&self) -> Result<String, CodecError> {
        written(&self.normalized())
    }

    fn from_id(id: &str) -> Result<Self, CodecError> {
        canonical(read(id), id)
    }
}
