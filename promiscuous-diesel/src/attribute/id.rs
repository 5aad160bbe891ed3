//! Primary key values as the text that keys are made of.

use promiscuous_core::database::Dialect;

use super::{Attribute, CodecError};

/// A Rust type whose values can be (a part of) a primary key, or the foreign key that keeps a publisher's.
///
/// Equal values have equal texts, and different ones different: decimals lose the zeros at their end, moments are in UTC. Only the
/// text that [`to_id`](Self::to_id) writes is read: were `007` and `7` both taken, two objects would share a row.
///
/// `#[derive(Attribute, IdPart)]` writes the implementation for a newtype, and for an enum without fields.
#[diagnostic::on_unimplemented(
    message = "a field of type `{Self}` cannot be part of an id",
    label = "`{Self}` cannot identify a row",
    note = "keys are integers, text, bytes, UUIDs, dates, times and decimals",
    note = "for a type of your own, write `#[derive(Attribute, IdPart)]` on it",
    note = "for a type of chrono, time or bigdecimal, enable promiscuous-diesel's feature `chrono`, `time` or `numeric`"
)]
pub trait IdPart: Attribute {
    /// Whether any text is an id of this type.
    #[doc(hidden)]
    const TEXT: bool = false;

    /// The text.
    ///
    /// # Errors
    /// When the value is NULL, or cannot be written.
    fn to_id(&self) -> Result<String, CodecError>;

    /// The value, from its text.
    ///
    /// # Errors
    /// When the text is not what [`to_id`](Self::to_id) writes.
    fn from_id(id: &str) -> Result<Self, CodecError>;
}

impl<T: IdPart> IdPart for Option<T> {
    const TEXT: bool = T::TEXT;

    fn to_id(&self) -> Result<String, CodecError> {
        self.as_ref().ok_or_else(|| CodecError::expected("a value that is not NULL"))?.to_id()
    }

    fn from_id(id: &str) -> Result<Self, CodecError> {
        T::from_id(id).map(Some)
    }
}

/// What was read from an id, if it is written so.
pub(super) fn canonical<T: IdPart>(value: Option<T>, id: &str) -> Result<T, CodecError> {
    value
        .filter(|value| value.to_id().is_ok_and(|text| text == id))
        .ok_or_else(|| CodecError::expected(format!("the id of a column of {}", std::any::type_name::<T>())))
}

/// The id of a value that came from a database.
pub(crate) fn id_of<T: IdPart>(value: &T, dialect: Dialect) -> Result<String, CodecError> {
    match value.settled(dialect) {
        Some(settled) => settled.to_id(),
        None => value.to_id(),
    }
}
