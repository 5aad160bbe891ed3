//! A fresh database for each test.

use sea_orm::{ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DbBackend};
use tempfile::TempDir;

use crate::{servers, unique_app};

/// The databases that are supported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// PostgreSQL.
    Postgres,
    /// MariaDB.
    MariaDb,
    /// SQLite.
    Sqlite,
}

impl Kind {
    /// A new database of this kind.
    pub async fn create(self) -> TestDatabase {
        match self {
            Kind::Postgres => TestDatabase::postgres().await,
            Kind::MariaDb => TestDatabase::mariadb().await,
            Kind::Sqlite => TestDatabase::sqlite().await,
        }
    }

    /// The kind of the database at this address.
    pub fn of(url: &str) -> Self {
        match url.split(':').next() {
            Some("postgres") => Kind::Postgres,
            Some("mysql") => Kind::MariaDb,
            Some("sqlite") => Kind::Sqlite,
            other => panic!("{other:?} is the scheme of no database that tests run on."),
        }
    }

    /// The dialect, as SeaORM calls it.
    pub fn backend(self) -> DbBackend {
        match self {
            Kind::Postgres => DbBackend::Postgres,
            Kind::MariaDb => DbBackend::MySql,
            Kind::Sqlite => DbBackend::Sqlite,
        }
    }
}

/// A new, empty database that no other test uses.
///
/// Databases on PostgreSQL and MariaDB are left to the throw-away server they live on: dropping one needs a
/// connection and every other one closed, and a test that fails guarantees neither.
#[derive(Debug)]
pub struct TestDatabase {
    url: String,
    /// The folder of a SQLite database, removed with it.
    _folder: Option<TempDir>,
}

impl TestDatabase {
    /// A database on the shared PostgreSQL.
    pub async fn postgres() -> Self {
        Self::on_server(servers::postgres_url(), "").await
    }

    /// A database on the shared MariaDB, with text in utf8mb4.
    pub async fn mariadb() -> Self {
        Self::on_server(servers::mariadb_url(), "CHARACTER SET utf8mb4").await
    }

    /// A SQLite database in a file of its own, in WAL mode, whose writers wait for each other.
    // Asynchronous like its siblings, so that a test can be generic over them.
    #[allow(clippy::unused_async)]
    pub async fn sqlite() -> Self {
        let folder = tempfile::tempdir().expect("The temporary folder must be writable.");
        let url = format!("sqlite://{}?mode=rwc", folder.path().join("test.sqlite").display());
        Self { url, _folder: Some(folder) }
    }

    /// A database on a server of the test's own ([`PrivateServers`](servers::PrivateServers)): `url` is a
    /// database on it from which others can be created.
    pub async fn on(url: String) -> Self {
        Self::on_server(url, "").await
    }

    async fn on_server(url: String, options: &str) -> Self {
        let name = unique_app("test").replace('-', "_");
        let mut connect = ConnectOptions::new(&url);
        connect.max_connections(1).sqlx_logging(false);
        let server = Database::connect(connect).await;
        let server = server.unwrap_or_else(|error| panic!("No connection to {url}: {error}."));
        let created = server.execute_unprepared(&format!("CREATE DATABASE {name} {options}")).await;
        created.unwrap_or_else(|error| panic!("The database {name} could not be created: {error}."));
        server.close().await.expect("A connection that has just worked closes.");

        let (server, _) = url.rsplit_once('/').expect("The address of a database ends with its name.");
        Self { url: format!("{server}/{name}"), _folder: None }
    }

    /// The database's address, for another process or another library.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A connection pool of at most `max_connections`.
    pub async fn connect(&self, max_connections: u32) -> DatabaseConnection {
        connect(&self.url, max_connections).await
    }
}

/// A connection pool of at most `max_connections` to the database at this address.
pub async fn connect(url: &str, max_connections: u32) -> DatabaseConnection {
    let mut options = ConnectOptions::new(url);
    options.max_connections(max_connections).sqlx_logging(false);
    // SQLite's own defaults are a rollback journal, under which readers and writers exclude each other.
    options.map_sqlx_sqlite_opts(|options| {
        options.pragma("journal_mode", "WAL").pragma("busy_timeout", "30000")
    });
    let connection = Database::connect(options).await;
    connection.unwrap_or_else(|error| panic!("No connection to {url}: {error}."))
}
