//! What all connections and transactions of one app share.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use promiscuous_core::context::Context;
use promiscuous_core::error::Error;
use promiscuous_core::operation::Operation;
use sea_orm::{DbBackend, DbErr, QueryResult, StatementBuilder};

use crate::commit::{CommitPath, db_err};
use crate::model::PublishedModels;
use crate::statement::{self, Plan, Route, Selection, Write};
use promiscuous_core::capture::{Bulk, CaptureSettings, WithoutContext};

pub(crate) struct Capture {
    /// What is published.
    pub models: PublishedModels,
    /// Where it goes.
    pub path: CommitPath,
    /// The app's wishes.
    pub settings: CaptureSettings,
    /// The models that were written outside of any context: each is warned about once.
    pub warned: Mutex<HashSet<String>>,
}

/// A plan that may go ahead.
pub(crate) enum Admitted<'s> {
    Pass,
    /// A text that writes nothing that is published.
    Text(String),
    Read(Selection),
    Write(Box<Write<'s>>),
}

/// What became of a query.
pub(crate) enum Queried {
    /// It is to be run, and its rows are causes.
    Run(Option<(Selection, Context)>),
    /// It was a write, and these are its rows.
    Rows(Vec<QueryResult>),
}

impl Capture {
    pub fn new(models: PublishedModels, path: CommitPath, settings: CaptureSettings) -> Arc<Self> {
        Arc::new(Self { models, path, settings, warned: Mutex::default() })
    }

    /// Decides about a statement.
    ///
    /// # Errors
    /// When it is refused.
    pub fn admit<'s, S: StatementBuilder>(
        &self,
        statement: &'s S,
        backend: DbBackend,
        route: Route,
    ) -> Result<Admitted<'s>, DbErr> {
        if !self.path.publishes() {
            return Ok(Admitted::Pass);
        }
        match statement::plan(statement, &self.models, backend, route) {
            Plan::Pass => Ok(Admitted::Pass),
            Plan::Text(sql) => Ok(Admitted::Text(sql)),
            Plan::Read(selection) => Ok(Admitted::Read(selection)),
            Plan::Refuse(error) => Err(db_err(&error)),
            Plan::Write(write) => {
                if self.settings.bulk == Bulk::Refuse && write.count != Some(1) {
                    return Err(refused(
                        &write,
                        "it may write many rows, which `bulk = \"refuse\"` forbids: write them one by one, by primary key",
                    ));
                }
                if let Some(count) = write.count {
                    within_limit(&write, count, &self.settings)?;
                }
                Ok(Admitted::Write(write))
            }
        }
    }

    /// Decides about SQL that exists as text only.
    ///
    /// # Errors
    /// When it is refused.
    pub fn admit_raw(&self, sql: &str, backend: DbBackend) -> Result<(), DbErr> {
        if !self.path.publishes() {
            return Ok(());
        }
        statement::plan_raw(sql, &self.models, backend).map_err(|error| db_err(&error))
    }

    /// Whether this text would make the database commit an open transaction, in which published rows may be written.
    pub fn commits(&self, sql: &str, backend: DbBackend) -> bool {
        self.path.publishes() && !self.models.is_empty() && statement::commits(sql, backend)
    }

    /// Says once for each model that its causes are unknown.
    pub fn warn_without_context(&self, operations: &[Operation]) {
        if self.settings.without_context == WithoutContext::Allow {
            return;
        }
        for operation in operations {
            let endpoint = operation.endpoint.as_str();
            if self.warned.lock().unwrap_or_else(PoisonError::into_inner).insert(endpoint.to_owned()) {
                tracing::warn!(
                    "{endpoint} was written outside any context; reads before it are not remembered as causes: open \
                     one with `Context::scope` or the tower layer"
                );
            }
        }
    }
}

/// Refuses a write of too many rows.
pub(crate) fn within_limit(write: &Write<'_>, rows: usize, settings: &CaptureSettings) -> Result<(), DbErr> {
    if rows <= settings.bulk_limit {
        return Ok(());
    }
    let advice = format!(
        "it writes more than {} rows at once: write them in parts, or raise `bulk_limit`",
        settings.bulk_limit
    );
    Err(refused(write, &advice))
}

fn refused(write: &Write<'_>, advice: &str) -> DbErr {
    db_err(&Error::UnsupportedWrite {
        model: write.model.name.clone(),
        statement: write.kind.to_owned(),
        advice: advice.to_owned(),
    })
}
