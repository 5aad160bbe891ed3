//! A database of its own for each test.

use std::ops::{Deref, DerefMut};

use diesel::connection::{Connection as _, DefaultLoadingMode, LoadConnection, SimpleConnection};
use diesel::mysql::Mysql;
use diesel::pg::Pg;
use diesel::query_builder::{QueryFragment, QueryId};
use diesel::sqlite::Sqlite;
use promiscuous_core::capture::CaptureSettings;
use promiscuous_core::operation::Attributes;
use serde_json::Value as Json;

use crate::backend::PromiscuousBackend;
use crate::capture::Capture;
use crate::commit::CommitPath;
use crate::model::{PublishOn, PublishedModels, UnreadableRow};
use crate::row::Columns;
use crate::subscription::{Connection, Subscribe, SubscribeOn, Unfit};

/// A database that exists for one test, and a connection to it.
pub(super) struct Fresh<DB: PromiscuousBackend> {
    /// Where it is.
    url: String,
    connection: Connection<DB>,
    /// Where SQLite keeps it: removed with it.
    _folder: Option<tempfile::TempDir>,
}

impl<DB: Tested> Fresh<DB> {
    /// With these tables; none where no server is named.
    pub(super) fn with(tables: &str) -> Option<Self> {
        let (url, folder) = DB::create()?;
        let mut connection = DB::Connection::establish(&url).unwrap();
        connection.batch_execute(tables).unwrap();
        Some(Self { connection: DB::wrap(connection), url, _folder: folder })
    }

    /// A second, plain connection, which runs this.
    pub(super) fn elsewhere(&self, sql: &str) -> diesel::QueryResult<()> {
        DB::Connection::establish(&self.url).unwrap().batch_execute(sql)
    }
}

impl<DB: PromiscuousBackend> Deref for Fresh<DB> {
    type Target = Connection<DB>;

    fn deref(&self) -> &Connection<DB> {
        &self.connection
    }
}

impl<DB: PromiscuousBackend> DerefMut for Fresh<DB> {
    fn deref_mut(&mut self) -> &mut Connection<DB> {
        &mut self.connection
    }
}

/// A backend that tests run on.
pub(super) trait Tested: PromiscuousBackend<Connection: diesel::Connection<Backend = Self>> {
    /// A new database.
    fn create() -> Option<(String, Option<tempfile::TempDir>)>;

    /// A connection as changes are applied through it.
    fn wrap(connection: Self::Connection) -> Connection<Self> {
        let nothing = PublishedModels::new([]);
        let capture = Capture::new(nothing, CommitPath::Nothing, CaptureSettings::default()).unwrap();
        Connection::<Self>::with_capture(connection, capture)
    }
}

fn served<C: diesel::Connection>(variable: &str) -> Option<(String, Option<tempfile::TempDir>)> {
    let server = std::env::var(variable).ok()?;
    let name = format!("derive_{}", uuid::Uuid::now_v7().simple());
    C::establish(&server).unwrap().batch_execute(&format!("CREATE DATABASE {name}")).unwrap();
    let base = server.rsplit_once('/').map_or(server.as_str(), |(base, _)| base);
    Some((format!("{base}/{name}"), None))
}

impl Tested for Pg {
    fn create() -> Option<(String, Option<tempfile::TempDir>)> {
        served::<diesel::PgConnection>("TEST_POSTGRES_URL")
    }
}

impl Tested for Mysql {
    fn create() -> Option<(String, Option<tempfile::TempDir>)> {
        served::<diesel::MysqlConnection>("TEST_MARIADB_URL")
    }
}

impl Tested for Sqlite {
    fn create() -> Option<(String, Option<tempfile::TempDir>)> {
        let folder = tempfile::tempdir().unwrap();
        let url = folder.path().join("test.sqlite").display().to_string();
        Some((url, Some(folder)))
    }
}

/// The ids and attributes of a query's rows, whose columns are the key's and then the ones that the model wants.
pub(super) fn published<DB, M, Q>(
    query: Q,
    connection: &mut Connection<DB>,
) -> Vec<Result<(Option<String>, Attributes), UnreadableRow>>
where
    DB: Tested,
    M: PublishOn<DB>,
    Q: diesel::query_builder::Query + QueryFragment<DB> + QueryId,
    DB: diesel::expression::QueryMetadata<Q::SqlType>,
{
    let keys: Vec<usize> = (0..M::key_columns().len()).collect();
    let columns: Vec<usize> = (keys.len()..keys.len() + M::columns().len()).collect();
    let rows = LoadConnection::<DefaultLoadingMode>::load(connection, query).unwrap();
    rows.map(|row| {
        let row = row.unwrap();
        let id = M::read_id(&Columns::new(&row, &keys))?;
        Ok((id, M::read_attributes(&Columns::new(&row, &columns))?))
    })
    .collect()
}

/// Puts these values into changes, each by its name.
pub(super) fn fill<M: Subscribe>(changes: &mut M::Changes, values: &Json) -> Result<(), Unfit> {
    for (attribute, value) in values.as_object().unwrap() {
        M::set(changes, attribute, value)?;
    }
    Ok(())
}

/// Inserts a row as a message would.
pub(super) fn insert<DB, M>(id: &[&str], values: &Json, connection: &mut Connection<DB>) -> M
where
    DB: Tested,
    M: SubscribeOn<DB>,
{
    let mut changes = M::Changes::default();
    M::set_id(&mut changes, &parts(id)).unwrap();
    fill::<M>(&mut changes, values).unwrap();
    M::insert(changes, connection).unwrap()
}

/// Updates a row as a message would; none when it holds the values already.
pub(super) fn update<DB, M>(row: &M, values: &Json, connection: &mut Connection<DB>) -> Option<M>
where
    DB: Tested,
    M: SubscribeOn<DB>,
{
    let mut changes = M::Changes::default();
    fill::<M>(&mut changes, values).unwrap();
    row.differs(&mut changes).then(|| row.update(changes, connection).unwrap())
}

/// An id's parts.
pub(super) fn parts(id: &[&str]) -> Vec<String> {
    id.iter().map(|&part| part.to_owned()).collect()
}

/// Runs a test over each backend.
macro_rules! on_each {
    ($($(#[$meta:meta])* $name:ident;)*) => {
        mod on_postgres {
            $(#[test] $(#[$meta])* fn $name() { super::$name::<diesel::pg::Pg>(); })*
        }
        mod on_mariadb {
            $(#[test] $(#[$meta])* fn $name() { super::$name::<diesel::mysql::Mysql>(); })*
        }
        mod on_sqlite {
            $(#[test] $(#[$meta])* fn $name() { super::$name::<diesel::sqlite::Sqlite>(); })*
        }
    };
}
pub(super) use on_each;
