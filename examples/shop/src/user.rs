//! People who use the shop.
#![allow(missing_docs)] // An entity's fields speak for themselves.

use promiscuous_seaorm::Publish;
use sea_orm::entity::prelude::*;
use serde::Serialize;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, DeriveEntityModel, Publish)]
#[sea_orm(table_name = "users")]
#[publish(attributes(name, email), virtual_attributes(initial))]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i64,
    pub name: String,
    pub email: String,
    // Not listed above, so it never leaves the shop.
    #[serde(skip)]
    pub password_hash: String,
}

impl Model {
    /// A virtual attribute: computed, not stored.
    fn initial(&self) -> String {
        self.name.chars().take(1).collect()
    }
}

impl ActiveModelBehavior for ActiveModel {}
