//! What is PostgreSQL's own.

use diesel::pg::PgRowByRowLoadingMode;
use diesel::prelude::*;
use diesel::result::{DatabaseErrorKind, Error as DieselError};

use super::{Bakery, Inner, open};
use crate::connection_tests::fixtures::*;
use crate::connection_tests::{said, taken};
use crate::{Context, Promiscuous};
use promiscuous_core::capture::CaptureSettings;

fn bakery() -> Option<Bakery<Inner>> {
    open(CaptureSettings::default())
}

fn add(db: &mut Promiscuous<Inner>, new: NewCake) -> QueryResult<usize> {
    diesel::insert_into(cake::table).values(new).execute(db)
}

#[test]
fn a_transaction_with_a_failed_statement_commits_nothing_although_commit_succeeds() {
    let Some(mut bakery) = bakery() else { return };
    let result = bakery.db.transaction(|db| {
        add(db, known(1, "lost"))?;
        assert!(add(db, known(1, "twice")).is_err());
        // The user swallows the error; PostgreSQL answers COMMIT with ROLLBACK, which Diesel takes for success.
        Ok(())
    });
    assert!(said::<()>(result).contains("aborted"));
    assert_eq!(bakery.settled(), 1);
    assert!(bakery.published().is_empty());
    assert_eq!(cake::table.count().get_result::<i64>(&mut bakery.db), Ok(0));
    add(&mut bakery.db, known(1, "one")).unwrap();
    assert_eq!(bakery.published(), ["create cake/1 one"]);
}

#[test]
fn transactions_have_isolation_levels() {
    let Some(mut bakery) = bakery() else { return };
    add(&mut bakery.db, known(1, "one")).unwrap();
    add(&mut bakery.db, known(2, "two")).unwrap();
    bakery.published();
    let mut other = bakery.another();
    // Each reads what the other writes: one of them must fail, at COMMIT at the latest.
    let result = bakery.db.build_transaction().serializable().run(|db| {
        let _: Vec<Cake> = cake::table.load(db)?;
        diesel::update(cake::table.find(1)).set(cake::name.eq("uno")).execute(db)?;
        other.build_transaction().serializable().read_write().run(|db| {
            let _: Vec<Cake> = cake::table.load(db)?;
            diesel::update(cake::table.find(2)).set(cake::name.eq("due")).execute(db)
        })
    });
    assert!(
        matches!(result, Err(DieselError::DatabaseError(DatabaseErrorKind::SerializationFailure, _))),
        "{result:?}"
    );
    assert_eq!(bakery.published(), ["update cake/2 due"]);
    let refused = bakery.db.build_transaction().read_only().run(|db| add(db, known(3, "three")));
    assert!(said(refused).contains("read-only"));
    assert!(bakery.published().is_empty());
}

#[test]
fn a_connection_that_is_cut_before_its_commit_publishes_nothing() {
    let Some(mut bakery) = bakery() else { return };
    let mut victim = bakery.another();
    let result = victim.transaction(|db| {
        add(db, known(1, "lost"))?;
        let pid: i32 = diesel::select(diesel::dsl::sql::<diesel::sql_types::Integer>("pg_backend_pid()"))
            .get_result(db)?;
        diesel::sql_query(format!("SELECT pg_terminate_backend({pid})")).execute(bakery.db.inner())?;
        Ok::<_, DieselError>(())
    });
    assert!(result.is_err());
    assert!(bakery.published().is_empty());
    assert_eq!(bakery.settled(), 1);
    assert_eq!(cake::table.count().get_result::<i64>(&mut bakery.db), Ok(0));
    assert!(said(add(&mut victim, known(2, "again"))) != "nothing", "the connection is of no use any more");
}

#[test]
fn rows_that_come_one_by_one_are_remembered_too() {
    let Some(mut bakery) = bakery() else { return };
    add(&mut bakery.db, known(1, "one")).unwrap();
    add(&mut bakery.db, known(2, "two")).unwrap();
    let context = Context::new("test");
    bakery.db.set_context(Some(context.clone()));
    let all: QueryResult<Vec<Cake>> = cake::table
        .order(cake::id)
        .load_iter::<Cake, PgRowByRowLoadingMode>(&mut bakery.db)
        .unwrap()
        .collect();
    assert_eq!(all.unwrap().len(), 2);
    assert_eq!(taken(&context), ["cake/1", "cake/2"]);
    let insert = diesel::insert_into(cake::table).values(known(3, "three"));
    let id: QueryResult<Vec<i32>> =
        insert.returning(cake::id).load_iter::<i32, PgRowByRowLoadingMode>(&mut bakery.db).unwrap().collect();
    assert_eq!(id, Ok(vec![3]));
    assert_eq!(bakery.published().pop().as_deref(), Some("create cake/3 three"));
}
