//! The mailer: a service with its own database, that wants the shop's users and messages.

use std::sync::OnceLock;
use std::time::Instant;

/// Applying a user takes this long here, so that two workers really race.
pub const SLOW: std::time::Duration = std::time::Duration::from_millis(300);

/// When the program began, for the lines that it prints.
pub static BEGAN: OnceLock<Instant> = OnceLock::new();

/// Prints what happened and when.
pub fn say(who: &str, what: &str) {
    let began = BEGAN.get_or_init(Instant::now);
    println!("{:>6.0} ms  {who:<7} {what}", began.elapsed().as_secs_f64() * 1000.0);
}

/// The shop's users, as far as the mailer is interested.
pub mod user {
    use promiscuous_seaorm::Subscribe;
    use sea_orm::entity::prelude::*;

    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Subscribe)]
    #[sea_orm(table_name = "recipients")]
    #[subscribe(from = "shop/user", attributes(name, email), virtual_attributes(initial))]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: i64,
        pub name: String,
        pub email: String,
        pub greeting: String,
    }

    impl ActiveModel {
        /// Takes the shop's virtual attribute.
        fn set_initial(&mut self, initial: String) {
            self.greeting = sea_orm::Set(format!("Dear {initial}."));
        }
    }

    // Ordinary SeaORM hooks: they run when a change arrives.
    #[async_trait::async_trait]
    impl ActiveModelBehavior for ActiveModel {
        async fn after_save<C: ConnectionTrait>(user: Model, _db: &C, insert: bool) -> Result<Model, DbErr> {
            tokio::time::sleep(super::SLOW).await;
            let what = if insert { "a new recipient" } else { "a changed recipient" };
            super::say("mailer", &format!("{what}: {} <{}>, {}", user.name, user.email, user.greeting));
            Ok(user)
        }
    }
}

/// The shop's messages.
pub mod message {
    use promiscuous_seaorm::Subscribe;
    use sea_orm::entity::prelude::*;

    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Subscribe)]
    #[sea_orm(table_name = "mails")]
    #[subscribe(from = "shop/message", attributes(user_id, text))]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: i64,
        pub user_id: i64,
        pub text: String,
    }

    #[async_trait::async_trait]
    impl ActiveModelBehavior for ActiveModel {
        async fn after_save<C: ConnectionTrait>(mail: Model, db: &C, _insert: bool) -> Result<Model, DbErr> {
            // Always there, and in the state in which the message was written.
            let recipient = super::user::Entity::find_by_id(mail.user_id).one(db).await?;
            let to = recipient.map_or_else(|| "NOBODY".to_owned(), |user| user.email);
            super::say("mailer", &format!("sends \"{}\" to {to}", mail.text));
            Ok(mail)
        }
    }
}
