//! Failures: nothing is half published.

use std::panic::{AssertUnwindSafe, catch_unwind};

use diesel::connection::Connection;
use diesel::prelude::*;
use diesel::result::Error as DieselError;

use super::*;
use crate::Error;
use crate::commit::tests::Fault;
use crate::connection_tests::fixtures::*;
use crate::error::promiscuous_error;

fn add(db: &mut crate::Promiscuous<Inner>, new: NewCake) -> QueryResult<usize> {
    diesel::insert_into(cake::table).values(new).execute(db)
}

#[test]
fn a_version_store_that_is_away_rolls_the_write_back() {
    let Some(mut bakery) = bakery() else { return };
    bakery.fail(Fault::LockAndBump);
    let error = add(&mut bakery.db, named("one")).unwrap_err();
    assert!(matches!(promiscuous_error(&error), Some(Error::Publisher(_))));
    assert!(error.to_string().contains("could not be published: the test says so"), "{error}");
    bakery.fail(Fault::LockAndBump);
    assert!(bakery.db.transaction(|db| add(db, named("two"))).is_err());
    assert_eq!(cakes(&bakery), [""; 0]);
    assert_eq!(bakery.settled(), 0);
    add(&mut bakery.db, known(7, "three")).unwrap();
    assert_eq!(bakery.published(), ["create cake/7 three"]);
}

#[test]
fn a_failed_outbox_insert_rolls_back_and_settles_the_versions() {
    let Some(mut bakery) = bakery() else { return };
    bakery.fail(Fault::OutboxInsert);
    assert!(said(add(&mut bakery.db, named("one"))).contains("no_such_table"));
    bakery.fail(Fault::OutboxInsert);
    assert!(said(bakery.db.transaction(|db| add(db, named("two")))).contains("no_such_table"));
    assert_eq!(bakery.settled(), 2);
    assert_eq!(cakes(&bakery), [""; 0]);
    assert!(bakery.published().is_empty());
    add(&mut bakery.db, known(7, "three")).unwrap();
    assert_eq!(bakery.published(), ["create cake/7 three"]);
}

#[test]
fn a_row_that_cannot_be_read_rolls_its_write_back() {
    let Some(mut bakery) = bakery() else { return };
    let error = add(&mut bakery.db, known(6, "poison")).unwrap_err();
    assert!(error.to_string().contains("cannot be sent: the test says so"), "{error}");
    assert!(promiscuous_error(&error).is_some());
    assert_eq!(cakes(&bakery), [""; 0]);
    add(&mut bakery.db, known(7, "fine")).unwrap();
    assert_eq!(bakery.published(), ["create cake/7 fine"]);
}

#[test]
fn a_row_that_cannot_be_read_spoils_the_transaction_it_is_in() {
    let Some(mut bakery) = bakery() else { return };
    let result = bakery.db.transaction(|db| {
        add(db, known(1, "before"))?;
        assert!(said(add(db, known(6, "poison"))).contains("cannot be sent"));
        // A user who goes on regardless.
        let next = add(db, known(8, "after"));
        assert!(matches!(promiscuous_error(next.as_ref().unwrap_err()), Some(Error::Spoiled(_))));
        assert!(said(cake::table.count().get_result::<i64>(db)).contains("roll it back"));
        Ok(())
    });
    assert!(said::<()>(result).contains("roll it back"));
    assert_eq!(cakes(&bakery), [""; 0]);
    assert!(bakery.published().is_empty());
    add(&mut bakery.db, known(7, "fine")).unwrap();
    assert_eq!(bakery.published(), ["create cake/7 fine"]);
}

#[test]
fn a_savepoint_that_is_spoiled_can_be_rolled_back_alone() {
    let Some(mut bakery) = bakery() else { return };
    bakery
        .db
        .transaction::<_, DieselError, _>(|db| {
            add(db, known(1, "before"))?;
            let inner = db.transaction(|db| add(db, known(6, "poison")));
            assert!(said(inner).contains("cannot be sent"));
            // The user swallows the error inside: then the savepoint does not commit.
            let inner = db.transaction(|db| {
                let _ = add(db, known(6, "poison"));
                Ok::<_, DieselError>(())
            });
            assert!(said(inner).contains("roll it back"));
            add(db, known(2, "after"))?;
            Ok(())
        })
        .unwrap();
    assert_eq!(bakery.published(), ["create cake/1 before; create cake/2 after"]);
    assert_eq!(cakes(&bakery), ["before", "after"]);
}

#[test]
fn a_panic_while_a_row_is_read_leaves_no_transaction_open() {
    let Some(mut bakery) = bakery() else { return };
    let result = catch_unwind(AssertUnwindSafe(|| add(&mut bakery.db, named("panic"))));
    assert!(result.is_err());
    add(&mut bakery.db, known(7, "next")).unwrap();
    assert_eq!(cakes(&bakery), ["next"]);
    assert_eq!(bakery.published(), ["create cake/7 next"]);

    let result = bakery.db.transaction(|db| {
        let result = catch_unwind(AssertUnwindSafe(|| add(db, named("panic"))));
        assert!(result.is_err());
        Ok(())
    });
    assert!(said::<()>(result).contains("roll it back"));
    assert_eq!(cakes(&bakery), ["next"]);
}

#[test]
fn a_failed_statement_is_the_databases_own_error() {
    let Some(mut bakery) = bakery() else { return };
    add(&mut bakery.db, known(1, "one")).unwrap();
    let twice = add(&mut bakery.db, known(1, "twice"));
    assert!(matches!(
        twice,
        Err(DieselError::DatabaseError(diesel::result::DatabaseErrorKind::UniqueViolation, _))
    ));
    let twice = bakery.db.transaction(|db| add(db, known(1, "twice")));
    assert!(matches!(
        twice,
        Err(DieselError::DatabaseError(diesel::result::DatabaseErrorKind::UniqueViolation, _))
    ));
    let empty = diesel::update(cake::table.find(1)).set(None::<diesel::dsl::Eq<cake::name, String>>);
    assert!(matches!(empty.execute(&mut bakery.db), Err(DieselError::QueryBuilderError(_))));
    assert_eq!(bakery.published(), ["create cake/1 one"]);
}

#[test]
fn a_failed_statement_in_a_savepoint_leaves_the_rest_publishable() {
    let Some(mut bakery) = bakery() else { return };
    bakery
        .db
        .transaction::<_, DieselError, _>(|db| {
            add(db, known(1, "one"))?;
            assert!(db.transaction(|db| add(db, known(1, "twice"))).is_err());
            add(db, known(2, "two"))?;
            Ok(())
        })
        .unwrap();
    assert_eq!(bakery.published(), ["create cake/1 one; create cake/2 two"]);
}
