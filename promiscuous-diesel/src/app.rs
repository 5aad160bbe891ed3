//! Where an app puts it all together.

use std::sync::Arc;

use diesel::connection::SimpleConnection;
use promiscuous_core::blocking::Bridge;
use promiscuous_core::capture::CaptureSettings;
use promiscuous_core::config::{Config, SecretUrl};
use promiscuous_core::database::Database;
use promiscuous_core::error::Error;
use promiscuous_core::links::Links;
use promiscuous_core::publisher::{Publisher, PublisherSettings};
use promiscuous_core::schema::create_tables;

use crate::backend::PromiscuousBackend;
use crate::capture::Capture;
use crate::commit::CommitPath;
use crate::database::plain;
use crate::database_error::database_error;
use crate::model::PublishedModels;
use crate::models::Models;
use crate::running::Running;

/// Connections for the outbox: publishing, sweeping, recovering and looking up the generation may each need one at the same time.
const OWN_CONNECTIONS: u32 = 4;

/// An app's replication: what it publishes and subscribes to, and the servers between.
///
#[cfg_attr(feature = "postgres", doc = "```no_run")]
#[cfg_attr(not(feature = "postgres"), doc = "```ignore")]
/// use diesel::pg::Pg;
/// use promiscuous_diesel::App;
///
/// # fn example() -> Result<(), Box<dyn std::error::Error>> {
/// // PROMISCUOUS_APP, AMQP_URL and REDIS_URL, or promiscuous.toml.
/// let app = App::<Pg>::from_environment()?.start("postgres://localhost/shop")?;
/// let pool = app.pool(10)?;
/// let connection = &mut pool.get()?;
/// // From here on `connection` is used like Diesel's own.
/// # Ok(())
/// # }
/// ```
///
/// It needs no async runtime: what publishes in the background has a thread of its own.
pub struct App<DB: PromiscuousBackend> {
    /// Its name, and where the servers are.
    config: Config,
    /// What it publishes and subscribes to.
    models: Models<DB>,
    /// How writes are captured.
    capture: CaptureSettings,
    /// What the program changes of how messages are published.
    adjust: Option<Adjust>,
}

/// A change of the publisher's settings.
type Adjust = Arc<dyn Fn(&mut PublisherSettings) + Send + Sync>;

impl<DB: PromiscuousBackend> App<DB> {
    /// Configured by the environment and `promiscuous.toml`, with every model of the program that derives `Publish` or `Subscribe`
    /// for this backend.
    ///
    /// # Errors
    /// [`Error::Configuration`].
    pub fn from_environment() -> Result<Self, Error> {
        Ok(Self::new(Config::from_environment()?))
    }

    /// Configured by the program, with every model of the program that derives `Publish` or `Subscribe` for this backend.
    pub fn new(config: Config) -> Self {
        Self { config, models: Models::of_this_program(), capture: CaptureSettings::default(), adjust: None }
    }

    /// Names the models, instead of taking all of the program's: where one program hosts more than one app.
    #[must_use]
    pub fn models(self, models: Models<DB>) -> Self {
        Self { models, ..self }
    }

    /// How writes are captured.
    #[must_use]
    pub fn capture(self, capture: CaptureSettings) -> Self {
        Self { capture, ..self }
    }

    /// Adjusts how messages are published.
    #[must_use]
    pub fn publisher_settings(self, adjust: impl Fn(&mut PublisherSettings) + Send + Sync + 'static) -> Self {
        Self { adjust: Some(Arc::new(adjust)), ..self }
    }

    /// The configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Creates the promiscuous tables, as `promiscuous migrate` does. Where they are there already, nothing changes.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn migrate(&self, connection: &mut DB::Connection) -> Result<(), Error> {
        for statement in create_tables(DB::DIALECT) {
            connection.batch_execute(&statement).map_err(database_error)?;
        }
        Ok(())
    }

    /// Starts publishing from this database: what is written through the connections of the running app is published, in the
    /// background of this process. It opens a few connections of its own, for the outbox. An app that publishes nothing needs none.
    ///
    /// # Errors
    /// When two models claim one endpoint or another app owns one, when Redis would evict versions, and when the promiscuous tables are
    /// missing or the database is away. Redis and RabbitMQ that are merely away are no error: see [`Publisher::start`].
    pub fn start(&self, database_url: &str) -> Result<Running<DB>, Error> {
        let url = SecretUrl::new(DB::connection_url(database_url).map_err(Error::Configuration)?);
        let published = self.models.published(&self.config.app)?;
        if published.is_empty() {
            // Right for an app that only subscribes; otherwise its models were not linked or not named.
            tracing::info!(app = %self.config.app, "nothing is published");
            let capture = Capture::new(published, CommitPath::Nothing, self.capture.clone())?;
            return Ok(Running::new(self.clone(), url, capture, Vec::new(), None));
        }
        let tables: Vec<String> = published.iter().map(|model| model.table.name.clone()).collect();
        let own = plain::<DB>(url.clone(), OWN_CONNECTIONS)?;
        let bridge = Bridge::start()?;
        let publisher = self.start_publisher(&published, Arc::clone(&own), &bridge)?;
        let path = CommitPath::Publisher { publisher, bridge: bridge.clone(), url: url.clone() };
        let capture = Capture::new(published, path, self.capture.clone())?;
        let running = Running::new(self.clone(), url, capture, tables, Some((own, bridge)));
        match running.unseen_writers() {
            Ok(found) => found.iter().for_each(|sentence| tracing::warn!("{sentence}")),
            Err(error) => {
                tracing::debug!(%error, "the schema does not tell what writes behind the connection's back")
            }
        }
        Ok(running)
    }

    fn start_publisher(
        &self,
        published: &PublishedModels<DB>,
        database: Arc<dyn Database>,
        bridge: &Bridge,
    ) -> Result<Publisher, Error> {
        let mut settings = PublisherSettings::from(&self.config);
        settings.host = std::env::var("HOSTNAME").ok().filter(|name| !name.is_empty());
        if let Some(adjust) = &self.adjust {
            adjust(&mut settings);
        }
        let mut endpoints: Vec<_> = published.iter().map(|model| model.endpoint.clone()).collect();
        endpoints.sort_unstable();
        tracing::info!(app = %self.config.app, ?endpoints, "publishing");
        // Links of its own: they belong to the runtime that they are used on, and end with it.
        let Links { versions, broker, .. } = Links::new(&self.config)?;
        bridge.wait_for(Publisher::start(settings, endpoints, database, versions, broker))?
    }

    /// What it publishes and subscribes to.
    pub(crate) fn models_of(&self) -> &Models<DB> {
        &self.models
    }
}

// Derived, they would ask the same of the backend.
impl<DB: PromiscuousBackend> Clone for App<DB> {
    fn clone(&self) -> Self {
        Self {
            config: self.config.clone(),
            models: self.models.clone(),
            capture: self.capture.clone(),
            adjust: self.adjust.clone(),
        }
    }
}

impl<DB: PromiscuousBackend> std::fmt::Debug for App<DB> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("App").field("app", &self.config.app).finish_non_exhaustive()
    }
}
