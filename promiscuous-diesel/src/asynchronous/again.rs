//! Publishing rows again over a connection of `diesel-async`; see [`again`](crate::again).

use std::sync::Arc;

use promiscuous_core::blocking::Bridge;
use promiscuous_core::error::Error;
use promiscuous_core::sync::{Progress, SyncError, SyncSettings};
use tokio::task::JoinSet;

use super::{AsyncPromiscuous, AsyncWrapped};
use crate::again::{Sending, SyncRun, id_of, sending_of};
use crate::database_error::database_error;
use crate::model::{Publish, PublishOn};

/// [`PromiscuousSync`](crate::PromiscuousSync) for connections of `diesel-async`: everything that is said there holds here, but that nothing
/// blocks. Where both are in scope, say which is meant, as with Diesel's and `diesel-async`'s `RunQueryDsl`.
///
/// A future that is dropped has sent some of its rows, or none.
///
#[cfg_attr(feature = "postgres", doc = "```no_run")]
#[cfg_attr(not(feature = "postgres"), doc = "```ignore")]
/// # mod model {
/// #     use promiscuous_diesel::Publish;
/// #     diesel::table! { users (id) { id -> BigInt, name -> Text, } }
/// #     #[derive(diesel::Queryable, diesel::Selectable, Publish)]
/// #     #[diesel(table_name = users)]
/// #     #[publish(attributes(name))]
/// #     pub struct User { id: i64, name: String }
/// # }
/// # use model::User;
/// use diesel_async::AsyncPgConnection;
/// use promiscuous_diesel::core::sync::SyncError;
/// use promiscuous_diesel::{AsyncPromiscuous, AsyncPromiscuousSync};
///
/// async fn again(joe: &User, db: &mut AsyncPromiscuous<AsyncPgConnection>) -> Result<(), SyncError> {
///     joe.promiscuous_sync(db).await?;
///     User::promiscuous_sync_all(db).await?;
///     Ok(())
/// }
/// ```
///
/// With [`AsyncSqlite`](crate::AsyncSqlite) use [`PromiscuousSync`](crate::PromiscuousSync) inside of its `spawn_blocking`.
pub trait AsyncPromiscuousSync: Publish {
    /// As [`PromiscuousSync::promiscuous_sync`](crate::PromiscuousSync::promiscuous_sync).
    ///
    /// # Errors
    /// [`SyncError`].
    fn promiscuous_sync<C>(
        &self,
        connection: &mut AsyncPromiscuous<C>,
    ) -> impl Future<Output = Result<bool, SyncError>> + Send
    where
        C: AsyncWrapped,
        Self: PublishOn<C::Backend>,
    {
        let id = id_of::<C::Backend, Self>(self);
        async move {
            let id = id?;
            let Sending { model, bridge } = sending::<C, Self>(connection).await?;
            on(&bridge, async move { model.publish_row(id).await }).await?
        }
    }

    /// As [`PromiscuousSync::promiscuous_sync_all`](crate::PromiscuousSync::promiscuous_sync_all).
    ///
    /// # Errors
    /// [`SyncError`].
    fn promiscuous_sync_all<C>(
        connection: &mut AsyncPromiscuous<C>,
    ) -> impl Future<Output = Result<u64, SyncError>> + Send
    where
        C: AsyncWrapped,
        Self: PublishOn<C::Backend>,
    {
        async move {
            let Sending { model, bridge } = sending::<C, Self>(connection).await?;
            on(&bridge, async move { model.publish(None, SyncSettings::default()).await }).await?
        }
    }

    /// As [`PromiscuousSync::promiscuous_sync_where`](crate::PromiscuousSync::promiscuous_sync_where).
    ///
    /// # Errors
    /// [`SyncError`].
    fn promiscuous_sync_where<C>(
        connection: &mut AsyncPromiscuous<C>,
        condition: &str,
        settings: SyncSettings,
    ) -> impl Future<Output = Result<u64, SyncError>> + Send
    where
        C: AsyncWrapped,
        Self: PublishOn<C::Backend>,
    {
        let condition = condition.to_owned();
        async move {
            let Sending { model, bridge } = sending::<C, Self>(connection).await?;
            on(&bridge, async move { model.publish(Some(&condition), settings).await }).await?
        }
    }

    /// As [`PromiscuousSync::promiscuous_sync_run`](crate::PromiscuousSync::promiscuous_sync_run); [`SyncRun::run_async`] sends the rows.
    ///
    /// # Errors
    /// [`SyncError`].
    fn promiscuous_sync_run<C>(
        connection: &mut AsyncPromiscuous<C>,
        condition: Option<&str>,
        settings: SyncSettings,
    ) -> impl Future<Output = Result<SyncRun, SyncError>> + Send
    where
        C: AsyncWrapped,
        Self: PublishOn<C::Backend>,
    {
        let condition = condition.map(str::to_owned);
        async move {
            let Sending { model, bridge } = sending::<C, Self>(connection).await?;
            let run = on(&bridge, async move { model.begin(condition.as_deref(), settings).await }).await??;
            Ok(SyncRun::new(run, bridge))
        }
    }
}

impl<M: Publish> AsyncPromiscuousSync for M {}

impl SyncRun {
    /// As [`run`](Self::run), for whoever can wait: `told` is called where this future runs, with the newest progress, and not with what is older by
    /// then. When the future is dropped, it stops.
    ///
    /// # Errors
    /// [`SyncError`], but for servers that are away.
    pub async fn run_async(self, mut told: impl FnMut(Progress) + Send) -> Result<u64, SyncError> {
        let (mut run, bridge) = self.into_parts();
        // Whoever hears slowly hears the newest, and nothing piles up.
        let (progresses, mut progress) = tokio::sync::watch::channel(None);
        let work = async move {
            let mut tell = |progress| {
                progresses.send_replace(Some(progress));
            };
            run.run(&mut tell).await
        };
        let mut sent = 0;
        let hear = async {
            while progress.changed().await.is_ok() {
                let newest: Option<Progress> = *progress.borrow_and_update();
                if let Some(progress) = newest {
                    sent = progress.sent;
                    told(progress);
                }
            }
        };
        let (done, ()) = tokio::join!(on(&bridge, work), hear);
        done??;
        Ok(sent)
    }
}

async fn sending<C, M>(connection: &mut AsyncPromiscuous<C>) -> Result<Sending, SyncError>
where
    C: AsyncWrapped,
    M: PublishOn<C::Backend>,
{
    let failed = |error| Error::from(database_error(error));
    // What was cancelled before is over.
    connection.settle().await.map_err(failed)?;
    if connection.depth().map_err(failed)? > 0 {
        return Err(SyncError::InTransaction);
    }
    let capture = Arc::clone(&connection.ledger.capture);
    // The connections that it reads through may have to be opened.
    let sending = tokio::task::spawn_blocking(move || sending_of::<C::Backend, M>(&capture));
    sending.await.unwrap_or_else(|error| Err(SyncError::Stopped(error.to_string())))
}

/// Runs a future on the thread that publishes, to which the servers' connections belong. It stops when this is dropped.
async fn on<F>(bridge: &Bridge, future: F) -> Result<F::Output, SyncError>
where
    F: Future<Output: Send> + Send + 'static,
{
    let mut task = JoinSet::new();
    task.spawn_on(future, bridge.runtime());
    match task.join_next().await {
        Some(Ok(output)) => Ok(output),
        _ => Err(SyncError::Stopped("the thread that publishes has ended, or panicked".into())),
    }
}
