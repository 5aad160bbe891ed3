//! The blog on MariaDB, twice.

pub mod plain;
pub mod promiscuous;
