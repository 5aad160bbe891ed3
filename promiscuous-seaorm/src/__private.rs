//! What the derive macros' code uses. Not for people: anything here may change in any release.

pub use inventory;
use promiscuous_core::codec::encode_virtual;
pub use promiscuous_core::naming::name_of_module;
pub use promiscuous_core::operation::Attributes;
use serde::Serialize;

use crate::codec::CodecError;
pub use crate::models::{DerivedPublish, DerivedSubscribe};

/// Adds a virtual attribute.
///
/// # Errors
/// When the value cannot be written as JSON.
pub fn compute<T: Serialize>(
    attributes: &mut Attributes,
    name: &'static str,
    value: &T,
) -> Result<(), CodecError> {
    attributes.insert(name.to_owned(), encode_virtual(name, value)?);
    Ok(())
}
