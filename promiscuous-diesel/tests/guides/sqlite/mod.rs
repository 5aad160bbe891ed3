//! The blog on SQLite, twice.

pub mod plain;
pub mod promiscuous;
