//! What is published when an app works with SeaORM on SQLite.

mod endings;
mod interruptions;
mod reads;
mod relay;
pub(crate) mod servers;
mod transactions;
mod writes;

use std::sync::{Arc, PoisonError};

use promiscuous_core::database::Dialect;
use promiscuous_core::operation::{Operation, OperationKind};
use sea_orm::{
    ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DbBackend, DbErr, EntityTrait, Schema,
    Set, TransactionTrait,
};

use crate::commit::CommitPath;
use crate::commit::tests::{Fault, Message, Recorded};
use crate::connection::PromiscuousConnection;
use crate::fixtures::{cake, cake_filling, filling, fruit, models, pan};
use promiscuous_core::capture::CaptureSettings;

/// A database in memory with all tables, and a list of what is published from it.
pub(super) struct Bakery {
    pub db: PromiscuousConnection,
    pub recorded: Arc<Recorded>,
}

impl Bakery {
    pub async fn open() -> Self {
        Self::with(CaptureSettings::default()).await
    }

    pub async fn with(settings: CaptureSettings) -> Self {
        Self::at("sqlite::memory:", settings).await
    }

    /// In this database.
    pub async fn at(url: &str, settings: CaptureSettings) -> Self {
        let mut options = ConnectOptions::new(url);
        options.max_connections(1).sqlx_logging(false).connect_timeout(std::time::Duration::from_secs(5));
        let inner = Database::connect(options).await.unwrap();
        Self::equipped(inner, settings).await
    }

    /// With all tables in an empty database.
    pub async fn equipped(inner: DatabaseConnection, settings: CaptureSettings) -> Self {
        let backend = inner.get_database_backend();
        let schema = Schema::new(backend);
        for table in [
            schema.create_table_from_entity(cake::Entity),
            schema.create_table_from_entity(fruit::Entity),
            schema.create_table_from_entity(filling::Entity),
            schema.create_table_from_entity(cake_filling::Entity),
            schema.create_table_from_entity(pan::Entity),
        ] {
            inner.execute(&table).await.unwrap();
        }
        let (op, dialect) = match backend {
            DbBackend::Sqlite => ("INTEGER", Dialect::Sqlite),
            DbBackend::Postgres => ("SERIAL", Dialect::Postgres),
            _ => ("INTEGER AUTO_INCREMENT", Dialect::Mysql),
        };
        let outbox =
            format!("CREATE TABLE promiscuous_outbox (op {op} PRIMARY KEY, state BIGINT, message TEXT)");
        inner.execute_unprepared(&outbox).await.unwrap();
        let recorded = Arc::new(Recorded { dialect: Some(dialect), ..Recorded::default() });
        let path = CommitPath::Recorded(Arc::clone(&recorded));
        Self { db: PromiscuousConnection::with_path(inner, models(), path, settings), recorded }
    }

    pub fn plain(&self) -> &DatabaseConnection {
        self.db.inner()
    }

    pub fn fail(&self, fault: Fault) {
        *self.recorded.fail.lock().unwrap_or_else(PoisonError::into_inner) = Some(fault);
    }

    /// The messages since the last call.
    pub fn messages(&self) -> Vec<Message> {
        std::mem::take(&mut *self.recorded.messages.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The messages since the last call, as `create cake/1 name; update …`.
    pub fn published(&self) -> Vec<String> {
        let line = |message: Message| message.operations.iter().map(describe).collect::<Vec<_>>().join("; ");
        self.messages().into_iter().map(line).collect()
    }

    pub fn settled(&self) -> usize {
        *self.recorded.settled.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The names of all cakes in the database.
    pub async fn cakes(&self) -> Vec<String> {
        let cakes = cake::Entity::find().all(self.plain()).await.unwrap();
        cakes.into_iter().map(|cake| cake.name).collect()
    }

    /// How many messages are in the outbox.
    pub async fn outbox(&self) -> i64 {
        self.number("SELECT count(*) AS n FROM promiscuous_outbox").await
    }

    /// The column `n` of one row.
    pub async fn number(&self, sql: &str) -> i64 {
        let ask = sea_orm::Statement::from_string(self.plain().get_database_backend(), sql);
        self.plain().query_one_raw(ask).await.unwrap().unwrap().try_get("", "n").unwrap()
    }

    /// Waits until nothing that was begun on the tables is open any more: their locks are to be had only then. A future
    /// that was dropped may have left work behind, which the database still does or undoes.
    pub async fn quiet(&self) {
        let backend = self.plain().get_database_backend();
        let (patience, lock) = match backend {
            DbBackend::Postgres => (
                "SET LOCAL lock_timeout = '60s'",
                "LOCK TABLE cake, pan, promiscuous_outbox IN ACCESS EXCLUSIVE MODE",
            ),
            DbBackend::MySql => (
                "SET SESSION lock_wait_timeout = 60",
                "LOCK TABLES cake WRITE, pan WRITE, promiscuous_outbox WRITE",
            ),
            // There is one connection, and `begin` waits for it.
            _ => return drop(self.plain().begin().await.unwrap()),
        };
        let transaction = self.plain().begin().await.unwrap();
        transaction.execute_unprepared(patience).await.unwrap();
        transaction.execute_unprepared(lock).await.unwrap();
        if backend == DbBackend::MySql {
            transaction.execute_unprepared("UNLOCK TABLES").await.unwrap();
        }
        transaction.rollback().await.unwrap();
    }

    /// Every committed cake has its outbox row, no other has, and all `connections` of the pool can be had at once.
    pub async fn balance(&self, connections: usize) {
        self.quiet().await;
        let mut all = Vec::new();
        for _ in 0..connections {
            all.push(self.plain().begin().await.expect("a connection never came back to the pool"));
        }
        for transaction in all {
            transaction.rollback().await.unwrap();
        }
        let cakes = self.cakes().await;
        let transactions = cakes.iter().filter(|name| *name == "renamed").count();
        let singles = cakes.iter().filter(|name| name.starts_with("single")).count();
        assert_eq!(cakes.len(), transactions + singles, "{cakes:?}");
        // A transaction that committed has deleted the row of the single write before it.
        let committed = singles + 2 * transactions;
        assert_eq!(usize::try_from(self.outbox().await), Ok(committed), "{cakes:?}");
        // A COMMIT that was under way when its future was dropped is left to the recovery.
        let messages = self.published().len();
        assert!(messages <= committed && committed <= messages + self.settled());
    }

    /// Cakes 1 to n, unpublished.
    pub async fn bake(&self, names: &[&str]) {
        for name in names {
            cake::Entity::insert(cake(name)).exec(self.plain()).await.unwrap();
        }
    }
}

fn describe(operation: &Operation) -> String {
    let kind = match operation.operation {
        OperationKind::Create => "create",
        OperationKind::Update => "update",
        OperationKind::Destroy => "destroy",
        _ => "other",
    };
    let id = &operation.id;
    let short = id.strip_prefix("00000000-0000-0000-0000-").map(|end| end.trim_start_matches('0'));
    let name = operation.attributes.as_ref().map(|attributes| match attributes.get("name") {
        Some(name) => format!(" {}", name.as_str().unwrap_or("?")),
        None => String::new(),
    });
    assert_eq!(operation.attributes.is_none(), operation.operation == OperationKind::Destroy);
    let model = operation.endpoint.model();
    format!("{kind} {model}/{}{}", short.unwrap_or(id), name.unwrap_or_default())
}

pub(super) fn cake(name: &str) -> cake::ActiveModel {
    cake::ActiveModel { name: Set(name.into()), ..Default::default() }
}

pub(super) fn coded(name: &str, code: &str) -> cake::ActiveModel {
    cake::ActiveModel { name: Set(name.into()), code: Set(Some(code.into())), ..Default::default() }
}

pub(super) fn known(id: i32, name: &str) -> cake::ActiveModel {
    cake::ActiveModel { id: Set(id), name: Set(name.into()), ..Default::default() }
}

pub(super) fn fruit(number: u128, name: &str) -> fruit::ActiveModel {
    fruit::ActiveModel {
        id: Set(uuid::Uuid::from_u128(number)),
        name: Set(name.into()),
        color: Set(fruit::Color::Red),
        ..Default::default()
    }
}

/// The refusal or failure, as text.
pub(super) fn said<T>(result: Result<T, DbErr>) -> String {
    result.err().map_or_else(|| "nothing".into(), |error| error.to_string())
}
