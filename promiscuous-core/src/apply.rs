//! Applying one operation, as far as it needs no ORM: its options, its id, its attributes, and its errors with its name on them.

use std::any::Any;
use std::fmt::Display;

use serde::de::DeserializeOwned;
use serde_json::Value as Json;

use crate::codec::CodecError;
use crate::database::{ApplyError, DatabaseError};
use crate::key::decode_id;
use crate::operation::Operation;

/// How operations are applied.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct ApplyOptions {
    /// Leaves attributes alone that the message lacks, instead of failing (`--relaxed-schema`).
    pub relaxed_schema: bool,
}

impl ApplyOptions {
    /// With or without tolerance for attributes that the message lacks.
    #[must_use]
    pub fn relaxed_schema(mut self, relaxed: bool) -> Self {
        self.relaxed_schema = relaxed;
        self
    }
}

/// Why an attribute's value could not be taken. Never tells the value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unfit {
    /// It is not of the expected form.
    Expected(String),
    /// The setter said no.
    Refused(String),
}

impl From<CodecError> for Unfit {
    fn from(error: CodecError) -> Self {
        Self::Expected(error.expected)
    }
}

/// What a setter of a virtual attribute may return: nothing, or a `Result<(), E>` whose error can be displayed.
pub trait SetterResult {
    /// The error as text.
    ///
    /// # Errors
    /// When the setter returned one.
    fn into_result(self) -> Result<(), String>;
}

impl SetterResult for () {
    fn into_result(self) -> Result<(), String> {
        Ok(())
    }
}

impl<E: Display> SetterResult for Result<(), E> {
    fn into_result(self) -> Result<(), String> {
        self.map_err(|error| error.to_string())
    }
}

/// Hands a value to a setter, as the type that it takes.
///
/// # Errors
/// [`Unfit`], when it is not of that type, or the setter refuses it.
pub fn set_virtual<T: DeserializeOwned, R: SetterResult>(
    value: &Json,
    setter: impl FnOnce(T) -> R,
) -> Result<(), Unfit> {
    // serde's own message may hold the value.
    let value = T::deserialize(value)
        .map_err(|_| Unfit::Expected(format!("what its setter takes, {}", std::any::type_name::<T>())))?;
    setter(value).into_result().map_err(Unfit::Refused)
}

/// The operation that is being applied.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// The operation.
    pub operation: &'a Operation,
}

impl<'a> Subject<'a> {
    /// The parts of the id, one for each of `columns`. Where `whole`, the only column keeps whatever id there is: a foreign key of
    /// text keeps a composite id as it is written.
    ///
    /// # Errors
    /// [`ApplyError::WrongId`] when there are more or fewer, or it is no encoded id.
    pub fn id_parts(&self, columns: &[&str], whole: bool) -> Result<Vec<String>, ApplyError> {
        let encoded = &self.operation.id;
        let parts = decode_id(encoded).ok_or_else(|| self.wrong_id(columns.join(", "), "an encoded id"))?;
        if parts.len() == columns.len() {
            return Ok(parts);
        }
        if whole && columns.len() == 1 {
            return Ok(vec![encoded.clone()]);
        }
        let expected = format!("an id of {} columns and not of {}", columns.len(), parts.len());
        Err(self.wrong_id(columns.join(", "), expected))
    }

    /// The value of an attribute; none when it may be missing.
    ///
    /// # Errors
    /// [`ApplyError::MissingAttribute`] when it is missing and may not be.
    pub fn attribute(&self, name: &str, options: ApplyOptions) -> Result<Option<&'a Json>, ApplyError> {
        let value = self.operation.attributes.as_ref().and_then(|attributes| attributes.get(name));
        if value.is_none() && !options.relaxed_schema {
            let (endpoint, id) = self.names();
            return Err(ApplyError::MissingAttribute { endpoint, id, attribute: name.to_owned() });
        }
        Ok(value)
    }

    /// A value that does not fit.
    pub fn wrong_type(&self, attribute: &str, expected: impl Into<String>) -> ApplyError {
        let (endpoint, id) = self.names();
        ApplyError::WrongType { endpoint, id, attribute: attribute.to_owned(), expected: expected.into() }
    }

    /// An id that does not fit.
    pub fn wrong_id(&self, column: impl Into<String>, expected: impl Into<String>) -> ApplyError {
        let (endpoint, id) = self.names();
        ApplyError::WrongId { endpoint, id, column: column.into(), expected: expected.into() }
    }

    /// The row that was found is another object's.
    pub fn stranger(&self, column: impl Into<String>) -> ApplyError {
        let expected =
            "a column that tells all ids apart, but its collation takes another object's for this one";
        self.wrong_id(column, expected)
    }

    /// A value that a column or a setter did not take.
    pub fn unfit(&self, attribute: &str, reason: Unfit) -> ApplyError {
        match reason {
            Unfit::Expected(expected) => self.wrong_type(attribute, expected),
            Unfit::Refused(reason) => self.callback(format!("`set_{attribute}`: {reason}")),
        }
    }

    /// A hook or a setter that panicked.
    pub fn panicked(&self, panic: &(dyn Any + Send)) -> ApplyError {
        let message = panic
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| panic.downcast_ref::<String>().cloned());
        self.callback(format!("it panicked: {}", message.as_deref().unwrap_or("without a message")))
    }

    /// The model's own code said no.
    pub fn callback(&self, reason: impl Into<String>) -> ApplyError {
        let (endpoint, id) = self.names();
        ApplyError::Callback { endpoint, id, reason: reason.into() }
    }

    /// The database said no.
    pub fn database(&self, source: DatabaseError) -> ApplyError {
        let (endpoint, id) = self.names();
        ApplyError::Database { endpoint, id, source }
    }

    fn names(&self) -> (String, String) {
        (self.operation.endpoint.as_str().to_owned(), self.operation.id.clone())
    }
}

/// Whether a row that was found by one id part has another one: a collation may ignore case, accents or spaces at the end.
pub fn is_strange(found: &str, wanted: &str) -> bool {
    // A column of fixed width fills up with spaces.
    let padded = || found.strip_prefix(wanted).is_some_and(|rest| rest.bytes().all(|b| b == b' '));
    found != wanted && !padded()
}
