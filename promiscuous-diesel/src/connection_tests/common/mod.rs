//! What works the same on every database.

mod belongings;
mod endings;
mod reads;
mod transactions;
mod writes;

use diesel::prelude::*;

use super::{Inner, open};
use crate::connection_tests::fixtures::{NewCake, cake};
use crate::connection_tests::{Bakery, said, taken};
use promiscuous_core::capture::CaptureSettings;

fn bakery() -> Option<Bakery<Inner>> {
    open(CaptureSettings::default())
}

/// The names of all cakes, as others see them.
fn cakes(bakery: &Bakery<Inner>) -> Vec<String> {
    let mut other = Inner::establish(&bakery.url).unwrap();
    cake::table.order(cake::id).select(cake::name).load(&mut other).unwrap()
}

/// How many messages are in the outbox.
fn outbox(bakery: &Bakery<Inner>) -> i64 {
    diesel::table! { promiscuous_outbox (op) { op -> Text, } }
    let mut other = Inner::establish(&bakery.url).unwrap();
    promiscuous_outbox::table.count().get_result(&mut other).unwrap()
}

/// Cakes 1 to n, unpublished.
fn bake(bakery: &mut Bakery<Inner>, names: &[&str]) {
    for name in names {
        let new = NewCake { name: (*name).into(), ..NewCake::default() };
        diesel::insert_into(cake::table).values(new).execute(bakery.db.inner()).unwrap();
    }
}
