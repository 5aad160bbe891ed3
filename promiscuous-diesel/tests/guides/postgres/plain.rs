//! As it was.

use diesel::PgConnection;
use diesel_migrations::{EmbeddedMigrations, embed_migrations};

pub type DbConnection = PgConnection;

pub const MIGRATIONS: EmbeddedMigrations = embed_migrations!("tests/guides/migrations/postgres");

#[path = "../blog/mod.rs"]
pub mod blog;
#[path = "../blog/returning.rs"]
pub mod dialect;
#[path = "../blog/many_at_once.rs"]
pub mod many;
#[path = "../tables.rs"]
pub mod tables;
