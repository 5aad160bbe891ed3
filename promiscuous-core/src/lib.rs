//! The protocol of Promiscuous: model-level, causally consistent replication between services.
#![deny(missing_docs)]
#![forbid(unsafe_code)]

pub mod broker;
#[cfg(feature = "cli")]
pub mod cli;
mod clock;
pub mod config;
pub mod context;
pub mod database;
pub mod dependency;
pub mod error;
pub mod key;
pub mod links;
pub mod message;
pub mod metrics;
pub mod operation;
pub mod publisher;
pub mod registry;
pub mod schema;
pub mod subscriber;
#[cfg(feature = "tower")]
pub mod tower;
pub mod version_store;
