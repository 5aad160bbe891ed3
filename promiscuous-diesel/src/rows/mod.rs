//! The rows of published models, as whoever publishes them again reads them: through Diesel's own connections, past the capture.
//!
//! * `selection`: the statements;
//! * `unwritten`: how the rows are left out that a transaction in flight has changed.

pub(crate) mod selection;
#[cfg(all(
    test,
    feature = "postgres",
    feature = "mysql",
    feature = "sqlite",
    feature = "uuid",
    feature = "chrono"
))]
mod tests;
mod unwritten;

use std::collections::HashSet;
use std::sync::Arc;

use async_trait::async_trait;
use diesel::r2d2::Pool;
use diesel::row::{Field as _, Row};
use promiscuous_core::apply::Unfit;
use promiscuous_core::database::{DatabaseError, DatabaseErrorKind, SqlType, SqlValue};
use promiscuous_core::key::decode_id;
use promiscuous_core::sync::{Condition, PublishedRows, Stretch, SyncModel, SyncRow};

use crate::backend::PromiscuousBackend;
use crate::database::with_connection;
use crate::database_error::database_error;
use crate::key::KeyValue;
use crate::model::{PublishedModel, UnreadableRow};
use crate::pool::Manager;
use crate::row::Columns;
use crate::statement::Table;
use crate::subscription::Connection;
use selection::{Edge, Selection, What};
use unwritten::Unwritten;

/// The rows of an app's published models.
pub(crate) struct DieselRows<DB: PromiscuousBackend> {
    /// Where connections come from; what is read here is nobody's cause.
    pool: Pool<Manager<DB>>,
    /// How they are read, by name.
    models: Vec<Arc<PublishedModel<DB>>>,
    /// The same ones, as core knows them.
    known: Vec<SyncModel>,
    /// What the server can do, which one of it is asked once.
    unwritten: Arc<Unwritten>,
}

impl<DB: PromiscuousBackend> DieselRows<DB> {
    pub(crate) fn new(
        pool: Pool<Manager<DB>>,
        models: impl IntoIterator<Item = Arc<PublishedModel<DB>>>,
    ) -> Self {
        let mut models: Vec<_> = models.into_iter().collect();
        models.sort_by(|one, other| (&one.name, &one.endpoint).cmp(&(&other.name, &other.endpoint)));
        let known = models.iter().map(|model| SyncModel {
            name: model.name.clone(),
            endpoint: model.endpoint.clone(),
            types: model.types.clone(),
        });
        Self { known: known.collect(), models, pool, unwritten: Arc::default() }
    }

    /// Reads something of a model on a thread that may block.
    async fn read_model<R: Send + 'static>(
        &self,
        model: usize,
        condition: Option<&Condition>,
        work: impl FnOnce(&mut Connection<DB>, &PublishedModel<DB>, Option<&str>) -> Result<R, DatabaseError>
        + Send
        + 'static,
    ) -> Result<R, DatabaseError> {
        let model = self.models.get(model).map(Arc::clone).ok_or_else(|| {
            other(format!("there is no published model {model}: ask for one by its position in `models`"))
        })?;
        let condition = condition.map(|condition| condition.as_sql().to_owned());
        with_connection(&self.pool, move |connection| work(connection, &model, condition.as_deref())).await
    }
}

#[async_trait]
impl<DB: PromiscuousBackend> PublishedRows for DieselRows<DB> {
    fn models(&self) -> &[SyncModel] {
        &self.known
    }

    async fn count(&self, model: usize, condition: Option<&Condition>) -> Result<u64, DatabaseError> {
        self.read_model(model, condition, |connection, model, condition| {
            let rows = Selection::new(&model.table, What::Count, condition).load(connection.inner());
            let rows = rows.map_err(database_error)?;
            let count = rows.first().and_then(number::<DB, _>);
            count.ok_or_else(|| other("the database did not answer with the number of rows"))
        })
        .await
    }

    async fn ids_after(
        &self,
        model: usize,
        condition: Option<&Condition>,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<String>, DatabaseError> {
        let after = after.map(str::to_owned);
        self.read_model(model, condition, move |connection, model, condition| {
            let mut selection = Selection::new(&model.table, What::Key, condition).limit(limit);
            if let Some(after) = &after {
                selection = selection.edge(Edge::After(key_values(model, after)?));
            }
            let rows = selection.load(connection.inner()).map_err(database_error)?;
            if rows.iter().any(|row| is_ordered_otherwise(&model.table, row)) {
                return Err(out_of_place(&published(model), &model.table));
            }
            let ids = rows.iter().map(|row| id_of(model, row)).collect::<Result<Vec<_>, _>>()?;
            match after {
                // It comes after itself: whoever went on like this would never come to an end.
                Some(after) if ids.contains(&after) => Err(out_of_place(&published(model), &model.table)),
                _ => Ok(ids),
            }
        })
        .await
    }

    async fn read(
        &self,
        model: usize,
        condition: Option<&Condition>,
        stretch: Stretch<'_>,
        unless_written: bool,
    ) -> Result<Vec<SyncRow>, DatabaseError> {
        let (first, last) = (stretch.first.to_owned(), stretch.last.to_owned());
        let unwritten = unless_written.then(|| Arc::clone(&self.unwritten));
        self.read_model(model, condition, move |connection, model, condition| {
            let selection = Selection::new(&model.table, What::Row(&model.columns), condition)
                .edge(Edge::From(key_values(model, &first)?))
                .edge(Edge::To(key_values(model, &last)?));
            let rows = match unwritten {
                Some(unwritten) => unwritten.load(selection, connection.inner())?,
                None => selection.load(connection.inner()).map_err(database_error)?,
            };
            rows.iter().map(|row| sync_row(model, row)).collect()
        })
        .await
    }

    async fn missing(&self, model: usize, ids: &[String]) -> Result<Vec<String>, DatabaseError> {
        let ids = ids.to_vec();
        self.read_model(model, None, move |connection, model, _| {
            let keys = ids.into_iter().filter_map(|id| key_values(model, &id).ok().map(|key| (id, key)));
            let (ids, keys): (Vec<String>, Vec<_>) = keys.unzip();
            if keys.is_empty() {
                return Ok(Vec::new());
            }
            let rows = Selection::new(&model.table, What::Key, None).among(keys).load(connection.inner());
            let rows = rows.map_err(database_error)?;
            let there = rows.iter().map(|row| id_of(model, row)).collect::<Result<HashSet<_>, _>>()?;
            Ok(ids.into_iter().filter(|id| !there.contains(id)).collect())
        })
        .await
    }
}

/// The only value of a row.
fn number<'r, DB: PromiscuousBackend, R: Row<'r, DB>>(row: &R) -> Option<u64> {
    let field = row.get(0)?;
    match DB::read(field.value()?, SqlType::Int) {
        Ok(SqlValue::Int(number)) => u64::try_from(number).ok(),
        _ => None,
    }
}

/// An id as values.
fn key_values<DB: PromiscuousBackend>(
    model: &PublishedModel<DB>,
    id: &str,
) -> Result<Vec<KeyValue<DB>>, DatabaseError> {
    let values = decode_id(id).map(|parts| (model.key_values)(&parts));
    let reason = match values {
        Some(Ok(values)) => return Ok(values),
        Some(Err((column, Unfit::Expected(why) | Unfit::Refused(why)))) => {
            format!("the column `{column}` wants {why}")
        }
        None => "it is not encoded as ids are".to_owned(),
    };
    Err(none_of(&published(model), &reason))
}

/// The model, in a message to people.
fn published<DB: PromiscuousBackend>(model: &PublishedModel<DB>) -> String {
    format!("the published model `{}`", model.name)
}

/// An id by which a model's rows cannot be asked for.
pub(crate) fn none_of(model: &str, reason: &str) -> DatabaseError {
    other(format!(
        "rows of {model} were asked for by an id that is none of it: {reason}. Where it was stored before the model's key changed, begin \
         from the start"
    ))
}

/// The id of a row.
fn id_of<'r, DB: PromiscuousBackend>(
    model: &PublishedModel<DB>,
    row: &impl Row<'r, DB>,
) -> Result<String, DatabaseError> {
    let columns: Vec<usize> = (0..model.table.primary_key.len()).collect();
    let id = (model.read_id)(&Columns::new(row, &columns)).map_err(unreadable)?;
    id.ok_or_else(|| other(format!("a row of the published model `{}` has no primary key", model.name)))
}

fn sync_row<'r, DB: PromiscuousBackend>(
    model: &PublishedModel<DB>,
    row: &impl Row<'r, DB>,
) -> Result<SyncRow, DatabaseError> {
    let keys = model.table.primary_key.len();
    let columns: Vec<usize> = (keys..keys + model.columns.len()).collect();
    let attributes = (model.read_attributes)(&Columns::new(row, &columns)).map_err(unreadable)?;
    Ok(SyncRow { id: id_of(model, row)?, attributes })
}

pub(crate) fn unreadable(error: UnreadableRow) -> DatabaseError {
    DatabaseError::new(DatabaseErrorKind::Other, error)
}

pub(crate) fn other(sentence: impl Into<String>) -> DatabaseError {
    DatabaseError::new(DatabaseErrorKind::Other, sentence.into())
}

/// Whether a column of the key, with which the row begins, cannot be gone through.
pub(crate) fn is_ordered_otherwise<'r, DB: PromiscuousBackend>(
    table: &Table,
    row: &impl Row<'r, DB>,
) -> bool {
    (0..table.primary_key.len()).any(|position| {
        let field = row.get(position);
        field.as_ref().and_then(|field| field.value()).is_some_and(|value| DB::is_ordered_otherwise(&value))
    })
}

/// Rows would be left out, or come again and again.
pub(crate) fn out_of_place(model: &str, table: &Table) -> DatabaseError {
    other(format!(
        "the database does not order the rows of {model} as it compares its key ({}) with values: a key for this has no ENUM or SET in \
         MariaDB or MySQL, and in SQLite no moments or decimals that were written by others than Diesel",
        table.primary_key.join(", ")
    ))
}
