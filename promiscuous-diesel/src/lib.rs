//! Promiscuous for Diesel: models that one service publishes arrive in another one's own tables, in causal order.
//!
//! # Layout
//!
//! What an app uses:
//!
//! * `app`: [`App`], where an app puts it all together;
//! * `connection`: [`Promiscuous`], what stands in for Diesel's own connections; `asynchronous`: the same for `diesel-async`;
//! * `cli`: the `promiscuous` command;
//! * [`models`]: which models an app publishes and subscribes to;
//! * [`model`], [`subscription`]: the traits behind the two derives, and what the rest of the crate sees of a model;
//! * [`backend`]: what is known of PostgreSQL, MySQL and MariaDB, and SQLite.
//!
//! From a write to a message:
//!
//! * [`statement`]: understands a statement's text before it runs, and plans it or refuses it;
//! * `connection`: runs it according to the plan and collects its rows;
//! * `commit`: bump, outbox, COMMIT, in the protocol's order;
//! * [`row`], [`publication`]: a row as an operation of an endpoint.
//!
//! From a message to a row:
//!
//! * [`applier`]: find, set, and insert, update or delete, with the model's callbacks around it;
//! * [`attribute`]: between Rust values and JSON;
//! * `database`: the app's database as core sees it.
#![deny(missing_docs)]
#![forbid(unsafe_code)]

extern crate self as promiscuous_diesel;

mod app;
pub mod applier;
#[cfg(feature = "async")]
mod asynchronous;
pub mod attribute;
pub mod backend;
mod capture;
#[cfg(feature = "cli")]
mod cli;
mod commit;
mod connection;
#[cfg(all(test, feature = "postgres", feature = "mysql", feature = "sqlite"))]
mod connection_tests;
mod cursor;
mod database;
pub mod database_error;
mod default;
#[cfg(all(
    test,
    feature = "postgres",
    feature = "mysql",
    feature = "sqlite",
    feature = "chrono",
    feature = "time",
    feature = "numeric",
    feature = "json",
    feature = "uuid"
))]
mod derive_tests;
pub mod error;
pub mod model;
pub mod models;
mod pool;
pub mod publication;
mod query;
mod reads;
mod recording;
pub mod row;
mod running;
mod sql;
pub mod statement;
pub mod subscription;
#[cfg(test)]
mod test_databases;
mod write;

#[doc(hidden)]
pub mod __private;

pub use app::App;
#[cfg(all(feature = "async", feature = "postgres"))]
pub use asynchronous::AsyncTransactionBuilder;
#[cfg(feature = "async")]
pub use asynchronous::{
    AsyncBackend, AsyncPromiscuous, AsyncPromiscuousTransactionManager, AsyncWrapped, Callback,
};
#[cfg(all(feature = "async", feature = "sqlite"))]
pub use asynchronous::{AsyncSqlite, Threads};
pub use attribute::{Attribute, IdPart};
#[cfg(feature = "cli")]
pub use cli::{cli, cli_with};
#[cfg(feature = "postgres")]
pub use connection::TransactionBuilder;
pub use connection::{Promiscuous, PromiscuousTransactionManager, Wrapped};
pub use default::default_app;
pub use model::Publish;
pub use models::Models;
pub use pool::{ConnectError, Manager};
pub use promiscuous_core as core;
pub use promiscuous_core::capture::{Bulk, CaptureSettings, WithoutContext};
pub use promiscuous_core::config::Config;
pub use promiscuous_core::context::Context;
pub use promiscuous_core::error::Error;
#[cfg(feature = "tower")]
pub use promiscuous_core::tower::ContextLayer;
pub use promiscuous_macros::{
    DieselAttribute as Attribute, DieselIdPart as IdPart, DieselPublish as Publish,
    DieselSubscribe as Subscribe,
};
pub use running::Running;
pub use subscription::{Callbacks, Subscribe};
