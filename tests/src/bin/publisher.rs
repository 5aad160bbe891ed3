//! An app on the `STACK` of this name that writes what its arguments say, one after the other, and prints each when it is
//! committed:
//!
//! * `create:1` a counter, `increment:1` it, `destroy:1` it,
//! * `both:1` increments the counters 1 and 2 in one transaction,
//! * `roll-back:1` increments it, and thinks better of it.
//!
//! Where `HEALTH` is an address, it answers health probes there.
//!
//! Then it says `idle`, and publishes what is in hand when it is told to end by SIGTERM.

use promiscuous_core::config::Config;
use promiscuous_core::health;
use promiscuous_tests::conformance::step::{create_counter, destroy_counter, increment, transaction};
use promiscuous_tests::conformance::{Blueprint, End, Stack, Step};
use promiscuous_tests::{apps, deaths, processes};
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main]
async fn main() {
    deaths::stand_still_where_told();
    let mut terminated = signal(SignalKind::terminate()).expect("Signals can be listened to.");
    let config = Config::from_environment().expect("The environment configures the app.");
    let url = config.database_url.clone().expect("DATABASE_URL is set.");
    let stack = Stack::named(&std::env::var("STACK").expect("STACK is set."));
    let mut blueprint = Blueprint::new(config, url.expose()).publishing(&apps::PUBLISHED);
    blueprint.adjust = apps::in_a_hurry;
    let app = stack.start(&blueprint).await.expect("The app starts.");
    if let Ok(address) = std::env::var("HEALTH") {
        let listener = tokio::net::TcpListener::bind(address).await.expect("The address is free.");
        println!("health at={}", listener.local_addr().expect("A bound listener has an address."));
        tokio::spawn(health::http::serve(listener, app.health(), std::future::pending()));
    }
    println!("started");
    for argument in std::env::args().skip(1) {
        match app.request(&argument, [step(&argument)]).await {
            Ok(()) => println!("done {argument}"),
            Err(failure) => println!("failed {argument}: {failure}"),
        }
    }
    println!("idle");
    terminated.recv().await;
    app.shut_down().await;
    processes::end()
}

fn step(argument: &str) -> Step {
    let (what, id) = argument.split_once(':').expect("Arguments are written what:id.");
    let id: i64 = id.parse().expect("An id is a number.");
    match what {
        "create" => create_counter(id),
        "increment" => increment(id),
        "destroy" => destroy_counter(id),
        "both" => transaction([increment(1), increment(2)]),
        "roll-back" => Step::Transaction(vec![increment(id)], End::RollBack),
        other => panic!("It cannot {other:?}."),
    }
}
