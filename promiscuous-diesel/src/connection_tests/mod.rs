//! What is published when an app works with Diesel: on SQLite always, on servers where `TEST_POSTGRES_URL` or
//! `TEST_MARIADB_URL` names one, with a user who may create databases.

// The same tests for each kind of connection: Diesel's functions cannot be generic without a page of bounds.
#![allow(clippy::duplicate_mod)]

mod cost;
pub(crate) mod fixtures;
pub(crate) mod mariadb;
mod multi;
pub(crate) mod postgres;
pub(crate) mod sqlite;

use std::sync::{Arc, PoisonError};

use diesel::deserialize::FromSql;
use diesel::result::QueryResult;
use diesel::sql_types::{Integer, Text};
use promiscuous_core::capture::CaptureSettings;
use promiscuous_core::database::Dialect;
use promiscuous_core::operation::{Operation, OperationKind};
use promiscuous_core::schema::create_tables;

use crate::Promiscuous;
use crate::backend::PromiscuousBackend;
use crate::capture::Capture;
use crate::commit::CommitPath;
use crate::commit::tests::{Fault, Message, Recorded};
use crate::connection::Wrapped;

/// A database with all tables, a connection to it, and a list of what is published through that.
pub(crate) struct Bakery<C: Wrapped> {
    pub db: Promiscuous<C>,
    pub recorded: Arc<Recorded>,
    /// How to connect to it again.
    pub url: String,
    /// The folder of a SQLite database.
    pub folder: Option<tempfile::TempDir>,
}

impl<C> Bakery<C>
where
    C: Wrapped,
    i32: FromSql<Integer, C::Backend>,
    String: FromSql<Text, C::Backend>,
{
    /// Creates the tables.
    fn at(url: String, settings: CaptureSettings) -> Self {
        let mut inner = C::establish(&url).unwrap();
        let dialect = C::Backend::DIALECT;
        let (serial, deferred) = match dialect {
            Dialect::Sqlite => ("INTEGER PRIMARY KEY NOT NULL", true),
            Dialect::Postgres => ("SERIAL PRIMARY KEY", true),
            Dialect::Mysql => ("INTEGER PRIMARY KEY AUTO_INCREMENT", false),
        };
        inner.batch_execute(&fixtures::TABLES.replace("{serial}", serial)).unwrap();
        if deferred {
            inner
                .batch_execute(
                    "CREATE TABLE refused_at_commit (op TEXT, state INT, created_at BIGINT, message TEXT, \
                     cake INT DEFAULT -1 REFERENCES cake (id) DEFERRABLE INITIALLY DEFERRED)",
                )
                .unwrap();
        }
        for table in create_tables(dialect) {
            inner.batch_execute(&table).unwrap();
        }
        let recorded = Recorded::new(dialect);
        let path = CommitPath::Recorded(Arc::clone(&recorded));
        let capture = Capture::new(fixtures::models(), path, settings).unwrap();
        Self { db: Promiscuous::with_capture(inner, capture), recorded, url, folder: None }
    }

    /// Another connection of the same app.
    pub fn another(&self) -> Promiscuous<C> {
        let inner = C::establish(&self.url).unwrap();
        Promiscuous::with_capture(inner, Arc::clone(self.db.capture()))
    }

    pub fn fail(&self, fault: Fault) {
        *self.recorded.fail.lock().unwrap_or_else(PoisonError::into_inner) = Some(fault);
    }

    /// The messages since the last call.
    pub fn messages(&self) -> Vec<Message> {
        std::mem::take(&mut *self.recorded.messages.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The messages since the last call, as `create cake/1 name; update …`. Sorted where all are of one kind and one model: a
    /// database returns rows as it likes.
    pub fn published(&self) -> Vec<String> {
        let line = |message: Message| {
            let mut lines: Vec<_> = message.operations.iter().map(describe).collect();
            let same =
                |a: &Operation, b: &Operation| (a.operation, &a.endpoint) == (b.operation, &b.endpoint);
            if message.operations.windows(2).all(|pair| same(&pair[0], &pair[1])) {
                lines.sort_unstable();
            }
            lines.join("; ")
        };
        self.messages().into_iter().map(line).collect()
    }

    pub fn settled(&self) -> usize {
        *self.recorded.settled.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(crate) fn describe(operation: &Operation) -> String {
    let kind = match operation.operation {
        OperationKind::Create => "create",
        OperationKind::Update => "update",
        OperationKind::Destroy => "destroy",
        _ => "other",
    };
    assert_eq!(operation.attributes.is_none(), operation.operation == OperationKind::Destroy);
    let told = operation
        .attributes
        .as_ref()
        .and_then(|all| all.get("name").or(all.get("amount")))
        .map(|value| value.as_str().map_or_else(|| format!(" {value}"), |text| format!(" {text}")));
    format!("{kind} {}/{}{}", operation.endpoint.model(), operation.id, told.unwrap_or_default())
}

/// The refusal or failure, as text.
pub(crate) fn said<T>(result: QueryResult<T>) -> String {
    result.err().map_or_else(|| "nothing".into(), |error| error.to_string())
}

/// The keys that a context remembers, in order, and forgets.
pub(crate) fn taken(context: &crate::Context) -> Vec<String> {
    let causes = context.causes();
    context.wrote(&causes, &[]);
    let mut keys: Vec<_> =
        causes.reads.iter().map(|key| key.as_str().trim_start_matches("app/").to_owned()).collect();
    keys.sort();
    keys
}

/// A database of its own on a server, if there is one.
fn served<C>(variable: &str, settings: CaptureSettings) -> Option<Bakery<C>>
where
    C: Wrapped,
    i32: FromSql<Integer, C::Backend>,
    String: FromSql<Text, C::Backend>,
{
    let url = std::env::var(variable).ok()?;
    let name = format!("capture_{}", uuid::Uuid::now_v7().simple());
    let mut server = C::establish(&url).unwrap();
    server.batch_execute(&format!("CREATE DATABASE {name}")).unwrap();
    let base = url.rsplit_once('/').map_or(url.as_str(), |(base, _)| base);
    Some(Bakery::at(format!("{base}/{name}"), settings))
}
