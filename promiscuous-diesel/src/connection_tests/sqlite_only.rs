//! What is SQLite's own.

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::result::Error as DieselError;

use super::{Bakery, Inner, open};
use crate::Promiscuous;
use crate::connection_tests::fixtures::*;
use crate::connection_tests::said;
use promiscuous_core::capture::CaptureSettings;

fn bakery() -> Bakery<Inner> {
    open(CaptureSettings::default()).expect("a file")
}

fn add(db: &mut Promiscuous<Inner>, new: NewCake) -> QueryResult<usize> {
    diesel::insert_into(cake::table).values(new).execute(db)
}

#[test]
fn the_last_row_id_is_that_of_the_apps_own_row() {
    let mut bakery = bakery();
    add(&mut bakery.db, known(41, "one")).unwrap();
    let id: i32 = diesel::select(diesel::dsl::sql::<diesel::sql_types::Integer>("last_insert_rowid()"))
        .get_result(&mut bakery.db)
        .unwrap();
    assert_eq!(id, 41, "and not the outbox's");
}

#[test]
fn a_transaction_that_the_database_has_rolled_back_does_not_go_on() {
    let mut bakery = bakery();
    bakery
        .db
        .batch_execute(
            "CREATE TRIGGER no_pan BEFORE INSERT ON pan WHEN NEW.name = 'boom' BEGIN SELECT RAISE(ROLLBACK, 'boom'); END",
        )
        .unwrap();
    let result = bakery.db.transaction(|db| {
        add(db, known(1, "before"))?;
        let boom = diesel::insert_into(pan::table).values(pan::name.eq("boom")).execute(db);
        assert!(said(boom).contains("boom"));
        // Without a look this would be committed at once, and never published.
        assert!(said(add(db, known(2, "after"))).contains("roll it back"));
        Ok(())
    });
    assert!(said::<()>(result).contains("roll it back"));
    // The same where the failure comes with the first row.
    let mut second = bakery.another();
    let result = second.transaction(|db| {
        add(db, known(1, "before"))?;
        let boom = diesel::insert_into(pan::table).values(pan::name.eq("boom")).returning(pan::id);
        assert!(said(boom.get_result::<i32>(db)).contains("boom"));
        assert!(said(add(db, known(2, "after"))).contains("roll it back"));
        Ok(())
    });
    assert!(said::<()>(result).contains("roll it back"));
    assert_eq!(cake::table.count().get_result::<i64>(&mut bakery.another()), Ok(0));
    assert!(bakery.published().is_empty());
    assert_eq!(bakery.settled(), 0);
}

#[test]
fn a_single_write_that_ends_its_own_transaction_leaves_the_connection_usable() {
    let mut bakery = bakery();
    bakery
        .db
        .batch_execute(
            "CREATE TRIGGER no_cake AFTER INSERT ON cake WHEN NEW.name = 'boom' BEGIN SELECT RAISE(ROLLBACK, 'boom'); END",
        )
        .unwrap();
    assert!(said(add(&mut bakery.db, known(1, "boom"))).contains("boom"));
    add(&mut bakery.db, known(2, "fine")).unwrap();
    bakery.db.transaction(|db| add(db, known(3, "too"))).unwrap();
    assert_eq!(bakery.published(), ["create cake/2 fine", "create cake/3 too"]);
}

#[test]
fn rows_that_a_failed_statement_has_left_behind_spoil_the_transaction() {
    let mut bakery = bakery();
    bakery
        .db
        .batch_execute(
            "DROP TABLE refused_at_commit; DROP TABLE cake; CREATE TABLE cake (id INTEGER PRIMARY KEY, name TEXT, \
             notes TEXT, code TEXT UNIQUE ON CONFLICT FAIL)",
        )
        .unwrap();
    let two = "INSERT INTO cake (name, code) VALUES ('a', 'x'), ('b', 'x')";
    let result = bakery.db.transaction(|db| {
        let failed = diesel::sql_query(two).execute(db);
        assert!(said(failed).contains("ON CONFLICT FAIL"));
        assert_eq!(cake::table.count().get_result::<i64>(db.inner()), Ok(1));
        Ok(())
    });
    assert!(said::<()>(result).contains("roll it back"));
    assert!(diesel::sql_query(two).execute(&mut bakery.db).is_err());
    assert_eq!(cake::table.count().get_result::<i64>(&mut bakery.another()), Ok(0));
    assert!(bakery.published().is_empty());
    // A constraint that fails as usual spoils nothing.
    bakery
        .db
        .transaction::<_, DieselError, _>(|db| {
            add(db, coded("one", "x"))?;
            assert!(add(db, known(1, "twice")).is_err());
            Ok(())
        })
        .unwrap();
    assert_eq!(bakery.published(), ["create cake/1 one"]);
}

#[test]
fn a_transaction_that_begins_by_reading_can_write_whatever_others_do() {
    let mut bakery = bakery();
    add(&mut bakery.db, known(1, "one")).unwrap();
    let mut other = bakery.another();
    bakery
        .db
        .transaction::<_, DieselError, _>(|db| {
            let _: Cake = cake::table.find(1).first(db)?;
            // In a deferred transaction this would succeed, and the next write fail for good.
            assert!(said(add(&mut other, known(2, "in between"))).contains("locked"));
            diesel::update(cake::table.find(1)).set(cake::name.eq("uno")).execute(db)
        })
        .unwrap();
    add(&mut other, known(2, "after")).unwrap();
    assert_eq!(bakery.published(), ["create cake/1 one", "update cake/1 uno", "create cake/2 after"]);
}

#[test]
fn transactions_with_another_begin_publish_as_well() {
    let mut bakery = bakery();
    let db = &mut bakery.db;
    db.immediate_transaction(|db| add(db, known(1, "one"))).unwrap();
    db.exclusive_transaction(|db| add(db, known(2, "two"))).unwrap();
    db.deferred_transaction(|db| add(db, known(3, "three"))).unwrap();
    let failed = db.immediate_transaction(|db| {
        add(db, known(4, "four"))?;
        Err::<(), _>(DieselError::RollbackTransaction)
    });
    assert_eq!(failed, Err(DieselError::RollbackTransaction));
    let nested = db.transaction(|db| db.immediate_transaction(|db| add(db, known(5, "five"))));
    assert!(matches!(nested, Err(DieselError::AlreadyInTransaction)));
    assert_eq!(bakery.published(), ["create cake/1 one", "create cake/2 two", "create cake/3 three"]);
}

#[test]
fn conflict_clauses_of_sqlite_are_captured_or_refused() {
    let mut bakery = bakery();
    add(&mut bakery.db, known(1, "one")).unwrap();
    let db = &mut bakery.db;
    assert_eq!(diesel::insert_or_ignore_into(cake::table).values(known(1, "x")).execute(db), Ok(0));
    assert_eq!(diesel::insert_or_ignore_into(cake::table).values(known(2, "two")).execute(db), Ok(1));
    let replaced = diesel::replace_into(cake::table).values(known(1, "x")).execute(db);
    assert!(said(replaced).contains("refused before it ran"));
    assert_eq!(bakery.published(), ["create cake/1 one", "create cake/2 two"]);
}
