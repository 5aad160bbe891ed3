//! How long anybody waits for a lock of PostgreSQL.

use std::fmt;
use std::time::Duration;

use sea_orm::{ConnectionTrait, DatabaseConnection, Statement};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::Outcome;

/// How often it is looked: shorter waits are missed.
const EVERY: Duration = Duration::from_millis(10);

/// Somebody has waited.
#[derive(Default)]
pub struct Wait {
    /// For so long.
    pub waited: Duration,
    /// For a lock of this kind.
    kind: String,
    /// Behind a statement that begins with this word.
    behind: String,
}

impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { waited, kind, behind } = self;
        write!(f, "{} ms", waited.as_millis())?;
        if !kind.is_empty() {
            write!(f, " (`{kind}`, behind `{behind}`)")?;
        }
        Ok(())
    }
}

/// Looks at the locks that somebody waits for, until it is asked.
pub struct Locks {
    stop: watch::Sender<bool>,
    looking: JoinHandle<Outcome<Wait>>,
}

impl Locks {
    /// Begins to look at this database.
    pub fn watch(db: DatabaseConnection) -> Self {
        let (stop, stopped) = watch::channel(false);
        Self { stop, looking: tokio::spawn(look(db, stopped)) }
    }

    /// The longest wait that was seen.
    pub async fn longest(self) -> Outcome<Wait> {
        self.stop.send_replace(true);
        self.looking.await?
    }
}

async fn look(db: DatabaseConnection, stopped: watch::Receiver<bool>) -> Outcome<Wait> {
    let sql = "SELECT extract(epoch FROM clock_timestamp() - waitstart)::float8 AS waited, locktype, split_part(behind.query, ' ', 1) AS behind \
               FROM pg_locks JOIN pg_stat_activity waiting USING (pid) \
               LEFT JOIN pg_stat_activity behind ON behind.pid = (pg_blocking_pids(waiting.pid))[1] \
               WHERE NOT granted AND waitstart IS NOT NULL AND waiting.datname = current_database() ORDER BY waitstart LIMIT 1";
    let statement = Statement::from_string(db.get_database_backend(), sql);
    let mut longest = Wait::default();
    let mut every = tokio::time::interval(EVERY);
    while !*stopped.borrow() {
        every.tick().await;
        let Some(row) = db.query_one_raw(statement.clone()).await? else { continue };
        let waited = Duration::from_secs_f64(row.try_get::<f64>("", "waited")?.max(0.0));
        if waited > longest.waited {
            let behind: Option<String> = row.try_get("", "behind")?;
            longest = Wait { waited, kind: row.try_get("", "locktype")?, behind: behind.unwrap_or_default() };
        }
    }
    Ok(longest)
}
