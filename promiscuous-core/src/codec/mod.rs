//! The wire form of values that every adapter sends: what `docs/wire-format.md` says, without an ORM.
//!
//! * `number`: exact, or refused;
//! * `moment` (feature `chrono`): dates and times as text;
//! * `timely` (feature `time`): the time crate's through chrono;
//! * here: text, bytes, JSON.
//!
//! Nothing here panics, whatever the input, and no error tells the value.

#[cfg(feature = "chrono")]
pub mod moment;
mod number;
#[cfg(feature = "time")]
pub mod timely;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Serialize;
use serde_json::Value as Json;
use uuid::Uuid;

pub use self::number::{encode_float, float, integer, single};

/// How deep a JSON value may nest. A message adds a few levels, and no reader follows more than 128.
const MAX_JSON_DEPTH: usize = 100;

/// A value that cannot be written to or read from the wire form. Never tells the value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected}")]
pub struct CodecError {
    /// What would have fit.
    pub expected: String,
}

impl CodecError {
    /// An error that says what would have fit.
    pub fn expected(what: impl Into<String>) -> Self {
        Self { expected: what.into() }
    }
}

/// Reads a text; `what` says what kind of text is expected.
///
/// # Errors
/// When it is none.
pub fn text<'a>(json: &'a Json, what: &str) -> Result<&'a str, CodecError> {
    json.as_str().ok_or_else(|| CodecError::expected(what))
}

/// Reads a truth value.
///
/// # Errors
/// When it is none.
pub fn boolean(json: &Json) -> Result<bool, CodecError> {
    json.as_bool().ok_or_else(|| CodecError::expected("true or false"))
}

/// Reads one character.
///
/// # Errors
/// When it is not exactly one.
pub fn character(json: &Json) -> Result<char, CodecError> {
    let what = "one character";
    let mut characters = text(json, what)?.chars();
    match (characters.next(), characters.next()) {
        (Some(character), None) => Ok(character),
        _ => Err(CodecError::expected(what)),
    }
}

/// Bytes in base64 with padding.
pub fn encode_bytes(bytes: &[u8]) -> Json {
    Json::from(BASE64.encode(bytes))
}

/// Reads bytes.
///
/// # Errors
/// When they are not base64 with padding.
pub fn bytes(json: &Json) -> Result<Vec<u8>, CodecError> {
    let what = "bytes in base64";
    BASE64.decode(text(json, what)?).map_err(|_| CodecError::expected(what))
}

/// Reads a UUID.
///
/// # Errors
/// When it is none.
pub fn uuid(json: &Json) -> Result<Uuid, CodecError> {
    Uuid::parse_str(text(json, "a UUID")?).map_err(|_| CodecError::expected("a UUID"))
}

/// A JSON value as it is.
///
/// # Errors
/// When it nests too deep for a message's readers.
pub fn encode_json(json: &Json) -> Result<Json, CodecError> {
    if within_depth(json, MAX_JSON_DEPTH) {
        return Ok(json.clone());
    }
    Err(CodecError::expected(format!("JSON of at most {MAX_JSON_DEPTH} levels")))
}

fn within_depth(json: &Json, levels: usize) -> bool {
    match json {
        Json::Array(elements) => levels > 0 && elements.iter().all(|v| within_depth(v, levels - 1)),
        Json::Object(fields) => levels > 0 && fields.values().all(|v| within_depth(v, levels - 1)),
        _ => true,
    }
}

/// The wire form of a virtual attribute.
///
/// # Errors
/// When the value cannot be written as JSON. (serde's own message may hold the value, so it is not passed on.)
pub fn encode_virtual<T: Serialize + ?Sized>(name: &str, value: &T) -> Result<Json, CodecError> {
    serde_json::to_value(value)
        .map_err(|_| CodecError::expected(format!("a `{name}` that can be written as JSON")))
}
