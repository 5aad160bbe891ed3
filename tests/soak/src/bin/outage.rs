//! What an outage of RabbitMQ costs: 200 writes a second go on while it is stopped for a minute (or `outage SECONDS`), and then the
//! backlog is published and applied. Prints figures in Markdown.

use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use promiscuous_soak::world::{Programs, World};
use promiscuous_soak::{ready, slot::Slot, truth};
use promiscuous_tests::servers::Server;
use tokio::time::sleep;

/// Writes a second.
const RATE: u32 = 200;

#[tokio::main]
async fn main() {
    let seconds = std::env::args().nth(1).map_or(60, |text| text.parse().expect("Seconds are a number."));
    let folder = std::env::temp_dir().join(format!("promiscuous-outage-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("The temporary folder can be written.");
    // A seed whose publisher and subscribers are on three databases.
    let world = Arc::new(World::new(4, RATE, &folder, Programs::beside_this_one()).await);
    println!("* {} to {}", world.publisher.stack, world.subscribers[0].stack);
    let start =
        |name: &str, describe| Slot::start(name, folder.clone(), Arc::clone(&world.said), 1, describe);
    let (subscribing, _first) = start("everything", world.subscribe(0, 1_000));
    let (some, _second) = start("some", world.subscribe(1, 1_000));
    ready(&world).await;
    // Nobody hangs up: every write that fails is one too many.
    let load = world.load();
    let patient = move |incarnation| {
        let mut command = load(incarnation);
        command.env("HANG_UPS", "0").env("TASKS", "12");
        command
    };
    let (writing, written) = start("writer", Box::new(patient));
    sleep(Duration::from_secs(10)).await;

    world.servers.kill(&[Server::RabbitMq]).await;
    let before = outbox(&world).await;
    sleep(Duration::from_secs(seconds)).await;
    let backlog = outbox(&world).await - before;
    let built = backlog as f64 / seconds as f64;
    println!("* RabbitMQ away for {seconds} s: {backlog} messages wait in the outbox, {built:.0} a second");
    world.servers.start(&[Server::RabbitMq]).await;
    let back = Instant::now();
    // Writes go on meanwhile: the backlog is gone when the outbox is as short as in peace.
    while outbox(&world).await > i64::from(RATE) {
        sleep(Duration::from_millis(50)).await;
    }
    let drained = back.elapsed().as_secs_f64();
    let rate = backlog as f64 / drained;
    println!(
        "* published within {drained:.1} s of its return: {rate:.0} a second beside the new ones, {:.1}x",
        rate / built
    );
    writing.signal(Signal::SIGTERM);
    writing.stop();
    let _ = written.await;
    let arriving = Instant::now();
    let arrived = truth::everything_has_arrived(&world, &[subscribing, some], Duration::from_secs(300)).await;
    println!(
        "* everything applied: {arrived}, {:.1} s after the last write",
        arriving.elapsed().as_secs_f64()
    );
    let report = promiscuous_soak::account_of(&world).await;
    println!("* {}", report.0);
    for (stack, account) in report.1 {
        println!("* {stack}: {account}");
    }
}

async fn outbox(world: &World) -> i64 {
    let count = world.publisher.eyes.count("promiscuous_outbox WHERE state < 2").await;
    i64::try_from(count).expect("A count is small.")
}
