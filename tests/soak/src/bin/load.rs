//! An app on the `STACK` of this name that writes until it is told to end, and keeps a journal of it on stdout
//! ([`journal`](promiscuous_soak::journal)). What it writes is chosen by `SEED`; `TASKS` write at the same time, `RATE` times a
//! second in all; new rows have numbers from `FIRST_ID` on; counters 1 to `COUNTERS` are everybody's.

use std::sync::Arc;

use promiscuous_core::config::Config;
use promiscuous_soak::writing::{Writer, Writing};
use promiscuous_tests::conformance::{Blueprint, Stack};
use promiscuous_tests::{apps, deaths, processes};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;

#[tokio::main]
async fn main() {
    deaths::stand_still_where_told();
    let mut terminated = signal(SignalKind::terminate()).expect("Signals can be listened to.");
    let config = Config::from_environment().expect("The environment configures the app.");
    let url = config.database_url.clone().expect("DATABASE_URL is set.");
    let stack = Stack::named(&std::env::var("STACK").expect("STACK is set."));
    let mut blueprint = Blueprint::new(config, url.expose()).publishing(&apps::PUBLISHED);
    blueprint.adjust = apps::in_a_hurry;
    let tasks = number("TASKS");
    blueprint.connections = u32::try_from(tasks).expect("Tasks are few.") + 2;
    let app = stack.start(&blueprint).await.expect("The app starts.");
    println!("started");

    let hang_ups = u8::try_from(number("HANG_UPS")).expect("HANG_UPS is below 256.");
    let writing = Arc::new(Writing::new(number("COUNTERS"), number("FIRST_ID"), hang_ups));
    let mut writers = JoinSet::new();
    let every = std::time::Duration::from_secs(1).mul_f64(tasks as f64 / number("RATE") as f64);
    for task in 0..tasks {
        let seed = number("SEED").wrapping_mul(1_000).wrapping_add(task).cast_unsigned();
        writers.spawn(Writer::new(Arc::clone(&app), Arc::clone(&writing), seed).run(every));
    }
    terminated.recv().await;
    writing.end();
    while writers.join_next().await.is_some() {}
    app.shut_down().await;
    println!("ended");
    processes::end()
}

fn number(name: &str) -> i64 {
    let text = std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set."));
    text.parse().unwrap_or_else(|_| panic!("{name} is not a number."))
}
