//! Promiscuous for SeaORM.

extern crate self as promiscuous_seaorm;

pub mod applier;
pub mod codec;
pub mod database_error;
pub mod model;
pub mod models;
mod naming;
pub mod publication;
pub mod subscription;

#[doc(hidden)]
pub mod __private;

pub use model::Publish;
pub use models::Models;
pub use promiscuous_macros::{Publish, Subscribe};
pub use subscription::Subscribe;
