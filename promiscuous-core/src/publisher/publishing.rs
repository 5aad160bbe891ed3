//! Steps 4 and 5: *finish*, publish with confirm, delete the outbox row.
//!
//! Rows are deleted many at a time, a moment after their messages were confirmed: a DELETE for each would make the database
//! write and flush its log once more for every message, in the way of the writers. A process that dies in that moment leaves
//! rows behind, which the sweeper publishes once more; subscribers skip what they have.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use uuid::Uuid;

use super::outbox;
use super::pending::Committed;
use super::shared::HANGS;
use super::{Inner, stop};
use crate::metrics::{PUBLISH_FAILED, PUBLISHED};

/// Messages that are finished and published together at the most.
const BATCH: usize = 128;

/// Batches that wait for their confirms at the same time.
const IN_FLIGHT: usize = 4;

/// How long a published message's outbox row may wait for others to be deleted with.
const GATHER: Duration = Duration::from_millis(100);

/// How often the task goes round when there is nothing to do: for its pulse.
const BEAT: Duration = Duration::from_secs(5);

/// Published messages whose rows may wait to be deleted: beyond, publishing waits for the database.
const UNDELETED: usize = 4 * outbox::BATCH;

/// The publishing task: takes committed messages as they come, many at a time when many wait.
pub(super) async fn run(
    inner: Arc<Inner>,
    mut committed: mpsc::Receiver<Committed>,
    mut stopped: watch::Receiver<bool>,
) {
    let pulse = inner.health.part("publishing", HANGS);
    let mut in_flight = FuturesUnordered::new();
    let mut deleting = FuturesUnordered::new();
    // Published by now; the first one's row is deleted at that time.
    let (mut published, mut delete_at) = (Vec::new(), Instant::now());
    let mut open = true;
    // What is under way is bounded by timeouts; only a database that never answers is not.
    let mut progress = Instant::now();
    let (mut under_way, mut round) = (0, tokio::time::interval(BEAT));
    while open || !in_flight.is_empty() || !published.is_empty() || !deleting.is_empty() {
        let now_under_way = in_flight.len() + deleting.len();
        if now_under_way == 0 || now_under_way < under_way {
            progress = Instant::now();
        }
        under_way = now_under_way;
        if progress.elapsed() < HANGS {
            pulse.beat();
        }
        let mut batch = Vec::with_capacity(BATCH);
        let room = in_flight.len() < IN_FLIGHT && published.len() < UNDELETED;
        let due = !published.is_empty() && deleting.is_empty();
        let ended = !open && in_flight.is_empty();
        tokio::select! {
            biased;
            Some(ops) = in_flight.next(), if !in_flight.is_empty() => {
                if published.is_empty() {
                    delete_at = Instant::now() + GATHER;
                }
                published.extend::<Vec<Uuid>>(ops);
            }
            Some(()) = deleting.next(), if !deleting.is_empty() => {}
            () = std::future::ready(()), if due && (ended || published.len() >= outbox::BATCH) => {
                deleting.push(delete(&inner, std::mem::take(&mut published)));
            }
            taken = committed.recv_many(&mut batch, BATCH), if open && room => open = taken > 0,
            () = tokio::time::sleep_until(delete_at), if due => {
                deleting.push(delete(&inner, std::mem::take(&mut published)));
            }
            () = stop(&mut stopped), if open => committed.close(),
            _ = round.tick() => {}
        }
        if !batch.is_empty() {
            in_flight.push(publish_in_hands(&inner, batch));
        }
    }
    pulse.end();
}

/// Publishes, and answers with the ops whose outbox rows can go. They stay in this process's hands until those are gone.
async fn publish_in_hands(inner: &Inner, batch: Vec<Committed>) -> Vec<Uuid> {
    let ops: Vec<Uuid> = batch.iter().map(|c| c.finish.op).collect();
    let published = match confirmed(inner, &batch).await {
        Ok(Published { messages, failure, .. }) => {
            if let Some(reason) = failure {
                tracing::debug!(%reason, "messages are left to the outbox sweeper");
            }
            messages
        }
        Err(reason) => {
            tracing::debug!(%reason, messages = ops.len(), "left to the outbox sweeper");
            Vec::new()
        }
    };
    if published.len() < ops.len() {
        let published: HashSet<&Uuid> = published.iter().collect();
        inner.let_go(ops.into_iter().filter(|op| !published.contains(op)));
    }
    published
}

async fn delete(inner: &Inner, ops: Vec<Uuid>) {
    if let Err(error) = inner.outbox.delete(&ops).await {
        tracing::debug!(%error, messages = ops.len(), "published, and left to the outbox sweeper to delete");
    }
    inner.let_go(ops);
}

/// Finishes and publishes; **an outbox row goes only after the confirm, and after *finish* has succeeded.**
/// What fails keeps its row, and the sweeper comes back to it.
///
/// # Errors
/// When nothing could be published.
pub(super) async fn publish(inner: &Inner, batch: Vec<Committed>) -> Result<(), String> {
    let Published { messages, tombstones, failure } = confirmed(inner, &batch).await?;
    inner.outbox.delete(&messages).await.map_err(|error| error.to_string())?;
    inner.outbox.keep_as_fences(&tombstones).await.map_err(|error| error.to_string())?;
    // One message that the broker does not take must not hold up those behind it.
    let nothing = messages.is_empty() && tombstones.is_empty();
    failure.filter(|_| nothing).map_or(Ok(()), Err)
}

/// What is finished and confirmed.
struct Published {
    /// Whose rows can be deleted.
    messages: Vec<Uuid>,
    /// Whose rows become fences.
    tombstones: Vec<Uuid>,
    /// Why others were not confirmed.
    failure: Option<String>,
}

/// Finishes and publishes. No row may go when this fails.
async fn confirmed(inner: &Inner, batch: &[Committed]) -> Result<Published, String> {
    let (finishes, publications): (Vec<_>, Vec<_>) =
        batch.iter().map(|c| (c.finish.clone(), c.publication.clone())).unzip();
    fail::fail_point!("before_finish");
    let finish = async {
        let finished = inner.store.finish(&finishes).await;
        fail::fail_point!("after_finish");
        finished
    };
    let confirms = tokio::time::timeout(inner.settings.confirm_timeout, async {
        tokio::join!(finish, inner.broker.publish(publications))
    });
    let (finished, confirmed) = confirms.await.map_err(|_| "the broker did not confirm in time")?;
    finished.map_err(|error| error.to_string())?;
    let mut published = Published { messages: Vec::new(), tombstones: Vec::new(), failure: None };
    for (committed, confirm) in batch.iter().zip(confirmed) {
        match confirm {
            Ok(()) if committed.tombstone => published.tombstones.push(committed.finish.op),
            Ok(()) => published.messages.push(committed.finish.op),
            Err(error) => published.failure = Some(error.to_string()),
        }
    }
    let done = published.messages.len() + published.tombstones.len();
    metrics::counter!(PUBLISHED).increment(done as u64);
    metrics::counter!(PUBLISH_FAILED).increment((batch.len() - done) as u64);
    fail::fail_point!("after_confirm");
    Ok(published)
}
