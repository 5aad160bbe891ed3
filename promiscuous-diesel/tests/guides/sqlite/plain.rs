//! As it was.

use diesel::SqliteConnection;
use diesel_migrations::{EmbeddedMigrations, embed_migrations};

pub type DbConnection = SqliteConnection;

pub const MIGRATIONS: EmbeddedMigrations = embed_migrations!("tests/guides/migrations/sqlite");

#[path = "../blog/mod.rs"]
pub mod blog;
#[path = "../blog/returning.rs"]
pub mod dialect;
#[path = "../blog/many_one_by_one.rs"]
pub mod many;
#[path = "../tables.rs"]
pub mod tables;
