//! What the subscribing app keeps, with callbacks that write down in the same transaction what was applied, and look whether its
//! causes were applied before.

use diesel::prelude::*;
use promiscuous_diesel::subscription::{self, CallbackResult};
use promiscuous_diesel::{Callbacks, Subscribe};

use super::on_each;
use super::publishing::schema::{comments, counters, friendships, messages, photos};
use crate::entities::subscribing::{AT_LEAST, CHECKED, SLOW, SLOW_FOR, VIOLATION};

/// The tables that are not the publisher's.
#[allow(missing_docs)]
pub mod schema {
    diesel::table! {
        users (id) {
            id -> BigInt,
            name -> Text,
            revision -> BigInt,
        }
    }

    diesel::table! {
        applied (position) {
            position -> BigInt,
            kind -> Text,
            object -> BigInt,
            value -> BigInt,
            process -> BigInt,
            applied_at -> BigInt,
        }
    }
}

use schema::{applied, users};

/// The users.
#[derive(Clone, Debug, Queryable, Selectable, Subscribe)]
#[diesel(table_name = users)]
#[subscribe(attributes(name, revision), callbacks)]
#[allow(missing_docs)]
pub struct User {
    pub id: i64,
    pub name: String,
    pub revision: i64,
}

/// The messages; each wants its user in the state in which it was written.
#[derive(Clone, Debug, Queryable, Selectable, Subscribe)]
#[diesel(table_name = messages)]
#[subscribe(attributes(user_id, user_revision, text), callbacks)]
#[allow(missing_docs)]
pub struct Message {
    pub id: i64,
    pub user_id: i64,
    pub user_revision: i64,
    pub text: String,
}

/// The comments; each wants its message.
#[derive(Clone, Debug, Queryable, Selectable, Subscribe)]
#[diesel(table_name = comments)]
#[subscribe(attributes(message_id, text), callbacks)]
#[allow(missing_docs)]
pub struct Comment {
    pub id: i64,
    pub message_id: i64,
    pub text: String,
}

/// The counters.
#[derive(Clone, Debug, Queryable, Selectable, Subscribe)]
#[diesel(table_name = counters)]
#[subscribe(attributes(n), callbacks)]
#[allow(missing_docs)]
pub struct Counter {
    pub id: i64,
    pub n: i64,
}

/// The friendships.
#[derive(Clone, Debug, Queryable, Selectable, Subscribe)]
#[diesel(table_name = friendships)]
#[subscribe(attributes(friend), callbacks)]
#[allow(missing_docs)]
pub struct Friendship {
    pub id: i64,
    pub friend: String,
}

/// The photos; none may be seen while the friendship still holds.
#[derive(Clone, Debug, Queryable, Selectable, Subscribe)]
#[diesel(table_name = photos)]
#[subscribe(as = "Photo", attributes(friendship_id), callbacks)]
#[allow(missing_docs)]
pub struct Photo {
    pub id: i64,
    pub friendship_id: i64,
}

/// The callbacks, for one database.
macro_rules! callbacks {
    ($backend:ty) => {
        const _: () = {
            type Connection = subscription::Connection<$backend>;

            fn log(connection: &mut Connection, kind: &str, object: i64, value: i64) -> CallbackResult {
                let line = (
                    applied::kind.eq(kind),
                    applied::object.eq(object),
                    applied::value.eq(value),
                    applied::process.eq(i64::from(std::process::id())),
                    applied::applied_at.eq(crate::entities::subscribing::now()),
                );
                diesel::insert_into(applied::table).values(line).execute(connection)?;
                Ok(())
            }

            impl Callbacks<$backend> for User {
                fn after_save(_: Option<&Self>, user: &Self, connection: &mut Connection) -> CallbackResult {
                    if user.name == SLOW {
                        std::thread::sleep(SLOW_FOR);
                    }
                    log(connection, "user", user.id, user.revision)
                }
            }

            impl Callbacks<$backend> for Message {
                fn after_save(
                    _: Option<&Self>,
                    message: &Self,
                    connection: &mut Connection,
                ) -> CallbackResult {
                    let user = users::table.find(message.user_id).select(users::revision);
                    let revision: Option<i64> = user.first(connection).optional()?;
                    let violated = match message.text.as_str() {
                        CHECKED => revision != Some(message.user_revision),
                        AT_LEAST => revision.is_none_or(|revision| revision < message.user_revision),
                        _ => false,
                    };
                    if violated {
                        log(connection, VIOLATION, message.id, message.user_revision)?;
                    }
                    log(connection, "message", message.id, 0)
                }
            }

            impl Callbacks<$backend> for Comment {
                fn after_save(
                    _: Option<&Self>,
                    comment: &Self,
                    connection: &mut Connection,
                ) -> CallbackResult {
                    let message = messages::table.find(comment.message_id).select(messages::id);
                    let message: Option<i64> = message.first(connection).optional()?;
                    if comment.text == CHECKED && message.is_none() {
                        log(connection, VIOLATION, comment.id, 0)?;
                    }
                    log(connection, "comment", comment.id, 0)
                }
            }

            impl Callbacks<$backend> for Counter {
                fn after_save(
                    _: Option<&Self>,
                    counter: &Self,
                    connection: &mut Connection,
                ) -> CallbackResult {
                    log(connection, "counter", counter.id, counter.n)
                }

                fn after_destroy(counter: &Self, connection: &mut Connection) -> CallbackResult {
                    log(connection, "counter", counter.id, -1)
                }
            }

            impl Callbacks<$backend> for Friendship {
                fn after_save(
                    _: Option<&Self>,
                    friendship: &Self,
                    connection: &mut Connection,
                ) -> CallbackResult {
                    log(connection, "friendship", friendship.id, 0)
                }

                fn after_destroy(friendship: &Self, connection: &mut Connection) -> CallbackResult {
                    log(connection, "friendship", friendship.id, -1)
                }
            }

            impl Callbacks<$backend> for Photo {
                fn after_save(_: Option<&Self>, photo: &Self, connection: &mut Connection) -> CallbackResult {
                    // The friendship must be gone, and it must have been here: the log tells of its end.
                    let lines = applied::table.filter(applied::kind.eq("friendship"));
                    let ended = lines
                        .filter(applied::object.eq(photo.friendship_id))
                        .filter(applied::value.eq(-1))
                        .select(applied::position);
                    let ended: Option<i64> = ended.first(connection).optional()?;
                    let friendship = friendships::table.find(photo.friendship_id).select(friendships::id);
                    let holds: Option<i64> = friendship.first(connection).optional()?;
                    if holds.is_some() || ended.is_none() {
                        log(connection, VIOLATION, photo.id, photo.friendship_id)?;
                    }
                    log(connection, "photo", photo.id, 0)
                }
            }
        };
    };
}

on_each!(callbacks);
