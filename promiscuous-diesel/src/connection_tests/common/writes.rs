//! Single writes, outside of a transaction.

use diesel::prelude::*;

use super::*;
use crate::connection_tests::fixtures::*;
use crate::error::promiscuous_error;
use crate::{Bulk, Error};

#[test]
fn each_write_is_published_with_the_row_as_it_is() {
    let Some(mut bakery) = bakery() else { return };
    let db = &mut bakery.db;
    assert_eq!(diesel::insert_into(cake::table).values(coded("one", "c1")).execute(db), Ok(1));
    let renamed = diesel::update(cake::table.find(1)).set(cake::name.eq("uno")).execute(db);
    assert_eq!(renamed, Ok(1));
    assert_eq!(diesel::delete(cake::table.find(1)).execute(db), Ok(1));
    let messages = bakery.messages();
    let attributes = messages[1].operations[0].attributes.clone().unwrap();
    assert_eq!((&attributes["name"], &attributes["code"]), (&"uno".into(), &"c1".into()));
    let lines: Vec<_> =
        messages.iter().flat_map(|m| &m.operations).map(crate::connection_tests::describe).collect();
    assert_eq!(lines, ["create cake/1 one", "update cake/1 uno", "destroy cake/1"]);
    assert_eq!(outbox(&bakery), 3);
}

#[test]
fn inserts_of_every_form_publish_each_row() {
    let Some(mut bakery) = bakery() else { return };
    let db = &mut bakery.db;
    assert_eq!(diesel::insert_into(cake::table).values(vec![named("a"), named("b")]).execute(db), Ok(2));
    assert_eq!(diesel::insert_into(cake::table).values(known(7, "c")).execute(db), Ok(1));
    assert_eq!(
        diesel::insert_into(cake::table).values(vec![known(8, "d"), known(9, "e")]).execute(db),
        Ok(2)
    );
    assert_eq!(diesel::insert_into(cake::table).values(cake::name.eq("f")).execute(db), Ok(1));
    assert_eq!(diesel::insert_into(cake::table).default_values().execute(db), Ok(1));
    let link = |filling_id| CakeFilling { cake_id: 1, filling_id, amount: 5 };
    assert_eq!(diesel::insert_into(cake_filling::table).values(link(1)).execute(db), Ok(1));
    assert_eq!(diesel::insert_into(cake_filling::table).values(&vec![link(2), link(3)]).execute(db), Ok(2));
    let kiwi = (fruit::id.eq("a kiwi"), fruit::name.eq("kiwi"), fruit::cake_id.eq(None::<i32>));
    assert_eq!(diesel::insert_into(fruit::table).values(kiwi).execute(db), Ok(1));
    let published = bakery.published();
    let ids: Vec<i32> = cake::table.order(cake::id).select(cake::id).load(bakery.db.inner()).unwrap();
    // PostgreSQL's sequence does not know of explicit keys.
    let generated: Vec<_> = ids.iter().filter(|id| ![1, 2, 7, 8, 9].contains(*id)).collect();
    let [f, plain] = generated[..] else { panic!("two keys were generated: {ids:?}") };
    assert_eq!(
        published,
        [
            "create cake/1 a; create cake/2 b",
            "create cake/7 c",
            "create cake/8 d; create cake/9 e",
            &format!("create cake/{f} f"),
            &format!("create cake/{plain} plain"),
            "create cake_filling/1,1 5",
            "create cake_filling/1,2 5; create cake_filling/1,3 5",
            "create fruit/a%20kiwi kiwi",
        ]
    );
}

#[test]
fn what_matches_a_condition_is_published_row_by_row() {
    let Some(mut bakery) = bakery() else { return };
    bake(&mut bakery, &["ab", "ac", "bc"]);
    let db = &mut bakery.db;
    let rename = |name: &'static str| cake::name.eq(name);
    let some = cake::table.filter(cake::name.like("a%"));
    assert_eq!(diesel::update(some).set(rename("x")).execute(db), Ok(2));
    assert_eq!(
        diesel::update(cake::table.filter(cake::id.eq_any([2, 3]))).set(rename("y")).execute(db),
        Ok(2)
    );
    assert_eq!(diesel::update(cake::table).set(rename("z")).execute(db), Ok(3));
    assert_eq!(diesel::update(cake::table.find(99)).set(rename("z")).execute(db), Ok(0));
    assert_eq!(diesel::update(cake::table.filter(cake::name.eq("?"))).set(rename("z")).execute(db), Ok(0));
    let both = cake::table.filter(cake::name.eq("z").and(cake::id.gt(1)));
    let changes = (cake::name.eq("w"), cake::code.eq(None::<String>), cake::notes.eq("n"));
    assert_eq!(diesel::update(both).set(changes).execute(db), Ok(2));
    assert_eq!(diesel::delete(cake::table.filter(cake::id.gt(1))).execute(db), Ok(2));
    assert_eq!(diesel::delete(cake::table.find(99)).execute(db), Ok(0));
    assert_eq!(diesel::delete(cake::table).execute(db), Ok(1));
    assert_eq!(
        bakery.published(),
        [
            "update cake/1 x; update cake/2 x",
            "update cake/2 y; update cake/3 y",
            "update cake/1 z; update cake/2 z; update cake/3 z",
            "update cake/2 w; update cake/3 w",
            "destroy cake/2; destroy cake/3",
            "destroy cake/1",
        ]
    );
}

#[test]
fn keys_of_other_types_and_of_several_columns_are_captured_too() {
    let Some(mut bakery) = bakery() else { return };
    let db = &mut bakery.db;
    for (id, name) in [("k", "kiwi"), ("it's; ?", "fig")] {
        let values = (fruit::id.eq(id), fruit::name.eq(name));
        diesel::insert_into(fruit::table).values(values).execute(db).unwrap();
    }
    diesel::update(fruit::table.find("k")).set(fruit::name.eq("x")).execute(db).unwrap();
    diesel::update(fruit::table.filter(fruit::name.eq("fig"))).set(fruit::name.eq("y")).execute(db).unwrap();
    diesel::delete(fruit::table.filter(fruit::cake_id.is_null())).execute(db).unwrap();
    let link = |cake_id, filling_id| CakeFilling { cake_id, filling_id, amount: 1 };
    diesel::insert_into(cake_filling::table)
        .values(vec![link(1, 2), link(1, 3), link(2, 3)])
        .execute(db)
        .unwrap();
    diesel::update(cake_filling::table.find((1, 3))).set(cake_filling::amount.eq(2)).execute(db).unwrap();
    diesel::update(cake_filling::table.filter(cake_filling::filling_id.eq(3)))
        .set(cake_filling::amount.eq(cake_filling::amount + 1))
        .execute(db)
        .unwrap();
    diesel::delete(cake_filling::table.find((1, 2))).execute(db).unwrap();
    diesel::delete(cake_filling::table.filter(cake_filling::amount.gt(1))).execute(db).unwrap();
    assert_eq!(
        bakery.published(),
        [
            "create fruit/k kiwi",
            "create fruit/it%27s%3B%20%3F fig",
            "update fruit/k x",
            "update fruit/it%27s%3B%20%3F y",
            "destroy fruit/it%27s%3B%20%3F; destroy fruit/k",
            "create cake_filling/1,2 1; create cake_filling/1,3 1; create cake_filling/2,3 1",
            "update cake_filling/1,3 2",
            "update cake_filling/1,3 3; update cake_filling/2,3 2",
            "destroy cake_filling/1,2",
            "destroy cake_filling/1,3; destroy cake_filling/2,3",
        ]
    );
}

#[test]
fn save_changes_publishes_the_row_and_answers_with_it() {
    let Some(mut bakery) = bakery() else { return };
    bake(&mut bakery, &["one"]);
    let context = crate::Context::new("test");
    bakery.db.set_context(Some(context.clone()));
    let mut one: Cake = cake::table.find(1).first(&mut bakery.db).unwrap();
    assert_eq!(taken(&context), ["cake/1"]);
    one.name = "uno".into();
    one.code = Some("c".into());
    let saved: Cake = one.save_changes(&mut bakery.db).unwrap();
    assert_eq!(saved, one);
    assert_eq!(bakery.published(), ["update cake/1 uno"]);
    assert_eq!(taken(&context), [""; 0], "what was just written is not a read");
    let link = CakeFilling { cake_id: 1, filling_id: 2, amount: 3 };
    diesel::insert_into(cake_filling::table).values(link.clone()).execute(&mut bakery.db).unwrap();
    let saved: CakeFilling = CakeFilling { amount: 4, ..link }.save_changes(&mut bakery.db).unwrap();
    assert_eq!(saved.amount, 4);
    let gone = Cake { id: 99, ..one }.save_changes::<Cake>(&mut bakery.db);
    assert_eq!(gone, Err(diesel::result::Error::NotFound));
    assert_eq!(bakery.published(), ["create cake_filling/1,2 3", "update cake_filling/1,2 4"]);
}

#[test]
fn a_write_that_changes_no_published_attribute_passes() {
    let Some(mut bakery) = bakery() else { return };
    bake(&mut bakery, &["one"]);
    let db = &mut bakery.db;
    diesel::update(cake::table.find(1)).set(cake::notes.eq("secret")).execute(db).unwrap();
    diesel::insert_into(pan::table).values(pan::name.eq("iron")).execute(db).unwrap();
    diesel::sql_query("INSERT INTO pan (name) VALUES ('raw cake')").execute(db).unwrap();
    diesel::delete(pan::table).execute(db).unwrap();
    assert!(bakery.published().is_empty());
    assert_eq!(outbox(&bakery), 0);
}

#[test]
fn what_cannot_be_captured_is_refused_before_it_runs() {
    let Some(mut bakery) = bakery() else { return };
    bake(&mut bakery, &["one"]);
    let db = &mut bakery.db;
    let raw = |db: &mut crate::Promiscuous<Inner>, sql: &str| diesel::sql_query(sql).execute(db);
    for refused in [
        diesel::update(cake::table.find(1)).set(cake::id.eq(5)).execute(db),
        raw(db, "UPDATE cake SET name = 'x';"),
        raw(db, "UPDATE cake SET name = 'x'; -- so"),
        raw(db, "TRUNCATE TABLE cake"),
        raw(db, "DELETE FROM cake USING cake, pan WHERE cake.name = pan.name"),
    ] {
        let error = refused.unwrap_err();
        let ours = promiscuous_error(&error);
        let refused = matches!(ours, Some(Error::UnsupportedWrite { .. } | Error::Configuration(_)));
        assert!(refused && error.to_string().contains("refused before it ran"), "{error}");
    }
    for sql in ["BEGIN", "ROLLBACK", "SAVEPOINT x", "COMMIT"] {
        assert!(said(raw(db, sql)).contains("refused before it ran"), "{sql}");
        assert!(
            said(diesel::connection::SimpleConnection::batch_execute(db, sql)).contains("refused"),
            "{sql}"
        );
    }
    for script in ["UPDATE cake SET name = 'x'", "SELECT 1; DELETE FROM cake; SELECT 2"] {
        let said = said(diesel::connection::SimpleConnection::batch_execute(db, script));
        assert!(said.contains("refused before it ran"), "{said}");
    }
    assert!(bakery.published().is_empty());
    assert_eq!(cakes(&bakery), ["one"]);
}

#[test]
fn too_many_rows_are_refused_and_nothing_is_written() {
    let mut settings = CaptureSettings::default();
    settings.bulk_limit = 2;
    let Some(mut bakery) = open(settings.clone()) else { return };
    // (Diesel inserts rows that may leave columns out one by one on SQLite.)
    let name = |name: &'static str| cake::name.eq(name);
    bake(&mut bakery, &["a", "b", "c"]);
    let db = &mut bakery.db;
    for refused in [
        said(diesel::update(cake::table).set(cake::name.eq("x")).execute(db)),
        said(diesel::delete(cake::table).execute(db)),
        said(diesel::insert_into(cake::table).values(vec![name("d"), name("e"), name("f")]).execute(db)),
    ] {
        assert!(refused.contains("more than 2 rows"), "{refused}");
    }
    let few = cake::table.filter(cake::id.lt(3));
    assert_eq!(diesel::update(few).set(cake::name.eq("x")).execute(db), Ok(2));
    assert_eq!(bakery.published(), ["update cake/1 x; update cake/2 x"]);
    assert_eq!(cakes(&bakery), ["x", "x", "c"]);

    settings.bulk = Bulk::Refuse;
    let Some(mut bakery) = open(settings) else { return };
    bake(&mut bakery, &["a", "b"]);
    let db = &mut bakery.db;
    for refused in [
        said(diesel::update(cake::table).set(cake::name.eq("x")).execute(db)),
        said(diesel::delete(cake::table.filter(cake::name.eq("a"))).execute(db)),
        said(diesel::insert_into(cake::table).values(vec![name("d"), name("e")]).execute(db)),
    ] {
        assert!(refused.contains("refused before it ran"), "{refused}");
    }
    diesel::update(cake::table.find(1)).set(cake::name.eq("x")).execute(db).unwrap();
    diesel::insert_into(cake::table).values(named("c")).execute(db).unwrap();
    assert_eq!(bakery.published(), ["update cake/1 x", "create cake/3 c"]);
}

#[test]
fn without_promiscuous_nothing_is_published() {
    let Some(mut bakery) = bakery() else { return };
    let quiet = bakery
        .db
        .without_promiscuous(|plain| diesel::insert_into(cake::table).values(named("quiet")).execute(plain));
    assert_eq!(quiet, Ok(1));
    assert!(bakery.published().is_empty());
    assert_eq!(cakes(&bakery), ["quiet"]);
}

#[test]
fn raw_statements_are_captured_like_others() {
    let Some(mut bakery) = bakery() else { return };
    bake(&mut bakery, &["one", "two"]);
    let db = &mut bakery.db;
    assert_eq!(diesel::sql_query("INSERT INTO cake (name) VALUES ('three')").execute(db), Ok(1));
    assert_eq!(diesel::sql_query("UPDATE cake SET name = 'x'\n  WHERE id > 1").execute(db), Ok(2));
    assert_eq!(diesel::sql_query("DELETE FROM cake WHERE name = 'one'").execute(db), Ok(1));
    assert_eq!(
        bakery.published(),
        ["create cake/3 three", "update cake/2 x; update cake/3 x", "destroy cake/1"]
    );
}
