//! Transactions, savepoints, and what reaches the message.

use diesel::connection::{Connection, TransactionManager};
use diesel::prelude::*;
use diesel::result::Error;

use super::*;
use crate::Promiscuous;
use crate::connection_tests::fixtures::*;

type Db = Promiscuous<Inner>;

fn add(db: &mut Db, new: NewCake) -> QueryResult<usize> {
    diesel::insert_into(cake::table).values(new).execute(db)
}

#[test]
fn a_transaction_is_one_message_with_one_operation_for_each_row() {
    let Some(mut bakery) = bakery() else { return };
    bakery
        .db
        .transaction(|db| {
            add(db, known(1, "one"))?;
            add(db, known(2, "two"))?;
            diesel::update(cake::table.find(1)).set(cake::name.eq("uno")).execute(db)?;
            diesel::delete(cake::table.find(2)).execute(db)
        })
        .unwrap();
    assert_eq!(bakery.published(), ["create cake/1 uno"]);
    assert_eq!(outbox(&bakery), 1);
}

#[test]
fn nothing_is_published_before_the_transaction_commits() {
    let Some(mut bakery) = bakery() else { return };
    <Db as Connection>::TransactionManager::begin_transaction(&mut bakery.db).unwrap();
    add(&mut bakery.db, known(1, "one")).unwrap();
    assert!(bakery.published().is_empty());
    <Db as Connection>::TransactionManager::commit_transaction(&mut bakery.db).unwrap();
    assert_eq!(bakery.published(), ["create cake/1 one"]);
}

#[test]
fn what_is_rolled_back_is_not_published() {
    let Some(mut bakery) = bakery() else { return };
    let result = bakery.db.transaction(|db| {
        add(db, named("one"))?;
        Err::<(), _>(Error::RollbackTransaction)
    });
    assert_eq!(result, Err(Error::RollbackTransaction));
    assert_eq!(cakes(&bakery), [""; 0]);
    assert!(bakery.published().is_empty());
    // The connection goes on.
    add(&mut bakery.db, known(5, "two")).unwrap();
    assert_eq!(bakery.published(), ["create cake/5 two"]);
}

#[test]
fn savepoints_count_only_when_they_and_all_around_them_commit() {
    let Some(mut bakery) = bakery() else { return };
    bakery
        .db
        .transaction(|db| {
            add(db, known(1, "outer"))?;
            let lost = db.transaction(|db| {
                add(db, known(2, "lost"))?;
                db.transaction(|db| add(db, known(3, "lost too")))?;
                Err::<(), _>(Error::RollbackTransaction)
            });
            assert_eq!(lost, Err(Error::RollbackTransaction));
            db.transaction(|db| {
                add(db, known(4, "kept"))?;
                db.transaction(|db| add(db, known(5, "deep")))
            })
        })
        .unwrap();
    assert_eq!(bakery.published(), ["create cake/1 outer; create cake/4 kept; create cake/5 deep"]);
    assert_eq!(cakes(&bakery), ["outer", "kept", "deep"]);

    let result = bakery.db.transaction(|db| {
        db.transaction(|db| add(db, known(9, "x")))?;
        Err::<(), _>(Error::RollbackTransaction)
    });
    assert_eq!(result, Err(Error::RollbackTransaction));
    assert!(bakery.published().is_empty());
}

#[test]
fn a_test_transaction_works_as_usual_and_publishes_nothing() {
    let Some(mut bakery) = bakery() else { return };
    bakery.db.test_transaction::<_, Error, _>(|db| {
        add(db, known(1, "one"))?;
        db.transaction(|db| add(db, known(2, "two")))?;
        assert_eq!(cake::table.count().get_result::<i64>(db)?, 2);
        Ok(())
    });
    let mut other = bakery.another();
    other.begin_test_transaction().unwrap();
    other.transaction(|db| add(db, known(3, "three"))).unwrap();
    add(&mut other, known(4, "four")).unwrap();
    assert_eq!(cake::table.count().get_result::<i64>(&mut other), Ok(2));
    drop(other);
    assert!(bakery.published().is_empty());
    assert_eq!(cakes(&bakery), [""; 0]);
}

#[test]
fn a_transaction_of_only_unpublished_writes_needs_no_publisher() {
    let Some(mut bakery) = bakery() else { return };
    bakery.fail(crate::commit::tests::Fault::LockAndBump);
    bakery
        .db
        .transaction(|db| diesel::insert_into(pan::table).values(pan::name.eq("iron")).execute(db))
        .unwrap();
    assert!(bakery.published().is_empty());
}

#[test]
fn ending_what_was_never_begun_is_diesels_own_error() {
    let Some(mut bakery) = bakery() else { return };
    let commit = <Db as Connection>::TransactionManager::commit_transaction(&mut bakery.db);
    assert!(matches!(commit, Err(Error::NotInTransaction)));
    let rollback = <Db as Connection>::TransactionManager::rollback_transaction(&mut bakery.db);
    assert!(matches!(rollback, Err(Error::NotInTransaction)));
}

#[test]
fn two_connections_that_want_one_row_publish_it_in_the_order_of_their_commits() {
    let Some(mut bakery) = bakery() else { return };
    bake(&mut bakery, &["one"]);
    let mut others = [bakery.another(), bakery.another(), bakery.another()];
    // Each waits for the others' row locks.
    let wait = "PRAGMA busy_timeout = 20000";
    if <<Inner as Connection>::Backend as crate::backend::PromiscuousBackend>::DIALECT
        == promiscuous_core::database::Dialect::Sqlite
    {
        for db in &mut others {
            diesel::connection::SimpleConnection::batch_execute(db.inner(), wait).unwrap();
        }
    }
    std::thread::scope(|scope| {
        for db in &mut others {
            scope.spawn(move || {
                for _ in 0..20 {
                    let more = diesel::update(cake::table.filter(cake::name.like("one%")));
                    more.set(cake::name.eq(cake::name.concat("+"))).execute(db).unwrap();
                }
            });
        }
    });
    let published = bakery.published();
    let longest = format!("update cake/1 one{}", "+".repeat(60));
    assert_eq!(published.len(), 60);
    assert!(published.contains(&longest));
    let distinct: std::collections::HashSet<_> = published.iter().collect();
    assert_eq!(distinct.len(), 60, "each saw the row as the one before had left it");
}
