//! As it was.

use diesel::MysqlConnection;
use diesel_migrations::{EmbeddedMigrations, embed_migrations};

pub type DbConnection = MysqlConnection;

pub const MIGRATIONS: EmbeddedMigrations = embed_migrations!("tests/guides/migrations/mysql");

#[path = "../blog/mod.rs"]
pub mod blog;
#[path = "../blog/mysql.rs"]
pub mod dialect;
#[path = "../tables.rs"]
pub mod tables;
