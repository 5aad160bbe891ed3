//! Between the Rust values of a model's fields and the wire form (`docs/wire-format.md`).
//!
//! A field's Rust type decides the form, not its column's SQL type: an `i64` is a number whatever keeps it. The texts are those of
//! the SeaORM adapter, byte for byte, so that services of both read each other.
//!
//! A JSON `null` and SQL's NULL look alike on the wire. The receiving field decides: an `Option` takes none, a `serde_json::Value`
//! keeps the JSON value `null`. So only an `Option<serde_json::Value>` cannot tell the two apart.
//!
//! Nothing here panics, whatever the input, and no error tells the value.

#[cfg(feature = "chrono")]
mod chrono;
#[cfg(feature = "numeric")]
mod decimal;
pub(crate) mod id;
#[cfg(any(feature = "chrono", feature = "time"))]
mod moments;
mod plain;
#[cfg(all(test, feature = "chrono", feature = "time", feature = "numeric"))]
mod tests;
#[cfg(feature = "time")]
mod time;

use promiscuous_core::database::Dialect;
use serde_json::Value as Json;

pub use self::id::IdPart;
pub use promiscuous_core::codec::CodecError;

/// A Rust type whose values are sent as attributes.
///
/// | type | wire form |
/// |---|---|
/// | `bool`, `i8` to `i64`, `u8` to `u64`, `f32`, `f64` | booleans and numbers; `"NaN"` and `"Infinity"` by name |
/// | `String`, `char` | as they are |
/// | `Vec<u8>` | base64 |
/// | `Option<T>` | `null`, or as `T` |
/// | `Vec<T>` | PostgreSQL's arrays, element by element |
/// | `uuid::Uuid`, `serde_json::Value` | hyphenated text; as it is |
/// | `BigDecimal` (feature `numeric`) | a string with the scale |
/// | dates and times of `chrono` and `time` (features of these names) | ISO 8601 to the microsecond |
///
/// # Types of your own
/// `#[derive(Attribute)]` writes the implementation for
/// * a newtype, which is sent as what it wraps;
/// * an enum without fields, which is sent as what the database keeps for it: a text or a number, told for each variant;
/// * any type that serde can read and write and the database keeps as JSON, with `#[attribute(json)]`.
///
/// ```
/// use promiscuous_diesel::Attribute;
/// use promiscuous_diesel::attribute::Attribute as _;
///
/// #[derive(Attribute)]
/// struct Email(String);
///
/// #[derive(Attribute)]
/// enum Mood {
///     #[attribute("happy")]
///     Happy,
///     #[attribute("sad")]
///     Sad,
/// }
///
/// #[derive(serde::Serialize, serde::Deserialize, Attribute)]
/// #[attribute(json)]
/// struct Settings {
///     theme: String,
/// }
///
/// assert_eq!(Mood::Happy.to_wire()?, "happy");
/// # Ok::<(), promiscuous_diesel::attribute::CodecError>(())
/// ```
/// Where the database itself changes values, as SQLite does with decimals, [`same`](Self::same) must call equal what it gives back.
#[diagnostic::on_unimplemented(
    message = "a field of type `{Self}` cannot be an attribute",
    label = "`{Self}` has no wire form",
    note = "for a type of your own, write `#[derive(Attribute)]` on it, or `impl promiscuous_diesel::attribute::Attribute` for it",
    note = "for a type of chrono, time or bigdecimal, enable promiscuous-diesel's feature `chrono`, `time` or `numeric`",
    note = "or leave the field out, and list a method that answers what is to be sent in `virtual_attributes(...)`"
)]
pub trait Attribute: Sized {
    /// The wire form.
    ///
    /// # Errors
    /// When the value lies outside of what the wire form can say: a year beyond what is calculable, JSON nested too deep.
    fn to_wire(&self) -> Result<Json, CodecError>;

    /// The value, from its wire form.
    ///
    /// # Errors
    /// When the JSON is not the wire form of such a value.
    fn from_wire(json: &Json) -> Result<Self, CodecError>;

    /// Whether a column that holds `self` need not be written to hold `other`. By default, whether they are sent alike.
    ///
    /// Equal is enough: a decimal of another scale, or a moment of another zone, is no change.
    fn same(&self, other: &Self) -> bool {
        matches!((self.to_wire(), other.to_wire()), (Ok(one), Ok(other)) if one == other)
    }

    /// A list of such values: an array, but bytes are text.
    #[doc(hidden)]
    fn list_to_wire(list: &[Self]) -> Result<Json, CodecError> {
        list.iter().map(Self::to_wire).collect::<Result<_, _>>().map(Json::Array)
    }

    /// The inverse of [`list_to_wire`](Self::list_to_wire).
    #[doc(hidden)]
    fn list_from_wire(json: &Json) -> Result<Vec<Self>, CodecError> {
        let elements = json.as_array().ok_or_else(|| CodecError::expected("an array"))?;
        elements.iter().map(Self::from_wire).collect()
    }

    /// The value that was written, when this is what Diesel read from a database that does not keep such values as they are.
    #[doc(hidden)]
    fn settled(&self, dialect: Dialect) -> Option<Self> {
        let _ = dialect;
        None
    }
}

impl<T: Attribute> Attribute for Option<T> {
    fn to_wire(&self) -> Result<Json, CodecError> {
        self.as_ref().map_or(Ok(Json::Null), T::to_wire)
    }

    fn from_wire(json: &Json) -> Result<Self, CodecError> {
        if json.is_null() { Ok(None) } else { T::from_wire(json).map(Some) }
    }

    fn same(&self, other: &Self) -> bool {
        match (self, other) {
            (Some(one), Some(other)) => one.same(other),
            (None, None) => true,
            _ => false,
        }
    }

    fn settled(&self, dialect: Dialect) -> Option<Self> {
        self.as_ref()?.settled(dialect).map(Some)
    }
}

impl<T: Attribute> Attribute for Vec<T> {
    fn to_wire(&self) -> Result<Json, CodecError> {
        T::list_to_wire(self)
    }

    fn from_wire(json: &Json) -> Result<Self, CodecError> {
        T::list_from_wire(json)
    }

    fn same(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().zip(other).all(|(one, other)| one.same(other))
    }
}
