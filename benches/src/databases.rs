//! The databases that the benchmarks run on.
//!
//! Connections for setting up and for counting are SeaORM's everywhere, also where Diesel is measured.

use std::path::Path;
use std::time::Duration;

use sea_orm::{ConnectOptions, ConnectionTrait, Database, DatabaseConnection, Statement};

use crate::Outcome;
use crate::models::tables;
use crate::stage::server;

/// A kind of database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// PostgreSQL.
    Postgres,
    /// MariaDB.
    MariaDb,
    /// SQLite, in a file.
    Sqlite,
}

impl Kind {
    /// All there are.
    pub const ALL: [Self; 3] = [Self::Postgres, Self::MariaDb, Self::Sqlite];

    /// As people call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Postgres => "PostgreSQL",
            Self::MariaDb => "MariaDB",
            Self::Sqlite => "SQLite",
        }
    }

    /// As names of apps and databases contain it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::MariaDb => "mariadb",
            Self::Sqlite => "sqlite",
        }
    }

    /// The address of the database of this name.
    pub fn url(self, name: &str) -> Outcome<String> {
        let of_server = match self {
            Self::Sqlite => {
                let file = Path::new(&server("BENCH_FOLDER")?).join(name);
                return Ok(format!("sqlite://{}.sqlite?mode=rwc", file.display()));
            }
            Self::Postgres | Self::MariaDb => self.of_server()?,
        };
        let (server, _) = of_server.rsplit_once('/').ok_or("the address of a server names no database")?;
        Ok(format!("{server}/{name}"))
    }

    /// A database on the server from which others can be created.
    fn of_server(self) -> Outcome<String> {
        server(if self == Self::MariaDb { "TEST_MARIADB_URL" } else { "TEST_POSTGRES_URL" })
    }

    /// Creates a database with the benchmarks' tables, and answers with its address. One of an earlier part is kept.
    pub async fn create(self, name: &str) -> Outcome<String> {
        match self {
            Self::Postgres => {
                let db = pool(&self.of_server()?, 1).await?;
                let there = format!("SELECT 1 AS found FROM pg_database WHERE datname = '{name}'");
                let there = Statement::from_string(db.get_database_backend(), there);
                // PostgreSQL has no IF NOT EXISTS for this.
                if db.query_one_raw(there).await?.is_none() {
                    db.execute_unprepared(&format!("CREATE DATABASE {name}")).await?;
                }
                db.close().await?;
            }
            Self::MariaDb => {
                let db = pool(&self.of_server()?, 1).await?;
                db.execute_unprepared(&format!("CREATE DATABASE IF NOT EXISTS {name}")).await?;
                db.close().await?;
            }
            // The file comes with the first connection.
            Self::Sqlite => {}
        }
        let url = self.url(name)?;
        let db = pool(&url, 1).await?;
        for table in tables(self) {
            db.execute_unprepared(&format!("CREATE TABLE IF NOT EXISTS {table}")).await?;
        }
        db.close().await?;
        Ok(url)
    }
}

/// What connections to SQLite begin with: writers wait for each other, and nobody waits to read.
pub const SQLITE_SET_UP: [(&str, &str); 2] = [("busy_timeout", "30000"), ("journal_mode", "WAL")];

/// A connection pool without logging of statements.
pub async fn pool(url: &str, connections: u32) -> Outcome<DatabaseConnection> {
    let mut options = ConnectOptions::new(url);
    options.max_connections(connections).min_connections(connections.min(16)).sqlx_logging(false);
    options.map_sqlx_sqlite_opts(|options| {
        SQLITE_SET_UP.into_iter().fold(options, |options, (name, value)| options.pragma(name, value))
    });
    Ok(Database::connect(options).await?)
}

/// Waits until nothing is left to publish.
pub async fn published(db: &DatabaseConnection) -> Outcome<()> {
    while count(db, "promiscuous_outbox").await? > 0 {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

/// The number of rows in a table.
pub async fn count(db: &DatabaseConnection, table: &str) -> Outcome<i64> {
    let sql = format!("SELECT count(*) AS n FROM {table}");
    let row = db.query_one_raw(Statement::from_string(db.get_database_backend(), sql)).await?;
    Ok(row.ok_or("count(*) has no row")?.try_get("", "n")?)
}
