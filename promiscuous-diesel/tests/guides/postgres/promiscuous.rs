//! With the one line changed.

use diesel::PgConnection;
use diesel_migrations::{EmbeddedMigrations, embed_migrations};
use promiscuous_diesel::Promiscuous;

pub type DbConnection = Promiscuous<PgConnection>;

pub const MIGRATIONS: EmbeddedMigrations = embed_migrations!("tests/guides/migrations/postgres");

#[path = "../blog/mod.rs"]
pub mod blog;
#[path = "../blog/returning.rs"]
pub mod dialect;
#[path = "../blog/many_at_once.rs"]
pub mod many;
