//! What a statement does to published models, found out before it runs.
//!
//! * `downcast`: from SeaORM's generic `S: StatementBuilder` to SeaQuery's own statement types.
//! * `visitor`: takes such a statement apart.
//! * `condition`: reads and combines WHERE clauses.
//! * `raw`: judges SQL that exists as text only.
//! * `selection`: how the rows of a SELECT will be recognised.
//! * `insertion`: how the rows of an INSERT without RETURNING will be found again.
//! * `plan`: puts it together: [`plan`] is pure and decides everything.

pub(crate) mod condition;
mod downcast;
mod insertion;
mod plan;
mod raw;
mod selection;
#[cfg(test)]
mod tests;
mod visitor;

pub(crate) use insertion::{FoundBy, KeySet};
pub(crate) use plan::{Plan, Returned, Route, Rows, Write, commits, plan, plan_raw};
pub(crate) use selection::{Identity, Selection};
