//! A started app: where its connections come from, and its subscriber.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use diesel::r2d2::Pool;
use promiscuous_core::apply::ApplyOptions;
use promiscuous_core::blocking::Bridge;
use promiscuous_core::config::{Config, SecretUrl};
use promiscuous_core::database::Database;
use promiscuous_core::error::Error;
use promiscuous_core::health::Health;
use promiscuous_core::links::Links;
use promiscuous_core::publisher::Publisher;
use promiscuous_core::subscriber::{Subscriber, SubscriberSettings};
use promiscuous_core::sync::PublishedRows;
use promiscuous_core::unseen::unseen_writers;
use promiscuous_core::verify::SubscribedRows;

use crate::app::App;
use crate::backend::PromiscuousBackend;
use crate::capture::Capture;
use crate::connection::{Promiscuous, Wrapped};
use crate::database::{DieselDatabase, Work};
use crate::default;
use crate::pool::{Manager, open};
use crate::rows::DieselRows;
use crate::subscribed_rows::DieselSubscribedRows;

/// Connections that a subscriber needs beside one for each worker: for loading what is known of keys, and for binding.
const BESIDE_WORKERS: u32 = 4;

/// A started app. A cheaply cloned handle; publishing ends with [`shut_down`](Self::shut_down), or when the last handle and the last
/// connection of the app are gone.
pub struct Running<DB: PromiscuousBackend> {
    /// Everything; see there.
    shared: Arc<Shared<DB>>,
}

/// What the handles share.
struct Shared<DB: PromiscuousBackend> {
    /// What was started.
    app: App<DB>,
    /// Its database.
    url: SecretUrl,
    /// What all its connections have in common.
    capture: Arc<Capture<DB>>,
    /// The published tables.
    tables: Vec<String>,
    /// The database as core sees it, and the thread that publishes, where anything is published.
    publishing: Option<(Arc<dyn Database>, Bridge)>,
}

impl<DB: PromiscuousBackend> Running<DB> {
    pub(crate) fn new(
        app: App<DB>,
        url: SecretUrl,
        capture: Arc<Capture<DB>>,
        tables: Vec<String>,
        publishing: Option<(Arc<dyn Database>, Bridge)>,
    ) -> Self {
        Self { shared: Arc::new(Shared { app, url, capture, tables, publishing }) }
    }

    /// The configuration.
    pub fn config(&self) -> &Config {
        self.shared.app.config()
    }

    /// Wraps a connection: what is written through it is published from here on. It may come from a pool of plain connections.
    ///
    /// It must lead to the database that the app was started on. Elsewhere nobody looks after the outbox, and what a dying process
    /// leaves there is not published before an app is started on it.
    pub fn wrap<C: Wrapped<Backend = DB>>(&self, connection: C) -> Promiscuous<C> {
        Promiscuous::with_capture(connection, Arc::clone(&self.shared.capture))
    }

    /// Wraps a connection of `diesel-async`, as [`wrap`](Self::wrap) does for Diesel's. It may come from a pool of plain connections; a
    /// pool of wrapped ones is made like this:
    /// ```no_run
    /// # #[cfg(feature = "postgres")]
    /// # fn example(running: promiscuous_diesel::Running<diesel::pg::Pg>) {
    /// use diesel_async::pooled_connection::{AsyncDieselConnectionManager, ManagerConfig};
    /// use diesel_async::{AsyncConnection, AsyncPgConnection};
    /// use promiscuous_diesel::AsyncPromiscuous;
    ///
    /// let mut config = ManagerConfig::<AsyncPromiscuous<AsyncPgConnection>>::default();
    /// config.custom_setup = Box::new(move |url| {
    ///     let (running, url) = (running.clone(), url.to_owned());
    ///     Box::pin(async move { Ok(running.wrap_async(AsyncPgConnection::establish(&url).await?)) })
    /// });
    /// let manager = AsyncDieselConnectionManager::new_with_config("postgres://localhost/shop", config);
    /// # }
    /// ```
    #[cfg(feature = "async")]
    pub fn wrap_async<C>(&self, connection: C) -> crate::AsyncPromiscuous<C>
    where
        C: crate::AsyncWrapped<Backend = DB>,
        DB: crate::AsyncBackend,
    {
        crate::AsyncPromiscuous::with_capture(connection, self.capture())
    }

    /// Makes wrapped connections to the app's database, for an r2d2 pool with settings of its own. On SQLite they begin with a `busy_timeout` of
    /// 5 s, because publishing writes to the same database; the pool's `connection_customizer` may set another one.
    pub fn manager(&self) -> Manager<DB> {
        Manager::new(self.shared.url.clone(), Arc::clone(&self.shared.capture))
    }

    /// An r2d2 pool of at most so many wrapped connections to the app's database, which are made as they are needed. One waits 5 s
    /// for a connection. On SQLite they wait up to 5 s for another writer, and use the write-ahead log. [`manager`](Self::manager) is for
    /// other settings.
    ///
    /// # Errors
    /// [`Error::Database`] when the database is away.
    pub fn pool(&self, connections: u32) -> Result<Pool<Manager<DB>>, Error> {
        Ok(open(self.manager().set_up(), connections)?)
    }

    /// Makes this app the one whose connections `Promiscuous::establish` makes, from here on and in this whole process: for code and for
    /// pools that make their connections themselves, such as `ConnectionManager<Promiscuous<PgConnection>>`.
    pub fn make_default(&self) {
        default::set(self.clone());
    }

    /// What publishes, where anything is published.
    pub fn publisher(&self) -> Option<&Publisher> {
        self.shared.capture.path.publisher()
    }

    /// How what publishes in the background does; of an app that publishes nothing, nothing is to be said.
    ///
    /// `healthy()` of it is for a check of the app's own; [`Health::report`] says what is wrong, and with the feature `http`
    /// `promiscuous_core::health::http` answers `/healthz` and `/readyz`.
    pub fn health(&self) -> Health {
        self.publisher().map(Publisher::health).unwrap_or_default()
    }

    /// What writes published tables without passing through the app's connections, as far as the schema tells: a sentence for each
    /// trigger and each cascading foreign key. [`App::start`] logs them as warnings.
    ///
    /// # Errors
    /// When the database's catalog cannot be read.
    pub fn unseen_writers(&self) -> Result<Vec<String>, Error> {
        let Some((database, bridge)) = &self.shared.publishing else { return Ok(Vec::new()) };
        let (database, tables) = (Arc::clone(database), self.shared.tables.clone());
        Ok(bridge.wait_for(async move { unseen_writers(database.as_ref(), &tables).await })??)
    }

    /// A subscriber that keeps the app's database up to date once it runs: `promiscuous subscribe` inside of the program. It is to be
    /// run on a tokio runtime. What the models' callbacks write is published as elsewhere.
    ///
    /// # Errors
    /// When the declarations of the subscribed models contradict each other, and [`Error::Database`] when the database is away.
    pub fn subscriber(&self) -> Result<Subscriber, Error> {
        let settings = SubscriberSettings::from(self.config());
        self.subscriber_with(settings)
    }

    /// The same, with settings of its own.
    ///
    /// # Errors
    /// Those of [`subscriber`](Self::subscriber).
    pub fn subscriber_with(&self, settings: SubscriberSettings) -> Result<Subscriber, Error> {
        let subscriptions = self.shared.app.models_of().subscribed()?.subscriptions().clone();
        let database = self.database(self.core_pool(settings.workers)?)?;
        // Links of its own: they belong to the runtime that they are used on, and end with it.
        let Links { applied, broker, .. } = Links::new(self.config())?;
        Subscriber::new(settings, subscriptions, database, applied, broker)
    }

    /// Connections for core, which are enough for so many workers.
    ///
    /// # Errors
    /// [`Error::Database`] when the database is away.
    pub(crate) fn core_pool(&self, workers: usize) -> Result<Pool<Manager<DB>>, Error> {
        let connections = u32::try_from(workers).unwrap_or(u32::MAX).saturating_add(BESIDE_WORKERS);
        Ok(open(self.manager().set_up(), connections)?)
    }

    /// The app's database as a subscriber sees it.
    pub(crate) fn database(&self, pool: Pool<Manager<DB>>) -> Result<Arc<dyn Database>, Error> {
        let models = self.shared.app.models_of().subscribed()?;
        let options = self.apply_options();
        let apply = move |connection: &mut _, work: Work<'_>| match work {
            Work::One(operation) => models.apply(connection, operation, options),
            Work::Again(operations) => models.apply_all(connection, operations, options),
        };
        Ok(Arc::new(DieselDatabase::new(pool, apply)))
    }

    /// How operations are applied, and compared.
    fn apply_options(&self) -> ApplyOptions {
        ApplyOptions::default().relaxed_schema(self.config().relaxed_schema)
    }

    /// Publishes what is in hand and stops publishing; what is left after `patience` waits in the outbox for the next process.
    /// Published writes of connections that are still in use go there, too.
    pub fn shut_down(&self, patience: Duration) {
        let Some((publisher, (_, bridge))) = self.publisher().zip(self.shared.publishing.as_ref()) else {
            return;
        };
        let publisher = publisher.clone();
        if let Err(error) = bridge.wait_for(async move { publisher.shut_down(patience).await }) {
            tracing::warn!(%error, "publishing could not be ended: what is left waits in the outbox");
        }
    }
}

impl<DB: PromiscuousBackend> Running<DB> {
    /// Whether the app was started on this URL.
    pub(crate) fn leads_to(&self, url: &SecretUrl) -> bool {
        self.shared.url == *url
    }

    /// The rows of what the app publishes.
    pub(crate) fn rows(&self, pool: Pool<Manager<DB>>) -> Arc<dyn PublishedRows> {
        Arc::new(DieselRows::new(pool, self.shared.capture.models.iter().map(Arc::clone)))
    }

    /// The rows of what the app subscribes to.
    ///
    /// # Errors
    /// When the declarations of the subscribed models contradict each other.
    pub(crate) fn subscribed(&self, pool: Pool<Manager<DB>>) -> Result<Arc<dyn SubscribedRows>, Error> {
        let models = self.shared.app.models_of().subscribed()?;
        Ok(Arc::new(DieselSubscribedRows::new(pool, models, self.apply_options())))
    }

    /// What all the app's connections have in common.
    pub(crate) fn capture(&self) -> Arc<Capture<DB>> {
        Arc::clone(&self.shared.capture)
    }
}

// Derived, they would ask the same of the backend.
impl<DB: PromiscuousBackend> Clone for Running<DB> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<DB: PromiscuousBackend> fmt::Debug for Running<DB> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running")
            .field("app", &self.config().app)
            .field("database", &self.shared.url)
            .finish_non_exhaustive()
    }
}
