//! What the publishing app owns.

/// Whoever writes messages.
pub mod user {
    use promiscuous_seaorm::Publish;
    use sea_orm::entity::prelude::*;

    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Publish)]
    #[sea_orm(table_name = "users")]
    #[publish(attributes(name, revision))]
    #[allow(missing_docs)]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: i64,
        pub name: String,
        pub revision: i64,
        /// Not published.
        pub secret: String,
        #[sea_orm(has_many)]
        pub messages: HasMany<super::message::Entity>,
    }

    impl ActiveModelBehavior for ActiveModel {}
}

/// Written by a user in a certain state.
pub mod message {
    use promiscuous_seaorm::Publish;
    use sea_orm::entity::prelude::*;

    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Publish)]
    #[sea_orm(table_name = "messages")]
    #[publish(attributes(user_id, user_revision, text))]
    #[allow(missing_docs)]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: i64,
        pub user_id: i64,
        pub user_revision: i64,
        pub text: String,
        #[sea_orm(belongs_to, from = "user_id", to = "id")]
        pub user: BelongsTo<super::user::Entity>,
    }

    impl ActiveModelBehavior for ActiveModel {}
}

/// About a message.
pub mod comment {
    use promiscuous_seaorm::Publish;
    use sea_orm::entity::prelude::*;

    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Publish)]
    #[sea_orm(table_name = "comments")]
    #[publish(attributes(message_id, text))]
    #[allow(missing_docs)]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: i64,
        pub message_id: i64,
        pub text: String,
    }

    impl ActiveModelBehavior for ActiveModel {}
}

/// Counts up, so that a lost or doubled change shows.
pub mod counter {
    use promiscuous_seaorm::Publish;
    use sea_orm::entity::prelude::*;

    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Publish)]
    #[sea_orm(table_name = "counters")]
    #[publish(attributes(n))]
    #[allow(missing_docs)]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: i64,
        pub n: i64,
    }

    impl ActiveModelBehavior for ActiveModel {}
}

/// Ends before a photo is posted.
pub mod friendship {
    use promiscuous_seaorm::Publish;
    use sea_orm::entity::prelude::*;

    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Publish)]
    #[sea_orm(table_name = "friendships")]
    #[publish(attributes(friend))]
    #[allow(missing_docs)]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: i64,
        pub friend: String,
    }

    impl ActiveModelBehavior for ActiveModel {}
}

/// Not for the friend of that friendship.
pub mod photo {
    use promiscuous_seaorm::Publish;
    use sea_orm::entity::prelude::*;

    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Publish)]
    #[sea_orm(table_name = "photos")]
    #[publish(attributes(friendship_id))]
    #[allow(missing_docs)]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: i64,
        pub friendship_id: i64,
    }

    impl ActiveModelBehavior for ActiveModel {}
}

/// Nobody else's business: not published.
pub mod note {
    use sea_orm::entity::prelude::*;

    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "notes")]
    #[allow(missing_docs)]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: i64,
        pub text: String,
        /// The note it is about. It must be there at COMMIT.
        pub about: Option<i64>,
    }

    impl ActiveModelBehavior for ActiveModel {}
}

/// Published under a name that does not depend on the app.
pub mod claimed {
    use promiscuous_seaorm::Publish;
    use sea_orm::entity::prelude::*;

    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Publish)]
    #[sea_orm(table_name = "claimed")]
    #[publish(to = "conduct/claimed", attributes(name))]
    #[allow(missing_docs)]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: i64,
        pub name: String,
    }

    impl ActiveModelBehavior for ActiveModel {}
}
