//! From the beginning of a write in one service to the moment when the other one has committed it.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use diesel::pg::Pg;
use promiscuous_core::context::Context;
use sea_orm::ActiveModelTrait;
use tokio::task::JoinHandle;

use crate::databases::Kind;
use crate::figures::{Figures, head, ms, row};
use crate::models::diesel::Statements;
use crate::models::{diesel as diesel_models, seaorm as seaorm_models};
use crate::stage::diesel::{Shop, blocking, in_threads};
use crate::stage::{Mailer, Orm, Running, SHOP, seaorm};
use crate::{Outcome, Size};

/// Ids whose rows were written in the subscriber and are not known to be committed.
static ARRIVED: OnceLock<Mutex<VecDeque<i64>>> = OnceLock::new();

/// Threads of the publisher with Diesel: enough that the next write finds one that has nothing to do.
const THREADS: usize = 16;

/// The subscriber's hook: a post was written, and is committed soon.
pub fn arrived(id: i64) {
    if let Some(arrived) = ARRIVED.get() {
        arrived.lock().unwrap_or_else(PoisonError::into_inner).push_back(id);
    }
}

/// Runs the part and prints its table.
pub async fn run(size: Size) -> Outcome<()> {
    let seconds = size.pick(20, 5);
    println!("\n## Latency\n");
    println!(
        "From the call of `insert` in one service until the row is committed in the other and the message acknowledged, both \
         on PostgreSQL and both with the same ORM; {seconds} s at a steady rate, whether or not the earlier ones have arrived. \
         Times in milliseconds.\n"
    );
    head(&["ORM", "messages per second", "p50", "p90", "p99", "largest", "the write itself p50"]);
    ARRIVED.get_or_init(Mutex::default);
    for orm in Orm::ALL {
        let mailer = Mailer {
            from: if orm == Orm::SeaOrm { SHOP } else { DIESEL_SHOP },
            ..Mailer::new(format!("mailer_latency_{}", orm.word()), orm)
        };
        for rate in [100, 500] {
            let (mut latencies, mut writes) = at_rate(&mailer, rate, rate * seconds).await?;
            row([
                orm.name().to_owned(),
                rate.to_string(),
                ms(latencies.percentile(0.5)),
                ms(latencies.percentile(0.9)),
                ms(latencies.percentile(0.99)),
                ms(latencies.percentile(1.0)),
                ms(writes.percentile(0.5)),
            ]);
        }
        mailer.remove_queue().await?;
    }
    Ok(())
}

/// The publishing app with Diesel.
const DIESEL_SHOP: &str = "shop_diesel";

/// A post that was written: which one, when its writing began, and how long that took.
type Written = (i64, Instant, Duration);

async fn at_rate(mailer: &Mailer, rate: usize, total: usize) -> Outcome<(Figures, Figures)> {
    let running = mailer.start().await?;
    let watching = watch(&running, total);
    let written = match mailer.orm {
        Orm::SeaOrm => write_with_seaorm(rate, total).await?,
        Orm::Diesel => write_with_diesel(rate, total).await?,
    };
    let ends = tokio::time::timeout(Duration::from_secs(60), watching).await??;
    running.stop().await?;
    let writes = written.iter().map(|(_, _, took)| *took).collect();
    let began: HashMap<i64, Instant> = written.into_iter().map(|(id, began, _)| (id, began)).collect();
    let mut latencies = Figures::default();
    for (id, end) in ends {
        let began = began.get(&id).ok_or("a post arrived that was never written")?;
        latencies.each.push(end.saturating_duration_since(*began));
    }
    Ok((latencies, Figures { each: writes, ..Figures::default() }))
}

/// Notes when each post is committed and acknowledged.
fn watch(running: &Running, total: usize) -> JoinHandle<Vec<(i64, Instant)>> {
    // Which of the rows in ARRIVED a commit was about is not told, but how many: the oldest ones.
    let mut status = running.status.clone();
    let before = status.borrow().applied;
    tokio::spawn(async move {
        let (mut ends, mut seen) = (Vec::with_capacity(total), before);
        while ends.len() < total && status.changed().await.is_ok() {
            let (now, applied) = (Instant::now(), status.borrow_and_update().applied);
            let arrived = ARRIVED.get_or_init(Mutex::default);
            let mut arrived = arrived.lock().unwrap_or_else(PoisonError::into_inner);
            for _ in seen..applied {
                ends.extend(arrived.pop_front().map(|id| (id, now)));
            }
            seen = applied;
        }
        ends
    })
}

/// A task for each write, on a pool.
async fn write_with_seaorm(rate: usize, total: usize) -> Outcome<Vec<Written>> {
    let (shop, _) = seaorm::publisher(Kind::Postgres, SHOP, 20).await?;
    let mut every = tokio::time::interval(Duration::from_secs(1) / rate as u32);
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..total {
        every.tick().await;
        let shop = shop.clone();
        tasks.spawn(Context::new("bench/latency").scope(async move {
            let began = Instant::now();
            let post = seaorm_models::new_post(1, n).insert(&shop).await?;
            Ok::<_, sea_orm::DbErr>((post.id, began, began.elapsed()))
        }));
    }
    let mut written = Vec::with_capacity(total);
    while let Some(done) = tasks.join_next().await {
        written.push(done??);
    }
    shop.shut_down(Duration::from_secs(5)).await;
    Ok(written)
}

/// Threads take turns, each with a connection of its own.
async fn write_with_diesel(rate: usize, total: usize) -> Outcome<Vec<Written>> {
    let shop = Shop::<Pg>::start(DIESEL_SHOP).await?;
    let connections = (0..THREADS).map(|_| shop.connect()).collect::<Outcome<Vec<_>>>()?;
    let written = blocking(move || {
        let (start, every) = (Instant::now(), Duration::from_secs(1) / rate as u32);
        in_threads(connections.into_iter().enumerate(), |(thread, mut db)| {
            let turns = (thread..total).step_by(THREADS).map(|n| {
                let due = start + every * n as u32;
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
                let began = Instant::now();
                let post = diesel_models::new_post(1);
                Context::new("bench/latency").sync_scope(|| Pg::insert(&mut db, &post))?;
                Ok((post.id, began, began.elapsed()))
            });
            turns.collect::<diesel::QueryResult<Vec<_>>>()
        })
    })
    .await?;
    shop.shut_down().await?;
    Ok(written.into_iter().flatten().collect())
}
