//! Remembers plans by their text.

use std::sync::Arc;

use promiscuous_core::database::Dialect;
use quick_cache::sync::Cache;

use super::{Plan, Refusal, Script, Tables, plan, plan_script};

/// How many plans are kept: an app has some hundred texts, a plan is below one kilobyte.
const CAPACITY: usize = 4096;
/// Longer texts, in bytes, are rare and seldom come again: batches and long lists.
const LONGEST: usize = 16 * 1024;

/// Plans statements, and remembers the plans. For one dialect and its published tables; for any number of threads.
#[derive(Debug)]
pub struct Planner {
    dialect: Dialect,
    tables: Tables,
    plans: Cache<Box<str>, Arc<Plan>>,
    /// The one answer when nothing is published.
    pass: Arc<Plan>,
}

impl Planner {
    /// With room for 4,096 plans.
    pub fn new(dialect: Dialect, tables: Tables) -> Self {
        Self::with_capacity(dialect, tables, CAPACITY)
    }

    /// With room for so many plans. When it is full, what was used least of late goes.
    pub fn with_capacity(dialect: Dialect, tables: Tables, capacity: usize) -> Self {
        Self { dialect, tables, plans: Cache::new(capacity), pass: Arc::new(Plan::Pass) }
    }

    /// What has to be done about a statement. `cacheable` says that its text may come again; false for texts that vary without
    /// bound, such as those with a list of any length, which would only push others out.
    pub fn plan(&self, sql: &str, cacheable: bool) -> Arc<Plan> {
        if self.tables.is_empty() {
            return Arc::clone(&self.pass);
        }
        let cacheable = cacheable && sql.len() <= LONGEST;
        if cacheable && let Some(known) = self.plans.get(sql) {
            return known;
        }
        let planned = Arc::new(plan(sql, self.dialect, &self.tables));
        if cacheable {
            self.plans.insert(sql.into(), Arc::clone(&planned));
        }
        planned
    }

    /// Judges a text of several statements that run without any capture. Scripts run once, and are not remembered.
    ///
    /// # Errors
    /// See [`plan_script`].
    pub fn script(&self, sql: &str) -> Result<Script, Refusal> {
        plan_script(sql, self.dialect, &self.tables)
    }

    /// The published tables.
    pub fn tables(&self) -> &Tables {
        &self.tables
    }

    /// How many plans are remembered.
    pub fn remembered(&self) -> usize {
        self.plans.len()
    }
}
