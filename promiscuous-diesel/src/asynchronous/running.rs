//! Statements on their way to the database.

use std::sync::Arc;

use diesel::QueryResult;
use diesel::query_builder::QueryFragment;

use super::backend::AsyncBackend;
use super::collected::{Collected, Query};
use super::ledger::Flight;
use super::{AsyncPromiscuous, AsyncWrapped};
use crate::backend::{Capturing, Doubt};
use crate::capture::{Decision, unplanned};
use crate::kept::KeptRow;
use crate::query::rendered;
use crate::recording::{HALFWAY, LOST};
use crate::statement::Plan;
use crate::write::{Failure, Task, Written};

/// A statement of which it was decided what is to be done about it.
pub(super) struct Decided {
    pub decision: Decision,
    /// The statement's text.
    pub sql: String,
    /// Whether its prepared form may be kept.
    pub cacheable: bool,
}

/// What is left to be done for the app's statement.
pub(super) enum Prepared<'conn, C: AsyncWrapped> {
    /// Nothing: it was a captured write.
    Written(Written<KeptRow<C::Backend>>),
    /// Run it. The rows of a plan are causes.
    Query(&'conn mut AsyncPromiscuous<C>, Query<C::Backend>, Option<Arc<Plan>>),
}

impl<C: AsyncWrapped> AsyncPromiscuous<C> {
    /// Decides about a statement.
    ///
    /// # Errors
    /// When it is refused.
    pub(super) fn decide<T>(&self, source: &T) -> QueryResult<Decided>
    where
        T: QueryFragment<C::Backend>,
    {
        let sql = rendered::<C::Backend, T>(source)?;
        let cacheable = source.is_safe_to_cache_prepared(C::Backend::instance())?;
        let decision = self.ledger.capture.decide(&sql, cacheable)?;
        Ok(Decided { decision, sql, cacheable })
    }

    /// Whether the statement can be handed on as it is, at once; and whether its rows are causes.
    pub(super) fn passes_at_once(&mut self, decided: &Decided) -> Option<Option<Arc<Plan>>> {
        match &decided.decision {
            Decision::Write(_) => None,
            _ if !self.ledger.is_settled() => None,
            Decision::Read(plan) => Some(Some(Arc::clone(plan))),
            Decision::Pass => Some(None),
            Decision::Commit => self.ledger.recording.commits().is_ok().then_some(None),
        }
    }

    /// Does what has to be done before a statement, and the whole of a published write.
    ///
    /// # Errors
    /// The database's, or why it cannot run or be published.
    pub(super) async fn prepare(
        &mut self,
        decision: Decision,
        collected: Collected<C::Backend>,
    ) -> QueryResult<Prepared<'_, C>> {
        self.settle().await?;
        self.certain().await?;
        if let Decision::Commit = decision {
            self.ledger.recording.commits()?;
        }
        let sql = collected.sql.clone();
        let query = self.resolve(collected).await?;
        match decision {
            Decision::Pass | Decision::Commit => Ok(Prepared::Query(self, query, None)),
            Decision::Read(plan) => Ok(Prepared::Query(self, query, Some(plan))),
            Decision::Write(plan) => self.write(&plan, &sql, &query).await.map(Prepared::Written),
        }
    }

    async fn resolve(&mut self, collected: Collected<C::Backend>) -> QueryResult<Query<C::Backend>> {
        self.ledger.flight = Some(Flight::Statement);
        let query = C::Backend::resolve(&mut self.inner, collected, &mut self.ledger.known).await;
        self.ledger.flight = None;
        self.ledger.note(&query);
        query
    }

    /// Runs a statement whose rows nobody wants.
    pub(super) async fn counted(&mut self, query: Query<C::Backend>) -> QueryResult<usize> {
        self.ledger.flight = Some(Flight::Statement);
        let count = self.inner.0.execute_returning_count(query).await;
        self.ledger.flight = None;
        self.ledger.note(&count);
        count
    }

    /// Makes sure that the transaction that Diesel believes in is open.
    ///
    /// # Errors
    /// When it is not, or can only be rolled back for another reason.
    pub(super) async fn certain(&mut self) -> QueryResult<()> {
        if self.ledger.recording.depth() > 0 && self.is_lost().await? {
            self.ledger.recording.spoil_all(LOST);
        }
        self.ledger.doubt = Doubt::No;
        self.ledger.recording.check()
    }

    async fn is_lost(&mut self) -> QueryResult<bool> {
        match self.ledger.doubt {
            Doubt::No => Ok(false),
            Doubt::Lost => Ok(true),
            Doubt::Ask => {
                self.ledger.flight = Some(Flight::Statement);
                let open = C::Backend::is_in_transaction(&mut self.inner).await;
                self.ledger.flight = None;
                open.map(|open| !open)
            }
        }
    }

    /// Runs a published write, in a transaction of its own when none is open.
    async fn write(
        &mut self,
        plan: &Plan,
        sql: &str,
        query: &Query<C::Backend>,
    ) -> QueryResult<Written<KeptRow<C::Backend>>> {
        self.ledger.recording.admit_write()?;
        if self.depth()? > 0 {
            return self.write_inside(plan, sql, query).await;
        }
        self.begin_single().await?;
        let watch = self.ledger.abandoned.watch(1);
        let written = match self.write_inside(plan, sql, query).await {
            Ok(written) => self.commit_outermost().await.map(|()| written),
            Err(error) => {
                self.roll_back().await;
                Err(error)
            }
        };
        watch.over();
        written
    }

    async fn write_inside(
        &mut self,
        plan: &Plan,
        sql: &str,
        query: &Query<C::Backend>,
    ) -> QueryResult<Written<KeptRow<C::Backend>>> {
        let Plan::Write(writing) = plan else { return Err(unplanned()) };
        let capture = Arc::clone(&self.ledger.capture);
        let (model, names) = capture.written(writing)?;
        let task = Task { model, names, writing, sql, settings: &capture.settings };
        self.ledger.flight = Some(Flight::Write);
        let result = C::Backend::run_async(&mut self.inner, &task, query).await;
        self.ledger.flight = None;
        let error = match result {
            Ok(mut written) => {
                self.ledger.recording.record(std::mem::take(&mut written.operations));
                return Ok(written);
            }
            Err(Failure::Unwritten(error)) => error,
            Err(Failure::Uncaptured(error)) => {
                self.ledger.recording.spoil(HALFWAY);
                error
            }
        };
        self.ledger.doubt = self.ledger.doubt.and(<C::Backend as Capturing>::doubt(&error));
        Err(error)
    }

    /// Runs several statements at once, none of which can be captured.
    pub(super) async fn run_script(&mut self, sql: &str) -> QueryResult<()> {
        if !self.ledger.publishes() {
            return self.inner.0.batch_execute(sql).await;
        }
        self.settle().await?;
        self.certain().await?;
        let capture = &self.ledger.capture;
        let script = capture.planner.script(sql).map_err(|refusal| capture.refusal(&refusal))?;
        if script.commits {
            self.ledger.recording.commits()?;
        }
        self.ledger.flight = Some(Flight::Statement);
        let result = self.inner.0.batch_execute(sql).await;
        self.ledger.flight = None;
        self.ledger.note(&result);
        result
    }
}
