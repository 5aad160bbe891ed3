//! The models as SeaORM has them.

use sea_orm::{NotSet, Set};

use super::diesel::Post;

/// The publishing side.
pub mod shop {
    /// People, who are the causes of posts.
    pub mod author {
        use promiscuous_seaorm::Publish;
        use sea_orm::entity::prelude::*;

        #[sea_orm::model]
        #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Publish)]
        #[sea_orm(table_name = "authors")]
        #[publish(attributes(name))]
        pub struct Model {
            #[sea_orm(primary_key)]
            pub id: i64,
            pub name: String,
        }

        impl ActiveModelBehavior for ActiveModel {}
    }

    /// What is written all the time.
    pub mod post {
        use promiscuous_seaorm::Publish;
        use sea_orm::entity::prelude::*;

        #[sea_orm::model]
        #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Publish)]
        #[sea_orm(table_name = "posts")]
        #[publish(attributes(author_id, title, body, score))]
        pub struct Model {
            #[sea_orm(primary_key)]
            pub id: i64,
            pub author_id: i64,
            pub title: String,
            pub body: String,
            pub score: i32,
        }

        impl ActiveModelBehavior for ActiveModel {}
    }

    /// What there are very many of.
    pub mod item {
        use promiscuous_seaorm::Publish;
        use sea_orm::entity::prelude::*;

        #[sea_orm::model]
        #[derive(Clone, Debug, PartialEq, DeriveEntityModel, Publish)]
        #[sea_orm(table_name = "items")]
        #[publish(attributes(shop_id, sku, name, description, price, stock, weight, is_active, updated_at))]
        pub struct Model {
            #[sea_orm(primary_key)]
            pub id: i64,
            pub shop_id: i64,
            pub sku: String,
            pub name: String,
            pub description: Option<String>,
            pub price: Decimal,
            pub stock: i32,
            pub weight: f64,
            pub is_active: bool,
            pub updated_at: ChronoDateTimeUtc,
        }

        impl ActiveModelBehavior for ActiveModel {}
    }
}

/// The subscribing side.
pub mod mailer {
    /// Copies of the shop's authors.
    pub mod author {
        use promiscuous_seaorm::Subscribe;
        use sea_orm::entity::prelude::*;

        #[sea_orm::model]
        #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Subscribe)]
        #[sea_orm(table_name = "authors")]
        #[subscribe(from = "shop/author", attributes(name))]
        pub struct Model {
            #[sea_orm(primary_key, auto_increment = false)]
            pub id: i64,
            pub name: String,
        }

        impl ActiveModelBehavior for ActiveModel {}
    }

    /// Copies of the shop's posts.
    pub mod post {
        use promiscuous_seaorm::Subscribe;
        use sea_orm::entity::prelude::*;

        #[sea_orm::model]
        #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Subscribe)]
        #[sea_orm(table_name = "posts")]
        #[subscribe(from = "shop/post", attributes(author_id, title, body, score))]
        pub struct Model {
            #[sea_orm(primary_key, auto_increment = false)]
            pub id: i64,
            pub author_id: i64,
            pub title: String,
            pub body: String,
            pub score: i32,
        }

        #[async_trait::async_trait]
        impl ActiveModelBehavior for ActiveModel {
            async fn after_save<C: ConnectionTrait>(
                post: Model,
                _db: &C,
                _insert: bool,
            ) -> Result<Model, DbErr> {
                crate::latency::arrived(post.id);
                Ok(post)
            }
        }
    }

    /// What there are very many of.
    pub mod item {
        use promiscuous_seaorm::Subscribe;
        use sea_orm::entity::prelude::*;

        #[sea_orm::model]
        #[derive(Clone, Debug, PartialEq, DeriveEntityModel, Subscribe)]
        #[sea_orm(table_name = "items")]
        #[subscribe(
            from = "shop/item",
            attributes(shop_id, sku, name, description, price, stock, weight, is_active, updated_at)
        )]
        pub struct Model {
            #[sea_orm(primary_key, auto_increment = false)]
            pub id: i64,
            pub shop_id: i64,
            pub sku: String,
            pub name: String,
            pub description: Option<String>,
            pub price: Decimal,
            pub stock: i32,
            pub weight: f64,
            pub is_active: bool,
            pub updated_at: ChronoDateTimeUtc,
        }

        impl ActiveModelBehavior for ActiveModel {}
    }
}

/// A new post; some 200 bytes, as rows often have. The database chooses its id, as it does for most of SeaORM's users.
pub fn new_post(author_id: i64, number: usize) -> shop::post::ActiveModel {
    shop::post::ActiveModel {
        id: NotSet,
        author_id: Set(author_id),
        title: Set(format!("Post number {number}")),
        body: Set(super::BODY.to_owned()),
        score: Set(0),
    }
}

impl From<Post> for mailer::post::ActiveModel {
    fn from(post: Post) -> Self {
        let Post { id, author_id, title, body, score } = post;
        Self { id: Set(id), author_id: Set(author_id), title: Set(title), body: Set(body), score: Set(score) }
    }
}
