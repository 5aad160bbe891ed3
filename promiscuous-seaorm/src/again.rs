//! Publishing rows again from the app's own code: what `promiscuous publish` does, inside of the program.

#[cfg(test)]
mod tests;

use std::sync::Arc;

use async_trait::async_trait;
use promiscuous_core::sync::{OneModel, Run, SyncError, SyncSettings};
use sea_orm::{EntityName, ModelTrait};

use crate::connection::PromiscuousConnection;
use crate::model::Publish;
use crate::promiscuous::plain;
use crate::publication::id_of_model;
use crate::rows::SeaRows;

/// A row that can be published again: every model whose entity derives [`Publish`](macro@crate::Publish).
///
/// ```no_run
/// # mod user {
/// #     use promiscuous_seaorm::Publish;
/// #     use sea_orm::entity::prelude::*;
/// #     #[sea_orm::model]
/// #     #[derive(Clone, Debug, PartialEq, DeriveEntityModel, Publish)]
/// #     #[sea_orm(table_name = "users")]
/// #     #[publish(attributes(name))]
/// #     pub struct Model {
/// #         #[sea_orm(primary_key)]
/// #         pub id: i64,
/// #         pub name: String,
/// #     }
/// #     impl ActiveModelBehavior for ActiveModel {}
/// # }
/// # async fn example(db: promiscuous_seaorm::PromiscuousConnection) -> Result<(), Box<dyn std::error::Error>> {
/// use promiscuous_seaorm::PromiscuousSync;
/// use sea_orm::EntityTrait;
///
/// if let Some(joe) = user::Entity::find_by_id(1).one(&db).await? {
///     joe.promiscuous_sync(&db).await?;
/// }
/// # Ok(())
/// # }
/// ```
#[async_trait]
pub trait PromiscuousSync {
    /// Publishes the row again as it is in the database now, which need not be what this value says, to every subscriber; false when it is
    /// gone, of which nothing is sent.
    ///
    /// The row keeps its version, and a subscriber takes it unless it knows something newer. It is sent past the outbox, and has arrived at the
    /// broker when this returns. A row that somebody is writing is waited for: call this outside of a transaction that has written it.
    ///
    /// # Errors
    /// [`SyncError`]: also when a server is away, which is not waited for.
    async fn promiscuous_sync(&self, db: &PromiscuousConnection) -> Result<bool, SyncError>;
}

#[async_trait]
impl<M> PromiscuousSync for M
where
    M: ModelTrait<Entity: Publish> + Sync,
{
    async fn promiscuous_sync(&self, db: &PromiscuousConnection) -> Result<bool, SyncError> {
        let model = model_of::<M::Entity>(db)?;
        let id = id_of_model(self).ok_or_else(|| {
            let table = M::Entity::default();
            SyncError::Unsendable(format!(
                "a row of `{}` has NULL in its primary key: save it first",
                table.table_name()
            ))
        })?;
        model.publish_row(id).await
    }
}

/// Publishes all rows of an entity again, as `promiscuous publish` does; answers with how many were sent.
///
/// # Errors
/// See [`promiscuous_sync_where`].
pub async fn promiscuous_sync_all<E: Publish>(db: &PromiscuousConnection) -> Result<u64, SyncError> {
    model_of::<E>(db)?.publish(None, SyncSettings::default()).await
}

/// Publishes the rows of an entity again that match a condition, as `promiscuous publish "User where …"` does; answers with how many were sent.
///
/// The condition is SQL of the database on the columns of the entity's table. It may have no placeholders, and is no place for what users typed.
/// Nothing is written to the table, and nobody is stopped from writing it. While a server is away, this waits. When it is dropped or fails,
/// `promiscuous publish --resume` goes on with it.
///
/// ```no_run
/// # use promiscuous_seaorm::core::sync::SyncError;
/// # use promiscuous_seaorm::{PromiscuousConnection, Publish};
/// # async fn example<User: Publish>(db: PromiscuousConnection) -> Result<(), SyncError> {
/// use promiscuous_seaorm::core::sync::SyncSettings;
/// use promiscuous_seaorm::promiscuous_sync_where;
///
/// let mut settings = SyncSettings::default();
/// settings.only_to = Some("mailer".into());
/// let condition = "updated_at > now() - interval '1 day'";
/// let sent = promiscuous_sync_where::<User>(&db, condition, settings).await?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`SyncError`]: when the condition is none or the database does not understand it, before anything is sent; and when the app that is to get the
/// rows does not subscribe.
pub async fn promiscuous_sync_where<E: Publish>(
    db: &PromiscuousConnection,
    condition: &str,
    settings: SyncSettings,
) -> Result<u64, SyncError> {
    model_of::<E>(db)?.publish(Some(condition), settings).await
}

/// The same for whoever wants to know how far it is: the run that sends the rows, which are counted, but not sent yet. [`Run::run`] does that.
///
/// # Errors
/// See [`promiscuous_sync_where`].
pub async fn promiscuous_sync_run<E: Publish>(
    db: &PromiscuousConnection,
    condition: Option<&str>,
    settings: SyncSettings,
) -> Result<Run, SyncError> {
    model_of::<E>(db)?.begin(condition, settings).await
}

/// What publishes an entity's rows again.
fn model_of<E: Publish>(db: &PromiscuousConnection) -> Result<OneModel, SyncError> {
    let published = &db.capture().models;
    let entity = E::default();
    let found = db.publisher().zip(published.by_table(entity.schema_name(), entity.table_name()));
    let model = found.and_then(|(publisher, model)| {
        let rows = Arc::new(SeaRows::new(db.clone(), published));
        OneModel::find(publisher.clone(), rows, plain(db.inner().clone()), &model.endpoint)
    });
    model.ok_or_else(|| SyncError::Unpublished {
        model: E::declaration().name,
        connections: "`Promiscuous::wrap`",
    })
}
