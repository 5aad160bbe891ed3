//! From a message's attributes to a row's columns.

use promiscuous_core::apply::{ApplyOptions, Subject};
use promiscuous_core::database::ApplyError;
use sea_orm::{ActiveModelTrait, EntityTrait, ModelTrait, Value};

use super::Plan;
use crate::codec::decode;
use crate::subscription::VirtualAttribute;

/// Whether a column need not be written.
///
/// Equal is enough: SQLite and fixed-scale columns give a decimal back in another scale, and a zone is rarely kept. Comparing
/// more strictly would write such rows again with every message. Floats are compared bit by bit, because 0 equals -0, and NaN
/// not even itself.
pub(super) fn same(current: &Value, value: &Value) -> bool {
    match (current, value) {
        (Value::Float(Some(current)), Value::Float(Some(value))) => current.to_bits() == value.to_bits(),
        (Value::Double(Some(current)), Value::Double(Some(value))) => current.to_bits() == value.to_bits(),
        _ => current == value,
    }
}

/// An attribute, its column, and the value that it gets.
pub(super) type Change<E> = (&'static str, <E as EntityTrait>::Column, Value);

/// The message's values for the columns; where there is a row already, only those that differ.
pub(super) fn changes<E: EntityTrait>(
    plan: &Plan<E>,
    subject: &Subject<'_>,
    options: ApplyOptions,
    model: Option<&E::Model>,
) -> Result<Vec<Change<E>>, ApplyError> {
    let mut changes = Vec::with_capacity(plan.attributes.len());
    for (name, column, kind) in &plan.attributes {
        let Some(json) = subject.attribute(name, options)? else { continue };
        let value = decode(json, kind).map_err(|error| subject.wrong_type(name, error.expected))?;
        if !model.is_some_and(|model| same(&model.get(*column), &value)) {
            changes.push((*name, *column, value));
        }
    }
    Ok(changes)
}

/// Puts the message's attributes into a row, and calls the setters.
pub(super) fn fill<E: EntityTrait>(
    plan: &Plan<E>,
    row: &mut E::ActiveModel,
    subject: &Subject<'_>,
    options: ApplyOptions,
    changes: Vec<Change<E>>,
) -> Result<(), ApplyError> {
    for change in changes {
        set::<E>(row, subject, change)?;
    }
    for attribute in &plan.virtual_attributes {
        call(attribute, row, subject, options)?;
    }
    Ok(())
}

/// Puts a value into a row.
pub(super) fn set<E: EntityTrait>(
    row: &mut E::ActiveModel,
    subject: &Subject<'_>,
    (name, column, value): Change<E>,
) -> Result<(), ApplyError> {
    let refused = |_| subject.wrong_type(name, "a value that the field's type accepts");
    row.try_set(column, value).map_err(refused)
}

/// Calls a setter, unless its attribute may be missing and is.
pub(super) fn call<E: EntityTrait>(
    attribute: &VirtualAttribute<E>,
    row: &mut E::ActiveModel,
    subject: &Subject<'_>,
    options: ApplyOptions,
) -> Result<(), ApplyError> {
    let Some(json) = subject.attribute(attribute.name, options)? else { return Ok(()) };
    (attribute.set)(row, json).map_err(|reason| subject.unfit(attribute.name, reason))
}
