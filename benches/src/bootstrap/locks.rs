//! How long anybody waits for a lock of PostgreSQL.

use std::time::Duration;

use sea_orm::{ConnectionTrait, DatabaseConnection, Statement};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::Outcome;

/// How often it is looked: shorter waits are missed.
const EVERY: Duration = Duration::from_millis(10);

/// Looks at the locks that somebody waits for, until it is asked.
pub struct Locks {
    stop: watch::Sender<bool>,
    looking: JoinHandle<Outcome<Duration>>,
}

impl Locks {
    /// Begins to look at this database.
    pub fn watch(db: DatabaseConnection) -> Self {
        let (stop, stopped) = watch::channel(false);
        Self { stop, looking: tokio::spawn(look(db, stopped)) }
    }

    /// The longest wait that was seen.
    pub async fn longest(self) -> Outcome<Duration> {
        self.stop.send_replace(true);
        self.looking.await?
    }
}

async fn look(db: DatabaseConnection, stopped: watch::Receiver<bool>) -> Outcome<Duration> {
    let sql = "SELECT coalesce(max(extract(epoch FROM clock_timestamp() - waitstart)), 0)::float8 AS waited FROM pg_locks \
               WHERE NOT granted AND (database IS NULL OR database = (SELECT oid FROM pg_database WHERE datname = current_database()))";
    let statement = Statement::from_string(db.get_database_backend(), sql);
    let mut longest: f64 = 0.0;
    let mut every = tokio::time::interval(EVERY);
    while !*stopped.borrow() {
        every.tick().await;
        let row = db.query_one_raw(statement.clone()).await?.ok_or("a maximum has no row")?;
        longest = longest.max(row.try_get("", "waited")?);
    }
    Ok(Duration::from_secs_f64(longest.max(0.0)))
}
