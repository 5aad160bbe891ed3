//! What the derive macros' code uses. Not for people: anything here may change in any release.

pub use diesel;
use diesel::Column;
use diesel::result::{Error, QueryResult};
pub use inventory;
pub use promiscuous_core::apply::set_virtual;
use promiscuous_core::apply::{Unfit, is_strange};
use promiscuous_core::codec::encode_json;
pub use promiscuous_core::operation::Attributes;
use serde::Serialize;
use serde::de::DeserializeOwned;
pub use serde_json::Value as Json;

use crate::attribute::id::id_of;
use crate::attribute::{Attribute, CodecError, IdPart};
use crate::backend::PromiscuousBackend;
pub use crate::key::{KeyColumn, NoPart, OwnPart, ReadKey, TextKey, WrittenKey};
pub use crate::subscribed_rows::held::{Held, HeldAttribute, HeldUnknown, HeldValue};
pub use crate::subscribed_rows::load::load_rows;

/// Passes code on where PostgreSQL is enabled.
#[doc(hidden)]
#[macro_export]
#[cfg(feature = "postgres")]
macro_rules! __on_postgres {
    ($($code:tt)*) => { $($code)* };
}
/// Passes code on where PostgreSQL is enabled.
#[doc(hidden)]
#[macro_export]
#[cfg(not(feature = "postgres"))]
macro_rules! __on_postgres {
    ($($code:tt)*) => {};
}

/// Passes code on where MySQL and MariaDB are enabled.
#[doc(hidden)]
#[macro_export]
#[cfg(feature = "mysql")]
macro_rules! __on_mysql {
    ($($code:tt)*) => { $($code)* };
}
/// Passes code on where MySQL and MariaDB are enabled.
#[doc(hidden)]
#[macro_export]
#[cfg(not(feature = "mysql"))]
macro_rules! __on_mysql {
    ($($code:tt)*) => {};
}

/// Passes code on where SQLite is enabled.
#[doc(hidden)]
#[macro_export]
#[cfg(feature = "sqlite")]
macro_rules! __on_sqlite {
    ($($code:tt)*) => { $($code)* };
}
/// Passes code on where SQLite is enabled.
#[doc(hidden)]
#[macro_export]
#[cfg(not(feature = "sqlite"))]
macro_rules! __on_sqlite {
    ($($code:tt)*) => {};
}

/// The wire form of a type that serde writes.
///
/// # Errors
/// When it cannot, or nests too deep. (serde's own message may hold the value, so it is not passed on.)
pub fn json_to_wire<T: Serialize>(value: &T) -> Result<Json, CodecError> {
    let json = serde_json::to_value(value)
        .map_err(|_| CodecError::expected("a value that can be written as JSON"))?;
    encode_json(&json)
}

/// A type that serde reads, from its wire form.
///
/// # Errors
/// When it cannot. (serde's own message may hold the value, so it is not passed on.)
pub fn json_from_wire<T: DeserializeOwned>(json: &Json) -> Result<T, CodecError> {
    T::deserialize(json)
        .map_err(|_| CodecError::expected(format!("JSON that is a `{}`", std::any::type_name::<T>())))
}

/// An id's part as its column's value.
///
/// # Errors
/// With the column, when it does not fit.
pub fn id_part<C: Column, T: IdPart>(part: &str) -> Result<T, (&'static str, Unfit)> {
    T::from_id(part).map_err(|error| (C::NAME, Unfit::from(error)))
}

/// An id that has more or fewer parts than the key has columns.
pub fn other_parts(columns: &[&'static str]) -> (&'static str, Unfit) {
    let expected = format!("an id of {} parts, for {}", columns.len(), columns.join(", "));
    (columns.first().copied().unwrap_or_default(), Unfit::Expected(expected))
}

/// An attribute that was never asked for.
pub fn not_subscribed() -> Unfit {
    Unfit::Expected("an attribute that is subscribed".into())
}

/// Takes a new value out when the row holds it already.
pub fn unchanged<DB: PromiscuousBackend, T: Attribute>(current: &T, new: &mut Option<T>) {
    let same = |new: &T| match (current.settled(DB::DIALECT), new.settled(DB::DIALECT)) {
        (Some(current), Some(new)) => current.same(&new),
        _ => current.same(new),
    };
    if new.as_ref().is_some_and(same) {
        *new = None;
    }
}

/// Whether a row that was found by an id's part has another one.
pub fn strange<DB: PromiscuousBackend, T: IdPart>(found: &T, wanted: &str) -> bool {
    id_of(found, DB::DIALECT).is_ok_and(|found| is_strange(&found, wanted))
}

/// The parts of the id of what is to be written.
///
/// # Errors
/// When one is missing, or cannot be written.
pub fn id_parts(parts: &[Option<Result<String, CodecError>>]) -> QueryResult<Vec<String>> {
    let part = |part: &Option<Result<String, CodecError>>| match part {
        Some(Ok(part)) => Ok(part.clone()),
        _ => Err(without_id()),
    };
    parts.iter().map(part).collect()
}

/// A row that cannot be found or read back, since its id is not known.
pub fn without_id() -> Error {
    Error::QueryBuilderError(Box::new(CodecError::expected("a row that has the publisher's id")))
}

/// A row that cannot be looked for, since the id does not fit its column.
pub fn unfit_id(column: &str) -> Error {
    Error::QueryBuilderError(Box::new(CodecError::expected(format!("an id that fits the column `{column}`"))))
}

/// Checks that no value became NULL on its way: for each nullable column whether it was given a value, and whether it has one.
///
/// # Errors
/// With the first column that lost one.
pub fn all_kept(given: &[bool], kept: &[(bool, &'static str)]) -> QueryResult<()> {
    match given.iter().zip(kept).find(|(given, (kept, _))| **given && !kept) {
        Some((_, (_, column))) => Err(Error::QueryBuilderError(Box::new(CodecError::expected(format!(
            "a value that the type of the column `{column}` can hold, but the database made it NULL: in MariaDB and MySQL, keep moments beyond the years 1970 to 2038 in a DATETIME(6), which is `Datetime` in `diesel::table!`"
        ))))),
        None => Ok(()),
    }
}
