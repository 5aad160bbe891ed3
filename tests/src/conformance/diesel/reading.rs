//! Diesel's ways of reading, on every database.

use diesel::prelude::*;

use super::own_reading;
use crate::conformance::stack::Way;
use crate::entities_diesel::publishing::schema::{counters, messages, notes, users};
use crate::entities_diesel::publishing::{Counter, Message, Note, User};

/// Every way of reading on this database.
pub fn ways() -> Vec<Way> {
    [shared::WAYS, own_reading::WAYS].concat()
}

/// Reads in the way of this name.
pub(super) fn read(db: &mut super::Db, name: &str) -> Option<QueryResult<()>> {
    shared::read(db, name).or_else(|| own_reading::read(db, name))
}

/// A user that a raw query finds.
#[derive(QueryableByName)]
#[diesel(table_name = users)]
#[allow(dead_code)]
struct Found {
    id: i64,
    name: String,
}

mod shared {
    use super::super::Db;
    use super::*;

    diesel::alias!(users as others: Others);

    crate::conformance::diesel::ways! { read, db;
        "find": users::table.find(1).select(User::as_select()).first(db)? => ["user/1"];
        "filter": users::table.filter(users::name.eq("user 2")).select(User::as_select()).first(db)? => ["user/2"];
        "load": users::table.load::<User>(db)? => ["user/1", "user/2"];
        "get_result": users::table.find(2).get_result::<User>(db)? => ["user/2"];
        "twice": {
            users::table.find(1).first::<User>(db)?;
            users::table.load::<User>(db)?
        } => ["user/1", "user/2"];
        "load_iter": users::table.select(User::as_select()).load_iter::<User, diesel::connection::DefaultLoadingMode>(db)?
            .collect::<QueryResult<Vec<_>>>()? => ["user/1", "user/2"];
        "inner_join": messages::table.inner_join(users::table).select((Message::as_select(), User::as_select()))
            .load::<(Message, User)>(db)? => ["message/11", "user/1"];
        "left_join": users::table.left_join(messages::table).select((User::as_select(), Option::<Message>::as_select()))
            .load::<(User, Option<Message>)>(db)? => ["message/11", "user/1", "user/2"];
        "alias": users::table.inner_join(others.on(others.field(users::revision).eq(users::revision)))
            .filter(users::id.eq(1)).filter(others.field(users::id).eq(2))
            .select((users::id, others.field(users::id))).load::<(i64, i64)>(db)? => ["user/1", "user/2"];
        "belonging_to": {
            let user = users::table.find(1).first::<User>(db)?;
            Message::belonging_to(&user).select(Message::as_select()).load(db)?
        } => ["message/11", "user/1"];
        "grouped_by": {
            let users = users::table.order(users::id).load::<User>(db)?;
            Message::belonging_to(&users).select(Message::as_select()).load(db)?.grouped_by(&users)
        } => ["message/11", "user/1", "user/2"];
        "order, limit and offset": users::table.order(users::id).limit(1).offset(1).load::<User>(db)? => ["user/2"];
        "tuple with key": users::table.select((users::id, users::name)).load::<(i64, String)>(db)? => ["user/1", "user/2"];
        "raw": diesel::sql_query("SELECT * FROM users WHERE id = 1").load::<Found>(db)? => ["user/1"];
        "in a transaction": db.transaction(|db: &mut Db| users::table.find(2).first::<User>(db))? => ["user/2"];
        "nothing found": users::table.find(99).first::<User>(db).optional()? => [];
        "the written row": counters::table.find(5).first::<Counter>(db)? => [];
        "unpublished model": notes::table.load::<Note>(db)? => [];
        "count": users::table.count().get_result::<i64>(db)? => [];
    }
}
