//! A database of its own for each test: on SQLite always, and on the servers that `TEST_POSTGRES_URL` and `TEST_MARIADB_URL` name,
//! with a user who may create databases.

use std::sync::Arc;

use diesel::Connection as _;
use diesel::connection::SimpleConnection;
use diesel::r2d2::ManageConnection;
use promiscuous_core::config::SecretUrl;
use promiscuous_core::database::{ApplyError, Database};
use promiscuous_core::operation::Operation;
use promiscuous_core::schema::create_tables;

use crate::backend::PromiscuousBackend;
use crate::database::{DieselDatabase, Work};
use crate::pool::{Manager, open};
use crate::subscription::Connection;

/// A database that exists for one test.
pub(crate) struct TestDatabase {
    /// Where it is.
    pub(crate) url: String,
    /// Where SQLite keeps it: removed with it.
    _folder: Option<tempfile::TempDir>,
}

impl TestDatabase {
    /// On SQLite.
    pub(crate) fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = folder.path().join("test.sqlite").display().to_string();
        Self { url, _folder: Some(folder) }
    }

    /// On the server that a variable names, if it does.
    pub(crate) fn served<C: diesel::Connection>(variable: &str) -> Option<Self> {
        let server = std::env::var(variable).ok()?;
        let name = format!("diesel_{}", uuid::Uuid::now_v7().simple());
        C::establish(&server).unwrap().batch_execute(&format!("CREATE DATABASE {name}")).unwrap();
        let base = server.rsplit_once('/').map_or(server.as_str(), |(base, _)| base);
        Some(Self { url: format!("{base}/{name}"), _folder: None })
    }

    /// A plain connection, which publishes nothing.
    pub(crate) fn connect<DB: PromiscuousBackend>(&self) -> DB::Connection {
        let mut connection = DB::Connection::establish(&self.url).unwrap();
        if DB::DIALECT == promiscuous_core::database::Dialect::Sqlite {
            connection.batch_execute("PRAGMA busy_timeout = 5000").unwrap();
        }
        connection
    }

    /// A connection that changes are applied through.
    pub(crate) fn connect_wrapped<DB: PromiscuousBackend>(&self) -> Connection<DB> {
        let plain = Manager::<DB>::plain(SecretUrl::new(&self.url)).unwrap();
        plain.connect().unwrap()
    }

    /// With the promiscuous tables and these.
    pub(crate) fn create<DB: PromiscuousBackend>(&self, tables: &str) {
        let mut connection = self.connect::<DB>();
        for statement in create_tables(DB::DIALECT) {
            connection.batch_execute(&statement).unwrap();
        }
        if !tables.is_empty() {
            connection.batch_execute(tables).unwrap();
        }
    }

    /// As core sees it.
    pub(crate) fn database<DB: PromiscuousBackend>(
        &self,
        connections: u32,
        apply: impl Fn(&mut Connection<DB>, &Operation) -> Result<(), ApplyError> + Send + Sync + 'static,
    ) -> Arc<dyn Database> {
        let pool = open(Manager::<DB>::plain(SecretUrl::new(&self.url)).unwrap(), connections).unwrap();
        Arc::new(DieselDatabase::new(pool, move |connection, work| match work {
            Work::One(operation) => apply(connection, operation),
            Work::Again(operations) => {
                operations.iter().try_for_each(|operation| apply(connection, operation))
            }
        }))
    }
}

/// Runs a generic `async fn` or `fn` over each backend: `on_each!(test_name = function);`
macro_rules! on_each {
    ($($module:ident = $test:ident;)*) => {$(
        mod $module {
            #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
            async fn on_sqlite() {
                let database = crate::test_databases::TestDatabase::sqlite();
                super::$test::<diesel::sqlite::Sqlite>(database).await;
            }
            #[cfg(feature = "postgres")]
            #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
            async fn on_postgres() {
                let served =
                    crate::test_databases::TestDatabase::served::<diesel::PgConnection>("TEST_POSTGRES_URL");
                if let Some(database) = served {
                    super::$test::<diesel::pg::Pg>(database).await;
                }
            }
            #[cfg(feature = "mysql")]
            #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
            async fn on_mariadb() {
                let served =
                    crate::test_databases::TestDatabase::served::<diesel::MysqlConnection>("TEST_MARIADB_URL");
                if let Some(database) = served {
                    super::$test::<diesel::mysql::Mysql>(database).await;
                }
            }
        }
    )*};
}
pub(crate) use on_each;
