//! Pools of connections.

#[cfg(all(test, feature = "postgres", feature = "mysql", feature = "sqlite"))]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use diesel::connection::SimpleConnection;
use diesel::r2d2::{ManageConnection, NopErrorHandler, Pool, R2D2Connection};
use diesel::{Connection as _, ConnectionError};
use promiscuous_core::capture::CaptureSettings;
use promiscuous_core::config::SecretUrl;
use promiscuous_core::database::{DatabaseError, DatabaseErrorKind, Dialect, Sql, SqlType, SqlValue};
use promiscuous_core::error::Error;

use crate::backend::PromiscuousBackend;
use crate::capture::Capture;
use crate::commit::CommitPath;
use crate::connection::Promiscuous;
use crate::database_error::kind_of;
use crate::model::PublishedModels;

/// How long one waits for a connection.
const PATIENCE: Duration = Duration::from_secs(5);

/// Makes wrapped connections for an r2d2 pool. From [`Running::manager`](crate::Running::manager).
pub struct Manager<DB: PromiscuousBackend> {
    /// Where to.
    url: SecretUrl,
    /// What all connections of the app have in common.
    capture: Arc<Capture<DB>>,
    /// Whether connections are set up as this crate needs its own. An app's wait for whoever publishes behind them, and are its own affair else.
    set_up: bool,
}

impl<DB: PromiscuousBackend> Manager<DB> {
    pub(crate) fn new(url: SecretUrl, capture: Arc<Capture<DB>>) -> Self {
        Self { url, capture, set_up: false }
    }

    /// For the protocol's own tables only: nothing is published.
    pub(crate) fn plain(url: SecretUrl) -> Result<Self, Error> {
        let nothing = PublishedModels::new([]);
        let capture = Capture::new(nothing, CommitPath::Nothing, CaptureSettings::default())?;
        Ok(Self::new(url, capture).set_up())
    }

    /// The database's library may have passed over the URL's wish for TLS. By then the password has been sent, though not in plain
    /// text: what is saved is what would follow.
    fn refuse_plain_text(&self, connection: &mut DB::Connection) -> Result<(), ConnectError> {
        let Some(question) = DB::ENCRYPTION.filter(|_| DB::wants_encryption(self.url.expose())) else {
            return Ok(());
        };
        let question = Sql::new(DB::DIALECT, question);
        let rows = crate::sql::query(connection, question, &[SqlType::Text, SqlType::Text])
            .map_err(ConnectError::Unusable)?;
        let cipher = rows.first().and_then(|row| row.get(1));
        match cipher {
            Some(SqlValue::Text(cipher)) if !cipher.is_empty() => Ok(()),
            _ => Err(ConnectError::PlainText),
        }
    }

    /// For pools that this crate makes.
    pub(crate) fn set_up(self) -> Self {
        Self { set_up: true, ..self }
    }
}

/// Why a pool has no connection to give. Tells no URL and no password.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The URL makes no sense to the database's own library.
    #[error(
        "the database URL cannot be understood: write {example}, with the special characters of a password percent-encoded"
    )]
    Url {
        /// What one looks like.
        example: &'static str,
    },
    /// The database cannot be reached, or refuses.
    #[error("the database cannot be connected to: {reason}")]
    Refused {
        /// What its library said.
        reason: String,
    },
    /// The URL asks for TLS, and the connection has none.
    #[error(
        "the database URL asks for TLS and the connection has none: check that the server offers it; MariaDB's client library knows \
         `ssl_ca` and not `ssl_mode`, so name the file of the server's CA in `ssl_ca`"
    )]
    PlainText,
    /// A connection that was idle is no longer alive, or one could not be set up.
    #[error("the connection cannot be used")]
    Unusable(#[source] diesel::result::Error),
}

impl ConnectError {
    fn new(dialect: Dialect, error: ConnectionError) -> Self {
        match error {
            ConnectionError::CouldntSetupConfiguration(error) => Self::Unusable(error),
            // libpq quotes what it cannot read of a URL, and that may be the password. What it says later begins like this.
            ConnectionError::BadConnection(reason)
                if dialect != Dialect::Postgres
                    || reason.starts_with("connection to server")
                    || reason.starts_with("could not ") =>
            {
                Self::Refused { reason }
            }
            _ => Self::Url {
                example: match dialect {
                    Dialect::Postgres => "postgres://user:password@host:5432/database",
                    Dialect::Mysql => "mysql://user:password@host:3306/database",
                    Dialect::Sqlite => "sqlite://path/to/file.sqlite",
                },
            },
        }
    }
}

impl<DB: PromiscuousBackend> ManageConnection for Manager<DB> {
    type Connection = Promiscuous<DB::Connection>;
    type Error = ConnectError;

    fn connect(&self) -> Result<Self::Connection, ConnectError> {
        let mut connection = DB::Connection::establish(self.url.expose())
            .map_err(|error| ConnectError::new(DB::DIALECT, error))?;
        self.refuse_plain_text(&mut connection)?;
        let patience = DB::PATIENCE.as_slice();
        for statement in if self.set_up { DB::SET_UP } else { patience } {
            match connection.batch_execute(statement) {
                // Others are using the database as it is: then so does this one.
                Err(error) if kind_of(&error) == DatabaseErrorKind::Contention => {}
                result => result.map_err(ConnectError::Unusable)?,
            }
        }
        Ok(Promiscuous::with_capture(connection, Arc::clone(&self.capture)))
    }

    fn is_valid(&self, connection: &mut Self::Connection) -> Result<(), ConnectError> {
        connection.ping().map_err(ConnectError::Unusable)
    }

    fn has_broken(&self, connection: &mut Self::Connection) -> bool {
        std::thread::panicking() || connection.is_broken()
    }
}

impl<DB: PromiscuousBackend> fmt::Debug for Manager<DB> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Manager").field("url", &self.url).finish_non_exhaustive()
    }
}

/// A pool of at most `connections`, which are made as they are needed. The first one is made now, to find out whether that works.
pub(crate) fn open<DB: PromiscuousBackend>(
    manager: Manager<DB>,
    connections: u32,
) -> Result<Pool<Manager<DB>>, DatabaseError> {
    let unreachable = |error: ConnectError| DatabaseError::new(DatabaseErrorKind::Connection, error);
    drop(manager.connect().map_err(unreachable)?);
    let pool = Pool::builder()
        .max_size(connections.max(1))
        // With none, whoever waits while a connection breaks would wait in vain: only a missing idle one is replaced by r2d2.
        .min_idle(Some(1))
        .connection_timeout(PATIENCE)
        // What goes wrong is in the error of whoever waits for a connection.
        .error_handler(Box::new(NopErrorHandler))
        .build_unchecked(manager);
    Ok(pool)
}
