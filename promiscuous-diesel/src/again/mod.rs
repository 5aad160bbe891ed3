//! Publishing rows again from the app's own code: what `promiscuous publish` does, inside of the program.
//!
//! * here: what an app says;
//! * `run`: a run that tells how far it is;
//! * `elsewhere`: the connections that the rows are read through.

pub(crate) mod elsewhere;
mod run;
#[cfg(all(test, feature = "postgres", feature = "mysql", feature = "sqlite"))]
mod tests;

use promiscuous_core::blocking::Bridge;
use promiscuous_core::error::{Error, chain};
use promiscuous_core::key::encode_id;
use promiscuous_core::sync::{OneModel, SyncError, SyncSettings};

use crate::backend::PromiscuousBackend;
use crate::capture::Capture;
use crate::commit::CommitPath;
use crate::connection::{Promiscuous, Wrapped};
use crate::database_error::database_error;
use crate::model::{Publish, PublishOn};
use crate::publication::describe;

pub use run::SyncRun;

/// Publishes rows of a model again: every struct that derives [`Publish`](macro@crate::Publish) can.
///
/// It is for what the library has not seen, such as an import by raw SQL. The rows are sent as they are in the database now, to every
/// subscriber. Each keeps its version, and a subscriber takes it unless it knows something newer. They go past the outbox, and have arrived
/// at the broker when a call returns. Nothing is written to the table, and nobody is stopped from writing it.
///
#[cfg_attr(feature = "sqlite", doc = "```no_run")]
#[cfg_attr(not(feature = "sqlite"), doc = "```ignore")]
/// use diesel::prelude::*;
/// use promiscuous_diesel::core::sync::SyncSettings;
/// use promiscuous_diesel::{Promiscuous, PromiscuousSync, Publish};
///
/// diesel::table! {
///     users (id) {
///         id -> BigInt,
///         name -> Text,
///     }
/// }
///
/// #[derive(Queryable, Selectable, Publish)]
/// #[diesel(table_name = users)]
/// #[publish(attributes(name))]
/// struct User {
///     id: i64,
///     name: String,
/// }
///
/// fn after_the_import(db: &mut Promiscuous<SqliteConnection>) -> Result<(), Box<dyn std::error::Error>> {
///     let joe: User = users::table.find(1).first(db)?;
///     if !joe.promiscuous_sync(db)? {
///         println!("Joe has gone meanwhile");
///     }
///
///     let sent = User::promiscuous_sync_all(db)?;
///     println!("{sent} users");
///
///     // The condition is SQL.
///     let mut settings = SyncSettings::default();
///     settings.only_to = Some("mailer".into());
///     User::promiscuous_sync_where(db, "name LIKE 'J%'", settings)?;
///
///     let run = User::promiscuous_sync_run(db, Some("id > 1000"), SyncSettings::default())?;
///     let total = run.total();
///     run.run(|progress| println!("{} of {total} users", progress.sent))?;
///     Ok(())
/// }
/// ```
///
/// The connection tells which app it is. The rows are read through others, that the app opens for it when it is first asked: at most five, in the
/// place where it was started. So they are read as they are committed, and a connection that is in a transaction is refused
/// ([`SyncError::InTransaction`]), in a model's [`Callbacks`](crate::Callbacks) too. A row that somebody is writing is waited for.
///
/// A call blocks, as Diesel does. In async code use it in [`Context::spawn_blocking`](crate::Context::spawn_blocking); for connections of
/// `diesel-async` there is `AsyncPromiscuousSync`.
pub trait PromiscuousSync: Publish {
    /// Publishes the row again as it is in the database now, which need not be what this value says; false when it is gone, of which
    /// nothing is sent.
    ///
    /// # Errors
    /// [`SyncError`]: also when a server is away, which is not waited for.
    fn promiscuous_sync<C>(&self, connection: &mut Promiscuous<C>) -> Result<bool, SyncError>
    where
        C: Wrapped,
        Self: PublishOn<C::Backend>,
    {
        let Sending { model, bridge } = sending::<C, Self>(connection)?;
        let id = id_of::<C::Backend, Self>(self)?;
        bridge.call(async move { model.publish_row(id).await }).map_err(stopped)?
    }

    /// Publishes all rows of the model again, as `promiscuous publish` does; answers with how many were sent.
    ///
    /// # Errors
    /// See [`promiscuous_sync_where`](Self::promiscuous_sync_where).
    fn promiscuous_sync_all<C>(connection: &mut Promiscuous<C>) -> Result<u64, SyncError>
    where
        C: Wrapped,
        Self: PublishOn<C::Backend>,
    {
        let Sending { model, bridge } = sending::<C, Self>(connection)?;
        let publish = async move { model.publish(None, SyncSettings::default()).await };
        bridge.call(publish).map_err(stopped)?
    }

    /// Publishes the rows again that match a condition, as `promiscuous publish "User where …"` does; answers with how many were sent.
    ///
    /// The condition is SQL of the database on the columns of the model's table. It may have no placeholders, and is no place for what users
    /// typed. While a server is away, this waits. When it fails, `promiscuous publish --resume` goes on with it.
    ///
    /// # Errors
    /// [`SyncError`]: when the condition is none or the database does not understand it, before anything is sent; and when the app that is to
    /// get the rows does not subscribe.
    fn promiscuous_sync_where<C>(
        connection: &mut Promiscuous<C>,
        condition: &str,
        settings: SyncSettings,
    ) -> Result<u64, SyncError>
    where
        C: Wrapped,
        Self: PublishOn<C::Backend>,
    {
        let Sending { model, bridge } = sending::<C, Self>(connection)?;
        let condition = condition.to_owned();
        bridge.call(async move { model.publish(Some(&condition), settings).await }).map_err(stopped)?
    }

    /// The same for whoever wants to know how far it is: the run that sends the rows, which are counted, but not sent yet.
    /// [`SyncRun::run`] does that.
    ///
    /// # Errors
    /// See [`promiscuous_sync_where`](Self::promiscuous_sync_where).
    fn promiscuous_sync_run<C>(
        connection: &mut Promiscuous<C>,
        condition: Option<&str>,
        settings: SyncSettings,
    ) -> Result<SyncRun, SyncError>
    where
        C: Wrapped,
        Self: PublishOn<C::Backend>,
    {
        let Sending { model, bridge } = sending::<C, Self>(connection)?;
        let condition = condition.map(str::to_owned);
        let begin = async move { model.begin(condition.as_deref(), settings).await };
        let run = bridge.call(begin).map_err(stopped)??;
        Ok(SyncRun::new(run, bridge))
    }
}

impl<M: Publish> PromiscuousSync for M {}

/// What publishes a model's rows again, and the thread on which it does.
pub(crate) struct Sending {
    pub(crate) model: OneModel,
    pub(crate) bridge: Bridge,
}

fn sending<C, M>(connection: &mut Promiscuous<C>) -> Result<Sending, SyncError>
where
    C: Wrapped,
    M: PublishOn<C::Backend>,
{
    if connection.depth().map_err(|error| Error::from(database_error(error)))? > 0 {
        return Err(SyncError::InTransaction);
    }
    sending_of::<C::Backend, M>(connection.capture())
}

/// # Errors
/// [`SyncError::Unpublished`]; and when the database is away.
pub(crate) fn sending_of<DB, M>(capture: &Capture<DB>) -> Result<Sending, SyncError>
where
    DB: PromiscuousBackend,
    M: PublishOn<DB>,
{
    let unpublished = || SyncError::Unpublished {
        model: M::declaration().name,
        connections: "`Running::pool` or `Running::wrap`",
    };
    let CommitPath::Publisher { publisher, bridge, url } = &capture.path else {
        return Err(unpublished());
    };
    let described = describe::<DB, M>(publisher.app())?;
    // Two structs may be called alike: then the other one's rows are kept elsewhere.
    let mut published = capture.models.iter();
    if !published.any(|model| model.endpoint == described.endpoint && model.table == described.table) {
        return Err(unpublished());
    }
    let (rows, database) = capture.elsewhere.open(url, &capture.models)?;
    let model = OneModel::find(publisher.clone(), rows, database, &described.endpoint);
    Ok(Sending { model: model.ok_or_else(unpublished)?, bridge: bridge.clone() })
}

/// # Errors
/// When the row's key is NULL, or cannot be written.
pub(crate) fn id_of<DB, M>(row: &M) -> Result<String, SyncError>
where
    DB: PromiscuousBackend,
    M: PublishOn<DB>,
{
    let parts = PublishOn::<DB>::own_key(row);
    let parts = parts.map_err(|error| SyncError::Unsendable(chain(&error)))?;
    Ok(encode_id(parts.iter().map(String::as_str)))
}

/// The thread that publishes did not answer, and no write was concerned.
fn stopped(error: Error) -> SyncError {
    match error {
        Error::Publisher(reason) => SyncError::Stopped(reason),
        other => other.into(),
    }
}
