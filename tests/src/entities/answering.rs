//! What an app in the middle of a chain keeps: it answers each user that arrives with a message of its own, which it publishes.

use sea_orm::{ActiveModelTrait, ConnectionTrait, DbErr, Set};

use super::{publishing, subscribing};

/// The users.
pub mod user {
    use promiscuous_seaorm::Subscribe;
    use sea_orm::entity::prelude::*;

    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Subscribe)]
    #[sea_orm(table_name = "users")]
    #[subscribe(attributes(name, revision))]
    #[allow(missing_docs)]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: i64,
        pub name: String,
        pub revision: i64,
    }

    #[async_trait::async_trait]
    impl ActiveModelBehavior for ActiveModel {
        async fn after_save<C: ConnectionTrait>(user: Model, db: &C, _: bool) -> Result<Model, DbErr> {
            super::answer(&user, db).await?;
            Ok(user)
        }
    }
}

/// The message that answers a user in a state. Whoever gets it must have that state.
async fn answer<C: ConnectionTrait>(user: &user::Model, db: &C) -> Result<(), DbErr> {
    let message = publishing::message::ActiveModel {
        id: Set(answer_id(user.id, user.revision)),
        user_id: Set(user.id),
        user_revision: Set(user.revision),
        text: Set(subscribing::AT_LEAST.to_owned()),
    };
    message.insert(db).await.map(|_| ())
}

/// The id of the message that answers a user in a state.
pub fn answer_id(user: i64, revision: i64) -> i64 {
    user * 100 + revision
}
