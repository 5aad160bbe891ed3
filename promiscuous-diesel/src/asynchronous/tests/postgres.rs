//! On PostgreSQL.

use diesel_async::AsyncPgConnection;

use crate::connection_tests::postgres::{Inner as Blocking, open};

type Inner = AsyncPgConnection;

/// The connections to the database, other than the one that asks.
const OTHERS: &str =
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";

/// What tells a connection from others, and closes it.
const ID: &str = "pid::bigint AS id";
const KILL: &str = "SELECT pg_terminate_backend({id})";

#[path = "common/mod.rs"]
mod common;
#[path = "custom.rs"]
mod custom;
#[path = "returned.rs"]
mod returned;
