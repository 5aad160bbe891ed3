//! What runs beside the worker's loop: loading what is known of keys, and applying one batch to its end.

use std::collections::HashMap;
use std::sync::Arc;

use super::applier::{self, BatchError};
use super::backoff::Backoff;
use super::scheduler::{Policy, Sequence};
use super::versions;
use crate::database::{ApplyError, Database, DatabaseErrorKind};
use crate::error::chain;
use crate::key::Key;
use crate::message::Message;
use crate::registry::Subscriptions;
use crate::version_store::{Advance, Applied, AppliedStore, NOTHING};

/// Contention is nobody's fault: a transaction is tried this often before its messages are tried one by one.
const CONTENTION_TRIES: u32 = 5;

/// What the worker and its tasks share.
pub(super) struct Shared {
    pub(super) subscriptions: Subscriptions,
    pub(super) database: Arc<dyn Database>,
    pub(super) store: Arc<dyn AppliedStore>,
    pub(super) retry: Backoff,
}

/// What became of a batch.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// Committed, in the store, ready to be acknowledged.
    pub(super) applied: Vec<Sequence>,
    /// At fault, and why.
    pub(super) failed: Vec<(Sequence, String)>,
    /// Rolled back with others' faults.
    pub(super) returned: Vec<Sequence>,
}

impl Outcome {
    /// The task that applied these messages panicked.
    pub(super) fn panicked(sequences: Vec<Sequence>) -> Self {
        let why = "applying panicked; this is a bug, please report it".to_owned();
        Self { failed: sequences.into_iter().map(|s| (s, why.clone())).collect(), ..Self::default() }
    }
}

/// Loads what the store knows of these keys, and what only the database knows. Waits for servers that are away.
pub(super) async fn load(shared: Arc<Shared>, keys: Vec<Key>) -> Vec<(Key, Applied)> {
    let mut failures = 0;
    loop {
        match try_load(&shared, &keys).await {
            Ok(loaded) => return loaded,
            Err(reason) => {
                failures += 1;
                if failures == 1 {
                    tracing::warn!(%reason, "applied versions cannot be loaded; trying again");
                }
                tokio::time::sleep(shared.retry.pause(failures)).await;
            }
        }
    }
}

async fn try_load(shared: &Shared, keys: &[Key]) -> Result<Vec<(Key, Applied)>, String> {
    let cached = shared.store.load(keys).await.map_err(|error| chain(&error))?;
    let mut known: HashMap<Key, Applied> = keys.iter().cloned().zip(cached).collect();
    let absent: Vec<Key> = keys.iter().filter(|key| known[*key].version.is_none()).cloned().collect();
    if !absent.is_empty() {
        let database = shared.database.as_ref();
        let mut stored = versions::read(database, &absent).await.map_err(|error| chain(&error))?;
        for (key, version) in &stored {
            known.insert(key.clone(), Applied { version: Some(*version), readers: None });
        }
        // That the database does not know a key is remembered, too. Otherwise whoever looks it up while another worker has
        // committed its first version, but has not told the store yet, would find that version without its readers.
        let unknown = absent.iter().filter(|key| known[*key].version.is_none());
        stored.extend(unknown.map(|key| (key.clone(), NOTHING)));
        shared.store.rebuild(&stored).await.map_err(|error| chain(&error))?;
        // For the same reason what somebody else has written there meanwhile is believed, rather than the database.
        let now = shared.store.load(&absent).await.map_err(|error| chain(&error))?;
        known.extend(absent.into_iter().zip(now).filter(|(_, applied)| applied.version.is_some()));
    }
    for applied in known.values_mut().filter(|applied| applied.version == Some(NOTHING)) {
        *applied = Applied::default();
    }
    Ok(known.into_iter().collect())
}

/// Applies a batch to its end: commits it, advances the store, or tells which message is at fault.
pub(super) async fn work(
    shared: Arc<Shared>,
    policy: Arc<Policy>,
    sequences: Vec<Sequence>,
    messages: Vec<Arc<Message>>,
) -> Outcome {
    let mut outcome = Outcome::default();
    // Parts still to apply, the next one last.
    let mut parts = Vec::new();
    parts.push(0..messages.len());
    while let Some(part) = parts.pop() {
        match apply_part(&shared, &messages[part.clone()]).await {
            Ok(()) => {
                advance(&shared, &policy, &messages[part.clone()]).await;
                outcome.applied.extend(&sequences[part]);
            }
            Err(Fault::Message(position, why)) => {
                let at = part.start + position;
                outcome.failed.push((sequences[at], why));
                // Later messages may depend on the one that failed: the scheduler sorts them out.
                outcome.returned.extend(&sequences[part.start..at]);
                outcome.returned.extend(&sequences[at + 1..]);
                return outcome;
            }
            Err(Fault::Unknown(why)) if part.len() == 1 => {
                outcome.failed.push((sequences[part.start], why));
                outcome.returned.extend(&sequences[part.end..]);
                return outcome;
            }
            // Bisect: the first half alone, then the second.
            Err(Fault::Unknown(_)) => {
                let middle = part.start + part.len() / 2;
                parts.push(middle..part.end);
                parts.push(part.start..middle);
            }
        }
    }
    outcome
}

enum Fault {
    /// The message at this position.
    Message(usize, String),
    /// One of them, nobody knows which (a failed COMMIT).
    Unknown(String),
}

/// One transaction, tried again as long as only the server or other transactions are at fault.
async fn apply_part(shared: &Shared, messages: &[Arc<Message>]) -> Result<(), Fault> {
    let mut contentions = 0;
    let mut failures = 0;
    loop {
        let applied = applier::apply(shared.database.as_ref(), &shared.subscriptions, messages).await;
        let Err(error) = applied else { return Ok(()) };
        match kind(&error) {
            Some(DatabaseErrorKind::Connection) => {
                failures += 1;
                if failures == 1 {
                    tracing::warn!(error = %chain(&error), "the database is away; trying again");
                }
                tokio::time::sleep(shared.retry.pause(failures)).await;
                continue;
            }
            Some(DatabaseErrorKind::Contention) if contentions < CONTENTION_TRIES => {
                contentions += 1;
                tokio::time::sleep(shared.retry.pause(contentions) / 10).await;
                continue;
            }
            _ => {}
        }
        return Err(match error {
            BatchError::Message { position, source } => Fault::Message(position, chain(&source)),
            BatchError::Database(error) => Fault::Unknown(chain(&error)),
        });
    }
}

fn kind(error: &BatchError) -> Option<DatabaseErrorKind> {
    match error {
        BatchError::Database(error) => Some(error.kind),
        BatchError::Message { source: ApplyError::Database { source, .. }, .. } => Some(source.kind),
        BatchError::Message { .. } => None,
    }
}

/// Advances the store; waits for it when it is away, because what is not advanced must not be acknowledged.
async fn advance(shared: &Shared, policy: &Policy, messages: &[Arc<Message>]) {
    fail::fail_point!("before_advance");
    let advances: Vec<Advance> = messages.iter().map(|m| policy.advance_of(m)).collect();
    let mut failures = 0;
    while let Err(error) = shared.store.advance(&advances).await {
        failures += 1;
        if failures == 1 {
            tracing::warn!(error = %chain(&error), "applied versions cannot be recorded; trying again");
        }
        tokio::time::sleep(shared.retry.pause(failures)).await;
    }
}
