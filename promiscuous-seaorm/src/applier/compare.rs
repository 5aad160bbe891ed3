//! Whether an operation would change its row, without changing it.

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;
use promiscuous_core::apply::{ApplyOptions, Subject};
use promiscuous_core::database::ApplyError;
use promiscuous_core::operation::{Operation, OperationKind};
use promiscuous_core::verify::Comparison;
use sea_orm::{ActiveModelTrait, ActiveValue, ConnectionTrait, IntoActiveModel, Iterable, ModelTrait, Value};

use super::fill::{call, changes, same, set};
use super::{Plan, failed, find, stranger};
use crate::subscription::Writable;

/// Compares; see [`SubscribedRows`](promiscuous_core::verify::SubscribedRows).
pub(super) async fn compare<E: Writable, C: ConnectionTrait>(
    plan: &Plan<E>,
    db: &C,
    operation: &Operation,
    options: ApplyOptions,
) -> Result<Comparison, ApplyError> {
    let subject = Subject { operation };
    let compared = async {
        let id = plan.id_values(&subject)?;
        let found = find::<E, C>(db, &id).await.map_err(|error| failed(&subject, error))?;
        let Some(model) = found.filter(|found| stranger::<E>(found, &id).is_none()) else {
            return Ok(Comparison::Missing);
        };
        if operation.operation == OperationKind::Destroy || operation.attributes.is_none() {
            return Ok(Comparison::Same);
        }
        let names = different(plan, &subject, options, model)?;
        Ok(if names.is_empty() { Comparison::Same } else { Comparison::Different(names) })
    };
    AssertUnwindSafe(compared).catch_unwind().await.unwrap_or_else(|panic| Err(subject.panicked(&*panic)))
}

/// The attributes that would change the row, in the order of their declaration.
///
/// One that a later setter takes back is none: to apply it again and again would never make it the same.
fn different<E: Writable>(
    plan: &Plan<E>,
    subject: &Subject<'_>,
    options: ApplyOptions,
    model: E::Model,
) -> Result<Vec<String>, ApplyError> {
    let columns: Vec<E::Column> = E::Column::iter().collect();
    let current: Vec<Value> = columns.iter().map(|column| model.get(*column)).collect();
    // What a setter touches is told by the columns that it leaves otherwise than it found them.
    let filled = |row: &E::ActiveModel| -> Vec<Option<Value>> {
        let value = |(column, current): (&E::Column, &Value)| match row.get(*column) {
            ActiveValue::Set(value) if !same(current, &value) => Some(value),
            _ => None,
        };
        columns.iter().zip(&current).map(value).collect()
    };
    let changes = changes(plan, subject, options, Some(&model))?;
    let mut row = model.into_active_model();
    let mut touched: Vec<(&str, Vec<Option<Value>>)> = Vec::with_capacity(changes.len());
    for change in changes {
        let name = change.0;
        set::<E>(&mut row, subject, change)?;
        touched.push((name, filled(&row)));
    }
    for attribute in &plan.virtual_attributes {
        call(attribute, &mut row, subject, options)?;
        touched.push((attribute.name, filled(&row)));
    }
    let last = filled(&row);
    let mut before = vec![None; columns.len()];
    let mut names = Vec::new();
    for (name, after) in touched {
        let mut columns = before.iter().zip(&after).zip(&last);
        if columns.any(|((before, after), last)| last.is_some() && !are_same(before, after)) {
            names.push(name.to_owned());
        }
        before = after;
    }
    Ok(names)
}

fn are_same(before: &Option<Value>, after: &Option<Value>) -> bool {
    match (before, after) {
        (Some(before), Some(after)) => same(before, after),
        (before, after) => before.is_none() && after.is_none(),
    }
}
