//! From the beginning of a write in one service to the moment when the other one has committed it.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use promiscuous_seaorm::Context;
use sea_orm::ActiveModelTrait;

use crate::figures::{Figures, head, ms, row};
use crate::models::new_post;
use crate::stage::{self, Wanted};
use crate::{Outcome, Size};

/// Ids whose rows were written in the subscriber and are not known to be committed.
static ARRIVED: OnceLock<Mutex<VecDeque<i64>>> = OnceLock::new();

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
        "From the call of `insert` in one service until the row is committed in the other and the message acknowledged, \
         {seconds} s at a steady rate, whether or not the earlier ones have arrived. Times in milliseconds.\n"
    );
    head(&["messages per second", "p50", "p90", "p99", "largest", "the write itself p50"]);
    ARRIVED.get_or_init(Mutex::default);
    for rate in [100, 500] {
        let (mut latencies, mut writes) = at_rate(rate, seconds).await?;
        row([
            rate.to_string(),
            ms(latencies.percentile(0.5)),
            ms(latencies.percentile(0.9)),
            ms(latencies.percentile(0.99)),
            ms(latencies.percentile(1.0)),
            ms(writes.percentile(0.5)),
        ]);
    }
    stage::remove_queue(&stage::queue_of("mailer_latency")).await
}

async fn at_rate(rate: usize, seconds: usize) -> Outcome<(Figures, Figures)> {
    let (shop, _) = stage::publisher(20).await?;
    let running = stage::subscriber("mailer_latency", 8, Wanted::Both).await?;
    let began: Arc<Mutex<HashMap<i64, Instant>>> = Arc::default();
    let total = rate * seconds;

    // Which of the rows in ARRIVED a commit was about is not told, but how many: the oldest ones.
    let mut status = running.status.clone();
    let before = status.borrow().applied;
    let watching = tokio::spawn(async move {
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
    });

    let mut every = tokio::time::interval(Duration::from_secs(1) / rate as u32);
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..total {
        every.tick().await;
        let (shop, began) = (shop.clone(), Arc::clone(&began));
        tasks.spawn(Context::new("bench/latency").scope(async move {
            let start = Instant::now();
            let post = new_post(1, n).insert(&shop).await?;
            let took = start.elapsed();
            began.lock().unwrap_or_else(PoisonError::into_inner).insert(post.id, start);
            Ok::<_, sea_orm::DbErr>(took)
        }));
    }
    let mut writes = Figures::default();
    while let Some(done) = tasks.join_next().await {
        writes.each.push(done??);
    }
    let ends = tokio::time::timeout(Duration::from_secs(60), watching).await??;
    let mut latencies = Figures::default();
    {
        let began = began.lock().unwrap_or_else(PoisonError::into_inner);
        for (id, end) in ends {
            let start = began.get(&id).ok_or("a post arrived that was never written")?;
            latencies.each.push(end.saturating_duration_since(*start));
        }
    }
    running.stop().await?;
    if let Some(publisher) = shop.publisher() {
        publisher.shut_down(Duration::from_secs(5)).await;
    }
    Ok((latencies, writes))
}
