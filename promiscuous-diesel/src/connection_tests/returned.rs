//! Writes that return rows: PostgreSQL and SQLite.

use diesel::prelude::*;
use diesel::upsert::excluded;

use super::{Inner, open};
use crate::connection_tests::fixtures::*;
use crate::connection_tests::{Bakery, said};
use promiscuous_core::capture::CaptureSettings;

fn bakery() -> Option<Bakery<Inner>> {
    open(CaptureSettings::default())
}

#[test]
fn the_app_gets_the_columns_it_asked_for_and_no_more() {
    let Some(mut bakery) = bakery() else { return };
    let db = &mut bakery.db;
    let one: Cake = diesel::insert_into(cake::table).values(coded("one", "c")).get_result(db).unwrap();
    assert_eq!((one.id, one.code.as_deref()), (1, Some("c")));
    let id: i32 =
        diesel::insert_into(cake::table).values(named("two")).returning(cake::id).get_result(db).unwrap();
    assert_eq!(id, 2);
    let all: Vec<(Option<String>, String)> = diesel::update(cake::table)
        .set(cake::name.eq(cake::name.concat("!")))
        .returning((cake::code, cake::name))
        .get_results(db)
        .unwrap();
    assert!(all.contains(&(Some("c".into()), "one!".into())) && all.len() == 2, "{all:?}");
    let gone: Cake =
        diesel::delete(cake::table.find(1)).returning(Cake::as_returning()).get_result(db).unwrap();
    assert_eq!(gone.name, "one!");
    let none: Vec<i32> =
        diesel::update(cake::table.find(99)).set(cake::name.eq("x")).returning(cake::id).load(db).unwrap();
    assert_eq!(none, [0; 0]);
    assert_eq!(
        bakery.published(),
        [
            "create cake/1 one",
            "create cake/2 two",
            "update cake/1 one!; update cake/2 two!",
            "destroy cake/1"
        ]
    );
}

#[test]
fn rows_by_name_have_only_the_names_that_the_app_asked_for() {
    #[derive(Debug, QueryableByName)]
    #[diesel(table_name = cake)]
    struct Named {
        name: String,
    }
    #[derive(Debug, QueryableByName)]
    #[diesel(table_name = cake)]
    #[allow(dead_code)]
    struct WithCode {
        code: Option<String>,
    }
    let Some(mut bakery) = bakery() else { return };
    let db = &mut bakery.db;
    let insert = || diesel::sql_query("INSERT INTO cake (name, code) VALUES ('one', NULL) RETURNING name");
    let one: Named = insert().get_result(db).unwrap();
    assert_eq!(one.name, "one");
    assert!(said(insert().get_result::<WithCode>(db)).contains("code"));
    assert_eq!(bakery.published().len(), 2);
}

#[test]
fn all_rows_are_published_when_the_app_stops_reading() {
    let Some(mut bakery) = bakery() else { return };
    let insert = "INSERT INTO cake (name) VALUES ('a'), ('b'), ('c') RETURNING id";
    #[derive(QueryableByName)]
    #[diesel(table_name = cake)]
    #[allow(dead_code)]
    struct Id {
        id: i32,
    }
    let mut rows = diesel::sql_query(insert)
        .load_iter::<Id, diesel::connection::DefaultLoadingMode>(&mut bakery.db)
        .unwrap();
    assert!(rows.next().unwrap().is_ok());
    drop(rows);
    assert_eq!(bakery.published(), ["create cake/1 a; create cake/2 b; create cake/3 c"]);
}

#[test]
fn upserts_publish_what_they_inserted_or_updated() {
    let Some(mut bakery) = bakery() else { return };
    let db = &mut bakery.db;
    let one = diesel::insert_into(cake::table).values(coded("one", "c"));
    one.on_conflict(cake::code).do_update().set(cake::name.eq(excluded(cake::name))).execute(db).unwrap();
    let again = diesel::insert_into(cake::table).values(coded("uno", "c"));
    let again: Cake = again
        .on_conflict(cake::code)
        .do_update()
        .set(cake::name.eq(excluded(cake::name)))
        .get_result(db)
        .unwrap();
    assert_eq!((again.id, again.name.as_str()), (1, "uno"));
    let nothing =
        diesel::insert_into(cake::table).values(coded("eins", "c")).on_conflict_do_nothing().execute(db);
    assert_eq!(nothing, Ok(0));
    let nothing = diesel::insert_into(cake::table).values(known(1, "x")).on_conflict(cake::id).do_nothing();
    assert_eq!(nothing.get_result::<Cake>(db).optional(), Ok(None));
    let link = |filling_id, amount| CakeFilling { cake_id: 1, filling_id, amount };
    diesel::insert_into(cake_filling::table).values(link(1, 1)).execute(db).unwrap();
    diesel::insert_into(cake_filling::table)
        .values(link(1, 5))
        .on_conflict((cake_filling::cake_id, cake_filling::filling_id))
        .do_update()
        .set(cake_filling::amount.eq(excluded(cake_filling::amount)))
        .execute(db)
        .unwrap();
    assert_eq!(
        bakery.published(),
        ["update cake/1 one", "update cake/1 uno", "create cake_filling/1,1 1", "update cake_filling/1,1 5"]
    );
}

#[test]
fn rows_that_are_selected_and_inserted_are_published() {
    let Some(mut bakery) = bakery() else { return };
    let db = &mut bakery.db;
    for name in ["iron", "clay"] {
        diesel::insert_into(pan::table).values(pan::name.eq(name)).execute(db).unwrap();
    }
    let copied =
        pan::table.select(pan::name).order(pan::id).insert_into(cake::table).into_columns(cake::name);
    assert_eq!(copied.execute(db), Ok(2));
    assert_eq!(bakery.published(), ["create cake/1 iron; create cake/2 clay"]);
}

#[test]
fn too_many_returned_rows_spoil_the_transaction_they_are_in() {
    let mut settings = CaptureSettings::default();
    settings.bulk_limit = 1;
    let Some(mut bakery) = open(settings) else { return };
    let plain = bakery.db.inner();
    diesel::insert_into(cake::table).values(&vec![named("a"), named("b")]).execute(plain).unwrap();
    let result = bakery.db.transaction(|db| {
        let all = diesel::update(cake::table).set(cake::name.eq("x")).execute(db);
        assert!(said(all).contains("more than 1 rows"));
        Ok(())
    });
    assert!(said::<()>(result).contains("roll it back"));
    let names: Vec<String> = cake::table.order(cake::id).select(cake::name).load(bakery.db.inner()).unwrap();
    assert_eq!(names, ["a", "b"]);
    assert!(bakery.published().is_empty());
}

#[test]
fn a_commit_that_the_database_refuses_settles_the_versions() {
    let Some(mut bakery) = bakery() else { return };
    bakery.fail(crate::commit::tests::Fault::Commit);
    let result = diesel::insert_into(cake::table).values(named("one")).execute(&mut bakery.db);
    assert!(matches!(result, Err(diesel::result::Error::DatabaseError(..))), "{result:?}");
    assert_eq!(bakery.settled(), 1);
    assert!(bakery.published().is_empty());
    assert_eq!(cake::table.count().get_result::<i64>(&mut bakery.db), Ok(0));
    diesel::insert_into(cake::table).values(known(7, "two")).execute(&mut bakery.db).unwrap();
    assert_eq!(bakery.published(), ["create cake/7 two"]);
}
