//! Promiscuous for SeaORM.
#![deny(missing_docs)]
#![deny(unsafe_code)]

extern crate self as promiscuous_seaorm;

pub mod applier;
mod capture;
#[cfg(test)]
mod capture_tests;
#[cfg(feature = "cli")]
mod cli;
pub mod codec;
mod commit;
mod connection;
mod database;
pub mod database_error;
#[cfg(test)]
mod fixtures;
mod insert;
pub mod model;
pub mod models;
mod naming;
mod promiscuous;
pub mod publication;
mod reads;
mod recording;
mod row;
mod settings;
mod statement;
mod stream;
pub mod subscription;
mod transaction;
mod transaction_connection;
mod write;

#[doc(hidden)]
pub mod __private;

#[cfg(feature = "cli")]
pub use cli::{cli, cli_with};
pub use connection::PromiscuousConnection;
pub use model::Publish;
pub use models::Models;
pub use promiscuous::Promiscuous;
pub use promiscuous_core as core;
pub use promiscuous_core::config::Config;
pub use promiscuous_core::context::Context;
pub use promiscuous_core::error::Error;
#[cfg(feature = "tower")]
pub use promiscuous_core::tower::ContextLayer;
pub use promiscuous_macros::{Publish, Subscribe};
pub use settings::{Bulk, CaptureSettings, WithoutContext};
pub use stream::PromiscuousStream;
pub use subscription::Subscribe;
pub use transaction::PromiscuousTransaction;
