//! Filling a subscriber: the rows of a table of ten columns, published again and applied, next to `COPY` of the same table.

use std::process::Stdio;
use std::time::{Duration, Instant};

use promiscuous_seaorm::{Models, Promiscuous};
use sea_orm::DatabaseConnection;
use tokio::process::Command;

use crate::databases::{Kind, count, pool};
use crate::figures::{head, number, row};
use crate::items::{fill, with_items};
use crate::models::seaorm::shop;
use crate::queues::{queue_of, remove_queue};
use crate::stage::config;
use crate::{Outcome, Size};

mod process;

use process::Process;
pub use process::{Side, process};

/// The publishing app.
const APP: &str = "shop_sync";

/// Transactions that a subscriber applies at a time: the default.
const WORKERS: usize = 8;

/// Runs the part and prints its tables.
pub async fn run(size: Size) -> Outcome<()> {
    let rows = size.pick(300_000, 20_000);
    println!("\n## Filling a subscriber\n");
    println!(
        "{} rows of ten columns, PostgreSQL to PostgreSQL, SeaORM on both sides; publisher and subscriber are processes of their own, and share the \
         machine with the servers.\n",
        number(rows as f64)
    );
    let (here, promiscuous) = publisher().await?;
    fill(&here, rows).await?;
    promiscuous.migrate(&here).await?;
    let copied = copy().await?;
    // Bound, and stopped: what is published waits in its queue.
    let there = subscriber_database("mailer_sync_apart").await?;
    Process::subscribe("mailer_sync_apart").await?.stop().await?;
    let (published, sending_kb) = Process::publish("mailer_sync_apart").await?;
    let began = Instant::now();
    let process = Process::subscribe("mailer_sync_apart").await?;
    until_all(&there, rows).await?;
    let applied = began.elapsed();
    let applying_kb = process.stop().await?;
    remove_queue(&queue_of("mailer_sync_apart")).await?;

    let there = subscriber_database("mailer_sync").await?;
    let process = Process::subscribe("mailer_sync").await?;
    let began = Instant::now();
    let (_, both_sending_kb) = Process::publish("mailer_sync").await?;
    until_all(&there, rows).await?;
    let both = began.elapsed();
    let both_applying_kb = process.stop().await?;
    remove_queue(&queue_of("mailer_sync")).await?;

    head(&["", "rows a second", "next to COPY", "publisher, MB", "subscriber, MB"]);
    let base = rows as f64 / copied.as_secs_f64();
    let mb = |kb: Option<u64>| kb.map_or_else(String::new, |kb| (kb / 1024).to_string());
    for (name, took, sending, applying) in [
        ("`COPY … TO STDOUT`, piped into `COPY … FROM STDIN`", copied, None, None),
        ("published, with nobody who applies", published, Some(sending_kb), None),
        ("applied, from a full queue", applied, None, Some(applying_kb)),
        ("both at once, until the last row is there", both, Some(both_sending_kb), Some(both_applying_kb)),
    ] {
        let rate = rows as f64 / took.as_secs_f64();
        row([name.to_owned(), number(rate), format!("{:.3}×", rate / base), mb(sending), mb(applying)]);
    }
    println!("\nMemory is the largest (VmHWM) of each process.");
    Ok(())
}

/// The publishing app and its database.
async fn publisher() -> Outcome<(DatabaseConnection, Promiscuous)> {
    let db = pool(&with_items(APP).await?, 8).await?;
    let models = Models::new().publish::<shop::item::Entity>();
    Ok((db, Promiscuous::new(config(APP, 1)?)?.models(models)))
}

/// A subscriber's database.
async fn subscriber_database(app: &str) -> Outcome<DatabaseConnection> {
    pool(&with_items(app).await?, WORKERS as u32 + 2).await
}

/// Waits until all rows are there.
async fn until_all(there: &DatabaseConnection, rows: usize) -> Outcome<()> {
    // Counting costs little next to applying; more often would be seen in the figures.
    while count(there, "items").await? < rows as i64 {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}

/// How long PostgreSQL's own way takes.
async fn copy() -> Outcome<Duration> {
    let (from, to) = (Kind::Postgres.url(APP)?, with_items("copy_sync").await?);
    let began = Instant::now();
    let mut out = Command::new("psql")
        .args(["-q", &from, "-c", "COPY items TO STDOUT"])
        .stdout(Stdio::piped())
        .spawn()?;
    let piped: Stdio = out.stdout.take().ok_or("psql has no output")?.try_into()?;
    let into =
        Command::new("psql").args(["-q", &to, "-c", "COPY items FROM STDIN"]).stdin(piped).status().await?;
    if !(out.wait().await?.success() && into.success()) {
        return Err("psql could not copy the table".into());
    }
    Ok(began.elapsed())
}
