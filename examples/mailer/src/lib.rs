//! The mailer: a service with its own database, that wants the shop's users and messages.
//!
//! * [`recipient`], [`mail`]: the entities, with the hooks that run when a change arrives;
//! * [`create_tables`]: the mailer's own tables;
//! * `bin/promiscuous.rs` is the worker, `main.rs` a small tool beside it.

pub mod mail;
pub mod recipient;

use sea_orm::{ConnectionTrait, DatabaseConnection, DbErr, Schema};

/// Creates the mailer's own tables where they are missing. A real service would use SeaORM's migrations.
pub async fn create_tables(db: &DatabaseConnection) -> Result<(), DbErr> {
    let schema = Schema::new(db.get_database_backend());
    db.execute(schema.create_table_from_entity(recipient::Entity).if_not_exists()).await?;
    db.execute(schema.create_table_from_entity(mail::Entity).if_not_exists()).await?;
    Ok(())
}
