//! The blog on PostgreSQL, twice.

pub mod plain;
pub mod promiscuous;
