//! What the shop's users are told.
#![allow(missing_docs)] // An entity's fields speak for themselves.

use promiscuous_seaorm::Publish;
use sea_orm::entity::prelude::*;
use serde::Serialize;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, DeriveEntityModel, Publish)]
#[sea_orm(table_name = "messages")]
#[publish(attributes(user_id, text))]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i64,
    pub user_id: i64,
    pub text: String,
}

impl ActiveModelBehavior for ActiveModel {}
