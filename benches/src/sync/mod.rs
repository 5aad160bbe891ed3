//! Filling a subscriber: the rows of a table of ten columns, published again and applied, next to `COPY` of the same table.

use std::process::Stdio;
use std::time::{Duration, Instant};

use promiscuous_core::sync::SyncSettings;
use promiscuous_seaorm::{Models, Promiscuous, PromiscuousConnection, promiscuous_sync_run};
use sea_orm::{ConnectionTrait, DatabaseConnection};
use tokio::process::Command;

use crate::databases::{Kind, count, pool};
use crate::figures::{head, number, row};
use crate::models::seaorm::{mailer, shop};
use crate::queues::{queue_of, remove_queue};
use crate::stage::{Running, config};
use crate::{Outcome, Size};

/// The publishing app.
const APP: &str = "shop_sync";

/// The table, the same on both sides.
const TABLE: &str = "items (id BIGINT PRIMARY KEY, shop_id BIGINT NOT NULL, sku TEXT NOT NULL, name TEXT NOT NULL, \
    description TEXT, price NUMERIC(12, 2) NOT NULL, stock INTEGER NOT NULL, weight DOUBLE PRECISION NOT NULL, \
    is_active BOOLEAN NOT NULL, updated_at TIMESTAMPTZ NOT NULL)";

/// Runs the part and prints its table.
pub async fn run(size: Size) -> Outcome<()> {
    let rows = size.pick(300_000, 20_000);
    println!("\n## Filling a subscriber\n");
    println!(
        "{} rows of ten columns, PostgreSQL to PostgreSQL, SeaORM on both sides; publisher, subscriber and servers share the machine. Memory is of the one \
         process that does both.\n",
        number(rows as f64)
    );
    let here = publisher(rows).await?;
    let copied = copy().await?;
    // Bound, and stopped: what is published waits in its queue.
    let (running, _) = subscriber("mailer_sync_apart").await?;
    running.stop().await?;
    let published = publish(&here, "mailer_sync_apart").await?;
    let (running, there) = subscriber("mailer_sync_apart").await?;
    let applied = until_all(&there, rows).await?;
    running.stop().await?;
    remove_queue(&queue_of("mailer_sync_apart")).await?;
    let (running, there) = subscriber("mailer_sync").await?;
    let began = Instant::now();
    publish(&here, "mailer_sync").await?;
    until_all(&there, rows).await?;
    let both = began.elapsed();
    running.stop().await?;
    remove_queue(&queue_of("mailer_sync")).await?;
    here.shut_down(Duration::from_secs(5)).await;

    head(&["", "rows a second", "next to COPY"]);
    let base = rows as f64 / copied.as_secs_f64();
    for (name, took) in [
        ("`COPY … TO STDOUT`, piped into `COPY … FROM STDIN`", copied),
        ("published, with nobody who applies", published),
        ("applied, from a full queue", applied),
        ("both at once, until the last row is there", both),
    ] {
        let rate = rows as f64 / took.as_secs_f64();
        row([name.to_owned(), number(rate), format!("{:.3}×", rate / base)]);
    }
    println!("\nLargest memory (VmHWM): {} MB.", largest_kb()? / 1_000);
    Ok(())
}

/// The publishing app, with this many rows that nobody has heard of.
async fn publisher(rows: usize) -> Outcome<PromiscuousConnection> {
    let db = pool(&with_items(APP).await?, 8).await?;
    db.execute_unprepared(&format!(
        "INSERT INTO items SELECT n, n % 100, 'SKU-' || n, 'Item number ' || n, \
         CASE WHEN n % 3 = 0 THEN NULL ELSE repeat('lorem ipsum ', 5) END, n % 10000 / 100.0, n % 500, n / 7.0, \
         n % 2 = 0, now() - n * interval '1 second' FROM generate_series(1, {rows}) n"
    ))
    .await?;
    let models = Models::new().publish::<shop::item::Entity>();
    let promiscuous = Promiscuous::new(config(APP, 1)?)?.models(models);
    promiscuous.migrate(&db).await?;
    Ok(promiscuous.wrap(db).await?)
}

/// A subscriber that runs, and its database.
async fn subscriber(app: &str) -> Outcome<(Running, DatabaseConnection)> {
    let workers = 8;
    let db = pool(&with_items(app).await?, workers as u32 + 2).await?;
    let models = Models::new().subscribe_from::<mailer::item::Entity>(format!("{APP}/item"));
    let promiscuous = Promiscuous::new(config(app, workers)?)?.models(models);
    promiscuous.migrate(&db).await?;
    let subscriber = promiscuous.subscriber(&promiscuous.wrap(db.clone()).await?)?;
    Ok((Running::start(subscriber).await?, db))
}

/// The address of a database that has the table.
async fn with_items(name: &str) -> Outcome<String> {
    let url = Kind::Postgres.create(name).await?;
    let db = pool(&url, 1).await?;
    db.execute_unprepared(&format!("CREATE TABLE IF NOT EXISTS {TABLE}")).await?;
    db.close().await?;
    Ok(url)
}

/// How long it takes to publish all rows to one app.
async fn publish(here: &PromiscuousConnection, to: &str) -> Outcome<Duration> {
    let mut settings = SyncSettings::default();
    settings.only_to = Some(to.to_owned());
    let began = Instant::now();
    promiscuous_sync_run::<shop::item::Entity>(here, None, settings).await?.run(&mut |_| {}).await?;
    Ok(began.elapsed())
}

/// How long it takes from now until all rows are there.
async fn until_all(there: &DatabaseConnection, rows: usize) -> Outcome<Duration> {
    let began = Instant::now();
    // Counting costs little next to applying; more often would be seen in the figures.
    while count(there, "items").await? < rows as i64 {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(began.elapsed())
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

fn largest_kb() -> Outcome<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no VmHWM")?;
    Ok(line.trim().trim_end_matches(" kB").trim().parse()?)
}
