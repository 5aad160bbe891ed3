//! From a generic statement to SeaQuery's types.
//!
//! SeaORM hands statements over as `S: StatementBuilder`, which is neither `'static` nor `Any`.

use std::any::TypeId;

use sea_orm::StatementBuilder;
use sea_orm::sea_query::{DeleteStatement, InsertStatement, SelectStatement, UpdateStatement, WithQuery};

/// A statement whose tree can be read.
#[derive(Clone, Copy)]
pub(super) enum Known<'s> {
    Select(&'s SelectStatement),
    Insert(&'s InsertStatement),
    Update(&'s UpdateStatement),
    Delete(&'s DeleteStatement),
    With(&'s WithQuery),
}

/// The statement's tree; none for schema statements and for what an app invented, which exist as text only.
pub(super) fn known<S: StatementBuilder>(statement: &S) -> Option<Known<'_>> {
    None.or_else(|| cast(statement).map(Known::Select))
        .or_else(|| cast(statement).map(Known::Insert))
        .or_else(|| cast(statement).map(Known::Update))
        .or_else(|| cast(statement).map(Known::Delete))
        .or_else(|| cast(statement).map(Known::With))
}

#[allow(unsafe_code)]
fn cast<S, T: 'static>(statement: &S) -> Option<&T> {
    if typeid::of::<S>() != TypeId::of::<T>() {
        return None;
    }
    // SAFETY: `typeid::of` names a type up to its lifetimes, and `T: 'static` is one of SeaQuery's statements, none of
    // which has a lifetime parameter. So S and T are the same type, and the reference keeps its lifetime.
    Some(unsafe { &*std::ptr::from_ref(statement).cast::<T>() })
}
