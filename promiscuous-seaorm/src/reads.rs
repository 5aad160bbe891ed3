//! Remembers the rows that were read as causes of what is written later.

use promiscuous_core::context::Context;
use promiscuous_core::key::Key;
use sea_orm::QueryResult;

use crate::statement::{Identity, Selection};

/// Published rows that were read in a way that does not tell which rows they are.
pub const READS_UNRESOLVED: &str = "promiscuous_reads_unresolved_total";

/// Remembers what is in these rows. A read never fails because of it.
pub(crate) fn remember(selection: &Selection, rows: &[QueryResult], context: &Context) {
    if rows.is_empty() {
        return;
    }
    let mut unresolved = selection.hidden;
    for (model, identity) in &selection.sources {
        let mut record = |id: &str| match Key::new(&model.endpoint, id) {
            Ok(key) => context.record_read(key),
            Err(_) => unresolved += 1,
        };
        match identity {
            Identity::Pinned(id) => record(id),
            Identity::Unknown => unresolved += 1,
            Identity::Columns(columns) => {
                let mut last = None;
                let mut undecodable = 0;
                for row in rows {
                    match (model.id_of_row)(row, columns) {
                        // Joins repeat the row on one side.
                        Ok(Some(id)) if last.as_ref() == Some(&id) => {}
                        Ok(Some(id)) => {
                            record(&id);
                            last = Some(id);
                        }
                        // An outer join found none.
                        Ok(None) => {}
                        Err(_) => undecodable += 1,
                    }
                }
                unresolved += usize::from(undecodable > 0);
            }
        }
    }
    if unresolved > 0 {
        metrics::counter!(READS_UNRESOLVED).increment(unresolved as u64);
    }
}
