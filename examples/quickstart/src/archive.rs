//! The archive: a third service, written with Diesel, that files the shop's messages under the names of their users.

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sqlite::Sqlite;
use promiscuous_diesel::{CallbackResult, Callbacks, Promiscuous, Subscribe};

use crate::mailer::say;

diesel::table! {
    people (id) {
        id -> BigInt,
        name -> Text,
    }
}

diesel::table! {
    letters (id) {
        id -> BigInt,
        user_id -> BigInt,
        text -> Text,
    }
}

/// The shop's users: here their names are enough.
#[derive(Queryable, Selectable, Subscribe)]
#[diesel(table_name = people)]
#[subscribe(from = "shop/user", as = "User", attributes(name))]
pub struct Person {
    pub id: i64,
    pub name: String,
}

/// The shop's messages.
#[derive(Queryable, Selectable, Subscribe)]
#[diesel(table_name = letters)]
#[subscribe(from = "shop/message", as = "Message", attributes(user_id, text), callbacks, backend(Sqlite))]
pub struct Letter {
    pub id: i64,
    pub user_id: i64,
    pub text: String,
}

// It runs when a change arrives, in the transaction that applies it.
impl Callbacks<Sqlite> for Letter {
    fn after_create(letter: &Self, db: &mut Promiscuous<SqliteConnection>) -> CallbackResult {
        let person: Option<Person> = people::table.find(letter.user_id).first(db).optional()?;
        let name = person.map_or_else(|| "NOBODY".to_owned(), |person| person.name);
        say("archive", &format!("files letter {} (\"{}\") under {name}", letter.id, letter.text));
        Ok(())
    }
}

/// The archive's own tables.
pub fn create_tables(db: &mut SqliteConnection) -> QueryResult<()> {
    db.batch_execute(
        "CREATE TABLE people (id BIGINT PRIMARY KEY, name TEXT NOT NULL);
         CREATE TABLE letters (id BIGINT PRIMARY KEY, user_id BIGINT NOT NULL, text TEXT NOT NULL);",
    )
}
