//! The app's `promiscuous` command.

#[cfg(all(test, feature = "sqlite"))]
mod tests;

use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;

use async_trait::async_trait;
use promiscuous_core::cli::{App as CliApp, Connected, dialect_of, run};
use promiscuous_core::config::{Config, SecretUrl};
use promiscuous_core::database::{Database, Dialect};
use promiscuous_core::error::Error;
use promiscuous_core::links::Links;
use promiscuous_core::registry::Subscriptions;

use crate::app::App;
use crate::backend::PromiscuousBackend;
use crate::database::plain;
use crate::models::Models;

/// Runs the `promiscuous` command for every model of the program that derives `Publish` or `Subscribe` for this backend.
///
#[cfg_attr(feature = "postgres", doc = "```no_run")]
#[cfg_attr(not(feature = "postgres"), doc = "```ignore")]
/// fn main() -> ! {
///     promiscuous_diesel::cli::<diesel::pg::Pg>()
/// }
/// ```
///
/// It makes a runtime of its own: in an async `main` it must not be called. When the command is done it ends the program, without
/// the exit handlers that others have registered.
pub fn cli<DB: PromiscuousBackend>() -> ! {
    cli_with(Models::<DB>::of_this_program())
}

/// The same, for these models.
pub fn cli_with<DB: PromiscuousBackend>(models: Models<DB>) -> ! {
    // Never dropped: that would wait for a statement that the database does not answer.
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let code = match &runtime {
        Ok(runtime) => runtime.block_on(run(DieselApp { models })),
        Err(error) => {
            eprintln!("the command could not be started: {error}");
            ExitCode::FAILURE
        }
    };
    end(code)
}

/// Ends the program at once, whatever its threads do.
///
/// No exit handler runs. The clients of PostgreSQL and MariaDB link OpenSSL, whose handler frees what it keeps for every thread that
/// used it; a thread that ends in the same moment, one of the pool's for example, frees that too, and the program would die of it.
fn end(code: ExitCode) -> ! {
    // Whoever reads what the command says may have gone.
    let _ = std::io::stdout().flush();
    // There is no other way to ask it.
    let number = (0..=u8::MAX).find(|number| ExitCode::from(*number) == code);
    signal_hook::low_level::exit(number.unwrap_or(1).into())
}

struct DieselApp<DB: PromiscuousBackend> {
    /// What it publishes and subscribes to.
    models: Models<DB>,
}

#[async_trait]
impl<DB: PromiscuousBackend> CliApp for DieselApp<DB> {
    fn subscriptions(&self) -> Result<Subscriptions, Error> {
        Ok(self.models.subscribed()?.subscriptions().clone())
    }

    fn published_tables(&self, app: &str) -> Result<Vec<String>, Error> {
        let models = self.models.published(app)?;
        Ok(models.iter().map(|model| model.table.name.clone()).collect())
    }

    fn dialect(&self, url: &SecretUrl) -> Result<Dialect, Error> {
        match dialect_of(url) {
            Ok(dialect) if dialect != DB::DIALECT => Err(Error::Configuration(format!(
                "this program was built for another database than DATABASE_URL names, whose scheme is `{}`",
                url.scheme()
            ))),
            // Diesel takes more than URLs: a path, or libpq's own form.
            _ => Ok(DB::DIALECT),
        }
    }

    async fn connect(&self, config: &Config, _: &Links) -> Result<Connected, Error> {
        let url = config.database_url.clone().ok_or_else(|| {
            Error::Configuration("no database is named: set DATABASE_URL, or pass --database-url".into())
        })?;
        self.dialect(&url)?;
        let (workers, app) = (config.workers, App::new(config.clone()).models(self.models.clone()));
        blocking(move || {
            let running = app.start(url.expose())?;
            let pool = running.core_pool(workers)?;
            let publisher = running.publisher().cloned();
            let rows = publisher.as_ref().map(|_| running.rows(pool.clone()));
            let subscribed = running.subscribed(pool.clone())?;
            Ok(Connected { database: running.database(pool)?, publisher, rows, subscribed })
        })
        .await
    }

    async fn connect_plain(&self, url: &SecretUrl) -> Result<Arc<dyn Database>, Error> {
        let url = SecretUrl::new(DB::connection_url(url.expose()).map_err(Error::Configuration)?);
        blocking(move || plain::<DB>(url, 1)).await
    }
}

async fn blocking<R: Send + 'static>(
    work: impl FnOnce() -> Result<R, Error> + Send + 'static,
) -> Result<R, Error> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|_| {
        Err(Error::Configuration("starting the app panicked; this is a bug, please report it".into()))
    })
}
