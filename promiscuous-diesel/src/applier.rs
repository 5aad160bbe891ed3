//! Applies operations to subscribed models, with their own code around each change.
//!
//! Rows are read and written one at a time, in the caller's transaction; those that are sent again are looked for together (`many`). The rules are those of the protocol: `create` of an existing
//! row updates it, `update` of a missing row creates it, `destroy` of a missing row is fine, and `sync` is like `update`.

mod many;
#[cfg(test)]
mod tests;

use std::panic::{AssertUnwindSafe, catch_unwind};

use diesel::result::Error as DieselError;
use promiscuous_core::apply::Subject;
use promiscuous_core::database::ApplyError;
use promiscuous_core::error::chain;
use promiscuous_core::operation::{Operation, OperationKind};

use crate::backend::PromiscuousBackend;
use crate::database_error::database_error;
use crate::subscription::{
    CallbackResult, Callbacks, Connection, Subscribe, SubscribeDeclaration, SubscribeOn, Unfit,
};

pub use many::apply_all;
pub use promiscuous_core::apply::ApplyOptions;

/// Applies one operation.
///
/// Another writer may have inserted the row since it was looked for. Then the unique violation undoes the transaction, and with the
/// next attempt the row is found and updated: a savepoint around every INSERT would cost each of them two round trips, and would keep
/// what the callbacks of the failed attempt wrote. (Two workers of one app do not meet here: they have locked the object's version.)
///
/// # Errors
/// See [`ApplyError`]. A panic in a callback or a setter is a [`ApplyError::Callback`]; the transaction should then be rolled back, as
/// after any other error.
pub fn apply<DB, M>(
    connection: &mut Connection<DB>,
    operation: &Operation,
    options: ApplyOptions,
) -> Result<(), ApplyError>
where
    DB: PromiscuousBackend,
    M: SubscribeOn<DB> + Callbacks<DB>,
{
    let subject = Subject { operation };
    let applying = || Applying::<DB> { connection, subject, options, used: false }.apply::<M>();
    // The transaction is rolled back: whatever a panic left half done goes with it.
    catch_unwind(AssertUnwindSafe(applying)).unwrap_or_else(|panic| Err(subject.panicked(&*panic)))
}

/// The parts of an operation's id, and the columns that keep them. Finds out whether the id fits, before it is looked for.
pub(crate) fn identify<M: Subscribe>(
    subject: Subject<'_>,
    declaration: &SubscribeDeclaration,
) -> Result<(Vec<String>, M::Changes), ApplyError> {
    let parts = subject.id_parts(&declaration.id_columns, declaration.keeps_composite_ids())?;
    let mut identified = M::Changes::default();
    M::set_id(&mut identified, &parts)
        .map_err(|(column, Unfit::Expected(why) | Unfit::Refused(why))| subject.wrong_id(column, why))?;
    Ok((parts, identified))
}

/// Puts an operation's attributes into the changes.
pub(crate) fn fill<M: Subscribe>(
    subject: Subject<'_>,
    options: ApplyOptions,
    declaration: &SubscribeDeclaration,
    changes: &mut M::Changes,
) -> Result<(), ApplyError> {
    // Setters come last: they may look at what is set already.
    for name in declaration.attributes.iter().chain(&declaration.virtual_attributes) {
        let Some(value) = subject.attribute(name, options)? else { continue };
        M::set(changes, name, value).map_err(|reason| subject.unfit(name, reason))?;
    }
    Ok(())
}

/// One operation on its way to its row.
struct Applying<'a, DB: PromiscuousBackend> {
    /// The caller's, in a transaction.
    connection: &'a mut Connection<DB>,
    /// What is applied, for errors too.
    subject: Subject<'a>,
    /// How.
    options: ApplyOptions,
    /// Whether a callback has used the connection.
    used: bool,
}

impl<DB: PromiscuousBackend> Applying<'_, DB> {
    fn apply<M: SubscribeOn<DB> + Callbacks<DB>>(&mut self) -> Result<(), ApplyError> {
        let declaration = M::declaration();
        let (parts, identified) = identify::<M>(self.subject, &declaration)?;
        let found = M::find(&parts, self.connection);
        let found = found.map_err(|error| self.failed(error))?;
        let stranger = found.as_ref().and_then(|found| found.stranger(&parts));
        match (self.subject.operation.operation, found) {
            // What is not here need not go, and a stranger must stay.
            (OperationKind::Destroy, Some(_)) if stranger.is_some() => Ok(()),
            (OperationKind::Destroy, None) => Ok(()),
            (_, Some(_)) if stranger.is_some() => Err(self.subject.stranger(stranger.unwrap_or_default())),
            (OperationKind::Destroy, Some(found)) => self.destroy(&found),
            (_, Some(found)) => self.update(&declaration, &found),
            (_, None) => self.create::<M>(&declaration, identified),
        }
    }

    fn create<M: SubscribeOn<DB> + Callbacks<DB>>(
        &mut self,
        declaration: &SubscribeDeclaration,
        mut changes: M::Changes,
    ) -> Result<(), ApplyError> {
        fill::<M>(self.subject, self.options, declaration, &mut changes)?;
        self.call(|connection| M::before_save(None, &mut changes, connection))?;
        self.call(|connection| M::before_create(&mut changes, connection))?;
        let after = M::insert(changes, self.connection).map_err(|error| self.failed(error))?;
        self.call(|connection| M::after_create(&after, connection))?;
        self.call(|connection| M::after_save(None, &after, connection))
    }

    fn update<M: SubscribeOn<DB> + Callbacks<DB>>(
        &mut self,
        declaration: &SubscribeDeclaration,
        before: &M,
    ) -> Result<(), ApplyError> {
        let mut changes = M::Changes::default();
        fill::<M>(self.subject, self.options, declaration, &mut changes)?;
        // Nothing changed: a sync, or a change of attributes that are not subscribed.
        if !before.differs(&mut changes) {
            return Ok(());
        }
        self.call(|connection| M::before_save(Some(before), &mut changes, connection))?;
        self.call(|connection| M::before_update(before, &mut changes, connection))?;
        // The callbacks may have taken out everything.
        if !before.differs(&mut changes) {
            return Ok(());
        }
        let after = before.update(changes, self.connection).map_err(|error| self.failed(error))?;
        self.call(|connection| M::after_update(before, &after, connection))?;
        self.call(|connection| M::after_save(Some(before), &after, connection))
    }

    fn destroy<M: SubscribeOn<DB> + Callbacks<DB>>(&mut self, before: &M) -> Result<(), ApplyError> {
        self.call(|connection| M::before_destroy(before, connection))?;
        before.delete(self.connection).map_err(|error| self.failed(error))?;
        self.call(|connection| M::after_destroy(before, connection))
    }

    fn call(
        &mut self,
        callback: impl FnOnce(&mut Connection<DB>) -> CallbackResult,
    ) -> Result<(), ApplyError> {
        let before = self.connection.statements();
        let called = callback(self.connection);
        self.used |= self.connection.statements() != before;
        called.map_err(|error| match error.downcast::<DieselError>() {
            Ok(error) => match *error {
                // What the database, or the connection in front of it, said to a statement of the callback's.
                DieselError::DatabaseError(..)
                | DieselError::BrokenTransactionManager
                | DieselError::RollbackErrorOnCommit { .. } => self.failed(*error),
                error => self.subject.callback(chain(&error)),
            },
            Err(error) => self.subject.callback(chain(&*error)),
        })
    }

    fn failed(&self, error: DieselError) -> ApplyError {
        self.subject.database(database_error(error))
    }
}
