//! On PostgreSQL.

use chrono::{DateTime, Utc};
use diesel::PgConnection;
use diesel::prelude::*;
use promiscuous_diesel::Promiscuous;
use uuid::Uuid;

use crate::entities_diesel::publishing::Counter;
use crate::entities_diesel::publishing::schema::counters;
use crate::entities_diesel::{everything::postgres as everything, keyed::postgres as keyed};

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

type Backend = diesel::pg::Pg;
type Db = Promiscuous<PgConnection>;

/// What the app's own connections need.
const SET_UP: &[&str] = &[];

fn lock_counter(db: &mut Db, id: i64) -> QueryResult<Counter> {
    counters::table.find(id).for_update().select(Counter::as_select()).first(db)
}

fn guid(id: Uuid) -> Uuid {
    id
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
        "for_update": users::table.find(2).for_update().select(User::as_select()).first(db)? => ["user/2"];
        "distinct_on": users::table.distinct_on(users::id).select(User::as_select()).load(db)? => ["user/1", "user/2"];
        "row by row": users::table.select(User::as_select()).load_iter::<User, diesel::pg::PgRowByRowLoadingMode>(db)?
            .collect::<QueryResult<Vec<_>>>()? => ["user/1", "user/2"];
    }
}

/// Ways of writing that not every database has.
mod own_writing {
    use super::*;
    use crate::conformance::diesel::counter;

    crate::conformance::diesel::ways! { write, db;
        "get_result of insert": diesel::insert_into(counters::table).values(counter(10, 1)).get_result::<Counter>(db)?
            => ["create counter/10 n=1"];
        "get_results of a batch": diesel::insert_into(counters::table).values(vec![counter(10, 1), counter(11, 2)])
            .get_results::<Counter>(db)? => ["create counter/10 n=1; create counter/11 n=2"];
        "returning a column": diesel::insert_into(counters::table).values(counter(10, 1)).returning(counters::n)
            .get_result::<i64>(db)? => ["create counter/10 n=1"];
        "get_result of update": diesel::update(counters::table.find(1)).set(counters::n.eq(5)).get_result::<Counter>(db)?
            => ["update counter/1 n=5"];
        "get_results of delete": diesel::delete(counters::table.filter(counters::id.lt(3))).get_results::<Counter>(db)?
            => ["destroy counter/1; destroy counter/2"];
        "do_nothing": diesel::insert_into(counters::table).values(vec![counter(1, 9), counter(10, 1)]).on_conflict(counters::id)
            .do_nothing().execute(db)? => ["create counter/10 n=1"];
        "do_update, new row": diesel::insert_into(counters::table).values(counter(10, 1)).on_conflict(counters::id).do_update()
            .set(counters::n.eq(diesel::upsert::excluded(counters::n))).execute(db)? => ["update counter/10 n=1"];
        "do_update, known row": diesel::insert_into(counters::table).values(counter(1, 9)).on_conflict(counters::id).do_update()
            .set(counters::n.eq(diesel::upsert::excluded(counters::n))).execute(db)? => ["update counter/1 n=9"];
        "serializable": db.build_transaction().serializable().run(|db| {
            diesel::update(counters::table.find(1)).set(counters::n.eq(6)).execute(db)
        })? => ["update counter/1 n=6"];
    }
}
