//! Remembers the rows that were read as causes of what is written later.

use std::sync::Arc;

use diesel::row::Row;
use promiscuous_core::context::Context;
use promiscuous_core::key::Key;
use promiscuous_core::metrics::READS_UNRESOLVED;

use crate::backend::PromiscuousBackend;
use crate::capture::Capture;
use crate::row::Columns;
use crate::statement::{Plan, Reading};

/// A query whose rows are causes, while it runs.
pub struct Cause<DB: PromiscuousBackend> {
    /// What is published.
    capture: Arc<Capture<DB>>,
    /// Where the keys are.
    plan: Arc<Plan>,
    /// Whose causes they are.
    context: Context,
    /// Where the key is that the reading knows by its columns' names only, once a row has told.
    named: Option<(usize, Vec<usize>)>,
    /// The last id of each of the reading's sources: joins repeat the row on one side.
    last: Vec<Option<String>>,
    /// Whether a row came by, and was counted if it told no key.
    counted: bool,
}

impl<DB: PromiscuousBackend> Cause<DB> {
    /// None when the plan reads nothing that could be a cause.
    pub(crate) fn new(capture: &Arc<Capture<DB>>, plan: Arc<Plan>, context: Context) -> Option<Self> {
        let Plan::Read(reading) = &*plan else { return None };
        let last = vec![None; reading.keys.len() + 1];
        Some(Self { capture: Arc::clone(capture), plan, context, named: None, last, counted: false })
    }

    /// Remembers what is in a row. A read never fails because of it.
    pub(crate) fn remember<'r, R: Row<'r, DB>>(&mut self, row: &R) {
        let Plan::Read(Reading { keys, by_name, unresolved: hidden }) = &*self.plan else { return };
        let mut unresolved = 0;
        if !self.counted {
            self.counted = true;
            unresolved = hidden.len();
            if let Some(model) = by_name.and_then(|table| self.capture.models.model(table)) {
                let columns: Option<Vec<_>> =
                    model.table.primary_key.iter().map(|column| row.idx(column.as_str())).collect();
                self.named = by_name.zip(columns);
                unresolved += usize::from(self.named.is_none());
            }
        }
        for ((table, columns), last) in keys.iter().chain(&self.named).zip(&mut self.last) {
            let Some(model) = self.capture.models.model(*table) else { continue };
            match (model.read_id)(&Columns::new(row, columns)) {
                Ok(Some(id)) if last.as_ref() == Some(&id) => {}
                Ok(Some(id)) => {
                    match Key::new(&model.endpoint, &id) {
                        Ok(key) => self.context.record_read(key),
                        Err(_) => unresolved += 1,
                    }
                    *last = Some(id);
                }
                // An outer join found none.
                Ok(None) => {}
                Err(_) => unresolved += 1,
            }
        }
        if unresolved > 0 {
            metrics::counter!(READS_UNRESOLVED).increment(unresolved as u64);
        }
    }
}
