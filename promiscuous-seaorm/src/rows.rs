//! Rows of published entities, read in the order of their primary keys to be published again.

#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::sync::Arc;

use async_trait::async_trait;
use promiscuous_core::database::{DatabaseError, DatabaseErrorKind};
use promiscuous_core::sync::{Condition, NOTHING_TO_FLUSH, PublishedRows, Stretch, SyncModel, SyncRow};
use sea_orm::sea_query::{Expr, Func, Order, SelectStatement};
use sea_orm::{
    ConnectionTrait, DbBackend, DbErr, QueryResult, SqliteTransactionMode, Statement, TransactionOptions,
    TransactionTrait,
};
use tokio::sync::OnceCell;

use crate::connection::PromiscuousConnection;
use crate::database_error::database_error;
use crate::keyset::{Bound, among, bounded, went_on};
use crate::model::{PublishedModel, PublishedModels};
use crate::row::{read, typed};
use crate::steady::to_its_end;

/// See the module.
pub(crate) struct SeaRows {
    /// What reads, past its own capture.
    connection: PromiscuousConnection,
    /// How each is read, by name.
    models: Vec<Arc<PublishedModel>>,
    /// The same, as core knows them.
    described: Vec<SyncModel>,
    /// How the server spells a shared lock that waits for nobody: MariaDB and MySQL differ, and only the server tells which it is.
    shared_lock: OnceCell<&'static str>,
}

impl SeaRows {
    pub(crate) fn new(connection: PromiscuousConnection, models: &PublishedModels) -> Self {
        let mut models: Vec<_> = models.iter().cloned().collect();
        models.sort_by(|a, b| (&a.name, &a.endpoint).cmp(&(&b.name, &b.endpoint)));
        let described = models.iter().map(|model| SyncModel {
            name: model.name.clone(),
            endpoint: model.endpoint.clone(),
            types: model.types.clone(),
        });
        Self { connection, described: described.collect(), models, shared_lock: OnceCell::new() }
    }

    fn backend(&self) -> DbBackend {
        self.connection.get_database_backend()
    }

    fn model(&self, position: usize) -> Result<&PublishedModel, DatabaseError> {
        let model = self.models.get(position).map(AsRef::as_ref);
        model.ok_or_else(|| wrong(format!("there is no published model number {position}: list them again")))
    }

    /// The values of an id, to be compared with the model's key columns.
    fn key(&self, model: &PublishedModel, id: &str) -> Result<Vec<Expr>, DatabaseError> {
        (model.key_of_id)(self.backend(), id).ok_or_else(|| {
            wrong(format!(
                "an id that was read earlier is none of `{}` now, whose primary key is `{}`: begin again with its first row",
                model.name,
                model.primary_key.join("`, `")
            ))
        })
    }

    /// Narrows a statement to one side of a row.
    fn narrow(
        &self,
        select: &mut SelectStatement,
        model: &PublishedModel,
        bound: Bound,
        id: &str,
    ) -> Result<(), DatabaseError> {
        let columns = (model.key_columns)(self.backend());
        if let Some(condition) = bounded(self.backend(), &columns, bound, &self.key(model, id)?) {
            select.and_where(condition);
        }
        Ok(())
    }

    fn in_order(&self, select: &mut SelectStatement, model: &PublishedModel) {
        for column in (model.key_columns)(self.backend()) {
            select.order_by_expr(column, Order::Asc);
        }
    }

    async fn query(&self, statement: Statement) -> Result<Vec<QueryResult>, DatabaseError> {
        // Outside of a transaction: what it locks is free as soon as it is done.
        self.connection.steady().query_all_raw(statement).await.map_err(database_error)
    }

    async fn query_unless_written(
        &self,
        mut statement: Statement,
    ) -> Result<Vec<QueryResult>, DatabaseError> {
        if self.backend() == DbBackend::Sqlite {
            let pool = self.connection.inner().clone();
            return to_its_end(as_writer(pool, statement)).await.map_err(database_error);
        }
        let lock = self.shared_lock.get_or_try_init(async || self.ask_for_shared_lock().await).await?;
        statement.sql.push_str(lock);
        self.query(statement).await
    }

    async fn ask_for_shared_lock(&self) -> Result<&'static str, DatabaseError> {
        if self.backend() != DbBackend::MySql {
            return Ok(shared_lock(""));
        }
        let ask = Statement::from_string(self.backend(), "SELECT VERSION() AS version");
        let rows = self.query(ask).await?;
        let version = rows.first().map(|row| row.try_get::<String>("", "version"));
        Ok(shared_lock(&version.transpose().map_err(database_error)?.unwrap_or_default()))
    }
}

#[async_trait]
impl PublishedRows for SeaRows {
    fn models(&self) -> &[SyncModel] {
        &self.described
    }

    async fn count(&self, model: usize, condition: Option<&Condition>) -> Result<u64, DatabaseError> {
        let model = self.model(model)?;
        let mut select = (model.select_keys)();
        select.clear_selects().expr_as(Func::count(Expr::cust("*")), "n");
        choose(&mut select, condition);
        let rows = self.query(typed(&select, &self.connection)).await?;
        let count = rows.first().map_or(Ok(0), |row| row.try_get::<i64>("", "n")).map_err(database_error)?;
        u64::try_from(count).map_err(|error| DatabaseError::new(DatabaseErrorKind::Other, error))
    }

    async fn ids_after(
        &self,
        model: usize,
        condition: Option<&Condition>,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<String>, DatabaseError> {
        let model = self.model(model)?;
        let mut select = (model.select_keys)();
        choose(&mut select, condition);
        if let Some(after) = after {
            self.narrow(&mut select, model, Bound::After, after)?;
        }
        self.in_order(&mut select, model);
        // No database takes more than this.
        select.limit(i64::try_from(limit).unwrap_or(i64::MAX).unsigned_abs());
        let rows = self.query(typed(&select, &self.connection)).await?;
        let ids: Vec<String> = rows.iter().map(|row| id(model, row)).collect::<Result<_, _>>()?;
        went_on(&model.name, after, &ids)?;
        Ok(ids)
    }

    async fn read(
        &self,
        model: usize,
        condition: Option<&Condition>,
        stretch: Stretch<'_>,
        unless_written: bool,
    ) -> Result<Vec<SyncRow>, DatabaseError> {
        let model = self.model(model)?;
        let mut select = (model.select_rows)();
        choose(&mut select, condition);
        self.narrow(&mut select, model, Bound::From, stretch.first)?;
        self.narrow(&mut select, model, Bound::UpTo, stretch.last)?;
        self.in_order(&mut select, model);
        if unless_written && self.backend() == DbBackend::Postgres {
            select.and_where(Expr::cust(NOTHING_TO_FLUSH));
        }
        let statement = typed(&select, &self.connection);
        let rows = match unless_written {
            true => self.query_unless_written(statement).await?,
            false => self.query(statement).await?,
        };
        let row = |row| read(model, row).map(|row| SyncRow { id: row.id, attributes: row.attributes });
        rows.iter().map(row).collect::<Result<_, _>>().map_err(database_error)
    }

    async fn missing(&self, model: usize, ids: &[String]) -> Result<Vec<String>, DatabaseError> {
        let model = self.model(model)?;
        let keys = ids.iter().filter_map(|id| Some((id, (model.key_of_id)(self.backend(), id)?)));
        let (wanted, keys): (Vec<&String>, Vec<Vec<Expr>>) = keys.unzip();
        let Some(among) = among(&(model.key_columns)(self.backend()), keys) else { return Ok(Vec::new()) };
        let mut select = (model.select_keys)();
        select.and_where(among);
        let rows = self.query(typed(&select, &self.connection)).await?;
        let there = rows.iter().map(|row| id(model, row)).collect::<Result<HashSet<_>, _>>()?;
        Ok(wanted.into_iter().filter(|id| !there.contains(*id)).cloned().collect())
    }
}

/// The condition, letter by letter: what looks like a placeholder or an escape in it is the database's own affair.
fn choose(select: &mut SelectStatement, condition: Option<&Condition>) {
    if let Some(condition) = condition {
        select.and_where(Expr::cust(format!("(\n{condition}\n)")));
    }
}

fn id(model: &PublishedModel, row: &QueryResult) -> Result<String, DatabaseError> {
    (model.id_of_row)(row, &model.primary_key).map_err(database_error)?.ok_or_else(|| {
        // SQLite allows that.
        wrong(format!(
            "a row of `{}` has NULL in its primary key: give it a value, or delete the row",
            model.name
        ))
    })
}

/// What follows a SELECT that locks its rows, as the server with this version spells it.
fn shared_lock(version: &str) -> &'static str {
    if version.contains("MariaDB") {
        // It knows no FOR SHARE. MySQL knows both, but SKIP LOCKED only after that one.
        " LOCK IN SHARE MODE SKIP LOCKED"
    } else {
        " FOR SHARE SKIP LOCKED"
    }
}

/// SQLite has one writer at a time: while this one has its turn, nothing is changed and not committed.
async fn as_writer(
    pool: sea_orm::DatabaseConnection,
    statement: Statement,
) -> Result<Vec<QueryResult>, DbErr> {
    let options = TransactionOptions {
        sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
        ..TransactionOptions::default()
    };
    let transaction = pool.begin_with_options(options).await?;
    let rows = transaction.query_all_raw(statement).await?;
    // To commit nothing would still wait for every reader, unless the database is in WAL mode.
    transaction.rollback().await?;
    Ok(rows)
}

fn wrong(sentence: String) -> DatabaseError {
    DatabaseError::new(DatabaseErrorKind::Other, sentence)
}
