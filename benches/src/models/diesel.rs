//! The models as Diesel has them, and the statements that are measured.
//!
//! Diesel's code is written for one database. What is measured on all three is the same text for each of them, in
//! [`Statements`].

use std::sync::atomic::{AtomicI64, Ordering};

use diesel::connection::LoadConnection;
use diesel::prelude::*;
use promiscuous_diesel::backend::PromiscuousBackend;
use promiscuous_diesel::subscription::Connection as Applying;
use promiscuous_diesel::{CallbackResult, Callbacks, Models, Publish, Subscribe};

use crate::databases::Kind;
use crate::stage::Wanted;

diesel::table! {
    authors (id) {
        id -> BigInt,
        name -> Text,
    }
}

diesel::table! {
    posts (id) {
        id -> BigInt,
        author_id -> BigInt,
        title -> Text,
        body -> Text,
        score -> Integer,
    }
}

diesel::table! {
    outbox_by_hand (id) {
        id -> BigInt,
        message -> Text,
    }
}

/// People, who are the causes of posts.
#[derive(Debug, Clone, Queryable, Selectable, Publish, Subscribe)]
#[diesel(table_name = authors)]
#[publish(attributes(name))]
#[subscribe(attributes(name))]
pub struct Author {
    pub id: i64,
    pub name: String,
}

/// What is written all the time.
#[derive(Debug, Clone, Queryable, Selectable, Insertable, AsChangeset, Publish, Subscribe)]
#[diesel(table_name = posts)]
#[publish(attributes(author_id, title, body, score))]
#[subscribe(attributes(author_id, title, body, score), callbacks)]
pub struct Post {
    pub id: i64,
    pub author_id: i64,
    pub title: String,
    pub body: String,
    pub score: i32,
}

/// A new post; some 200 bytes, as rows often have.
///
/// Its id is a number that no other post of this process has: then a post is known before it is written, and is written in
/// the same way on each database. MariaDB's backend has no `RETURNING` in Diesel.
pub fn new_post(author_id: i64) -> Post {
    static NEXT: AtomicI64 = AtomicI64::new(1);
    let id = NEXT.fetch_add(1, Ordering::Relaxed);
    Post { id, author_id, title: format!("Post number {id}"), body: super::BODY.to_owned(), score: 0 }
}

/// What is measured, over one database: Diesel's own connection and the wrapped one run the same.
pub trait Statements: PromiscuousBackend {
    /// The database.
    const KIND: Kind;

    /// What the publishing app publishes.
    fn published() -> Models<Self>;

    /// What a subscribing app wants from the app of this name.
    fn subscribed(from: &str, wanted: Wanted) -> Models<Self>;

    /// Writes a new row.
    fn insert<C: LoadConnection<Backend = Self>>(db: &mut C, post: &Post) -> QueryResult<usize>;

    /// Changes a column of a row.
    fn update<C: LoadConnection<Backend = Self>>(db: &mut C, post: &Post) -> QueryResult<usize>;

    /// Removes a row.
    fn delete<C: LoadConnection<Backend = Self>>(db: &mut C, post: &Post) -> QueryResult<usize>;

    /// What one who publishes by hand leaves with a write.
    fn leave_message<C: LoadConnection<Backend = Self>>(db: &mut C, post: &Post) -> QueryResult<usize>;

    /// A row by its key.
    fn find<C: LoadConnection<Backend = Self>>(db: &mut C, id: i64) -> QueryResult<Post>;

    /// All rows.
    fn all<C: LoadConnection<Backend = Self>>(db: &mut C) -> QueryResult<Vec<Post>>;
}

macro_rules! statements {
    ($backend:ty, $kind:ident) => {
        impl Statements for $backend {
            const KIND: Kind = Kind::$kind;

            fn published() -> Models<Self> {
                Models::new().publish::<Author>().publish::<Post>()
            }

            fn subscribed(from: &str, wanted: Wanted) -> Models<Self> {
                let models = Models::new().subscribe_from::<Post>(format!("{from}/post"));
                match wanted {
                    Wanted::Both => models.subscribe_from::<Author>(format!("{from}/author")),
                    Wanted::Posts => models,
                }
            }

            fn insert<C: LoadConnection<Backend = Self>>(db: &mut C, post: &Post) -> QueryResult<usize> {
                diesel::insert_into(posts::table).values(post).execute(db)
            }

            fn update<C: LoadConnection<Backend = Self>>(db: &mut C, post: &Post) -> QueryResult<usize> {
                diesel::update(posts::table.find(post.id)).set(posts::score.eq(post.score + 1)).execute(db)
            }

            fn delete<C: LoadConnection<Backend = Self>>(db: &mut C, post: &Post) -> QueryResult<usize> {
                diesel::delete(posts::table.find(post.id)).execute(db)
            }

            fn leave_message<C: LoadConnection<Backend = Self>>(
                db: &mut C,
                post: &Post,
            ) -> QueryResult<usize> {
                let Post { id, author_id, title, body, score } = post;
                let message = super::message_by_hand(*id, *author_id, title, body, *score);
                diesel::insert_into(outbox_by_hand::table)
                    .values(outbox_by_hand::message.eq(message))
                    .execute(db)
            }

            fn find<C: LoadConnection<Backend = Self>>(db: &mut C, id: i64) -> QueryResult<Post> {
                posts::table.find(id).select(Post::as_select()).first(db)
            }

            fn all<C: LoadConnection<Backend = Self>>(db: &mut C) -> QueryResult<Vec<Post>> {
                posts::table.select(Post::as_select()).load(db)
            }
        }

        impl Callbacks<$backend> for Post {
            fn after_save(_: Option<&Self>, post: &Self, _: &mut Applying<$backend>) -> CallbackResult {
                crate::latency::arrived(post.id);
                Ok(())
            }
        }
    };
}

statements!(diesel::pg::Pg, Postgres);
statements!(diesel::mysql::Mysql, MariaDb);
statements!(diesel::sqlite::Sqlite, Sqlite);
