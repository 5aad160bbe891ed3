//! With the one line changed.

use diesel::SqliteConnection;
use diesel_migrations::{EmbeddedMigrations, embed_migrations};
use promiscuous_diesel::Promiscuous;

pub type DbConnection = Promiscuous<SqliteConnection>;

pub const MIGRATIONS: EmbeddedMigrations = embed_migrations!("tests/guides/migrations/sqlite");

#[path = "../blog/mod.rs"]
pub mod blog;
#[path = "../blog/returning.rs"]
pub mod dialect;
#[path = "../blog/many_one_by_one.rs"]
pub mod many;
