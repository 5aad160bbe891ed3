//! Steps 4 and 5: *finish*, publish with confirm, delete the outbox row.

use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::{mpsc, watch};
use uuid::Uuid;

use super::pending::Committed;
use super::{Inner, stop};
use crate::metrics::{PUBLISH_FAILED, PUBLISHED};

/// Messages that are finished, published and deleted together at the most.
const BATCH: usize = 128;

/// Batches that wait for their confirms at the same time.
const IN_FLIGHT: usize = 4;

/// The publishing task: takes committed messages as they come, many at a time when many wait.
pub(super) async fn run(
    inner: Arc<Inner>,
    mut committed: mpsc::Receiver<Committed>,
    mut stopped: watch::Receiver<bool>,
) {
    let mut in_flight = FuturesUnordered::new();
    let mut open = true;
    while open || !in_flight.is_empty() {
        let mut batch = Vec::with_capacity(BATCH);
        tokio::select! {
            biased;
            Some(()) = in_flight.next(), if !in_flight.is_empty() => {}
            taken = committed.recv_many(&mut batch, BATCH), if open && in_flight.len() < IN_FLIGHT => {
                open = taken > 0;
            }
            () = stop(&mut stopped), if open => committed.close(),
        }
        if !batch.is_empty() {
            in_flight.push(publish_in_hands(&inner, batch));
        }
    }
}

async fn publish_in_hands(inner: &Inner, batch: Vec<Committed>) {
    let ops: Vec<Uuid> = batch.iter().map(|c| c.finish.op).collect();
    if let Err(reason) = publish(inner, batch).await {
        tracing::debug!(%reason, messages = ops.len(), "left to the outbox sweeper");
    }
    inner.let_go(ops);
}

/// Finishes and publishes; **an outbox row goes only after the confirm, and after *finish* has succeeded.**
/// What fails keeps its row, and the sweeper comes back to it.
pub(super) async fn publish(inner: &Inner, batch: Vec<Committed>) -> Result<(), String> {
    let (finishes, publications): (Vec<_>, Vec<_>) =
        batch.iter().map(|c| (c.finish.clone(), c.publication.clone())).unzip();
    fail::fail_point!("before_finish");
    let confirms = tokio::time::timeout(inner.settings.confirm_timeout, async {
        tokio::join!(inner.store.finish(&finishes), inner.broker.publish(publications))
    });
    let (finished, confirmed) = confirms.await.map_err(|_| "the broker did not confirm in time")?;
    finished.map_err(|error| error.to_string())?;
    let mut messages = Vec::with_capacity(batch.len());
    let mut tombstones = Vec::new();
    let mut failure = None;
    for (committed, confirm) in batch.iter().zip(confirmed) {
        match confirm {
            Ok(()) if committed.tombstone => tombstones.push(committed.finish.op),
            Ok(()) => messages.push(committed.finish.op),
            Err(error) => failure = Some(error.to_string()),
        }
    }
    let done = messages.len() + tombstones.len();
    metrics::counter!(PUBLISHED).increment(done as u64);
    metrics::counter!(PUBLISH_FAILED).increment((batch.len() - done) as u64);
    fail::fail_point!("after_confirm");
    inner.outbox.delete(&messages).await.map_err(|error| error.to_string())?;
    inner.outbox.keep_as_fences(&tombstones).await.map_err(|error| error.to_string())?;
    failure.map_or(Ok(()), Err)
}
