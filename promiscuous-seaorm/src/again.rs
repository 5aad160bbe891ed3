//! Publishing rows again from the app's own code: what `promiscuous publish` does, inside of the program.

#[cfg(test)]
mod tests;

use std::sync::Arc;

use async_trait::async_trait;
use promiscuous_core::database::Dialect;
use promiscuous_core::error::Error;
use promiscuous_core::publisher::Publisher;
use promiscuous_core::sync::{
    Condition, PublishedRows, Run, Selection, SelectionError, SyncError, SyncSettings, publish_ids,
};
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
        let again = Again::of::<M::Entity>(db)?;
        let id = id_of_model(self).ok_or_else(|| {
            let table = M::Entity::default();
            SyncError::Unsendable(format!(
                "a row of `{}` has NULL in its primary key: save it first",
                table.table_name()
            ))
        })?;
        let sent = publish_ids(again.publisher, again.rows.as_ref(), again.model, &[id], None).await?;
        Ok(sent > 0)
    }
}

/// Publishes all rows of an entity again, as `promiscuous publish` does; answers with how many were sent.
///
/// # Errors
/// See [`promiscuous_sync_where`].
pub async fn promiscuous_sync_all<E: Publish>(db: &PromiscuousConnection) -> Result<u64, SyncError> {
    sent(promiscuous_sync_run::<E>(db, None, SyncSettings::default()).await?).await
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
    sent(promiscuous_sync_run::<E>(db, Some(condition), settings).await?).await
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
    let Again { publisher, rows, model } = Again::of::<E>(db)?;
    let database = plain(db.inner().clone());
    let condition = condition.map(|text| parsed(text, database.dialect())).transpose()?;
    let selection = Selection { model, name: rows.models()[model].name.clone(), condition };
    Run::begin(publisher.clone(), rows, database, vec![selection], settings).await
}

fn parsed(text: &str, dialect: Dialect) -> Result<Condition, SyncError> {
    Condition::parse(text, dialect).map_err(|error| SelectionError::from(error).into())
}

async fn sent(mut run: Run) -> Result<u64, SyncError> {
    let mut sent = 0;
    run.run(&mut |progress| sent = progress.sent).await?;
    Ok(sent)
}

/// What publishes an entity's rows again.
struct Again<'a> {
    /// The connection's own.
    publisher: &'a Publisher,
    /// Reads the rows.
    rows: Arc<SeaRows>,
    /// The entity's position in `rows`.
    model: usize,
}

impl<'a> Again<'a> {
    fn of<E: Publish>(db: &'a PromiscuousConnection) -> Result<Self, SyncError> {
        let published = &db.capture().models;
        let entity = E::default();
        let unpublished = || {
            SyncError::Publisher(Error::Configuration(format!(
                "`{}` is not published through this connection: use one from `Promiscuous::wrap`, and where models are named, name it with \
                 `Models::publish`",
                E::declaration().name
            )))
        };
        let publisher = db.publisher().ok_or_else(unpublished)?;
        let model = published.by_table(entity.schema_name(), entity.table_name()).ok_or_else(unpublished)?;
        let rows = Arc::new(SeaRows::new(db.clone(), published));
        let position = rows.models().iter().position(|described| described.endpoint == model.endpoint);
        Ok(Self { publisher, rows, model: position.ok_or_else(unpublished)? })
    }
}
