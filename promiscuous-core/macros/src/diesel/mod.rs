//! The derives for Diesel.
//!
//! * `model`: what a struct says about its table, its key and its columns, read the way Diesel's own derives read it;
//! * `publish`, `subscribe`: the generated code;
//! * `attribute`: types of one's own.

pub mod attribute;
mod model;
pub mod publish;
pub mod subscribe;
