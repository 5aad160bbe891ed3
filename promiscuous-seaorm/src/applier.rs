//! Applies operations to subscribed entities, so that their own hooks run.
//!
//! Rows are read and written through their `ActiveModel`, one at a time, in the caller's transaction; those that are sent again, many at a time
//! (`many`). The rules are those of the
//! protocol: `create` of an existing row updates it, `update` of a missing row creates it, `destroy` of a missing row is fine,
//! and `sync` is like `update`.

mod any;
mod compare;
mod fill;
mod many;
mod rows;
#[cfg(test)]
mod tests;

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;
use promiscuous_core::apply::{Subject, is_strange};
use promiscuous_core::database::ApplyError;
use promiscuous_core::error::Error;
use promiscuous_core::operation::{Operation, OperationKind};
use sea_orm::sea_query::ArrayType;
use sea_orm::{
    ActiveModelBehavior, ActiveModelTrait, ColumnTrait, ConnectionTrait, DbErr, EntityTrait, IdenStatic,
    IntoActiveModel, ModelTrait, QueryFilter, Value,
};

use crate::codec::{ColumnKind, id_text, id_value};
use crate::database_error::database_error;
use crate::publication::{check_key_column, key_columns};
use crate::subscription::{SubscribeDeclaration, VirtualAttribute, Writable};

use self::fill::{changes, fill};

pub(crate) use self::any::AnyPlan;
pub use promiscuous_core::apply::ApplyOptions;

/// Where the parts of an operation go in an entity: its declaration, looked up once.
pub struct Plan<E: EntityTrait> {
    /// The columns that the message's id is kept in: the primary key, or the foreign key.
    id: Vec<(E::Column, ColumnKind)>,
    /// Whether those are the primary key. Otherwise that is the local database's own.
    id_is_primary_key: bool,
    /// The columns to fill.
    attributes: Vec<(&'static str, E::Column, ColumnKind)>,
    /// The setters to call.
    virtual_attributes: Vec<VirtualAttribute<E>>,
}

impl<E: EntityTrait> Plan<E> {
    /// Looks up what is declared.
    ///
    /// # Errors
    /// [`Error::Configuration`] when a column holds values that cannot be received.
    pub fn new(declaration: SubscribeDeclaration<E>) -> Result<Self, Error> {
        let id: Vec<E::Column> = match declaration.foreign_key {
            Some(column) => vec![column],
            None => key_columns::<E>().collect(),
        };
        for &column in &id {
            check_key_column::<E>(column)?;
        }
        let with_kind = |column: E::Column| (column, ColumnKind::of::<E>(column));
        let mut attributes = Vec::with_capacity(declaration.attributes.len());
        for (name, column) in declaration.attributes {
            let kind = ColumnKind::of::<E>(column);
            if !kind.is_supported() {
                return Err(Error::Configuration(format!(
                    "the subscribed attribute `{name}` of `{}` holds values that cannot be sent: subscribe to a virtual attribute instead",
                    E::default().table_name()
                )));
            }
            attributes.push((name, column, kind));
        }
        Ok(Self {
            id_is_primary_key: declaration.foreign_key.is_none(),
            id: id.into_iter().map(with_kind).collect(),
            attributes,
            virtual_attributes: declaration.virtual_attributes,
        })
    }

    /// Whether an id of several columns is kept as it is written: by a foreign key of text.
    fn keeps_ids_whole(&self) -> bool {
        !self.id_is_primary_key && self.id.iter().all(|(_, kind)| kind.value == ArrayType::String)
    }

    /// The values of the id columns.
    fn id_values(&self, subject: &Subject<'_>) -> Result<Vec<(E::Column, Value)>, ApplyError> {
        let names: Vec<&str> = self.id.iter().map(|(column, _)| column.as_str()).collect();
        let parts = subject.id_parts(&names, self.keeps_ids_whole())?;
        self.id
            .iter()
            .zip(parts)
            .map(|((column, kind), part)| match id_value(&part, &kind.value) {
                Ok(value) => Ok((*column, value)),
                Err(error) => Err(subject.wrong_id(column.as_str(), error.expected)),
            })
            .collect()
    }
}

/// Applies one operation.
///
/// # Errors
/// See [`ApplyError`]. A panic in a hook or a setter is a [`ApplyError::Callback`]; the transaction should then be rolled back,
/// as after any other error.
pub async fn apply<E, C>(
    plan: &Plan<E>,
    db: &C,
    operation: &Operation,
    options: ApplyOptions,
) -> Result<(), ApplyError>
where
    E: Writable,
    C: ConnectionTrait,
{
    let subject = Subject { operation };
    let applied = async {
        let id = plan.id_values(&subject)?;
        let found = find::<E, C>(db, &id).await.map_err(|error| failed(&subject, error))?;
        let stranger = found.as_ref().and_then(|found| stranger::<E>(found, &id));
        match (operation.operation, found) {
            // What is not here need not go, and a stranger must stay.
            (OperationKind::Destroy, Some(_)) if stranger.is_some() => Ok(()),
            (OperationKind::Destroy, None) => Ok(()),
            (_, Some(_)) if stranger.is_some() => Err(subject.stranger(stranger.unwrap_or_default())),
            (OperationKind::Destroy, Some(model)) => {
                let deleted = model.into_active_model().delete(db).await;
                deleted.map(|_| ()).map_err(|error| failed(&subject, error))
            }
            (_, Some(model)) => update(plan, db, &subject, options, model).await,
            (_, None) => insert(plan, db, &subject, options, id).await,
        }
    };
    AssertUnwindSafe(applied).catch_unwind().await.unwrap_or_else(|panic| Err(subject.panicked(&*panic)))
}

async fn find<E, C>(db: &C, id: &[(E::Column, Value)]) -> Result<Option<E::Model>, DbErr>
where
    E: Writable,
    C: ConnectionTrait,
{
    let mut rows = E::find();
    for (column, value) in id {
        rows = rows.filter(column.eq(value.clone()));
    }
    rows.one(db).await
}

/// The column by which a row is another object's: a collation may ignore case, accents or spaces at the end.
fn stranger<E: EntityTrait>(found: &E::Model, id: &[(E::Column, Value)]) -> Option<&'static str> {
    let differs =
        |(column, wanted): &&(E::Column, Value)| match (id_text(&found.get(*column)), id_text(wanted)) {
            (Some(found), Some(wanted)) => is_strange(&found, &wanted),
            _ => false,
        };
    id.iter().find(differs).map(|(column, _)| column.as_str())
}

async fn update<E, C>(
    plan: &Plan<E>,
    db: &C,
    subject: &Subject<'_>,
    options: ApplyOptions,
    model: E::Model,
) -> Result<(), ApplyError>
where
    E: Writable,
    C: ConnectionTrait,
{
    let changes = changes(plan, subject, options, Some(&model))?;
    let mut row = model.into_active_model();
    fill(plan, &mut row, subject, options, changes)?;
    // Nothing changed: a sync, or a change of attributes that are not subscribed.
    if !row.is_changed() {
        return Ok(());
    }
    row.update(db).await.map(|_| ()).map_err(|error| failed(subject, error))
}

async fn insert<E, C>(
    plan: &Plan<E>,
    db: &C,
    subject: &Subject<'_>,
    options: ApplyOptions,
    id: Vec<(E::Column, Value)>,
) -> Result<(), ApplyError>
where
    E: Writable,
    C: ConnectionTrait,
{
    let row = prepared(plan, subject, options, id)?;
    row.insert(db).await.map(|_| ()).map_err(|error| failed(subject, error))
}

/// A new row with all that the message says of it.
fn prepared<E: EntityTrait>(
    plan: &Plan<E>,
    subject: &Subject<'_>,
    options: ApplyOptions,
    id: Vec<(E::Column, Value)>,
) -> Result<E::ActiveModel, ApplyError> {
    let mut row = <E::ActiveModel as ActiveModelBehavior>::new();
    for (column, value) in id {
        row.try_set(column, value)
            .map_err(|_| subject.wrong_id(column.as_str(), "an id that the field's type accepts"))?;
    }
    fill(plan, &mut row, subject, options, changes(plan, subject, options, None)?)?;
    Ok(row)
}

/// An error from SeaORM: the database's, or one that a hook made up.
fn failed(subject: &Subject<'_>, error: DbErr) -> ApplyError {
    match error {
        DbErr::Custom(reason) => subject.callback(reason),
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
        | DbErr::MutexPoisonError => subject.database(database_error(error)),
        other => subject.callback(other.to_string()),
    }
}
