//! Promiscuous for Diesel: models that one service publishes arrive in another one's own tables, in causal order.
//!
//! # Layout
//!
//! What an app uses:
//!
//! * `app`: [`App`], where an app puts it all together;
//! * `connection`: [`Promiscuous`], what stands in for Diesel's own connections;
//! * `cli`: the `promiscuous` command;
//! * [`models`]: which models an app publishes and subscribes to;
//! * [`model`], [`subscription`]: the traits behind the two derives, and what the rest of the crate sees of a model.
//!
//! From a write to a message:
//!
//! * [`statement`]: understands a statement's text before it runs, and plans it or refuses it;
//! * `connection`: runs it according to the plan and collects its rows;
//! * `commit`: bump, outbox, COMMIT, in the protocol's order.
//!
//! From a message to a row:
//!
//! * [`applier`]: find, set, and insert, update or delete, with the model's callbacks around it;
//! * [`attribute`]: between Rust values and JSON;
//! * `database`: the app's database as core sees it.
#![deny(missing_docs)]
#![forbid(unsafe_code)]

extern crate self as promiscuous_diesel;

pub mod applier;
pub mod backend;
mod database;
pub mod database_error;
pub mod model;
mod pool;
pub mod row;
#[doc(hidden)]
pub mod sql;
pub mod statement;
pub mod subscription;
#[cfg(test)]
mod test_databases;

pub use promiscuous_core as core;
pub use promiscuous_core::config::Config;
pub use promiscuous_core::context::Context;
pub use promiscuous_core::error::Error;
