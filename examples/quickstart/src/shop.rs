//! The shop: owns users and messages, and publishes them.

/// People who use the shop.
pub mod user {
    use promiscuous_seaorm::Publish;
    use sea_orm::entity::prelude::*;

    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Publish)]
    #[sea_orm(table_name = "users")]
    #[publish(attributes(name, email), virtual_attributes(initial))]
    pub struct Model {
        #[sea_orm(primary_key)]
        pub id: i64,
        pub name: String,
        pub email: String,
        // Not listed above, so it never leaves the shop.
        pub password_hash: String,
    }

    impl Model {
        /// A virtual attribute: computed, not stored.
        fn initial(&self) -> String {
            self.name.chars().take(1).collect()
        }
    }

    impl ActiveModelBehavior for ActiveModel {}
}

/// What they write to each other.
pub mod message {
    use promiscuous_seaorm::Publish;
    use sea_orm::entity::prelude::*;

    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Publish)]
    #[sea_orm(table_name = "messages")]
    #[publish(attributes(user_id, text))]
    pub struct Model {
        #[sea_orm(primary_key)]
        pub id: i64,
        pub user_id: i64,
        pub text: String,
    }

    impl ActiveModelBehavior for ActiveModel {}
}
