//! The shop: a web service that owns users and messages, and publishes them.
//!
//! * [`user`], [`message`]: the entities;
//! * [`web`]: the routes;
//! * [`create_tables`]: the shop's own tables;
//! * `main.rs` is the service, `bin/promiscuous.rs` its `promiscuous` command.

pub mod message;
pub mod user;
pub mod web;

use sea_orm::{ConnectionTrait, DatabaseConnection, DbErr, Schema};

/// Creates the shop's own tables where they are missing. A real service would use SeaORM's migrations.
pub async fn create_tables(db: &DatabaseConnection) -> Result<(), DbErr> {
    let schema = Schema::new(db.get_database_backend());
    db.execute(schema.create_table_from_entity(user::Entity).if_not_exists()).await?;
    db.execute(schema.create_table_from_entity(message::Entity).if_not_exists()).await?;
    Ok(())
}
