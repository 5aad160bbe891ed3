//! The outbox sweeper (section 6 of the protocol): publishes what its writer could not.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::stream::{self, TryStreamExt};
use tokio::sync::watch;

use super::outbox::{OutboxRow, TOMBSTONE};
use super::pending::Committed;
use super::publishing::publish;
use super::shared::HANGS;
use super::{Inner, stop};
use crate::health::Level;
use crate::message::Message;
use crate::notice::{self, Notice};

/// One process of an app sweeps at a time, so that a long backlog is not published by all of them.
const LEASE: Duration = Duration::from_secs(15);

/// Batches that wait for their confirms, or for their rows to be deleted, at the same time.
const IN_FLIGHT: usize = 4;

/// How often old fences are deleted.
const PRUNE_EVERY: Duration = Duration::from_secs(3_600);

pub(super) async fn run(inner: Arc<Inner>, mut stopped: watch::Receiver<bool>) {
    let pulse = inner.health.part("sweeper", HANGS);
    let mut pruned: Option<Instant> = None;
    let mut failures: u32 = 0;
    loop {
        // Not for long: once the broker is back, what has waited goes first.
        let pause = inner.settings.look_every * 2_u32.saturating_pow(failures.min(2));
        tokio::select! {
            () = stop(&mut stopped) => return pulse.end(),
            () = tokio::time::sleep(pause) => {}
        }
        let swept = sweep(&inner, inner.settings.sweep_after, &stopped, || pulse.beat());
        match swept.await {
            Ok(()) => {
                failures = 0;
                pulse.works();
            }
            Err(reason) => {
                pulse.fails(
                    Level::Degraded,
                    format!("the outbox cannot be published, and keeps what is written: {reason}"),
                );
                if failures == 0 {
                    notice::tell(&Notice::Unpublished { reason: reason.clone() });
                    tracing::warn!(%reason, "the outbox cannot be published now; it keeps what was written");
                }
                failures += 1;
            }
        }
        if pruned.is_none_or(|at| at.elapsed() > PRUNE_EVERY) {
            pruned = Some(Instant::now());
            if let Err(error) = inner.outbox.delete_old_fences(inner.settings.fences_kept).await {
                tracing::debug!(%error, "old fences stay for another hour");
            }
        }
    }
}

/// One pass over everything that is old enough. Always from the start: a lower op may have committed after a higher one.
///
/// Several batches are under way at a time: while the broker confirms one, the next is read, and the one before is deleted.
pub(super) async fn sweep(
    inner: &Inner,
    age: Duration,
    stopped: &watch::Receiver<bool>,
    goes_on: impl Fn(),
) -> Result<(), String> {
    let batches = stream::try_unfold(None, async |after| {
        if *stopped.borrow() {
            return Ok(None);
        }
        goes_on();
        let rows = inner.outbox.unpublished(age, after).await.map_err(|error| error.to_string())?;
        let Some(last) = rows.last().map(|row| row.op) else { return Ok(None) };
        let held = inner.store.lease("sweeper", inner.process, LEASE).await;
        if !held.map_err(|error| error.to_string())? {
            return Ok(None);
        }
        let batch: Vec<Committed> =
            rows.into_iter().filter(|row| !inner.is_in_hands(&row.op)).filter_map(read).collect();
        Ok(Some((batch, Some(last))))
    });
    let publish_batch = async |batch: Vec<Committed>| {
        if batch.is_empty() {
            return Ok(());
        }
        tracing::debug!(messages = batch.len(), "sweeping the outbox");
        publish(inner, batch).await
    };
    batches.try_for_each_concurrent(IN_FLIGHT, publish_batch).await
}

fn read(row: OutboxRow) -> Option<Committed> {
    match Message::decode(row.message.as_bytes()) {
        Ok(message) => Some(Committed::new(&message, row.message.into(), row.state == TOMBSTONE)),
        Err(error) => {
            tracing::error!(op = %row.op, %error, "an outbox row cannot be read; it stays where it is");
            None
        }
    }
}
