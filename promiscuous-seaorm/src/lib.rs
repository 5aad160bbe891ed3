//! Promiscuous for SeaORM.

pub mod codec;
pub mod model;
