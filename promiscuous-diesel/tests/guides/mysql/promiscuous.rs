//! With the one line changed.

use diesel::MysqlConnection;
use diesel_migrations::{EmbeddedMigrations, embed_migrations};
use promiscuous_diesel::Promiscuous;

pub type DbConnection = Promiscuous<MysqlConnection>;

pub const MIGRATIONS: EmbeddedMigrations = embed_migrations!("tests/guides/migrations/mysql");

#[path = "../blog/mod.rs"]
pub mod blog;
#[path = "../blog/mysql.rs"]
pub mod dialect;
