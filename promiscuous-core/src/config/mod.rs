//! Configuration: flag over environment over file over default. Secrets are never printed.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use crate::consistency::Consistency;
use crate::error::Error;
use crate::subscriber::OnDead;

mod secret;

pub use secret::SecretUrl;

/// The file that is read when it exists and none is named.
pub const DEFAULT_FILE: &str = "promiscuous.toml";

/// Everything that can be set; each source fills in what it knows.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct Settings {
    /// The app's name: the first part of its endpoints, and the name of its queue. `PROMISCUOUS_APP`.
    pub app: Option<String>,
    /// The app's own database. `DATABASE_URL`.
    pub database_url: Option<SecretUrl>,
    /// RabbitMQ, or `memory://name` for the embedded broker. `AMQP_URL`; `amqp://guest:guest@localhost:5672/%2f`.
    pub amqp_url: Option<SecretUrl>,
    /// Redis, or `memory://name` for the embedded store. `REDIS_URL`; `redis://localhost:6379/`.
    pub redis_url: Option<SecretUrl>,
    /// A PEM file with the certificate authorities that RabbitMQ's and Redis's certificates must come from.
    /// `PROMISCUOUS_TLS_CA`; those of the system.
    pub tls_ca: Option<PathBuf>,
    /// Transactions applied at the same time. `PROMISCUOUS_WORKERS`; 8.
    pub workers: Option<usize>,
    /// Unacknowledged messages at the most. `PROMISCUOUS_PREFETCH`; 1000.
    pub prefetch: Option<u16>,
    /// Seconds to wait for a cause before going on without it. `PROMISCUOUS_RECOVERY`; for ever.
    pub recovery: Option<f64>,
    /// No ordering, errors swallowed: development only. `PROMISCUOUS_BAREBACK`.
    pub bareback: Option<bool>,
    /// Whether attributes that a message lacks are passed over. `PROMISCUOUS_RELAXED_SCHEMA`.
    pub relaxed_schema: Option<bool>,
    /// Seconds that the clocks of publishers and subscribers may be apart. `PROMISCUOUS_CLOCK_SKEW`; 2.
    pub clock_skew: Option<f64>,
    /// Whether the queue is a classic one instead of a quorum queue. `PROMISCUOUS_CLASSIC_QUEUE`.
    pub classic_queue: Option<bool>,
    /// How often a message is tried before it goes to the dead letters. `PROMISCUOUS_MAX_ATTEMPTS`; 25.
    pub max_attempts: Option<u32>,
    /// Whether those that wait for a dead letter go on without it (`skip`) or wait until it is retried (`block`).
    /// `PROMISCUOUS_ON_DEAD`; `skip`.
    pub on_dead: Option<OnDead>,
    /// Where `promiscuous subscribe` answers `/healthz` and `/readyz`, such as `127.0.0.1:9100`. `PROMISCUOUS_HEALTH`; nowhere.
    pub health: Option<String>,
    /// How much order subscriptions ask for that do not say so themselves; `global` also has what this app publishes take part in one
    /// total order. `PROMISCUOUS_CONSISTENCY`; `causal`.
    pub consistency: Option<Consistency>,
    /// Whether a subscriber asks for all rows again when its queue or its database was lost. `PROMISCUOUS_BOOTSTRAP_WHEN_LOST`; yes.
    pub bootstrap_when_lost: Option<bool>,
    /// Whether `promiscuous subscribe` also sends this app's rows to subscribers that ask for them, as `promiscuous publish --serve`
    /// does. `PROMISCUOUS_SERVE`; no.
    pub serve: Option<bool>,
}

macro_rules! or_fields {
    ($first:expr, $second:expr, $($field:ident),* $(,)?) => {
        Settings { $($field: $first.$field.or($second.$field)),* }
    };
}

impl Settings {
    /// These settings, and the other's where nothing is set here.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        or_fields!(
            self,
            other,
            app,
            database_url,
            amqp_url,
            redis_url,
            tls_ca,
            workers,
            prefetch,
            recovery,
            bareback,
            relaxed_schema,
            clock_skew,
            classic_queue,
            max_attempts,
            on_dead,
            health,
            consistency,
            bootstrap_when_lost,
            serve,
        )
    }

    /// What the environment says.
    ///
    /// # Errors
    /// [`Error::Configuration`] naming the variable that makes no sense.
    pub fn from_environment() -> Result<Self, Error> {
        Self::from_variables(|name| std::env::var(name).ok())
    }

    fn from_variables(get: impl Fn(&str) -> Option<String>) -> Result<Self, Error> {
        let url = |name: &str| get(name).map(SecretUrl::new);
        Ok(Self {
            app: get("PROMISCUOUS_APP"),
            database_url: url("DATABASE_URL"),
            amqp_url: url("AMQP_URL"),
            redis_url: url("REDIS_URL"),
            tls_ca: get("PROMISCUOUS_TLS_CA").map(PathBuf::from),
            workers: parsed(&get, "PROMISCUOUS_WORKERS")?,
            prefetch: parsed(&get, "PROMISCUOUS_PREFETCH")?,
            recovery: parsed(&get, "PROMISCUOUS_RECOVERY")?,
            bareback: parsed(&get, "PROMISCUOUS_BAREBACK")?,
            relaxed_schema: parsed(&get, "PROMISCUOUS_RELAXED_SCHEMA")?,
            clock_skew: parsed(&get, "PROMISCUOUS_CLOCK_SKEW")?,
            classic_queue: parsed(&get, "PROMISCUOUS_CLASSIC_QUEUE")?,
            max_attempts: parsed(&get, "PROMISCUOUS_MAX_ATTEMPTS")?,
            on_dead: word(&get, "PROMISCUOUS_ON_DEAD")?,
            consistency: word(&get, "PROMISCUOUS_CONSISTENCY")?,
            health: get("PROMISCUOUS_HEALTH"),
            bootstrap_when_lost: parsed(&get, "PROMISCUOUS_BOOTSTRAP_WHEN_LOST")?,
            serve: parsed(&get, "PROMISCUOUS_SERVE")?,
        })
    }

    /// What a file says.
    ///
    /// # Errors
    /// [`Error::Configuration`] naming the file and the line that makes no sense, never its text.
    pub fn from_file(path: &Path) -> Result<Self, Error> {
        let name = path.display();
        let text = std::fs::read_to_string(path).map_err(|error| {
            Error::Configuration(format!("the configuration file {name} cannot be read: {error}"))
        })?;
        toml::from_str(&text).map_err(|error| {
            let line = error.span().map_or(0, |span| text[..span.start].lines().count().max(1));
            Error::Configuration(format!("{name}, line {line}: {}", without_value(error.message())))
        })
    }

    /// Environment over the file that `PROMISCUOUS_CONFIG` names, or [`DEFAULT_FILE`] where that exists.
    ///
    /// # Errors
    /// [`Error::Configuration`].
    pub fn load() -> Result<Self, Error> {
        let environment = Self::from_environment()?;
        let file = match std::env::var_os("PROMISCUOUS_CONFIG") {
            Some(path) => Self::from_file(Path::new(&path))?,
            None if Path::new(DEFAULT_FILE).exists() => Self::from_file(Path::new(DEFAULT_FILE))?,
            None => Self::default(),
        };
        Ok(environment.or(file))
    }

    /// The configuration, with defaults for what nobody set.
    ///
    /// # Errors
    /// [`Error::Configuration`] when the app has no name or one that cannot be part of an endpoint.
    pub fn resolve(self) -> Result<Config, Error> {
        let app = self.app.ok_or_else(|| {
            Error::Configuration(
                "this app has no name: set PROMISCUOUS_APP, or `app` in promiscuous.toml".into(),
            )
        })?;
        crate::key::Endpoint::parse(&format!("{app}/model")).map_err(|_| {
            Error::Configuration(format!("`{app}` cannot be an app's name: use letters, digits, `_` and `-`"))
        })?;
        let seconds = |name: &str, value: f64| {
            Duration::try_from_secs_f64(value)
                .map_err(|_| Error::Configuration(format!("`{name}` must be a number of seconds, 0 or more")))
        };
        Ok(Config {
            app,
            database_url: self.database_url,
            amqp_url: self
                .amqp_url
                .unwrap_or_else(|| SecretUrl::new("amqp://guest:guest@localhost:5672/%2f")),
            redis_url: self.redis_url.unwrap_or_else(|| SecretUrl::new("redis://localhost:6379/")),
            tls_ca: self.tls_ca,
            workers: self.workers.unwrap_or(8).max(1),
            prefetch: self.prefetch.unwrap_or(1_000).max(1),
            recovery: self.recovery.map(|s| seconds("recovery", s)).transpose()?,
            bareback: self.bareback.unwrap_or(false),
            relaxed_schema: self.relaxed_schema.unwrap_or(false),
            clock_skew: seconds("clock_skew", self.clock_skew.unwrap_or(2.0))?,
            classic_queue: self.classic_queue.unwrap_or(false),
            max_attempts: self.max_attempts.unwrap_or(25).max(1),
            on_dead: self.on_dead.unwrap_or_default(),
            health: self.health,
            consistency: self.consistency.unwrap_or_default(),
            bootstrap_when_lost: self.bootstrap_when_lost.unwrap_or(true),
            serve: self.serve.unwrap_or(false),
        })
    }
}

/// What a setting should be, when the message quotes what it is: that may be a password in the wrong line.
fn without_value(message: &str) -> String {
    match message.rsplit_once(", expected ") {
        Some((quoting, expected)) if !quoting.starts_with("unknown field") => {
            format!("this setting is not valid: expected {expected}")
        }
        _ => message.to_owned(),
    }
}

fn parsed<T: std::str::FromStr>(
    get: impl Fn(&str) -> Option<String>,
    name: &str,
) -> Result<Option<T>, Error> {
    let Some(text) = get(name) else { return Ok(None) };
    let value = text.trim().parse().map_err(|_| {
        let wanted = std::any::type_name::<T>();
        Error::Configuration(format!("{name} is not a valid {wanted}: correct it or unset it"))
    })?;
    Ok(Some(value))
}

/// One of a few words, which the error lists.
fn word<T: std::str::FromStr<Err: std::fmt::Display>>(
    get: impl Fn(&str) -> Option<String>,
    name: &str,
) -> Result<Option<T>, Error> {
    let word = get(name).map(|text| text.trim().parse()).transpose();
    word.map_err(|error| Error::Configuration(format!("{name} makes no sense: {error}")))
}

/// A complete configuration; the fields are those of [`Settings`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Config {
    /// The app's name.
    pub app: String,
    /// The app's own database; the adapter may have a connection already.
    pub database_url: Option<SecretUrl>,
    /// The broker.
    pub amqp_url: SecretUrl,
    /// The version store.
    pub redis_url: SecretUrl,
    /// The certificate authorities of broker and version store.
    pub tls_ca: Option<PathBuf>,
    /// Transactions applied at the same time.
    pub workers: usize,
    /// Unacknowledged messages at the most.
    pub prefetch: u16,
    /// How long to wait for a cause.
    pub recovery: Option<Duration>,
    /// No ordering, errors swallowed.
    pub bareback: bool,
    /// Whether missing attributes are passed over.
    pub relaxed_schema: bool,
    /// The allowance for clock skew.
    pub clock_skew: Duration,
    /// Whether the queue is a classic one.
    pub classic_queue: bool,
    /// How often a message is tried.
    pub max_attempts: u32,
    /// What becomes of those that wait for a dead letter.
    pub on_dead: OnDead,
    /// Where health probes are answered.
    pub health: Option<String>,
    /// How much order subscriptions ask for.
    pub consistency: Consistency,
    /// Whether all rows are asked for again after a loss.
    pub bootstrap_when_lost: bool,
    /// Whether subscribers that ask are sent all rows.
    pub serve: bool,
}

impl Config {
    /// An app with the embedded broker and store of that name: for tests and trying out. Apps of one process that
    /// use the same name are connected.
    pub fn embedded(app: &str, name: &str) -> Result<Self, Error> {
        let memory = SecretUrl::new(format!("memory://{name}"));
        Settings {
            app: Some(app.to_owned()),
            amqp_url: Some(memory.clone()),
            redis_url: Some(memory),
            clock_skew: Some(0.0),
            ..Settings::default()
        }
        .resolve()
    }

    /// From environment and file.
    ///
    /// # Errors
    /// [`Error::Configuration`].
    pub fn from_environment() -> Result<Self, Error> {
        Settings::load()?.resolve()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn environment_goes_over_file_and_file_over_default() {
        let file: Settings = toml::from_str("app = \"shop\"\nworkers = 3\nprefetch = 7").unwrap();
        let environment =
            Settings::from_variables(|name| (name == "PROMISCUOUS_WORKERS").then(|| "5".to_owned())).unwrap();
        let config = environment.or(file).resolve().unwrap();
        assert_eq!((config.app.as_str(), config.workers, config.prefetch), ("shop", 5, 7));
        assert_eq!(config.recovery, None);
    }

    #[test]
    fn nonsense_is_named_without_its_text() {
        let wrong =
            Settings::from_variables(|name| (name == "PROMISCUOUS_PREFETCH").then(|| "s3cret".to_owned()));
        let text = wrong.unwrap_err().to_string();
        assert!(text.contains("PROMISCUOUS_PREFETCH") && !text.contains("s3cret"), "{text}");
        assert!(Settings::default().resolve().unwrap_err().to_string().contains("PROMISCUOUS_APP"));
        let wrong =
            Settings::from_variables(|name| (name == "PROMISCUOUS_ON_DEAD").then(|| "perhaps".to_owned()));
        assert!(wrong.unwrap_err().to_string().contains("write `skip` or `block`"));
        let block =
            Settings::from_variables(|name| (name == "PROMISCUOUS_ON_DEAD").then(|| "block".to_owned()));
        assert_eq!(block.unwrap().on_dead, Some(OnDead::Block));
        let wrong =
            Settings::from_variables(|name| (name == "PROMISCUOUS_CONSISTENCY").then(|| "strong".to_owned()));
        assert!(wrong.unwrap_err().to_string().contains("write `causal`, `weak` or `global`"));
        let file: Settings = toml::from_str("consistency = \"weak\"").unwrap();
        assert_eq!(file.consistency, Some(Consistency::Weak));
        let wrong = toml::from_str::<Settings>("consistency = \"none\"").unwrap_err().to_string();
        assert!(wrong.contains("`causal`, `weak`, `global`"), "{wrong}");
        let slash = Settings { app: Some("a/b".into()), ..Settings::default() };
        assert!(slash.resolve().is_err());
    }

    #[test]
    fn a_file_s_nonsense_is_told_by_its_line_without_its_text() {
        let folder = std::env::temp_dir().join(format!("promiscuous-{}.toml", uuid::Uuid::now_v7()));
        for (text, wanted) in [
            (
                "app = \"shop\"\nworkers = \"amqp://u:s3cret@h\"",
                "line 2: this setting is not valid: expected usize",
            ),
            ("on_dead = \"s3cret\"", "expected"),
            ("redis_url = redis://u:s3cret@h", "line 1"),
            ("amqpurl = \"amqp://u:s3cret@h\"", "amqpurl"),
        ] {
            std::fs::write(&folder, text).unwrap();
            let said = Settings::from_file(&folder).unwrap_err().to_string();
            assert!(said.contains(wanted) && !said.contains("s3cret"), "{said}");
        }
        let _ = std::fs::remove_file(folder);
    }

    #[test]
    fn no_secret_is_ever_printed() {
        let config = Settings {
            app: Some("shop".into()),
            amqp_url: Some(SecretUrl::new("amqp://user:s3cret@rabbit:5672/%2f")),
            database_url: Some(SecretUrl::new("postgres://u:s3cret@db/x?password=s3cret")),
            ..Settings::default()
        };
        let text = format!("{config:?} {:?}", config.clone().resolve().unwrap());
        assert!(!text.contains("s3cret"), "{text}");
        assert!(text.contains("rabbit:5672"));
    }
}
