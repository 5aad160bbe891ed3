//! What is read becomes a cause of what is written.

use diesel::prelude::*;

use super::*;
use crate::connection_tests::fixtures::*;
use crate::{Context, Promiscuous};

/// Two cakes, one with a fruit and a filling.
fn stocked() -> Option<Bakery<Inner>> {
    let mut bakery = bakery()?;
    bake(&mut bakery, &["one", "two"]);
    let plain = bakery.db.inner();
    for (id, name, cake_id) in [("7", "kiwi", Some(1)), ("8", "fig", None)] {
        let values = (fruit::id.eq(id), fruit::name.eq(name), fruit::cake_id.eq(cake_id));
        diesel::insert_into(fruit::table).values(values).execute(plain).unwrap();
    }
    let link = CakeFilling { cake_id: 1, filling_id: 1, amount: 1 };
    diesel::insert_into(cake_filling::table).values(link).execute(plain).unwrap();
    Some(bakery)
}

#[test]
fn rows_are_remembered_however_they_are_read() {
    let Some(mut bakery) = stocked() else { return };
    let context = Context::new("test");
    bakery.db.set_context(Some(context.clone()));
    let db = &mut bakery.db;
    let read = || taken(&context);

    let _: Cake = cake::table.find(1).first(db).unwrap();
    assert_eq!(read(), ["cake/1"]);
    assert_eq!(cake::table.find(99).first::<Cake>(db).optional(), Ok(None));
    assert_eq!(read(), [""; 0]);
    let all: Vec<Cake> = cake::table.load(db).unwrap();
    assert_eq!(read(), ["cake/1", "cake/2"]);
    let _: Vec<Cake> = cake::table.select(Cake::as_select()).order(cake::name).get_results(db).unwrap();
    assert_eq!(read(), ["cake/1", "cake/2"]);
    let _: Vec<(String, i32)> =
        cake::table.select((cake::name, cake::id)).limit(1).offset(1).load(db).unwrap();
    assert_eq!(read(), ["cake/2"]);
    let _: Vec<Cake> = cake::table.filter(cake::name.eq("one")).into_boxed().load(db).unwrap();
    assert_eq!(read(), ["cake/1"]);
    let _: Vec<(Fruit, Option<Cake>)> = fruit::table.left_join(cake::table).load(db).unwrap();
    assert_eq!(read(), ["cake/1", "fruit/7", "fruit/8"]);
    let _: Vec<(Cake, Fruit)> = cake::table.inner_join(fruit::table).load(db).unwrap();
    assert_eq!(read(), ["cake/1", "fruit/7"]);
    let _: Vec<Fruit> = Fruit::belonging_to(&all).load(db).unwrap();
    assert_eq!(read(), ["fruit/7"]);
    let _: Vec<CakeFilling> = cake_filling::table.load(db).unwrap();
    assert_eq!(read(), ["cake_filling/1,1"]);
    let other = diesel::alias!(cake as other);
    let pairs: Vec<(i32, i32)> = cake::table
        .inner_join(other.on(other.field(cake::id).ne(cake::id)))
        .filter(cake::id.eq(1))
        .select((cake::id, other.field(cake::id)))
        .load(db)
        .unwrap();
    assert_eq!((pairs, read()), (vec![(1, 2)], vec!["cake/1".to_owned(), "cake/2".to_owned()]));
}

#[test]
fn rows_of_raw_queries_are_remembered_by_the_names_of_their_columns() {
    let Some(mut bakery) = stocked() else { return };
    let context = Context::new("test");
    bakery.db.set_context(Some(context.clone()));
    let all: Vec<CakeFilling> =
        diesel::sql_query("SELECT * FROM cake_filling WHERE amount > 0").load(&mut bakery.db).unwrap();
    assert_eq!(all.len(), 1);
    assert_eq!(taken(&context), ["cake_filling/1,1"]);
    let all: Vec<Fruit> =
        diesel::sql_query("SELECT name, cake_id, id FROM fruit").load(&mut bakery.db).unwrap();
    assert_eq!(all.len(), 2);
    assert_eq!(taken(&context), ["fruit/7", "fruit/8"]);
}

#[test]
fn an_iterator_remembers_only_the_rows_that_it_has_given() {
    let Some(mut bakery) = stocked() else { return };
    let context = Context::new("test");
    bakery.db.set_context(Some(context.clone()));
    let mut rows = cake::table
        .order(cake::id)
        .load_iter::<Cake, diesel::connection::DefaultLoadingMode>(&mut bakery.db)
        .unwrap();
    assert_eq!(rows.next().unwrap().unwrap().id, 1);
    drop(rows);
    assert_eq!(taken(&context), ["cake/1"]);
}

#[test]
fn a_read_of_which_the_rows_are_not_known_still_works() {
    let Some(mut bakery) = stocked() else { return };
    let context = Context::new("test");
    bakery.db.set_context(Some(context.clone()));
    let db = &mut bakery.db;
    assert_eq!(cake::table.count().get_result::<i64>(db), Ok(2));
    let names: Vec<String> = cake::table.select(cake::name).order(cake::id).load(db).unwrap();
    assert_eq!(names, ["one", "two"]);
    let with_fruit = cake::table.filter(diesel::dsl::exists(fruit::table.filter(fruit::name.eq("kiwi"))));
    assert!(with_fruit.count().execute(db).is_ok());
    assert_eq!(taken(&context), [""; 0]);
}

#[test]
fn the_context_given_outranks_the_threads_which_outranks_the_transactions_own() {
    let Some(mut bakery) = stocked() else { return };
    fn read_and_write(db: &mut Promiscuous<Inner>, read: i32, write: i32) {
        db.transaction::<_, diesel::result::Error, _>(|db| {
            let _: Cake = cake::table.find(read).first(db)?;
            diesel::insert_into(cake::table).values(known(write, "new")).execute(db)
        })
        .unwrap();
    }
    let (given, thread) = (Context::new("given"), Context::new("thread"));
    thread.sync_scope(|| {
        read_and_write(&mut bakery.db, 1, 11);
        bakery.db.set_context(Some(given.clone()));
        read_and_write(&mut bakery.db, 2, 12);
    });
    bakery.db.set_context(None);
    read_and_write(&mut bakery.db, 1, 13);
    diesel::insert_into(cake::table).values(known(14, "alone")).execute(&mut bakery.db).unwrap();
    let messages: Vec<_> = bakery.messages().into_iter().map(|m| (m.context, m.reads.join(" "))).collect();
    let expected = [
        (Some("thread"), "app/cake/1"),
        (Some("given"), "app/cake/2"),
        (Some("transaction"), "app/cake/1"),
        (None, ""),
    ];
    assert_eq!(messages.len(), expected.len());
    for ((context, reads), (name, keys)) in messages.iter().zip(expected) {
        assert_eq!((context.as_deref(), reads.as_str()), (name, keys));
    }
    assert_eq!(bakery.db.capture().warned.lock().unwrap().len(), 1);
}

#[test]
fn what_was_just_written_is_not_a_read() {
    let Some(mut bakery) = stocked() else { return };
    let context = Context::new("test");
    bakery.db.set_context(Some(context.clone()));
    let db = &mut bakery.db;
    diesel::insert_into(cake::table).values(known(3, "three")).execute(db).unwrap();
    let _: Cake = cake::table.find(3).first(db).unwrap();
    assert_eq!(context.causes().reads, []);
    diesel::update(cake::table.find(3)).set(cake::name.eq("drei")).execute(db).unwrap();
    assert_eq!(context.causes().reads, []);
    db.transaction::<_, diesel::result::Error, _>(|db| {
        diesel::insert_into(cake::table).values(known(4, "four")).execute(db)?;
        cake::table.find(4).first::<Cake>(db)
    })
    .unwrap();
    bakery.messages().into_iter().for_each(|m| assert!(m.reads.iter().all(|read| !read.ends_with("/4"))));
    assert_eq!(context.causes().reads, []);
}
