//! The derives for Diesel.
//!
//! * `model`: what a struct says about its table, its key and its columns; `table_options`: what it says in `#[diesel(…)]`;
//! * `backends`: the databases that code is generated for;
//! * `publish`, `subscribe`: the generated code; `values`: what both say of a column's values;
//! * `attribute`: types of one's own.

pub mod attribute;
mod backends;
mod model;
pub mod publish;
pub mod subscribe;
mod table_options;
mod values;
