//! What the subscribing app keeps, with hooks that write down in the same transaction what was applied, and look whether its
//! causes were applied before.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sea_orm::{ActiveModelTrait, ConnectionTrait, DbErr, NotSet, Set};

/// A user with this name takes [`SLOW_FOR`] to be applied.
pub const SLOW: &str = "slow";

/// See [`SLOW`].
pub const SLOW_FOR: Duration = Duration::from_millis(30);

/// The kind of a line of the log that should not exist: something was applied without its cause.
pub const VIOLATION: &str = "violation";

/// The log of what was applied.
pub mod applied {
    use sea_orm::entity::prelude::*;

    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "applied")]
    #[allow(missing_docs)]
    pub struct Model {
        /// Lines of one object, and of causes and effects, are in the order they were applied.
        #[sea_orm(primary_key)]
        pub position: i64,
        /// The model's name, or [`VIOLATION`](super::VIOLATION).
        pub kind: String,
        pub object: i64,
        /// The counter's number, the user's revision; -1 for a destroyed row.
        pub value: i64,
        /// The process that applied it.
        pub process: i64,
        /// When, in microseconds since 1970, a little before the transaction was committed.
        pub applied_at: i64,
    }

    impl ActiveModelBehavior for ActiveModel {}
}

/// Microseconds since 1970.
pub(crate) fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

async fn log<C: ConnectionTrait>(db: &C, kind: &str, object: i64, value: i64) -> Result<(), DbErr> {
    let line = applied::ActiveModel {
        position: NotSet,
        kind: Set(kind.to_owned()),
        object: Set(object),
        value: Set(value),
        process: Set(i64::from(std::process::id())),
        applied_at: Set(now()),
    };
    line.insert(db).await.map(|_| ())
}

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
            if user.name == super::SLOW {
                tokio::time::sleep(super::SLOW_FOR).await;
            }
            super::log(db, "user", user.id, user.revision).await?;
            Ok(user)
        }
    }
}

/// The messages; each wants its user in the state in which it was written.
pub mod message {
    use promiscuous_seaorm::Subscribe;
    use sea_orm::entity::prelude::*;

    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Subscribe)]
    #[sea_orm(table_name = "messages")]
    #[subscribe(attributes(user_id, user_revision, text))]
    #[allow(missing_docs)]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: i64,
        pub user_id: i64,
        pub user_revision: i64,
        pub text: String,
    }

    #[async_trait::async_trait]
    impl ActiveModelBehavior for ActiveModel {
        async fn after_save<C: ConnectionTrait>(message: Model, db: &C, _: bool) -> Result<Model, DbErr> {
            let user = super::user::Entity::find_by_id(message.user_id).one(db).await?;
            let revision = user.map(|user| user.revision);
            let violated = match message.text.as_str() {
                super::CHECKED => revision != Some(message.user_revision),
                super::AT_LEAST => revision.is_none_or(|revision| revision < message.user_revision),
                _ => false,
            };
            if violated {
                super::log(db, super::VIOLATION, message.id, message.user_revision).await?;
            }
            super::log(db, "message", message.id, 0).await?;
            Ok(message)
        }
    }
}

/// A message with this text is a violation without its user in exactly the state in which it was written; a comment, without its
/// message.
pub const CHECKED: &str = "checked";

/// A message with this text is a violation without its user in that state or a later one.
pub const AT_LEAST: &str = "at least";

/// The comments; each wants its message.
pub mod comment {
    use promiscuous_seaorm::Subscribe;
    use sea_orm::entity::prelude::*;

    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Subscribe)]
    #[sea_orm(table_name = "comments")]
    #[subscribe(attributes(message_id, text))]
    #[allow(missing_docs)]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: i64,
        pub message_id: i64,
        pub text: String,
    }

    #[async_trait::async_trait]
    impl ActiveModelBehavior for ActiveModel {
        async fn after_save<C: ConnectionTrait>(comment: Model, db: &C, _: bool) -> Result<Model, DbErr> {
            let message = super::message::Entity::find_by_id(comment.message_id).one(db).await?;
            if comment.text == super::CHECKED && message.is_none() {
                super::log(db, super::VIOLATION, comment.id, 0).await?;
            }
            super::log(db, "comment", comment.id, 0).await?;
            Ok(comment)
        }
    }
}

/// The counters.
pub mod counter {
    use promiscuous_seaorm::Subscribe;
    use sea_orm::entity::prelude::*;

    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Subscribe)]
    #[sea_orm(table_name = "counters")]
    #[subscribe(attributes(n))]
    #[allow(missing_docs)]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: i64,
        pub n: i64,
    }

    #[async_trait::async_trait]
    impl ActiveModelBehavior for ActiveModel {
        async fn after_save<C: ConnectionTrait>(counter: Model, db: &C, _: bool) -> Result<Model, DbErr> {
            super::log(db, "counter", counter.id, counter.n).await?;
            Ok(counter)
        }

        async fn after_delete<C: ConnectionTrait>(self, db: &C) -> Result<Self, DbErr> {
            super::log(db, "counter", self.id.clone().unwrap(), -1).await?;
            Ok(self)
        }
    }
}

/// The friendships.
pub mod friendship {
    use promiscuous_seaorm::Subscribe;
    use sea_orm::entity::prelude::*;

    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Subscribe)]
    #[sea_orm(table_name = "friendships")]
    #[subscribe(attributes(friend))]
    #[allow(missing_docs)]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: i64,
        pub friend: String,
    }

    #[async_trait::async_trait]
    impl ActiveModelBehavior for ActiveModel {
        async fn after_save<C: ConnectionTrait>(friendship: Model, db: &C, _: bool) -> Result<Model, DbErr> {
            super::log(db, "friendship", friendship.id, 0).await?;
            Ok(friendship)
        }

        async fn after_delete<C: ConnectionTrait>(self, db: &C) -> Result<Self, DbErr> {
            super::log(db, "friendship", self.id.clone().unwrap(), -1).await?;
            Ok(self)
        }
    }
}

/// The photos; none may be seen while the friendship still holds.
pub mod photo {
    use promiscuous_seaorm::Subscribe;
    use sea_orm::entity::prelude::*;

    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Subscribe)]
    #[sea_orm(table_name = "photos")]
    #[subscribe(as = "Photo", attributes(friendship_id))]
    #[allow(missing_docs)]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: i64,
        pub friendship_id: i64,
    }

    #[async_trait::async_trait]
    impl ActiveModelBehavior for ActiveModel {
        async fn after_save<C: ConnectionTrait>(photo: Model, db: &C, _: bool) -> Result<Model, DbErr> {
            use super::applied::{Column, Entity};
            // The friendship must be gone, and it must have been here: the log tells of its end.
            let lines = Entity::find().filter(Column::Kind.eq("friendship"));
            let ended = lines.filter(Column::Object.eq(photo.friendship_id)).filter(Column::Value.eq(-1));
            let holds = super::friendship::Entity::find_by_id(photo.friendship_id).one(db).await?.is_some();
            if holds || ended.one(db).await?.is_none() {
                super::log(db, super::VIOLATION, photo.id, photo.friendship_id).await?;
            }
            super::log(db, "photo", photo.id, 0).await?;
            Ok(photo)
        }
    }
}
