//! What the derive macros' code uses. Not for people: anything here may change in any release.

pub use inventory;
pub use promiscuous_core::operation::Attributes;
use serde::Serialize;

use crate::codec::CodecError;
pub use crate::models::{DerivedPublish, DerivedSubscribe};
pub use crate::naming::name_of_module;

/// Adds a virtual attribute.
///
/// # Errors
/// When the value cannot be written as JSON. (serde's own message may hold the value, so it is not passed on.)
pub fn compute<T: Serialize>(
    attributes: &mut Attributes,
    name: &'static str,
    value: &T,
) -> Result<(), CodecError> {
    let value = serde_json::to_value(value)
        .map_err(|_| CodecError::expected(format!("a `{name}` that can be written as JSON")))?;
    attributes.insert(name.to_owned(), value);
    Ok(())
}
