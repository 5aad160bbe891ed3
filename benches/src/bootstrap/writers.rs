//! Those who write and read at the publisher all the time, at a steady rate.

use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use promiscuous_seaorm::{Context, PromiscuousConnection};
use sea_orm::{ActiveModelTrait, ColumnTrait, DbErr, EntityTrait, ExprTrait, QueryFilter, Set};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use crate::Outcome;
use crate::figures::{Figures, ms, row};
use crate::models::seaorm::shop::item;

/// Writes a second, by all together.
pub const WRITES: u64 = 300;

/// Reads of a row by its key, a second.
pub const READS: u64 = 100;

/// Tasks that write.
const TASKS: u64 = 20;

/// What was done.
#[derive(Default, Clone, Copy)]
pub struct Told {
    created: u64,
    updated: u64,
    destroyed: u64,
    failed: u64,
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { created, updated, destroyed, failed } = self;
        write!(f, "{created} rows created, {updated} updated, {destroyed} destroyed, {failed} writes failed")
    }
}

/// How long writes and reads took, since somebody last asked.
#[derive(Default)]
pub struct Both {
    writes: Figures,
    reads: Figures,
}

impl Both {
    /// Two lines of a table.
    pub fn print(mut self, when: &str) {
        for (what, figures) in [("writes", &mut self.writes), ("reads", &mut self.reads)] {
            let [p50, p99, largest] = [0.5, 0.99, 1.0].map(|share| ms(figures.percentile(share)));
            row([format!("{what} {when}"), p50, p99, largest]);
        }
    }
}

/// See the module.
pub struct Writers {
    tasks: JoinSet<Outcome<Told>>,
    stop: watch::Sender<bool>,
    figures: Arc<Mutex<Both>>,
}

/// What the tasks share.
#[derive(Clone)]
struct Shared {
    shop: PromiscuousConnection,
    /// Rows from before.
    rows: i64,
    /// The id of the next row that is created.
    next: Arc<AtomicI64>,
    figures: Arc<Mutex<Both>>,
    stopped: watch::Receiver<bool>,
}

impl Writers {
    /// Starts them on a table with the ids up to `rows`.
    pub fn start(shop: PromiscuousConnection, rows: i64) -> Self {
        let (stop, stopped) = watch::channel(false);
        let figures = Arc::default();
        let next = Arc::new(AtomicI64::new(rows + 1));
        let shared = Shared { shop, rows, next, figures: Arc::clone(&figures), stopped };
        let mut tasks = JoinSet::new();
        (0..TASKS).for_each(|task| drop(tasks.spawn(write(shared.clone(), task))));
        tasks.spawn(read(shared));
        Self { tasks, stop, figures }
    }

    /// How long it took since it was last asked.
    pub fn figures(&self) -> Both {
        std::mem::take(&mut *self.figures.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Ends them.
    pub async fn stop(mut self) -> Outcome<Told> {
        self.stop.send_replace(true);
        let mut all = Told::default();
        while let Some(told) = self.tasks.join_next().await {
            let told = told??;
            all.created += told.created;
            all.updated += told.updated;
            all.destroyed += told.destroyed;
            all.failed += told.failed;
        }
        Ok(all)
    }
}

/// A clock that ticks so often a second; what is late is not made up for.
fn rate(a_second: u64) -> tokio::time::Interval {
    let mut every = tokio::time::interval(Duration::from_secs_f64(1.0 / a_second as f64));
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    every
}

async fn write(shared: Shared, task: u64) -> Outcome<Told> {
    let mut every = rate(WRITES / TASKS);
    let mut told = Told::default();
    let mut random = Random(task * 7_919 + 1);
    while !*shared.stopped.borrow() {
        every.tick().await;
        let began = Instant::now();
        // Old rows and new ones.
        let id = random.below(shared.next.load(Ordering::Relaxed) as u64) as i64 + 1;
        let one = async {
            match random.below(10) {
                0..6 => update(&shared.shop, id, began).await.map(|count| told.updated += count),
                6..8 => {
                    let id = shared.next.fetch_add(1, Ordering::Relaxed);
                    new_item(id).insert(&shared.shop).await.map(|_| told.created += 1)
                }
                _ => {
                    let deleted = item::Entity::delete_by_id(id).exec(&shared.shop).await;
                    deleted.map(|deleted| told.destroyed += deleted.rows_affected)
                }
            }
        };
        let done: Result<(), DbErr> = Context::new("bench/bootstrap").scope(one).await;
        let took = began.elapsed();
        if let Err(error) = done {
            told.failed += 1;
            eprintln!("A write failed: {error}.");
        }
        shared.figures.lock().unwrap_or_else(PoisonError::into_inner).writes.each.push(took);
    }
    Ok(told)
}

async fn update(shop: &PromiscuousConnection, id: i64, now: Instant) -> Result<u64, DbErr> {
    let name = format!("Renamed item {id}, {now:?}");
    let updated = item::Entity::update_many()
        .col_expr(item::Column::Name, name.into())
        .col_expr(item::Column::Stock, item::Column::Stock.into_expr().add(1))
        .filter(item::Column::Id.eq(id))
        .exec(shop)
        .await?;
    Ok(updated.rows_affected)
}

async fn read(shared: Shared) -> Outcome<Told> {
    let mut every = rate(READS);
    let mut random = Random(11);
    while !*shared.stopped.borrow() {
        every.tick().await;
        let began = Instant::now();
        item::Entity::find_by_id(random.below(shared.rows as u64) as i64 + 1).one(&shared.shop).await?;
        shared.figures.lock().unwrap_or_else(PoisonError::into_inner).reads.each.push(began.elapsed());
    }
    Ok(Told::default())
}

fn new_item(id: i64) -> item::ActiveModel {
    item::ActiveModel {
        id: Set(id),
        shop_id: Set(id % 100),
        sku: Set(format!("SKU-{id}")),
        name: Set(format!("New item {id}")),
        description: Set(None),
        price: Set(id.into()),
        stock: Set(1),
        weight: Set(0.5),
        is_active: Set(true),
        updated_at: Set(std::time::SystemTime::now().into()),
    }
}

/// Numbers without an order.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % Ord::max(limit, 1)
    }
}
