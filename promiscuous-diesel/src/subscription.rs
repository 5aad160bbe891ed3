//! What `#[derive(Subscribe)]` says about a model, and what the applier needs of it.

use diesel::QueryResult;
use serde_json::Value as Json;

use crate::backend::PromiscuousBackend;

pub use promiscuous_core::apply::{SetterResult, Unfit};

/// The declaration of a subscribed model.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SubscribeDeclaration {
    /// The published type it stands for, such as `User`: from `as`, else the struct's name.
    pub name: String,
    /// Whether the name was given with `as`: then no other type of the endpoint is taken.
    pub named: bool,
    /// Where messages come from; otherwise any app's endpoint with the name in snake case.
    pub from: Option<String>,
    /// The wanted attributes that go to columns, by the names of their fields.
    pub attributes: Vec<&'static str>,
    /// The wanted attributes that go through setters.
    pub virtual_attributes: Vec<&'static str>,
    /// The columns that keep the publisher's id: the primary key, or the foreign key alone.
    pub id_columns: Vec<&'static str>,
    /// Whether they are a foreign key, and the primary key is the local database's own.
    pub foreign_key: bool,
    /// Whether that foreign key is text, which keeps a composite id as it is written.
    pub keeps_whole_id: bool,
    /// The table, for messages to people.
    pub table: String,
}

/// What `#[derive(Subscribe)]` says about a model. Implemented by the derive.
pub trait Subscribe: Sized + Send + 'static {
    /// What is to be written: each of the struct's fields as an option, where none leaves the column alone.
    type Changes: Default + Send;

    /// Names, columns and setters.
    fn declaration() -> SubscribeDeclaration;

    /// Puts the id's parts into the columns that keep it; on failure also names the column.
    ///
    /// # Errors
    /// [`Unfit::Expected`], with the column that it does not fit.
    fn set_id(changes: &mut Self::Changes, parts: &[String]) -> Result<(), (&'static str, Unfit)>;

    /// Puts an attribute's value into its column, or hands it to its setter.
    ///
    /// # Errors
    /// [`Unfit`].
    fn set(changes: &mut Self::Changes, attribute: &str, value: &Json) -> Result<(), Unfit>;

    /// Takes out what the row holds already. Answers whether anything is left to write.
    fn differs(&self, changes: &mut Self::Changes) -> bool;

    /// The column by which a found row is another object's: a collation may ignore case, accents or spaces at the end.
    fn stranger(&self, parts: &[String]) -> Option<&'static str>;
}

/// The statements of a subscribed model over one backend. Implemented by the derive, for each backend in use.
pub trait SubscribeOn<DB: PromiscuousBackend>: Subscribe {
    /// The row with this id, locked for the rest of the transaction where the database can.
    ///
    /// # Errors
    /// The database's.
    fn find(parts: &[String], connection: &mut Connection<DB>) -> QueryResult<Option<Self>>;

    /// Inserts a row and reads it back.
    ///
    /// # Errors
    /// The database's.
    fn insert(changes: Self::Changes, connection: &mut Connection<DB>) -> QueryResult<Self>;

    /// Updates a found row and reads it back.
    ///
    /// # Errors
    /// The database's.
    fn update(&self, changes: Self::Changes, connection: &mut Connection<DB>) -> QueryResult<Self>;

    /// Deletes a found row.
    ///
    /// # Errors
    /// The database's.
    fn delete(&self, connection: &mut Connection<DB>) -> QueryResult<()>;
}

/// The connection that changes are applied through. (To become `Promiscuous<DB::Connection>`, so that what callbacks write is
/// published as elsewhere.)
pub type Connection<DB> = <DB as PromiscuousBackend>::Connection;

/// What a callback answers. `?` passes Diesel's errors on: the database's own mean what they mean anywhere else, so that a deadlock is
/// tried again at once. With anything else, such as `Err("not this name".into())`, the model says no.
pub type CallbackResult = Result<(), Box<dyn std::error::Error + Send + Sync>>;

/// A subscribed model's own code around the changes that arrive. Every method does nothing by default; an error or a
/// panic undoes the change, and it is tried again.
///
/// The order is `before_save`, `before_create` or `before_update`, the statement, `after_create` or `after_update`, `after_save`; for
/// a destroyed object `before_destroy`, the statement, `after_destroy`. Where a message changes nothing in the row, and where a callback
/// leaves nothing to change, there is no statement and no further callback.
///
/// They run in the transaction of the change, which other changes share: what they write is committed with it or not at all, and
/// what they do outside of the database may happen more than once.
#[allow(unused_variables)]
pub trait Callbacks<DB: PromiscuousBackend>: Subscribe {
    /// Before a row is inserted or updated; `before` is the row to be updated.
    fn before_save(
        before: Option<&Self>,
        changes: &mut Self::Changes,
        connection: &mut Connection<DB>,
    ) -> CallbackResult {
        Ok(())
    }
    /// Before a row is inserted.
    fn before_create(changes: &mut Self::Changes, connection: &mut Connection<DB>) -> CallbackResult {
        Ok(())
    }
    /// Before a row is updated.
    fn before_update(
        before: &Self,
        changes: &mut Self::Changes,
        connection: &mut Connection<DB>,
    ) -> CallbackResult {
        Ok(())
    }
    /// Before a row is deleted.
    fn before_destroy(before: &Self, connection: &mut Connection<DB>) -> CallbackResult {
        Ok(())
    }
    /// After a row was inserted.
    fn after_create(after: &Self, connection: &mut Connection<DB>) -> CallbackResult {
        Ok(())
    }
    /// After a row was updated.
    fn after_update(before: &Self, after: &Self, connection: &mut Connection<DB>) -> CallbackResult {
        Ok(())
    }
    /// After a row was deleted.
    fn after_destroy(before: &Self, connection: &mut Connection<DB>) -> CallbackResult {
        Ok(())
    }
    /// After a row was inserted or updated; `before` is the row that was updated.
    fn after_save(before: Option<&Self>, after: &Self, connection: &mut Connection<DB>) -> CallbackResult {
        Ok(())
    }
}
