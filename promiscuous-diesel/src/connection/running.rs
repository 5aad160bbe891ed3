//! Statements on their way to the database.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;

use diesel::QueryResult;
use diesel::connection::{LoadConnection, SimpleConnection};
use diesel::expression::QueryMetadata;
use diesel::query_builder::{Query, QueryFragment, QueryId};
use promiscuous_core::context::Context;
use promiscuous_core::database::Dialect;

use super::{Promiscuous, Wrapped};
use crate::backend::{Capturing, Doubt, PromiscuousBackend};
use crate::capture::{Decision, unplanned};
use crate::cursor::PromiscuousCursor;
use crate::query::rendered;
use crate::reads::Cause;
use crate::recording::{HALFWAY, LOST};
use crate::statement::{Plan, Writing, is_empty};
use crate::write::{Failure, Task, Written};

/// A plan that may go ahead.
pub(super) enum Admitted {
    /// Just run it.
    Pass,
    /// Run it; its rows are causes.
    Read(Arc<Plan>, Context),
    /// Run it and publish what it does. The statement's text comes along.
    Write(Arc<Plan>, String),
}

impl<C: Wrapped> Promiscuous<C> {
    /// Decides about a statement.
    ///
    /// # Errors
    /// When it is refused, or the transaction can only be rolled back.
    pub(super) fn admit<T>(&mut self, source: &T) -> QueryResult<Admitted>
    where
        T: QueryFragment<C::Backend>,
    {
        self.statements += 1;
        if !self.capture.path.publishes() {
            return Ok(Admitted::Pass);
        }
        self.certain()?;
        let sql = rendered::<C::Backend, T>(source)?;
        let cacheable = source.is_safe_to_cache_prepared(C::Backend::instance())?;
        match self.capture.decide(&sql, cacheable)? {
            Decision::Pass => Ok(Admitted::Pass),
            Decision::Commit => self.recording.commits().map(|()| Admitted::Pass),
            Decision::Read(plan) => Ok(match self.context() {
                Some(context) => Admitted::Read(plan, context),
                None => Admitted::Pass,
            }),
            Decision::Write(plan) => Ok(Admitted::Write(plan, sql)),
        }
    }

    /// Decides about several statements at once, none of which can be captured.
    ///
    /// # Errors
    /// When one of them is refused, or the transaction can only be rolled back.
    pub(super) fn admit_script(&mut self, sql: &str) -> QueryResult<()> {
        self.statements += 1;
        if !self.capture.path.publishes() {
            return Ok(());
        }
        self.certain()?;
        let script = self.capture.planner.script(sql).map_err(|refusal| self.capture.refusal(&refusal))?;
        if script.commits { self.recording.commits() } else { Ok(()) }
    }

    /// Makes sure that the transaction that Diesel believes in is open.
    ///
    /// # Errors
    /// When it is not, or can only be rolled back for another reason.
    pub(super) fn certain(&mut self) -> QueryResult<()> {
        if self.recording.depth() > 0 && self.is_lost()? {
            self.recording.spoil_all(LOST);
        }
        self.doubt = Doubt::No;
        self.recording.check()
    }

    /// Whether the database has ended the transaction by itself.
    ///
    /// # Errors
    /// When it cannot be asked.
    pub(super) fn is_lost(&mut self) -> QueryResult<bool> {
        match self.doubt {
            Doubt::No => Ok(false),
            Doubt::Lost => Ok(true),
            Doubt::Ask => C::Backend::in_transaction(&mut self.inner).map(|open| !open),
        }
    }

    /// Notes a statement's failure.
    pub(super) fn noted<R>(&mut self, result: QueryResult<R>) -> QueryResult<R> {
        if let Err(error) = &result {
            self.doubt = self.doubt.and(C::Backend::doubt(error));
        }
        result
    }

    /// Runs a published write, in a transaction of its own when none is open.
    ///
    /// # Errors
    /// The database's, or why the write could not be published. Then it is rolled back, or its transaction will be.
    pub(super) fn write<T>(&mut self, plan: &Plan, sql: &str, source: &T) -> QueryResult<Written<C::Kept>>
    where
        T: QueryFragment<C::Backend> + QueryId,
    {
        let Plan::Write(writing) = plan else { return Err(unplanned()) };
        self.recording.admit_write()?;
        if self.depth()? > 0 {
            return self.write_inside(writing, sql, source);
        }
        self.begin_single()?;
        let result = catch_unwind(AssertUnwindSafe(|| self.write_inside(writing, sql, source)));
        match result {
            Ok(Ok(written)) => {
                self.commit_outermost()?;
                Ok(written)
            }
            Ok(Err(error)) => {
                self.roll_back_single();
                Err(error)
            }
            // Diesel's connection would not be in a transaction now, and later writes would never be committed.
            Err(panic) => {
                self.roll_back_single();
                resume_unwind(panic)
            }
        }
    }

    fn write_inside<T>(&mut self, writing: &Writing, sql: &str, source: &T) -> QueryResult<Written<C::Kept>>
    where
        T: QueryFragment<C::Backend> + QueryId,
    {
        let (model, names) = self.capture.written(writing)?;
        let settings = &self.capture.settings;
        let task = Task { model, names, writing, sql, settings };
        let inner = &mut self.inner;
        let result = catch_unwind(AssertUnwindSafe(|| C::Backend::run(inner, &task, source)));
        match result {
            Ok(Ok(mut written)) => {
                self.recording.record(std::mem::take(&mut written.operations));
                Ok(written)
            }
            Ok(Err(Failure::Unwritten(error))) => self.noted(Err(error)),
            Ok(Err(Failure::Uncaptured(error))) => {
                self.recording.spoil(HALFWAY);
                self.noted(Err(error))
            }
            Err(panic) => {
                self.recording.spoil(HALFWAY);
                resume_unwind(panic)
            }
        }
    }

    /// `execute`.
    ///
    /// # Errors
    /// The database's, or why the statement was refused or could not be published.
    pub(super) fn count<T>(&mut self, source: &T) -> QueryResult<usize>
    where
        T: QueryFragment<C::Backend> + QueryId,
    {
        match self.admit(source)? {
            Admitted::Write(plan, sql) => self.write(&plan, &sql, source).map(|written| written.count),
            Admitted::Pass | Admitted::Read(..) => {
                let result = self.inner.execute_returning_count(source);
                self.noted(result)
            }
        }
    }
}

impl<C: Wrapped> SimpleConnection for Promiscuous<C> {
    fn batch_execute(&mut self, sql: &str) -> QueryResult<()> {
        self.admit_script(sql)?;
        // libmariadb crashes at an empty text, and the server calls a blank one an error: both are nothing to do, as on SQLite.
        if C::Backend::DIALECT == Dialect::Mysql && is_empty(sql, Dialect::Mysql) {
            return Ok(());
        }
        let result = self.inner.batch_execute(sql);
        self.noted(result)
    }
}

impl<B, C> LoadConnection<B> for Promiscuous<C>
where
    C: Wrapped + LoadConnection<B>,
{
    type Cursor<'conn, 'query> = PromiscuousCursor<
        'conn,
        <C as LoadConnection<B>>::Cursor<'conn, 'query>,
        <C as Wrapped>::Kept,
        C::Backend,
    >;
    type Row<'conn, 'query> =
        crate::cursor::PromiscuousRow<<C as LoadConnection<B>>::Row<'conn, 'query>, <C as Wrapped>::Kept>;

    fn load<'conn, 'query, T>(&'conn mut self, source: T) -> QueryResult<Self::Cursor<'conn, 'query>>
    where
        T: Query + QueryFragment<Self::Backend> + QueryId + 'query,
        Self::Backend: QueryMetadata<T::SqlType>,
    {
        let cause = match self.admit(&source)? {
            Admitted::Pass => None,
            Admitted::Read(plan, context) => Cause::new(&self.capture, plan, context),
            Admitted::Write(plan, sql) => {
                let written = self.write(&plan, &sql, &source)?;
                let rows = written.rows.into_iter();
                return Ok(PromiscuousCursor::Kept { rows, visible: written.visible });
            }
        };
        let doubt = &mut self.doubt;
        match LoadConnection::<B>::load(&mut self.inner, source) {
            Ok(rows) => Ok(PromiscuousCursor::Live { rows, cause, doubt }),
            Err(error) => {
                *doubt = doubt.and(<C::Backend as Capturing>::doubt(&error));
                Err(error)
            }
        }
    }
}
