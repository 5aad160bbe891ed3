//! Errors of one operation, with its name on them.

use std::any::Any;

use promiscuous_core::database::ApplyError;
use promiscuous_core::operation::Operation;
use sea_orm::DbErr;
use serde_json::Value as Json;

use super::ApplyOptions;
use crate::database_error::database_error;

/// The operation that is being applied.
pub(super) struct Subject<'a> {
    /// The operation.
    pub(super) operation: &'a Operation,
}

impl<'a> Subject<'a> {
    /// The value of an attribute; none when it may be missing.
    pub(super) fn attribute(
        &self,
        name: &str,
        options: ApplyOptions,
    ) -> Result<Option<&'a Json>, ApplyError> {
        let value = self.operation.attributes.as_ref().and_then(|attributes| attributes.get(name));
        if value.is_none() && !options.relaxed_schema {
            let (endpoint, id) = self.names();
            return Err(ApplyError::MissingAttribute { endpoint, id, attribute: name.to_owned() });
        }
        Ok(value)
    }

    /// A value that does not fit.
    pub(super) fn wrong_type(&self, attribute: &str, expected: impl Into<String>) -> ApplyError {
        let (endpoint, id) = self.names();
        ApplyError::WrongType { endpoint, id, attribute: attribute.to_owned(), expected: expected.into() }
    }

    /// An id that does not fit.
    pub(super) fn wrong_id(&self, column: impl Into<String>, expected: impl Into<String>) -> ApplyError {
        let (endpoint, id) = self.names();
        ApplyError::WrongId { endpoint, id, column: column.into(), expected: expected.into() }
    }

    /// A setter that said no.
    pub(super) fn refused(&self, attribute: &str, reason: &str) -> ApplyError {
        self.callback(format!("`set_{attribute}`: {reason}"))
    }

    /// A hook or a setter that panicked.
    pub(super) fn panicked(&self, panic: &(dyn Any + Send)) -> ApplyError {
        let message = panic
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| panic.downcast_ref::<String>().cloned());
        self.callback(format!("it panicked: {}", message.as_deref().unwrap_or("without a message")))
    }

    /// An error from SeaORM: the database's, or one that a hook made up.
    pub(super) fn failed(&self, error: DbErr) -> ApplyError {
        match error {
            DbErr::Custom(reason) => self.callback(reason),
            // What SeaORM itself reports while it writes a row; everything else was said by a hook.
            DbErr::ConnectionAcquire(_)
            | DbErr::Conn(_)
            | DbErr::Exec(_)
            | DbErr::Query(_)
            | DbErr::UnpackInsertId
            | DbErr::UpdateGetPrimaryKey
            | DbErr::PrimaryKeyNotSet { .. }
            | DbErr::RecordNotInserted
            | DbErr::RecordNotUpdated
            | DbErr::BackendNotSupported { .. }
            | DbErr::MutexPoisonError => {
                let (endpoint, id) = self.names();
                ApplyError::Database { endpoint, id, source: database_error(error) }
            }
            other => self.callback(other.to_string()),
        }
    }

    fn callback(&self, reason: String) -> ApplyError {
        let (endpoint, id) = self.names();
        ApplyError::Callback { endpoint, id, reason }
    }

    fn names(&self) -> (String, String) {
        (self.operation.endpoint.as_str().to_owned(), self.operation.id.clone())
    }
}
