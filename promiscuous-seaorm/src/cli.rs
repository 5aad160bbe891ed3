//! The app's `promiscuous` command.

use std::process::ExitCode;
use std::sync::Arc;

use async_trait::async_trait;
use promiscuous_core::cli::{App, Connected, run};
use promiscuous_core::config::{Config, SecretUrl};
use promiscuous_core::database::Database;
use promiscuous_core::error::Error;
use promiscuous_core::links::Links;
use promiscuous_core::registry::Subscriptions;
use sea_orm::sqlx::Error as SqlxError;
use sea_orm::{ConnectOptions, DatabaseConnection, DbErr, RuntimeErr};

use crate::database_error::database_error;
use crate::models::Models;
use crate::promiscuous::{Promiscuous, plain};

/// Runs the `promiscuous` command for every entity of the program that derives `Publish` or `Subscribe`.
///
/// ```no_run
/// #[tokio::main]
/// async fn main() -> std::process::ExitCode {
///     promiscuous_seaorm::cli().await
/// }
/// ```
pub async fn cli() -> ExitCode {
    cli_with(Models::of_this_program()).await
}

/// The same, for these entities.
pub async fn cli_with(models: Models) -> ExitCode {
    run(SeaApp { models }).await
}

struct SeaApp {
    models: Models,
}

#[async_trait]
impl App for SeaApp {
    fn subscriptions(&self) -> Result<Subscriptions, Error> {
        Ok(self.models.subscribed()?.subscriptions().clone())
    }

    fn published_tables(&self, app: &str) -> Result<Vec<String>, Error> {
        let models = self.models.published(app)?;
        Ok(models.iter().map(|model| model.table.clone()).collect())
    }

    async fn connect(&self, config: &Config, links: &Links) -> Result<Connected, Error> {
        let url = config.database_url.as_ref().ok_or_else(|| {
            Error::Configuration("no database is named: set DATABASE_URL, or pass --database-url".into())
        })?;
        // One connection for each worker, and some for loading, sweeping and recovering.
        let db = open(url, config.workers + 4).await?;
        let promiscuous = Promiscuous::with_links(config.clone(), links.clone()).models(self.models.clone());
        let connection = promiscuous.wrap(db).await?;
        let database = promiscuous.database(&connection)?;
        let publisher = connection.publisher().cloned();
        let rows = publisher.as_ref().map(|_| promiscuous.rows(&connection)).transpose()?;
        let subscribed = promiscuous.subscribed_rows(&connection)?;
        Ok(Connected { database, publisher, rows, subscribed })
    }

    async fn connect_plain(&self, url: &SecretUrl) -> Result<Arc<dyn Database>, Error> {
        Ok(plain(open(url, 1).await?))
    }
}

async fn open(url: &SecretUrl, connections: usize) -> Result<DatabaseConnection, Error> {
    let mut options = ConnectOptions::new(url.expose());
    options
        .max_connections(u32::try_from(connections).unwrap_or(u32::MAX))
        .connect_timeout(std::time::Duration::from_secs(5))
        .sqlx_logging(false);
    sea_orm::Database::connect(options).await.map_err(not_connected)
}

/// What cannot be read of a URL is quoted by SeaORM, and by what it stands on: that may be the password.
fn not_connected(error: DbErr) -> Error {
    let about_the_url = match &error {
        DbErr::Conn(RuntimeErr::Internal(_)) => true,
        DbErr::Conn(RuntimeErr::SqlxError(cause)) => matches!(**cause, SqlxError::Configuration(_)),
        _ => false,
    };
    if about_the_url {
        return Error::Configuration(
            "DATABASE_URL cannot be understood: write postgres://user:password@host:5432/database, mysql://… or sqlite://path, with the special characters of a password percent-encoded, and with a driver that this program was built with"
                .into(),
        );
    }
    database_error(error).into()
}

#[cfg(test)]
mod tests {
    use promiscuous_core::error::chain;

    use super::*;

    #[tokio::test]
    async fn a_url_that_makes_no_sense_is_not_quoted() {
        for url in [
            "postgres://user:s3cret#1@host/shop",
            "postgres://user:s3cret@host:port/shop",
            "postgres://user:s3cret@host:5432:1/shop",
            "postgres://user:s3cret%zz@host:99999/shop",
            "mysql://user:s3cret@:::1/shop",
            "s3cret@host",
            "oracle://user:s3cret@host/shop",
        ] {
            let said = chain(&open(&SecretUrl::new(url), 1).await.unwrap_err());
            assert!(!said.contains("s3cret"), "{said}");
            assert!(said.contains("DATABASE_URL cannot be understood"), "{said}");
        }
    }
}
