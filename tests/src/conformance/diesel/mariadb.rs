//! On MariaDB.

use chrono::{DateTime, Utc};
use diesel::MysqlConnection;
use diesel::prelude::*;
use promiscuous_diesel::Promiscuous;
use uuid::Uuid;

use crate::entities_diesel::kept::{Guid, Moment};
use crate::entities_diesel::publishing::Counter;
use crate::entities_diesel::publishing::schema::counters;
use crate::entities_diesel::{everything::mariadb as everything, keyed::mariadb as keyed};

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

type Backend = diesel::mysql::Mysql;
type Db = Promiscuous<MysqlConnection>;

/// What the app's own connections need.
const SET_UP: &[&str] = &[];

fn lock_counter(db: &mut Db, id: i64) -> QueryResult<Counter> {
    counters::table.find(id).for_update().select(Counter::as_select()).first(db)
}

fn guid(id: Uuid) -> Guid {
    Guid(id)
}

fn moment(at: DateTime<Utc>) -> Moment {
    Moment(at)
}

/// Ways of reading that not every database has.
mod own_reading {
    use super::*;
    use crate::entities_diesel::publishing::User;
    use crate::entities_diesel::publishing::schema::users;

    crate::conformance::diesel::ways! { read, db;
        "for_update": users::table.find(2).for_update().select(User::as_select()).first(db)? => ["user/2"];
    }
}

/// Ways of writing that not every database has.
mod own_writing {
    use super::*;
    use crate::conformance::diesel::counter;

    crate::conformance::diesel::ways! { write, db;
        "insert_or_ignore": diesel::insert_or_ignore_into(counters::table).values(counter(1, 9)).execute(db)? => [];
        "duplicated keys, new row": diesel::insert_into(counters::table).values(counter(10, 1))
            .on_conflict(diesel::dsl::DuplicatedKeys).do_update().set(counters::n.eq(1)).execute(db)? => ["update counter/10 n=1"];
        "duplicated keys, known row": diesel::insert_into(counters::table).values(counter(1, 9))
            .on_conflict(diesel::dsl::DuplicatedKeys).do_update().set(counters::n.eq(9)).execute(db)? => ["update counter/1 n=9"];
    }
}
