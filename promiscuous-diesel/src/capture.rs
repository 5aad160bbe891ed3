//! What all connections of one app share.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use diesel::result::Error as DieselError;
use promiscuous_core::capture::{Bulk, CaptureSettings, WithoutContext};
use promiscuous_core::error::Error;
use promiscuous_core::operation::Operation;

use crate::again::elsewhere::Elsewhere;
use crate::backend::PromiscuousBackend;
use crate::commit::CommitPath;
use crate::error::diesel_error;
use crate::model::{PublishedModel, PublishedModels};
use crate::query::quoted;
use crate::statement::{Plan, Planner, Refusal, Verb, Writing};
use crate::write::{refused, statement, within_limit};

/// What all connections of one app share.
pub struct Capture<DB: PromiscuousBackend> {
    /// What is published.
    pub(crate) models: PublishedModels<DB>,
    /// How their columns are written.
    names: Vec<Names>,
    /// Understands statements.
    pub(crate) planner: Planner,
    /// Where operations go.
    pub(crate) path: CommitPath,
    /// The app's wishes.
    pub(crate) settings: CaptureSettings,
    /// What rows are read through to be published again.
    pub(crate) elsewhere: Elsewhere,
    /// The models that were written outside of any context: each is warned about once.
    pub(crate) warned: Mutex<HashSet<String>>,
}

/// What is to be done about a statement.
pub(crate) enum Decision {
    /// Just run it.
    Pass,
    /// Run it, unless the database would commit published rows by it.
    Commit,
    /// Run it; its rows are causes.
    Read(Arc<Plan>),
    /// Run it and publish what it does.
    Write(Arc<Plan>),
}

/// A model's columns in the database's quotes.
pub struct Names {
    /// Each column of the primary key, in key order.
    pub key: Vec<String>,
    /// The same as a list.
    pub keys: String,
    /// The list of the primary key's columns and those of the attributes.
    pub keys_and_columns: String,
    /// The attributes' columns.
    pub columns: Vec<String>,
}

impl Names {
    fn of<DB: PromiscuousBackend>(model: &PublishedModel<DB>) -> Result<Self, DieselError> {
        let all =
            |columns: &[String]| columns.iter().map(|name| quoted::<DB>(name)).collect::<Result<Vec<_>, _>>();
        let key = all(&model.table.primary_key)?;
        let keys = key.join(", ");
        let columns = all(&model.columns)?;
        let keys_and_columns = key.iter().chain(&columns).cloned().collect::<Vec<_>>().join(", ");
        Ok(Self { key, keys, keys_and_columns, columns })
    }
}

impl<DB: PromiscuousBackend> Capture<DB> {
    /// # Errors
    /// [`Error::Configuration`] for a table or column whose name cannot be quoted.
    pub(crate) fn new(
        models: PublishedModels<DB>,
        path: CommitPath,
        settings: CaptureSettings,
    ) -> Result<Arc<Self>, Error> {
        let names = models.iter().map(|model| Names::of(model)).collect::<Result<_, _>>();
        Ok(Arc::new(Self {
            names: names
                .map_err(|error| Error::Configuration(format!("a name cannot be quoted: {error}")))?,
            planner: Planner::new(DB::DIALECT, models.tables().clone()),
            models,
            path,
            settings,
            elsewhere: Elsewhere::default(),
            warned: Mutex::default(),
        }))
    }

    /// Decides about a statement.
    ///
    /// # Errors
    /// When it is refused.
    pub(crate) fn decide(&self, sql: &str, cacheable: bool) -> Result<Decision, DieselError> {
        let plan = self.planner.plan(sql, cacheable);
        match &*plan {
            Plan::Pass => Ok(Decision::Pass),
            Plan::Commit => Ok(Decision::Commit),
            Plan::Refuse(refusal) => Err(self.refusal(refusal)),
            Plan::Read(_) => Ok(Decision::Read(plan)),
            Plan::Write(writing) => self.admit(writing).map(|()| Decision::Write(plan)),
        }
    }

    /// A planned write's model.
    ///
    /// # Errors
    /// Never, unless planner and models disagree.
    pub(crate) fn written(&self, writing: &Writing) -> Result<(&PublishedModel<DB>, &Names), DieselError> {
        let found = self.models.model(writing.table).zip(self.names.get(writing.table));
        found.map(|(model, names)| (&**model, names)).ok_or_else(unplanned)
    }

    /// Refuses a write of more rows than the app allows, as far as that is known before it runs.
    ///
    /// # Errors
    /// [`Error::UnsupportedWrite`].
    fn admit(&self, writing: &Writing) -> Result<(), DieselError> {
        let (model, _) = self.written(writing)?;
        let count = match &writing.verb {
            Verb::Insert { rows, .. } => *rows,
            Verb::Update { condition } | Verb::Delete { condition } => condition.pinned.as_ref().map(|_| 1),
        };
        if self.settings.bulk == Bulk::Refuse && count != Some(1) {
            let advice = "it may write many rows, which `bulk = \"refuse\"` forbids: write them one by one, by primary key";
            return Err(refused(model, statement(&writing.verb), advice));
        }
        count.map_or(Ok(()), |count| within_limit(model, writing, count, &self.settings))
    }

    /// A refusal as users see it.
    pub(crate) fn refusal(&self, refusal: &Refusal) -> DieselError {
        let Refusal { table, statement, advice } = refusal;
        diesel_error(match table.and_then(|table| self.models.model(table)) {
            Some(model) => Error::UnsupportedWrite {
                model: model.name.clone(),
                statement: statement.clone(),
                advice: advice.clone(),
            },
            None => Error::Configuration(format!("refused before it ran: {statement}: {advice}")),
        })
    }

    /// Says once for each model that its causes are unknown.
    pub(crate) fn warn_without_context(&self, operations: &[Operation]) {
        if self.settings.without_context == WithoutContext::Allow {
            return;
        }
        for operation in operations {
            let endpoint = operation.endpoint.as_str();
            if self.warned.lock().unwrap_or_else(PoisonError::into_inner).insert(endpoint.to_owned()) {
                tracing::warn!(
                    "{endpoint} was written outside any context; reads before it are not remembered as causes: open \
                     one with `Context::sync_scope`, or give one to the connection with `with_context`"
                );
            }
        }
    }
}

/// Planner and models disagree.
pub(crate) fn unplanned() -> DieselError {
    diesel_error(Error::Configuration("a statement was planned for a table that is not published".into()))
}
