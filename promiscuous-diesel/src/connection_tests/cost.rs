//! What a statement costs through the wrapper, against Diesel alone. Run it with
//! `cargo test --release -p promiscuous-diesel --all-features --lib cost -- --ignored --nocapture --test-threads 1`.

use std::time::{Duration, Instant};

use diesel::prelude::*;

use super::fixtures::{Cake, cake, named};
use super::{Bakery, mariadb, postgres, sqlite};
use crate::Context;

const ROUNDS: usize = 15;

fn median(mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    times[times.len() / 2].as_secs_f64() * 1e6
}

/// Microseconds for each of the two, measured in turns.
fn compare(what: &str, times: u32, mut one: impl FnMut(), mut other: impl FnMut()) {
    let time = |run: &mut dyn FnMut()| {
        let start = Instant::now();
        (0..times).for_each(|_| run());
        start.elapsed() / times
    };
    let (mut plain, mut wrapped) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        plain.push(time(&mut one));
        wrapped.push(time(&mut other));
    }
    let (plain, wrapped) = (median(plain), median(wrapped));
    println!("{what}: plain {plain:.2} µs, wrapped {wrapped:.2} µs, ratio {:.2}", wrapped / plain);
}

macro_rules! cost {
    ($name:ident, $module:ident) => {
        #[test]
        #[ignore = "a measurement"]
        fn $name() {
            let Some(mut bakery) = $module::open(Default::default()) else { return };
            let mut plain = <$module::Inner as Connection>::establish(&bakery.url).unwrap();
            let hundred: Vec<_> = (0..100).map(|_| named("a")).collect();
            diesel::insert_into(cake::table).values(&hundred).execute(&mut plain).unwrap();
            let name = stringify!($name);
            let Bakery { db, .. } = &mut bakery;
            let find = || cake::table.find(50);
            let mut one = || drop(find().first::<Cake>(&mut plain).unwrap());
            compare(&format!("{name}, find"), 2_000, &mut one, || drop(find().first::<Cake>(db).unwrap()));
            db.set_context(Some(Context::new("cost")));
            compare(&format!("{name}, find in a context"), 2_000, &mut one, || {
                drop(find().first::<Cake>(db).unwrap());
            });
            let all = || cake::table.filter(cake::name.ne("b")).limit(100);
            compare(
                &format!("{name}, 100 rows in a context"),
                300,
                || drop(all().load::<Cake>(&mut plain).unwrap()),
                || drop(all().load::<Cake>(db).unwrap()),
            );
            compare(
                &format!("{name}, update by key"),
                100,
                || drop(diesel::update(cake::table.find(50)).set(cake::name.eq("c")).execute(&mut plain)),
                || drop(diesel::update(cake::table.find(51)).set(cake::name.eq("c")).execute(db)),
            );
        }
    };
}

cost!(on_sqlite, sqlite);
cost!(on_postgres, postgres);
cost!(on_mariadb, mariadb);
