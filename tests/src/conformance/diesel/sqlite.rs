//! On SQLite.

use chrono::{DateTime, Utc};
use diesel::SqliteConnection;
use diesel::prelude::*;
use promiscuous_diesel::Promiscuous;
use uuid::Uuid;

use crate::entities_diesel::kept::Guid;
use crate::entities_diesel::publishing::Counter;
use crate::entities_diesel::publishing::schema::counters;
use crate::entities_diesel::{everything::sqlite as everything, keyed::sqlite as keyed};

// Loaded for each database on purpose: see the parent's documentation.
#[allow(clippy::duplicate_mod)]
#[path = "app.rs"]
pub mod app;
#[allow(clippy::duplicate_mod)]
#[path = "reading.rs"]
pub mod reading;
#[allow(clippy::duplicate_mod)]
#[path = "steps.rs"]
mod steps;
#[allow(clippy::duplicate_mod)]
#[path = "writing.rs"]
pub mod writing;

type Backend = diesel::sqlite::Sqlite;
type Db = Promiscuous<SqliteConnection>;

/// What the app's own connections need: without it they fail at once when another one writes, and check no foreign keys.
const SET_UP: &[&str] = &["PRAGMA busy_timeout = 30000", "PRAGMA foreign_keys = ON"];

/// The transaction has locked all of the database already.
fn lock_counter(db: &mut Db, id: i64) -> QueryResult<Counter> {
    counters::table.find(id).select(Counter::as_select()).first(db)
}

fn guid(id: Uuid) -> Guid {
    Guid(id)
}

fn moment(at: DateTime<Utc>) -> DateTime<Utc> {
    at
}

/// Ways of reading that not every database has.
mod own_reading {
    use super::*;
    use crate::entities_diesel::publishing::User;
    use crate::entities_diesel::publishing::schema::users;

    crate::conformance::diesel::ways! { read, db;
        "deferred transaction": db.deferred_transaction(|db| users::table.find(2).select(User::as_select()).first(db))?
            => ["user/2"];
    }
}

/// Ways of writing that not every database has.
mod own_writing {
    use super::*;
    use crate::conformance::diesel::counter;

    crate::conformance::diesel::ways! { write, db;
        "insert_or_ignore": diesel::insert_or_ignore_into(counters::table).values(counter(1, 9)).execute(db)? => [];
        "get_result of insert": diesel::insert_into(counters::table).values(counter(10, 1)).get_result::<Counter>(db)?
            => ["create counter/10 n=1"];
        "returning a column": diesel::insert_into(counters::table).values(counter(10, 1)).returning(counters::n)
            .get_result::<i64>(db)? => ["create counter/10 n=1"];
        "get_result of update": diesel::update(counters::table.find(1)).set(counters::n.eq(5)).get_result::<Counter>(db)?
            => ["update counter/1 n=5"];
        "get_results of delete": diesel::delete(counters::table.filter(counters::id.lt(3))).get_results::<Counter>(db)?
            => ["destroy counter/1; destroy counter/2"];
        "do_nothing": diesel::insert_into(counters::table).values(counter(1, 9)).on_conflict(counters::id).do_nothing()
            .execute(db)? => [];
        "do_update, new row": diesel::insert_into(counters::table).values(counter(10, 1)).on_conflict(counters::id).do_update()
            .set(counters::n.eq(diesel::upsert::excluded(counters::n))).execute(db)? => ["update counter/10 n=1"];
        "do_update, known row": diesel::insert_into(counters::table).values(counter(1, 9)).on_conflict(counters::id).do_update()
            .set(counters::n.eq(diesel::upsert::excluded(counters::n))).execute(db)? => ["update counter/1 n=9"];
        "immediate_transaction": db.immediate_transaction(|db| {
            diesel::update(counters::table.find(1)).set(counters::n.eq(6)).execute(db)
        })? => ["update counter/1 n=6"];
    }
}
