//! Runs a write inside of a transaction and finds out what it did to each row (step 1 of the protocol's section 5).
//!
//! * `session`: what a write needs of a connection, blocking or not;
//! * `returning`: the database tells;
//! * `keyed`: MySQL and MariaDB do not: by keys, and read back;
//! * `inserted`: how their new rows are found.

use diesel::result::Error as DieselError;
use diesel::row::Row;
use promiscuous_core::capture::CaptureSettings;
use promiscuous_core::error::Error;
use promiscuous_core::operation::{Operation, OperationKind};

use crate::backend::PromiscuousBackend;
use crate::capture::Names;
use crate::error::{diesel_error, unpublished};
use crate::model::PublishedModel;
use crate::row::Columns;
use crate::statement::{OnConflict, Verb, Writing};

#[cfg(feature = "mysql")]
mod inserted;
#[cfg(feature = "mysql")]
pub(crate) mod keyed;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub(crate) mod returning;
pub(crate) mod session;

/// A write to be run.
pub struct Task<'w, DB: PromiscuousBackend> {
    /// What is written.
    pub model: &'w PublishedModel<DB>,
    /// How the model's table and columns are written in SQL.
    pub names: &'w Names,
    /// What the planner found out about the statement.
    pub writing: &'w Writing,
    /// The statement's text.
    pub sql: &'w str,
    /// How many rows it may write.
    pub settings: &'w CaptureSettings,
}

/// What a write did.
pub struct Written<K> {
    /// The rows that it returned.
    pub rows: Vec<K>,
    /// How many columns of them the app asked for; ours come after.
    pub visible: usize,
    /// The number of rows, as the database counts them.
    pub count: usize,
    /// What is to be published.
    pub operations: Vec<Operation>,
}

/// Why a write failed.
pub enum Failure {
    /// Nothing was written.
    Unwritten(DieselError),
    /// Something may have been written that was not captured: the transaction must not commit.
    Uncaptured(DieselError),
}

impl<DB: PromiscuousBackend> Task<'_, DB> {
    /// What the operations are called. An upsert is an update: the databases do not tell which it was, and subscribers insert
    /// the row where it is missing.
    pub fn kind(&self) -> OperationKind {
        match self.writing.verb {
            Verb::Insert { on_conflict: OnConflict::Update, .. } | Verb::Update { .. } => {
                OperationKind::Update
            }
            Verb::Insert { .. } => OperationKind::Create,
            Verb::Delete { .. } => OperationKind::Destroy,
        }
    }

    /// The statement's kind, for people.
    pub fn statement(&self) -> &'static str {
        statement(&self.writing.verb)
    }

    /// Refuses more rows than one message may have.
    ///
    /// # Errors
    /// [`Error::UnsupportedWrite`].
    pub fn within_limit(&self, rows: usize) -> Result<(), DieselError> {
        within_limit(self.model, self.writing, rows, self.settings)
    }

    /// Refuses the statement.
    pub fn refused(&self, advice: &str) -> Failure {
        Failure::Unwritten(refused(self.model, self.statement(), advice))
    }

    /// What happened to the row whose primary key begins at column `first` of a result, followed by the attributes' columns.
    ///
    /// # Errors
    /// [`Failure::Uncaptured`] when the row cannot be read.
    pub fn operation<'r, R: Row<'r, DB>>(&self, row: &R, first: usize) -> Result<Operation, Failure> {
        let keys = self.model.table.primary_key.len();
        let columns: Vec<usize> = (first..first + keys + self.model.columns.len()).collect();
        let id = (self.model.read_id)(&Columns::new(row, &columns[..keys]))
            .map_err(|error| uncaptured(&error))?
            .ok_or_else(|| {
                let name = &self.model.name;
                Failure::Uncaptured(unpublished(format!(
                    "a row of the published model `{name}` has no primary key"
                )))
            })?;
        let kind = self.kind();
        let attributes = match kind {
            OperationKind::Destroy => None,
            _ => {
                let read = (self.model.read_attributes)(&Columns::new(row, &columns[keys..]));
                Some(read.map_err(|error| uncaptured(&error))?)
            }
        };
        let model = self.model;
        let (endpoint, types) = (model.endpoint.clone(), model.types.clone());
        Ok(Operation { operation: kind, endpoint, types, id, attributes })
    }
}

fn uncaptured(error: &crate::model::UnreadableRow) -> Failure {
    Failure::Uncaptured(unpublished(error.to_string()))
}

/// The statement's kind, for people.
pub(crate) fn statement(verb: &Verb) -> &'static str {
    match verb {
        Verb::Insert { .. } => "INSERT",
        Verb::Update { .. } => "UPDATE",
        Verb::Delete { .. } => "DELETE",
    }
}

/// Refuses a write of too many rows.
///
/// # Errors
/// [`Error::UnsupportedWrite`].
pub(crate) fn within_limit<DB: PromiscuousBackend>(
    model: &PublishedModel<DB>,
    writing: &Writing,
    rows: usize,
    settings: &CaptureSettings,
) -> Result<(), DieselError> {
    if rows <= settings.bulk_limit {
        return Ok(());
    }
    let advice = format!(
        "it writes more than {} rows at once: write them in parts, or raise `bulk_limit`",
        settings.bulk_limit
    );
    Err(refused(model, statement(&writing.verb), &advice))
}

/// Refuses a write, saying what to do instead.
pub(crate) fn refused<DB: PromiscuousBackend>(
    model: &PublishedModel<DB>,
    statement: &str,
    advice: &str,
) -> DieselError {
    diesel_error(Error::UnsupportedWrite {
        model: model.name.clone(),
        statement: statement.to_owned(),
        advice: advice.to_owned(),
    })
}

/// What was written is not what was asked for.
#[cfg(feature = "mysql")]
pub(crate) fn astray<DB: PromiscuousBackend>(task: &Task<'_, DB>) -> Failure {
    Failure::Uncaptured(unpublished(format!(
        "other rows of the published model `{}` were written than the statement names: look for triggers or rules on its \
         table, or write its rows by primary key",
        task.model.name
    )))
}

/// A statement failed after it had written some of its rows.
#[cfg(feature = "sqlite")]
pub(crate) fn partly<DB: PromiscuousBackend>(task: &Task<'_, DB>) -> DieselError {
    unpublished(format!(
        "a statement violated a constraint of the published model `{}` and kept the rows that it had written before: declare \
         the table's constraints without ON CONFLICT FAIL",
        task.model.name
    ))
}
