//! Diesel's ways of writing, on every database, on counters: 1 to 4 are there, at 0. Each way is tried on counters as they were.

use diesel::prelude::*;
use diesel::result::Error;

use super::{Db, own_writing};
use crate::conformance::diesel::counter;
use crate::conformance::stack::Way;
use crate::entities_diesel::publishing::Counter;
use crate::entities_diesel::publishing::schema::counters;

/// Every way of writing on this database.
pub fn ways() -> Vec<Way> {
    [shared::WAYS, own_writing::WAYS].concat()
}

/// Writes in the way of this name.
pub(super) fn write(db: &mut Db, name: &str) -> Option<QueryResult<()>> {
    shared::write(db, name).or_else(|| own_writing::write(db, name))
}

mod shared {
    use super::super::Db;
    use super::*;

    crate::conformance::diesel::ways! { write, db;
        "insert_into": diesel::insert_into(counters::table).values(counter(10, 1)).execute(db)? => ["create counter/10 n=1"];
        "insert_into, a tuple": diesel::insert_into(counters::table).values((counters::id.eq(10), counters::n.eq(1)))
            .execute(db)? => ["create counter/10 n=1"];
        "insert_into, a batch": diesel::insert_into(counters::table).values(&vec![counter(10, 1), counter(11, 2)]).execute(db)?
            => ["create counter/10 n=1; create counter/11 n=2"];
        "update, find": diesel::update(counters::table.find(1)).set(counters::n.eq(2)).execute(db)? => ["update counter/1 n=2"];
        "update, a changeset": diesel::update(counters::table.find(1)).set(&counter(1, 3)).execute(db)?
            => ["update counter/1 n=3"];
        "update, a row": diesel::update(&counter(2, 0)).set(counters::n.eq(4)).execute(db)? => ["update counter/2 n=4"];
        "update, in the database": diesel::update(counters::table.find(1)).set(counters::n.eq(counters::n + 10)).execute(db)?
            => ["update counter/1 n=10"];
        "update, many rows": diesel::update(counters::table.filter(counters::id.lt(3))).set(counters::n.eq(counters::n + 10))
            .execute(db)? => ["update counter/1 n=10; update counter/2 n=10"];
        "update, no row": diesel::update(counters::table.find(99)).set(counters::n.eq(1)).execute(db)? => [];
        "save_changes": counter(3, 5).save_changes::<Counter>(db)? => ["update counter/3 n=5"];
        "save_changes, no row": counter(99, 5).save_changes::<Counter>(db).optional()? => [];
        "delete": diesel::delete(counters::table.find(1)).execute(db)? => ["destroy counter/1"];
        "delete, a row": diesel::delete(&counter(2, 0)).execute(db)? => ["destroy counter/2"];
        "delete, many rows": diesel::delete(counters::table.filter(counters::id.eq_any([3, 4, 99]))).execute(db)?
            => ["destroy counter/3; destroy counter/4"];
        "delete, no row": diesel::delete(counters::table.filter(counters::id.gt(98))).execute(db)? => [];
        "transaction": db.transaction(|db: &mut Db| {
            diesel::insert_into(counters::table).values(counter(10, 1)).execute(db)?;
            diesel::update(counters::table.find(10)).set(counters::n.eq(2)).execute(db)?;
            diesel::update(counters::table.find(1)).set(counters::n.eq(7)).execute(db)?;
            diesel::delete(counters::table.find(1)).execute(db)?;
            diesel::insert_into(counters::table).values(counter(11, 1)).execute(db)?;
            diesel::delete(counters::table.find(11)).execute(db)
        })? => ["create counter/10 n=2; destroy counter/1"];
        "transaction that fails": db.transaction(|db: &mut Db| {
            diesel::update(counters::table.find(1)).set(counters::n.eq(7)).execute(db)?;
            Err::<(), _>(Error::RollbackTransaction)
        }).expect_err("It fails.") => [];
        "nested transaction that fails": db.transaction(|db: &mut Db| {
            diesel::update(counters::table.find(1)).set(counters::n.eq(7)).execute(db)?;
            let nested = db.transaction(|db: &mut Db| {
                diesel::update(counters::table.find(1)).set(counters::n.eq(8)).execute(db)?;
                diesel::delete(counters::table.find(2)).execute(db)?;
                Err::<(), _>(Error::RollbackTransaction)
            });
            nested.expect_err("It fails.");
            Ok::<_, Error>(())
        })? => ["update counter/1 n=7"];
    }
}
