//! Applies operations to subscribed models: find, set, and insert, update or delete, with the model's callbacks around it.

use promiscuous_core::apply::{ApplyOptions, Subject};
use promiscuous_core::database::ApplyError;
use promiscuous_core::operation::Operation;

use crate::backend::PromiscuousBackend;
use crate::subscription::{Callbacks, Connection, SubscribeOn};

/// Applies one operation in the caller's transaction.
///
/// # Errors
/// See [`ApplyError`].
pub fn apply<DB, M>(
    _connection: &mut Connection<DB>,
    operation: &Operation,
    _options: ApplyOptions,
) -> Result<(), ApplyError>
where
    DB: PromiscuousBackend,
    M: SubscribeOn<DB> + Callbacks<DB>,
{
    Err(Subject { operation }.callback("applying is not built yet"))
}
