//! MySQL and MariaDB: writes whose rows were searched for, and which are narrowed to these.

use diesel::connection::{InstrumentationEvent, SimpleConnection};
use diesel::prelude::*;

use super::{Bakery, Inner, open};
use crate::Promiscuous;
use crate::connection_tests::fixtures::*;
use crate::connection_tests::said;
use promiscuous_core::capture::CaptureSettings;

fn bakery() -> Option<Bakery<Inner>> {
    open(CaptureSettings::default())
}

fn add(db: &mut Promiscuous<Inner>, new: NewCake) -> QueryResult<usize> {
    diesel::insert_into(cake::table).values(new).execute(db)
}

#[test]
fn rows_are_written_in_the_order_that_the_statement_asks_for() {
    let Some(mut bakery) = bakery() else { return };
    for (id, code) in [(1, "1"), (2, "2"), (3, "3")] {
        add(&mut bakery.db, NewCake { id: Some(id), ..coded("x", code) }).unwrap();
    }
    bakery.published();
    let shift = "UPDATE cake SET code = code + 1 WHERE name = 'x' ORDER BY code";
    assert!(said(diesel::sql_query(shift).execute(&mut bakery.db)).contains("Duplicate"));
    let shift = format!("{shift} DESC");
    assert_eq!(diesel::sql_query(shift).execute(&mut bakery.db), Ok(3));
    assert_eq!(bakery.published(), ["update cake/1 x; update cake/2 x; update cake/3 x"]);
}

#[test]
fn rows_with_keys_of_several_columns_are_written_in_order_too() {
    let Some(mut bakery) = bakery() else { return };
    // Given rows that can only be moved from the last one on
    bakery.db.inner().batch_execute("CREATE UNIQUE INDEX ranks ON cake_filling (cake_id, amount)").unwrap();
    for filling_id in 1..=3 {
        let link = CakeFilling { cake_id: 1, filling_id, amount: filling_id };
        diesel::insert_into(cake_filling::table).values(&link).execute(&mut bakery.db).unwrap();
    }
    bakery.published();
    let db = &mut bakery.db;
    // When they are, with a bind before the condition and one in it
    let shift = |order: &str| {
        diesel::sql_query(format!("UPDATE cake_filling SET amount = amount + ? WHERE cake_id = ? {order}"))
            .bind::<diesel::sql_types::Integer, _>(1)
            .bind::<diesel::sql_types::Integer, _>(1)
    };
    assert!(said(shift("ORDER BY amount").execute(db)).contains("Duplicate"));
    assert_eq!(shift("ORDER BY amount DESC").execute(db), Ok(3));
    // Then so they are published, also where there is no condition, or the rows are deleted
    assert_eq!(
        diesel::sql_query("UPDATE cake_filling SET amount = 0 - amount ORDER BY amount").execute(db),
        Ok(3)
    );
    let last = diesel::sql_query("DELETE FROM cake_filling WHERE amount < -2 ORDER BY filling_id DESC");
    assert_eq!(last.execute(db), Ok(2));
    assert_eq!(
        bakery.published(),
        [
            "update cake_filling/1,1 2; update cake_filling/1,2 3; update cake_filling/1,3 4",
            "update cake_filling/1,1 -2; update cake_filling/1,2 -3; update cake_filling/1,3 -4",
            "destroy cake_filling/1,2; destroy cake_filling/1,3",
        ]
    );
    let left: Vec<CakeFilling> = cake_filling::table.load(&mut bakery.db).unwrap();
    assert_eq!(left, [CakeFilling { cake_id: 1, filling_id: 1, amount: -2 }]);
}

#[test]
fn a_row_that_appears_between_the_search_and_the_statement_is_not_written() {
    let Some(mut bakery) = bakery() else { return };
    add(&mut bakery.db, known(1, "one")).unwrap();
    bakery.published();
    bakery.db.inner().batch_execute("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED").unwrap();
    let mut other = Inner::establish(&bakery.url).unwrap();
    let mut next = 2;
    bakery.db.set_instrumentation(move |event: InstrumentationEvent<'_>| {
        let InstrumentationEvent::StartQuery { query, .. } = event else { return };
        let query = query.to_string();
        if query.starts_with("UPDATE") || query.starts_with("DELETE") {
            // Others write behind our back, and commit at once.
            diesel::insert_into(cake::table).values(known(next, "one")).execute(&mut other).unwrap();
            next += 1;
        }
    });
    let all = cake::table.filter(cake::name.like("on%"));
    assert_eq!(diesel::update(all).set(cake::name.eq("one more")).execute(&mut bakery.db), Ok(1));
    assert_eq!(diesel::delete(all).execute(&mut bakery.db), Ok(2));
    assert_eq!(bakery.published(), ["update cake/1 one more", "destroy cake/1; destroy cake/2"]);
    let left: Vec<i32> = cake::table.select(cake::id).load(&mut bakery.db).unwrap();
    assert_eq!(left, [3]);
}
