//! A new subscriber is given a large table while everybody goes on writing, and the processes that do it are killed meanwhile.

mod commands;
mod locks;
mod writers;

use std::time::{Duration, Instant};

use promiscuous_seaorm::Promiscuous;
use sea_orm::{ConnectionTrait, DatabaseConnection, Statement};

use crate::databases::{count, pool, published};
use crate::figures::{head, number};
use crate::items::{fill, with_items};
use crate::queues::{queue_of, remove_queue};
use crate::stage::config;
use crate::{Outcome, Size};
use commands::Side;
pub use commands::command;
use locks::Locks;
use writers::Writers;

/// The publishing app.
const SHOP: &str = "shop_bootstrap";

/// The new subscriber.
const MAILER: &str = "mailer_bootstrap";

/// How often a process is killed, in turn the one that asks for the rows and the one that sends them.
const DEATHS: usize = 5;

/// Runs the part and prints its figures.
pub async fn run(size: Size) -> Outcome<()> {
    let rows = size.pick(1_000_000, 30_000);
    let alone = Duration::from_secs(size.pick(20, 3) as u64);
    println!("\n## A bootstrap while everybody writes\n");
    println!(
        "{} rows of ten columns, PostgreSQL to PostgreSQL, SeaORM on both sides; {} writes and {} reads a second go on at the publisher. The processes \
         that ask and send are killed {DEATHS} times (`kill -9`, in turn) and started again. All share the machine with the servers.\n",
        number(rows as f64),
        writers::WRITES,
        writers::READS,
    );
    let here = pool(&with_items(SHOP).await?, 16).await?;
    let there = pool(&with_items(MAILER).await?, 2).await?;
    fill(&here, rows).await?;
    let promiscuous = Promiscuous::new(config(SHOP, 1)?)?.models(commands::published());
    promiscuous.migrate(&here).await?;
    Promiscuous::new(config(MAILER, 1)?)?.migrate(&there).await?;
    let shop = promiscuous.wrap(here.clone()).await?;

    let writers = Writers::start(shop.clone(), rows as i64);
    tokio::time::sleep(alone).await;
    let before = writers.figures();
    let locks = Locks::watch(here.clone());
    let began = Instant::now();
    let (mut largest, deaths) = fill_subscriber(&there, rows).await?;
    let took = began.elapsed();
    let longest_lock = locks.longest().await?;
    let during = writers.figures();

    let following = Side::Mailer.start(&["subscribe"])?;
    let told = writers.stop().await?;
    published(&here).await?;
    let caught_up = Instant::now();
    while checksum(&here).await? != checksum(&there).await? {
        if caught_up.elapsed() > Duration::from_secs(120) {
            return Err("the tables are not equal two minutes after the last write".into());
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let serving = Side::Shop.start(&["publish", "--serve"])?;
    let verified = Side::Mailer.start(&["verify"])?.ends_well().await?;
    largest.1 = largest.1.max(following.largest_kb());
    drop((following, serving));
    remove_queue(&queue_of(MAILER)).await?;
    shop.shut_down(Duration::from_secs(5)).await;

    println!(
        "* live after {:.1} s: {} rows a second; {deaths} deaths on the way",
        took.as_secs_f64(),
        number(rows as f64 / took.as_secs_f64())
    );
    println!("* writes: {told}");
    println!(
        "* equal in the end, by the checksum of all rows ({} of them): yes; `promiscuous verify` found all equal: {}",
        number(count(&there, "items").await? as f64),
        if verified { "yes" } else { "**no**" }
    );
    println!(
        "* the longest that anybody at the publisher's database waited for a lock, looked at every 10 ms: {longest_lock}"
    );
    println!(
        "* largest memory (VmHWM): {} MB where rows are sent, {} MB where they are applied\n",
        largest.0 / 1024,
        largest.1 / 1024
    );
    head(&["", "p50, ms", "p99, ms", "largest, ms"]);
    before.print("before");
    during.print("during the bootstrap");
    Ok(())
}

/// Fills the subscriber, in spite of all deaths; answers with the largest memory of both sides, in kB, and how many died.
async fn fill_subscriber(there: &DatabaseConnection, rows: usize) -> Outcome<((u64, u64), usize)> {
    let serve = || Side::Shop.start(&["publish", "--serve"]);
    let join = || Side::Mailer.start(&["bootstrap"]);
    let (mut serving, mut joining) = (serve()?, join()?);
    let (mut largest, mut deaths) = ((0, 0), 0);
    loop {
        tokio::time::sleep(Duration::from_millis(200)).await;
        largest = (largest.0.max(serving.largest_kb()), largest.1.max(joining.largest_kb()));
        if let Some(well) = joining.has_ended()? {
            return if well { Ok((largest, deaths)) } else { Err("`promiscuous bootstrap` failed".into()) };
        }
        if deaths < DEATHS && count(there, "items").await? as usize > rows * (deaths + 1) / (DEATHS + 1) {
            // Dropped is killed.
            if deaths.is_multiple_of(2) {
                joining = join()?;
            } else {
                serving = serve()?;
            }
            deaths += 1;
        }
    }
}

/// All rows in one number, and how many there are.
async fn checksum(db: &DatabaseConnection) -> Outcome<(i64, String)> {
    let sql = "SELECT count(*) AS n, coalesce(sum(hashtextextended(items::text, 0)::numeric), 0)::text AS sum FROM items";
    let row = db.query_one_raw(Statement::from_string(db.get_database_backend(), sql)).await?;
    let row = row.ok_or("a sum has no row")?;
    Ok((row.try_get("", "n")?, row.try_get("", "sum")?))
}
