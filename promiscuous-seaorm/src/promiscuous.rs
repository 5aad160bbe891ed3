//! Where an app puts it all together.

use std::sync::Arc;

use promiscuous_core::config::Config;
use promiscuous_core::database::{Database, Sql};
use promiscuous_core::error::Error;
use promiscuous_core::links::Links;
use promiscuous_core::publisher::{Publisher, PublisherSettings};
use promiscuous_core::schema::create_tables;
use promiscuous_core::subscriber::{Subscriber, SubscriberSettings};
use promiscuous_core::sync::PublishedRows;
use promiscuous_core::unseen::unseen_writers;
use promiscuous_core::verify::SubscribedRows;
use sea_orm::DatabaseConnection;

use crate::applier::ApplyOptions;
use crate::connection::PromiscuousConnection;
use crate::database::SeaDatabase;
use crate::model::PublishedModels;
use crate::models::Models;
use crate::rows::SeaRows;
use crate::subscribed_rows::SeaSubscribedRows;
use promiscuous_core::capture::CaptureSettings;

/// An app's replication: what it publishes and subscribes to, and the servers between.
///
/// ```no_run
/// # async fn example(db: sea_orm::DatabaseConnection) -> Result<(), promiscuous_seaorm::Error> {
/// use promiscuous_seaorm::Promiscuous;
///
/// // PROMISCUOUS_APP, AMQP_URL and REDIS_URL, or promiscuous.toml.
/// let promiscuous = Promiscuous::from_environment()?;
/// let db = promiscuous.wrap(db).await?;
/// // From here on `db` is used like SeaORM's own connection.
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Promiscuous {
    config: Config,
    links: Links,
    models: Models,
    capture: CaptureSettings,
    adjust: Option<Adjust>,
}

type Adjust = Arc<dyn Fn(&mut PublisherSettings) + Send + Sync>;

impl Promiscuous {
    /// Configured by the environment and `promiscuous.toml`, with every entity of the program that derives
    /// `Publish` or `Subscribe`.
    ///
    /// # Errors
    /// [`Error::Configuration`].
    pub fn from_environment() -> Result<Self, Error> {
        Self::new(Config::from_environment()?)
    }

    /// Configured by the program, with every entity of the program that derives `Publish` or `Subscribe`.
    ///
    /// # Errors
    /// [`Error::Configuration`] for a URL of an unknown scheme.
    pub fn new(config: Config) -> Result<Self, Error> {
        let links = Links::new(&config)?;
        Ok(Self::with_links(config, links))
    }

    pub(crate) fn with_links(config: Config, links: Links) -> Self {
        Self {
            config,
            links,
            models: Models::of_this_program(),
            capture: CaptureSettings::default(),
            adjust: None,
        }
    }

    /// Names the entities, instead of taking all of the program's: where one program hosts more than one app.
    #[must_use]
    pub fn models(self, models: Models) -> Self {
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

    /// The servers between the apps.
    pub fn links(&self) -> &Links {
        &self.links
    }

    /// Creates the promiscuous tables, as `promiscuous migrate` does. Where they are there already, nothing changes.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn migrate(&self, db: &DatabaseConnection) -> Result<(), Error> {
        let database = plain(db.clone());
        for statement in create_tables(database.dialect()) {
            database.execute(Sql::new(database.dialect(), &statement)).await?;
        }
        Ok(())
    }

    /// Wraps the app's connection pool: what is written through it is published from here on, in the background of this process.
    /// Where the app publishes nothing, it is a connection like any other.
    ///
    /// # Errors
    /// When two models claim one endpoint or another app owns one, when Redis would evict versions, and when the promiscuous
    /// tables are missing. Servers that are merely away are no error: see [`Publisher::start`].
    pub async fn wrap(&self, db: DatabaseConnection) -> Result<PromiscuousConnection, Error> {
        let published = self.models.published(&self.config.app)?;
        if published.is_empty() {
            // Right for an app that only subscribes; otherwise its entities were not linked or not named.
            tracing::info!(app = %self.config.app, "nothing is published");
            return Ok(PromiscuousConnection::new(db, published, None, self.capture.clone()));
        }
        let mut settings = PublisherSettings::from(&self.config);
        settings.host = std::env::var("HOSTNAME").ok().filter(|name| !name.is_empty());
        if let Some(adjust) = &self.adjust {
            adjust(&mut settings);
        }
        let mut endpoints: Vec<_> = published.iter().map(|model| model.endpoint.clone()).collect();
        endpoints.sort_unstable();
        tracing::info!(app = %self.config.app, ?endpoints, "publishing");
        match self.unseen_writers(&db).await {
            Ok(found) => found.iter().for_each(|sentence| tracing::warn!("{sentence}")),
            Err(error) => {
                tracing::debug!(%error, "the schema does not tell what writes behind the connection's back")
            }
        }
        let publisher = Publisher::start(
            settings,
            endpoints,
            plain(db.clone()),
            Arc::clone(&self.links.versions),
            Arc::clone(&self.links.broker),
        )
        .await?;
        Ok(PromiscuousConnection::new(db, published, Some(publisher), self.capture.clone()))
    }

    /// What writes published tables without passing through the connection, as far as the schema tells: a sentence for each
    /// trigger and each cascading foreign key. [`wrap`](Self::wrap) logs them as warnings.
    ///
    /// # Errors
    /// When the database's catalog cannot be read, or the declarations contradict each other.
    pub async fn unseen_writers(&self, db: &DatabaseConnection) -> Result<Vec<String>, Error> {
        let published = self.models.published(&self.config.app)?;
        let tables: Vec<String> = published.iter().map(|model| model.table.clone()).collect();
        Ok(unseen_writers(plain(db.clone()).as_ref(), &tables).await?)
    }

    /// A subscriber that keeps this app's database up to date once it runs: `promiscuous subscribe` inside of the program.
    ///
    /// # Errors
    /// When the declarations of the subscribed entities contradict each other.
    pub fn subscriber(&self, db: &PromiscuousConnection) -> Result<Subscriber, Error> {
        let settings = SubscriberSettings::from(&self.config);
        self.subscriber_with(db, settings)
    }

    /// The same, with settings of its own.
    ///
    /// # Errors
    /// When the declarations of the subscribed entities contradict each other.
    pub fn subscriber_with(
        &self,
        db: &PromiscuousConnection,
        settings: SubscriberSettings,
    ) -> Result<Subscriber, Error> {
        let subscriptions = self.models.subscribed()?.subscriptions().clone();
        let database = self.database(db)?;
        let applied = Arc::clone(&self.links.applied);
        Subscriber::new(settings, subscriptions, database, applied, Arc::clone(&self.links.broker))
    }

    /// The app's database, as core sees it.
    pub(crate) fn database(&self, db: &PromiscuousConnection) -> Result<Arc<dyn Database>, Error> {
        Ok(Arc::new(SeaDatabase::new(db.clone(), self.models.subscribed()?, self.apply_options())))
    }

    /// How what arrives is applied.
    fn apply_options(&self) -> ApplyOptions {
        ApplyOptions::default().relaxed_schema(self.config.relaxed_schema)
    }

    /// The rows of the subscribed models, as core compares them with their publisher's.
    pub(crate) fn subscribed_rows(
        &self,
        db: &PromiscuousConnection,
    ) -> Result<Arc<dyn SubscribedRows>, Error> {
        let models = self.models.subscribed()?;
        Ok(Arc::new(SeaSubscribedRows::new(db.clone(), models, self.apply_options())))
    }

    /// The rows of the published models, as core reads them to publish them again.
    pub(crate) fn rows(&self, db: &PromiscuousConnection) -> Result<Arc<dyn PublishedRows>, Error> {
        Ok(Arc::new(SeaRows::new(db.clone(), &self.models.published(&self.config.app)?)))
    }
}

/// A database that core uses for its own tables only.
pub(crate) fn plain(db: DatabaseConnection) -> Arc<dyn Database> {
    let connection =
        PromiscuousConnection::new(db, PublishedModels::default(), None, CaptureSettings::default());
    Arc::new(SeaDatabase::new(connection, Default::default(), ApplyOptions::default()))
}
