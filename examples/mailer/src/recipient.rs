//! The shop's users, as far as the mailer is interested.
#![allow(missing_docs)] // An entity's fields speak for themselves.

use promiscuous_seaorm::Subscribe;
use sea_orm::Set;
use sea_orm::entity::prelude::*;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Subscribe)]
#[sea_orm(table_name = "recipients")]
#[subscribe(from = "shop/user", as = "User", attributes(name, email), virtual_attributes(initial))]
pub struct Model {
    // The shop gives the ids.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: i64,
    pub name: String,
    pub email: String,
    pub greeting: String,
}

impl ActiveModel {
    /// Takes the shop's virtual attribute.
    fn set_initial(&mut self, initial: String) {
        self.greeting = Set(format!("Dear {initial}."));
    }
}

// An ordinary SeaORM hook: it runs when a change arrives, in the transaction that applies it.
#[async_trait::async_trait]
impl ActiveModelBehavior for ActiveModel {
    async fn after_save<C: ConnectionTrait>(user: Model, _db: &C, insert: bool) -> Result<Model, DbErr> {
        let what = if insert { "a new recipient" } else { "a changed recipient" };
        println!("{what}: {} <{}>, {}", user.name, user.email, user.greeting);
        Ok(user)
    }
}
