//! The `promiscuous` command. An app's own ten-line binary calls [`run`] with its adapter's [`App`].
//!
//! Data goes to stdout, messages to stderr. Exit status: 0 done, 1 failed, 2 wrong usage.
//!
//! * `migrate`, `subscribe`, `publish`, `bootstrap`, `verify`, `recover`: what an app needs done
//! * `status`, `blocked`, `dead`, `unbind`: what its operators look at, and mend
//! * `signals`, `words`: what they share

use std::process::ExitCode;
use std::sync::Arc;

use async_trait::async_trait;
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::config::{Config, SecretUrl, Settings};
use crate::database::{Database, Dialect};
use crate::error::{Error, chain};
use crate::links::Links;
use crate::publisher::Publisher;
use crate::registry::Subscriptions;
use crate::sync::PublishedRows;
use crate::verify::SubscribedRows;

mod blocked;
mod bootstrap;
mod dead;
mod doctor;
mod migrate;
mod publish;
mod recover;
mod signals;
mod status;
mod subscribe;
mod unbind;
mod verify;
mod words;

/// What an adapter knows of an app.
#[async_trait]
pub trait App: Send + Sync {
    /// The models that the app subscribes to.
    ///
    /// # Errors
    /// When the declarations contradict each other.
    fn subscriptions(&self) -> Result<Subscriptions, Error>;

    /// The tables of the models that the app of this name publishes.
    ///
    /// # Errors
    /// When the declarations contradict each other.
    fn published_tables(&self, app: &str) -> Result<Vec<String>, Error>;

    /// The dialect of the app's database.
    ///
    /// # Errors
    /// [`Error::Configuration`] when the URL is of a database that the app was not built for.
    fn dialect(&self, database: &SecretUrl) -> Result<Dialect, Error> {
        dialect_of(database)
    }

    /// Connects to the app's database, and starts its publisher where it publishes anything.
    ///
    /// # Errors
    /// [`Error::Database`] when the database is away, which is tried again; anything else ends the command.
    async fn connect(&self, config: &Config, links: &Links) -> Result<Connected, Error>;

    /// Connects to the app's database only, for commands that need no other server.
    ///
    /// # Errors
    /// [`Error::Database`] when the database is away.
    async fn connect_plain(&self, database: &SecretUrl) -> Result<Arc<dyn Database>, Error>;
}

/// A connected app.
pub struct Connected {
    /// The app's database.
    pub database: Arc<dyn Database>,
    /// The app's publisher, where it publishes anything.
    pub publisher: Option<Publisher>,
    /// The rows of what it publishes, where it publishes anything.
    pub rows: Option<Arc<dyn PublishedRows>>,
    /// The rows of what it subscribes to.
    pub subscribed: Arc<dyn SubscribedRows>,
}

#[derive(Parser)]
#[command(
    name = "promiscuous",
    about = "Replicates models between services",
    after_help = "Settings come from flags, then the environment, then promiscuous.toml.\n\
                  Start subscribers first: what is published before a queue exists does not arrive."
)]
struct Cli {
    #[command(flatten)]
    links: LinkOptions,
    /// How log lines on stderr are written.
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,
    #[command(subcommand)]
    command: Command,
}

#[derive(Args)]
struct LinkOptions {
    /// The app's name [default: from promiscuous.toml].
    #[arg(long, global = true, env = "PROMISCUOUS_APP")]
    app: Option<String>,
    /// The app's own database.
    #[arg(long, global = true, env = "DATABASE_URL", hide_env_values = true, value_name = "URL")]
    database_url: Option<SecretUrl>,
    /// RabbitMQ [default: amqp://localhost:5672].
    #[arg(long, global = true, env = "AMQP_URL", hide_env_values = true, value_name = "URL")]
    amqp_url: Option<SecretUrl>,
    /// Redis [default: redis://localhost:6379].
    #[arg(long, global = true, env = "REDIS_URL", hide_env_values = true, value_name = "URL")]
    redis_url: Option<SecretUrl>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object a line.
    Json,
}

#[derive(Subcommand)]
enum Command {
    /// Keep this app's database up to date with what it subscribes to.
    Subscribe(subscribe::Options),
    /// Send rows again, as they are now; or serve subscribers that ask for them.
    Publish(publish::Options),
    /// Bring this app up to date with all rows of what it subscribes to, while writes go on.
    Bootstrap(bootstrap::Options),
    /// Compare this app's rows with those of their publishers, while writes go on.
    Verify(verify::Options),
    /// Create the promiscuous tables in this app's database.
    Migrate(migrate::Options),
    /// Finish the work of this app's dead publishers: sweep the outbox, settle intents.
    Recover(recover::Options),
    /// Look at the messages that could not be applied, and retry or drop them.
    Dead(dead::Options),
    /// Say how this app's replication is: what waits to be published and to be applied, and what is wrong.
    Status(status::Options),
    /// Say which messages wait for a cause, and where that cause is.
    Blocked(blocked::Options),
    /// Take back the binding of what no version of this app subscribes to any more.
    Unbind(unbind::Options),
    /// Look whether servers, tables and settings fit.
    Doctor(doctor::Options),
}

/// Runs the command with the program's arguments.
pub async fn run(app: impl App) -> ExitCode {
    let cli = Cli::parse();
    start_log(cli.log_format);
    match dispatch(cli, &app).await {
        Ok(code) => code,
        Err(error) => {
            tracing::error!("{}", chain(&error));
            ExitCode::FAILURE
        }
    }
}

async fn dispatch(cli: Cli, app: &dyn App) -> Result<ExitCode, Error> {
    let LinkOptions { app: name, database_url, amqp_url, redis_url } = cli.links;
    let flags = Settings { app: name, database_url, amqp_url, redis_url, ..Settings::default() };
    match cli.command {
        Command::Subscribe(options) => {
            let config = options.settings(flags).or(Settings::load()?).resolve()?;
            subscribe::run(app, config).await
        }
        Command::Publish(options) => {
            let config = flags.or(Settings::load()?).resolve()?;
            publish::run(app, options, config).await
        }
        Command::Bootstrap(options) => {
            let config = flags.or(Settings::load()?).resolve()?;
            bootstrap::run(app, options, config).await
        }
        Command::Verify(options) => {
            let config = flags.or(Settings::load()?).resolve()?;
            verify::run(app, options, config).await
        }
        Command::Migrate(options) => {
            let settings = flags.or(Settings::load()?);
            migrate::run(app, options, settings).await
        }
        Command::Recover(options) => {
            let config = flags.or(Settings::load()?).resolve()?;
            recover::run(app, options, config).await
        }
        Command::Dead(options) => {
            let config = flags.or(Settings::load()?).resolve()?;
            dead::run(options, config).await
        }
        Command::Status(options) => {
            let config = flags.or(Settings::load()?).resolve()?;
            status::run(app, options, config).await
        }
        Command::Blocked(options) => {
            let config = flags.or(Settings::load()?).resolve()?;
            blocked::run(app, options, config).await
        }
        Command::Unbind(options) => {
            let config = flags.or(Settings::load()?).resolve()?;
            unbind::run(app, options, config).await
        }
        Command::Doctor(options) => doctor::run(app, options, flags.or(Settings::load()?).resolve()?).await,
    }
}

/// Says what is wrong with how the command was called.
fn usage(wrong: &str) -> ExitCode {
    tracing::error!("{wrong}");
    ExitCode::from(2)
}

fn start_log(format: LogFormat) {
    use tracing_subscriber::EnvFilter;
    let filter = EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| EnvFilter::new("info,sqlx=warn,sea_orm=warn,lapin=off"));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()));
    // An app that set up its own log keeps it.
    let _ = match format {
        LogFormat::Text => log.try_init(),
        LogFormat::Json => log.json().flatten_event(true).try_init(),
    };
}

/// The dialect that a database URL speaks, by its scheme.
///
/// # Errors
/// [`Error::Configuration`] when the scheme is none of theirs.
pub fn dialect_of(url: &SecretUrl) -> Result<Dialect, Error> {
    match url.scheme() {
        "postgres" | "postgresql" => Ok(Dialect::Postgres),
        "mysql" | "mariadb" => Ok(Dialect::Mysql),
        "sqlite" => Ok(Dialect::Sqlite),
        other => Err(Error::Configuration(format!(
            "DATABASE_URL has the scheme `{other}`: use postgres://, mysql:// or sqlite://"
        ))),
    }
}

/// Connects to the app's database; one that is away is reported once and waited for.
async fn connect(
    app: &dyn App,
    config: &Config,
    links: &Links,
    stop: &mut signals::Stop,
) -> Result<Option<Connected>, Error> {
    let backoff = crate::subscriber::backoff::Backoff {
        first: std::time::Duration::from_millis(200),
        longest: std::time::Duration::from_secs(5),
    };
    let mut failures = 0;
    loop {
        let connected = tokio::select! {
            () = stop.asked() => return Ok(None),
            connected = app.connect(config, links) => connected,
        };
        match connected {
            Err(Error::Database(error)) if error.kind == crate::database::DatabaseErrorKind::Connection => {
                failures += 1;
                if failures == 1 {
                    let at = config.database_url.as_ref().map_or("?", SecretUrl::host_and_port);
                    tracing::error!(%at, error = %chain(&error), "the database cannot be reached; trying again");
                }
                tokio::select! {
                    () = stop.asked() => return Ok(None),
                    () = tokio::time::sleep(backoff.pause(failures)) => {}
                }
            }
            other => return other.map(Some),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
