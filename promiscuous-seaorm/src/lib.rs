//! Promiscuous for SeaORM.
#![deny(missing_docs)]
#![deny(unsafe_code)]

mod capture;
#[cfg(test)]
mod capture_tests;
pub mod codec;
mod commit;
mod connection;
#[cfg(test)]
mod fixtures;
mod insert;
pub mod model;
mod reads;
mod recording;
mod row;
mod settings;
mod statement;
mod stream;
mod transaction;
mod transaction_connection;
mod write;

pub use connection::PromiscuousConnection;
pub use settings::{Bulk, CaptureSettings, WithoutContext};
pub use stream::PromiscuousStream;
pub use transaction::PromiscuousTransaction;
