//! On MariaDB.

use diesel_async::AsyncMysqlConnection;

use crate::connection_tests::mariadb::{Inner as Blocking, open};

type Inner = AsyncMysqlConnection;

/// The connections to the database, other than the one that asks.
const OTHERS: &str =
    "SELECT count(*) FROM information_schema.processlist WHERE db = DATABASE() AND id <> CONNECTION_ID()";

/// What tells a connection from others, and closes it.
const ID: &str = "id";
const KILL: &str = "KILL {id}";

#[path = "common/mod.rs"]
mod common;
#[path = "keyed.rs"]
mod keyed;
