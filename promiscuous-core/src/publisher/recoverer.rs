//! The intent recoverer (section 6 of the protocol): the versions that a dead writer bumped are consumed by exactly one message.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use uuid::Uuid;

use super::outbox::{TOMBSTONE, dummy, insert};
use super::pending::Committed;
use super::publishing::publish;
use super::shared::HANGS;
use super::{Inner, announcing, stop};
use crate::database::{DatabaseError, DatabaseErrorKind, Dialect, Sql, Transaction};
use crate::error::chain;
use crate::health::Level;
use crate::metrics::RECOVERED_OPS;
use crate::version_store::{Bumped, Finish};

/// Intents that one look takes at the most.
const BATCH: usize = 100;

pub(super) async fn run(
    inner: Arc<Inner>,
    mut early_looks: mpsc::Receiver<Uuid>,
    mut stopped: watch::Receiver<bool>,
) {
    let pulse = inner.health.part("recoverer", HANGS);
    let mut failing = false;
    loop {
        tokio::select! {
            () = stop(&mut stopped) => return pulse.end(),
            () = tokio::time::sleep(inner.settings.look_every) => {}
            Some(op) = early_looks.recv() => {
                // Its writer told us that it failed, or was dropped: no need to wait for the deadline.
                if inner.store.hasten(op, Duration::ZERO).await.is_err() {
                    continue;
                }
            }
        }
        let looked = async {
            announcing::watch(&inner).await.map_err(|error| chain(&error))?;
            look(&inner).await
        };
        match looked.await {
            Ok(()) => {
                failing = false;
                pulse.works();
            }
            Err(reason) => {
                if !failing {
                    tracing::warn!(%reason, "dead writers' intents cannot be settled now; trying again");
                }
                failing = true;
                let says = format!(
                    "dead writers' intents cannot be settled; without Redis published writes fail: {reason}"
                );
                pulse.fails(Level::Degraded, says);
            }
        }
    }
}

pub(super) async fn look(inner: &Inner) -> Result<(), String> {
    loop {
        let overdue = inner.store.overdue(BATCH).await.map_err(|error| error.to_string())?;
        let full = overdue.len() == BATCH;
        let mut settled = 0;
        for intent in overdue {
            let op = intent.op;
            match settle(inner, intent).await {
                Ok(()) => settled += 1,
                // Its writer is still in flight, or the database is busy: the next look comes back to it.
                Err(error) if error.kind == DatabaseErrorKind::Contention => {
                    tracing::debug!(%op, "an overdue op is still in flight");
                }
                Err(error) => return Err(chain(&error)),
            }
        }
        if !full || settled == 0 {
            return Ok(());
        }
    }
}

/// Settles one op, in the steps of section 6.
async fn settle(inner: &Inner, intent: Bumped) -> Result<(), DatabaseError> {
    let op = intent.op;
    let message = dummy(&inner.settings.app, intent);
    let finish = Finish { op, keys: message.written_objects().map(|w| w.key.clone()).collect() };
    let text = message.encode().map_err(|e| DatabaseError::new(DatabaseErrorKind::Other, e))?;
    let mut transaction = inner.outbox.database().begin().await?;
    // 1. The tombstone. A writer in flight makes this wait.
    let inserted = insert_tombstone(inner, transaction.as_mut(), op, &text).await;
    reset_lock_timeout(inner.outbox.dialect(), transaction.as_mut()).await;
    match inserted {
        Ok(_) => {}
        // 2. The writer committed.
        Err(error) if error.kind == DatabaseErrorKind::UniqueViolation => {
            transaction.rollback().await?;
            return finish_op(inner, finish).await;
        }
        Err(error) => {
            let _ = transaction.rollback().await;
            return Err(error);
        }
    }
    // 3. The writer may have finished between our look and the insert, its row published and deleted.
    let exists = inner.store.intent_exists(op).await;
    match exists {
        Ok(true) => {}
        Ok(false) => return transaction.rollback().await,
        Err(error) => {
            transaction.rollback().await?;
            return Err(DatabaseError::new(DatabaseErrorKind::Contention, error));
        }
    }
    // 4. From here on the writer cannot commit any more.
    transaction.commit().await?;
    metrics::counter!(RECOVERED_OPS).increment(1);
    tracing::warn!(%op, "a writer died between bump and COMMIT: its versions are consumed by a dummy");
    let committed = Committed::new(&message, text.into(), true);
    if let Err(reason) = publish(inner, vec![committed]).await {
        tracing::debug!(%op, %reason, "the dummy is left to the outbox sweeper");
    }
    Ok(())
}

async fn insert_tombstone(
    inner: &Inner,
    transaction: &mut dyn Transaction,
    op: Uuid,
    text: &str,
) -> Result<u64, DatabaseError> {
    let dialect = inner.outbox.dialect();
    // SQLite bounds the wait by its busy_timeout.
    match dialect {
        Dialect::Postgres => {
            transaction.execute(Sql::new(dialect, "SET LOCAL lock_timeout = '2s'")).await?;
        }
        Dialect::Mysql => {
            transaction.execute(Sql::new(dialect, "SET SESSION innodb_lock_wait_timeout = 2")).await?;
        }
        Dialect::Sqlite => {}
    }
    transaction.execute(insert(dialect, op, TOMBSTONE, text)).await
}

/// MariaDB and MySQL know no timeout for one transaction, and the connection goes back to the pool.
async fn reset_lock_timeout(dialect: Dialect, transaction: &mut dyn Transaction) {
    if dialect == Dialect::Mysql {
        let sql = "SET SESSION innodb_lock_wait_timeout = @@GLOBAL.innodb_lock_wait_timeout";
        // A connection that cannot do this is broken, and leaves the pool.
        let _ = transaction.execute(Sql::new(dialect, sql)).await;
    }
}

async fn finish_op(inner: &Inner, finish: Finish) -> Result<(), DatabaseError> {
    // The row that fenced us is published by its writer or by the sweeper.
    let finished = inner.store.finish(&[finish]).await;
    finished.map_err(|error| DatabaseError::new(DatabaseErrorKind::Contention, error))
}
