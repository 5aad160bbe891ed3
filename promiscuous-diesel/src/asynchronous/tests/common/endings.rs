//! Failures: nothing is half published.

use diesel::QueryDsl;
use diesel::result::{DatabaseErrorKind, Error as DieselError};
use diesel_async::RunQueryDsl;

use super::*;
use crate::Error;
use crate::commit::tests::Fault;
use crate::connection_tests::fixtures::*;
use crate::connection_tests::said;
use crate::error::promiscuous_error;

async fn add(db: &mut Db, new: NewCake) -> Result<usize, DieselError> {
    diesel::insert_into(cake::table).values(new).execute(db).await
}

#[tokio::test]
async fn a_version_store_that_is_away_rolls_the_write_back() {
    let Some(Kitchen { mut db, bakery }) = kitchen().await else { return };
    bakery.fail(Fault::LockAndBump);
    let error = add(&mut db, named("one")).await.unwrap_err();
    assert!(matches!(promiscuous_error(&error), Some(Error::Publisher(_))));
    bakery.fail(Fault::LockAndBump);
    let both = db.transaction::<_, DieselError, _>(async |db: &mut Db| add(db, named("two")).await).await;
    assert!(said(both).contains("the test says so"));
    assert_eq!(cakes(&bakery), [""; 0]);
    assert_eq!(bakery.settled(), 0);
    add(&mut db, known(7, "three")).await.unwrap();
    assert_eq!(bakery.published(), ["create cake/7 three"]);
}

#[tokio::test]
async fn a_failed_outbox_insert_rolls_back_and_settles_the_versions() {
    let Some(Kitchen { mut db, bakery }) = kitchen().await else { return };
    bakery.fail(Fault::OutboxInsert);
    assert!(said(add(&mut db, named("one")).await).contains("no_such_table"));
    bakery.fail(Fault::OutboxInsert);
    let both = db.transaction::<_, DieselError, _>(async |db: &mut Db| add(db, named("two")).await).await;
    assert!(said(both).contains("no_such_table"));
    assert_eq!(bakery.settled(), 2);
    assert_eq!(cakes(&bakery), [""; 0]);
    assert!(bakery.published().is_empty());
    add(&mut db, known(7, "three")).await.unwrap();
    assert_eq!(bakery.published(), ["create cake/7 three"]);
}

#[tokio::test]
async fn a_row_that_cannot_be_read_rolls_its_write_back() {
    let Some(Kitchen { mut db, bakery }) = kitchen().await else { return };
    let error = add(&mut db, known(6, "poison")).await.unwrap_err();
    assert!(error.to_string().contains("the test says so"), "{error}");
    assert_eq!(cakes(&bakery), [""; 0]);
    add(&mut db, known(7, "fine")).await.unwrap();
    assert_eq!(bakery.published(), ["create cake/7 fine"]);
}

#[tokio::test]
async fn a_row_that_cannot_be_read_spoils_the_transaction_it_is_in() {
    let Some(Kitchen { mut db, bakery }) = kitchen().await else { return };
    let result = db.transaction::<(), DieselError, _>(async |db: &mut Db| {
        add(db, known(1, "before")).await?;
        assert!(said(add(db, known(6, "poison")).await).contains("the test says so"));
        // A user who goes on regardless.
        let next = add(db, known(8, "after")).await;
        assert!(matches!(promiscuous_error(next.as_ref().unwrap_err()), Some(Error::Spoiled(_))));
        assert!(said(cake::table.count().get_result::<i64>(db).await).contains("roll it back"));
        Ok(())
    });
    assert!(said(result.await).contains("roll it back"));
    assert_eq!(cakes(&bakery), [""; 0]);
    assert!(bakery.published().is_empty());
    add(&mut db, known(7, "fine")).await.unwrap();
    assert_eq!(bakery.published(), ["create cake/7 fine"]);
}

#[tokio::test]
async fn a_savepoint_that_is_spoiled_can_be_rolled_back_alone() {
    let Some(Kitchen { mut db, bakery }) = kitchen().await else { return };
    let result = db.transaction::<_, DieselError, _>(async |db: &mut Db| {
        add(db, known(1, "before")).await?;
        let savepoint =
            db.transaction::<_, DieselError, _>(async |db: &mut Db| add(db, known(6, "poison")).await);
        assert!(said(savepoint.await).contains("the test says so"));
        add(db, known(2, "after")).await
    });
    assert_eq!(result.await, Ok(1));
    assert_eq!(bakery.published(), ["create cake/1 before; create cake/2 after"]);
    assert_eq!(cakes(&bakery), ["before", "after"]);
}

#[tokio::test]
async fn a_violated_constraint_is_diesels_own_error_and_the_connection_lives_on() {
    let Some(Kitchen { mut db, bakery }) = kitchen().await else { return };
    add(&mut db, coded("one", "c")).await.unwrap();
    let twice = add(&mut db, coded("two", "c")).await;
    assert!(
        matches!(twice, Err(DieselError::DatabaseError(DatabaseErrorKind::UniqueViolation, _))),
        "{twice:?}"
    );
    let savepoint = db.transaction::<_, DieselError, _>(async |db: &mut Db| {
        let twice = db.transaction::<_, DieselError, _>(async |db: &mut Db| add(db, coded("two", "c")).await);
        assert!(twice.await.is_err());
        add(db, known(7, "three")).await
    });
    assert_eq!(savepoint.await, Ok(1));
    assert_eq!(bakery.published(), ["create cake/1 one", "create cake/7 three"]);
}

#[tokio::test]
async fn a_panic_in_a_model_leaves_nothing_behind() {
    let Some(Kitchen { mut db, bakery }) = kitchen().await else { return };
    let panicking =
        futures_util::FutureExt::catch_unwind(std::panic::AssertUnwindSafe(add(&mut db, known(6, "panic"))));
    assert!(panicking.await.is_err());
    let next = add(&mut db, known(7, "fine")).await;
    // The driver of MySQL cannot tell a panic from a cancellation.
    if <<Inner as diesel_async::AsyncConnectionCore>::Backend as crate::AsyncBackend>::SURVIVES_CANCELLATION {
        assert_eq!(next, Ok(1));
        assert_eq!(bakery.published(), ["create cake/7 fine"]);
        assert_eq!(cakes(&bakery), ["fine"]);
    } else {
        assert!(said(next).contains("cannot be used any more"));
        assert_eq!(cakes(&bakery), [""; 0]);
    }
}

#[tokio::test]
async fn a_connection_that_is_closed_loses_nothing_that_was_committed() {
    let Some(Kitchen { mut db, mut bakery }) = kitchen().await else { return };
    add(&mut db, known(1, "one")).await.unwrap();
    let result = db.transaction::<_, DieselError, _>(async |db: &mut Db| {
        add(db, known(2, "two")).await?;
        kill_others(&mut bakery);
        add(db, known(3, "three")).await
    });
    assert!(result.await.is_err());
    assert!(add(&mut db, known(4, "four")).await.is_err());
    assert_eq!(cakes(&bakery), ["one"]);
    assert_eq!(bakery.published(), ["create cake/1 one"]);
}
