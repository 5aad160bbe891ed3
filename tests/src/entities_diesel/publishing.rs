//! What the publishing app owns.

use diesel::prelude::*;
use promiscuous_diesel::Publish;

/// The tables.
#[allow(missing_docs)]
pub mod schema {
    diesel::table! {
        users (id) {
            id -> BigInt,
            name -> Text,
            revision -> BigInt,
            secret -> Text,
        }
    }

    diesel::table! {
        messages (id) {
            id -> BigInt,
            user_id -> BigInt,
            user_revision -> BigInt,
            text -> Text,
        }
    }

    diesel::table! {
        comments (id) {
            id -> BigInt,
            message_id -> BigInt,
            text -> Text,
        }
    }

    diesel::table! {
        counters (id) {
            id -> BigInt,
            n -> BigInt,
        }
    }

    diesel::table! {
        friendships (id) {
            id -> BigInt,
            friend -> Text,
        }
    }

    diesel::table! {
        photos (id) {
            id -> BigInt,
            friendship_id -> BigInt,
        }
    }

    diesel::table! {
        notes (id) {
            id -> BigInt,
            text -> Text,
            about -> Nullable<BigInt>,
        }
    }

    diesel::table! {
        claimed (id) {
            id -> BigInt,
            name -> Text,
        }
    }

    diesel::joinable!(messages -> users (user_id));
    diesel::allow_tables_to_appear_in_same_query!(users, messages);
}

use schema::{claimed, comments, counters, friendships, messages, notes, photos, users};

/// Whoever writes messages.
#[derive(Clone, Debug, Queryable, Selectable, Identifiable, Insertable, AsChangeset, Publish)]
#[diesel(table_name = users)]
#[publish(attributes(name, revision))]
#[allow(missing_docs)]
pub struct User {
    pub id: i64,
    pub name: String,
    pub revision: i64,
    /// Not published.
    pub secret: String,
}

/// Written by a user in a certain state.
#[derive(
    Clone, Debug, Queryable, Selectable, Identifiable, Associations, Insertable, AsChangeset, Publish,
)]
#[diesel(table_name = messages, belongs_to(User))]
#[publish(attributes(user_id, user_revision, text))]
#[allow(missing_docs)]
pub struct Message {
    pub id: i64,
    pub user_id: i64,
    pub user_revision: i64,
    pub text: String,
}

/// About a message.
#[derive(Clone, Debug, Queryable, Selectable, Identifiable, Insertable, AsChangeset, Publish)]
#[diesel(table_name = comments)]
#[publish(attributes(message_id, text))]
#[allow(missing_docs)]
pub struct Comment {
    pub id: i64,
    pub message_id: i64,
    pub text: String,
}

/// Counts up, so that a lost or doubled change shows.
#[derive(Clone, Debug, PartialEq, Queryable, Selectable, Identifiable, Insertable, AsChangeset, Publish)]
#[diesel(table_name = counters)]
#[publish(attributes(n))]
#[allow(missing_docs)]
pub struct Counter {
    pub id: i64,
    pub n: i64,
}

/// Ends before a photo is posted.
#[derive(Clone, Debug, Queryable, Selectable, Identifiable, Insertable, AsChangeset, Publish)]
#[diesel(table_name = friendships)]
#[publish(attributes(friend))]
#[allow(missing_docs)]
pub struct Friendship {
    pub id: i64,
    pub friend: String,
}

/// Not for the friend of that friendship.
#[derive(Clone, Debug, Queryable, Selectable, Identifiable, Insertable, AsChangeset, Publish)]
#[diesel(table_name = photos)]
#[publish(attributes(friendship_id))]
#[allow(missing_docs)]
pub struct Photo {
    pub id: i64,
    pub friendship_id: i64,
}

/// Nobody else's business: not published.
#[derive(Clone, Debug, Queryable, Selectable, Identifiable, Insertable, AsChangeset)]
#[diesel(table_name = notes, treat_none_as_null = true)]
#[allow(missing_docs)]
pub struct Note {
    pub id: i64,
    pub text: String,
    /// The note it is about. It must be there at COMMIT.
    pub about: Option<i64>,
}

/// Published under a name that does not depend on the app.
#[derive(Queryable, Selectable, Publish)]
#[diesel(table_name = claimed)]
#[publish(to = "conduct/claimed_by_diesel", attributes(name))]
#[allow(missing_docs)]
pub struct Claimed {
    pub id: i64,
    pub name: String,
}
