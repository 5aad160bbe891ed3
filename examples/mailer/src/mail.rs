//! The shop's messages.
#![allow(missing_docs)] // An entity's fields speak for themselves.

use promiscuous_seaorm::Subscribe;
use sea_orm::entity::prelude::*;

use crate::recipient;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Subscribe)]
#[sea_orm(table_name = "mails")]
#[subscribe(from = "shop/message", as = "Message", attributes(user_id, text))]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: i64,
    pub user_id: i64,
    pub text: String,
}

#[async_trait::async_trait]
impl ActiveModelBehavior for ActiveModel {
    async fn after_save<C: ConnectionTrait>(mail: Model, db: &C, _insert: bool) -> Result<Model, DbErr> {
        // The recipient is there, in the state in which the message was written. A mailer that really sends would note
        // the mail in a table of its own here and send it afterwards: a hook may run again when its transaction fails.
        let recipient = recipient::Entity::find_by_id(mail.user_id).one(db).await?;
        let to = recipient.map_or_else(|| "NOBODY".to_owned(), |user| user.email);
        println!("sends \"{}\" to {to}", mail.text);
        Ok(mail)
    }
}
