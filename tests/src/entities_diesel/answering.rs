//! What an app in the middle of a chain keeps: it answers each user that arrives with a message of its own, which it publishes.

use diesel::prelude::*;
use promiscuous_diesel::subscription::{self, CallbackResult};
use promiscuous_diesel::{Callbacks, Subscribe};

use super::on_each;
use super::publishing::Message;
use super::publishing::schema::messages;
use super::subscribing::schema::users;
use crate::entities::answering::answer_id;
use crate::entities::subscribing::AT_LEAST;

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

impl User {
    /// The message that answers it. Whoever gets it must have this state or a later one.
    fn answer(&self) -> Message {
        Message {
            id: answer_id(self.id, self.revision),
            user_id: self.id,
            user_revision: self.revision,
            text: AT_LEAST.to_owned(),
        }
    }
}

macro_rules! callbacks {
    ($backend:ty) => {
        impl Callbacks<$backend> for User {
            fn after_save(
                _: Option<&Self>,
                user: &Self,
                connection: &mut subscription::Connection<$backend>,
            ) -> CallbackResult {
                diesel::insert_into(messages::table).values(user.answer()).execute(connection)?;
                Ok(())
            }
        }
    };
}

on_each!(callbacks);
