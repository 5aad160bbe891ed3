//! Rows with operations: what applying one would do, without doing it.

use std::panic::{AssertUnwindSafe, catch_unwind};

use promiscuous_core::apply::{ApplyOptions, Subject, Unfit};
use promiscuous_core::database::ApplyError;
use promiscuous_core::operation::{Operation, OperationKind};
use promiscuous_core::verify::Comparison;
use serde_json::Value as Json;

use super::reading::Kept;
use crate::applier::{fill, identify};
use crate::backend::PromiscuousBackend;
use crate::database_error::database_error;
use crate::rows::selection::{Selection, What};
use crate::subscription::{SubscribeDeclaration, SubscribeOn};

/// What applying an operation would do to its row, which is not locked.
///
/// # Errors
/// As when it is applied: a panic in a setter is a [`ApplyError::Callback`], for instance.
pub(super) fn compare<DB: PromiscuousBackend, M: SubscribeOn<DB>>(
    connection: &mut DB::Connection,
    operation: &Operation,
    options: ApplyOptions,
) -> Result<Comparison, ApplyError> {
    let subject = Subject { operation };
    // Nothing is written that a panic could leave half done.
    catch_unwind(AssertUnwindSafe(|| Comparing { subject, options }.compare::<DB, M>(connection)))
        .unwrap_or_else(|panic| Err(subject.panicked(&*panic)))
}

/// One operation and its row.
struct Comparing<'a> {
    /// What is compared, for errors too.
    subject: Subject<'a>,
    /// How it would be applied.
    options: ApplyOptions,
}

impl Comparing<'_> {
    fn compare<DB: PromiscuousBackend, M: SubscribeOn<DB>>(
        &self,
        connection: &mut DB::Connection,
    ) -> Result<Comparison, ApplyError> {
        let declaration = M::declaration();
        let (parts, _) = identify::<M>(self.subject, &declaration)?;
        // What is found by a collation's kindness only is another object's.
        let rows = self.find::<DB, M>(&parts, connection)?;
        let Some(row) = rows.into_iter().find(|row| row.stranger(&parts).is_none()) else {
            return Ok(Comparison::Missing);
        };
        let operation = self.subject.operation;
        if operation.operation == OperationKind::Destroy || operation.attributes.is_none() {
            return Ok(Comparison::Same);
        }
        let mut changes = M::Changes::default();
        fill::<M>(self.subject, self.options, &declaration, &mut changes)?;
        if !row.would_change(&mut changes) {
            return Ok(Comparison::Same);
        }
        self.different::<DB, M>(&declaration, &row).map(Comparison::Different)
    }

    /// The rows that the database finds by an id.
    fn find<DB: PromiscuousBackend, M: SubscribeOn<DB>>(
        &self,
        parts: &[String],
        connection: &mut DB::Connection,
    ) -> Result<Vec<M>, ApplyError> {
        let kept = Kept::of::<DB, M>().map_err(|error| self.subject.database(error))?;
        let values =
            M::id_values(parts).map_err(|(column, Unfit::Expected(why) | Unfit::Refused(why))| {
                self.subject.wrong_id(column, why)
            })?;
        let selection = Selection::new(&kept.table, What::Elsewhere, None).among(vec![values]);
        M::load_rows(&selection, connection).map_err(|error| self.subject.database(database_error(error)))
    }

    /// The attributes of which each alone would change the row.
    fn different<DB: PromiscuousBackend, M: SubscribeOn<DB>>(
        &self,
        declaration: &SubscribeDeclaration,
        row: &M,
    ) -> Result<Vec<String>, ApplyError> {
        let alone = |name: &str, value: &Json| {
            let mut changes = M::Changes::default();
            M::set(&mut changes, name, value).is_ok() && row.would_change(&mut changes)
        };
        let mut different = Vec::new();
        for name in declaration.attributes.iter().chain(&declaration.virtual_attributes) {
            let Some(value) = self.subject.attribute(name, self.options)? else { continue };
            // A setter that wants to see other attributes has seen them before, and may say no or panic without them.
            if catch_unwind(AssertUnwindSafe(|| alone(name, value))).unwrap_or(false) {
                different.push((*name).to_owned());
            }
        }
        // Only together they change it, which is a setter's work.
        if different.is_empty() {
            different.extend(declaration.virtual_attributes.iter().map(|&name| name.to_owned()));
        }
        Ok(different)
    }
}
