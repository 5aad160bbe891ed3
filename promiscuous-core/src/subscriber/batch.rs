//! What runs beside the worker's loop: loading what is known of keys, and applying one batch to its end.

use std::collections::HashSet;
use std::sync::Arc;

use super::applier::{self, Again, BatchError};
use super::backoff::Backoff;
use super::binding::Bound;
use super::scheduler::{Policy, Sequence};
use super::versions;
use crate::database::{ApplyError, Database, DatabaseErrorKind};
use crate::dependency::Version;
use crate::error::chain;
use crate::key::Key;
use crate::message::Message;
use crate::registry::Subscriptions;
use crate::version_store::{Advance, Applied, AppliedStore, NOTHING};

/// Contention is nobody's fault: a transaction is tried this often before its messages are tried one by one.
const CONTENTION_TRIES: u32 = 5;

/// Keys that the store does not know are read from the database and put there. When that is refused, they are looked up anew: this often.
const LOAD_TRIES: u32 = 10;

/// What the worker and its tasks share.
pub(super) struct Shared {
    pub(super) subscriptions: Subscriptions,
    pub(super) database: Arc<dyn Database>,
    pub(super) store: Arc<dyn AppliedStore>,
    pub(super) retry: Backoff,
    /// How far clocks may be apart, in microseconds.
    pub(super) skew: u64,
}

/// What became of a batch.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// Committed, in the store, ready to be acknowledged.
    pub(super) applied: Vec<Sequence>,
    /// At fault, and why.
    pub(super) failed: Vec<(Sequence, String)>,
    /// Rolled back with others' faults, or because of what is in `bound`.
    pub(super) returned: Vec<Sequence>,
    /// What the app has bound, where the worker does not know all of it.
    pub(super) bound: Option<Vec<Bound>>,
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

/// Which generations the endpoints are in whose own keys these are; nothing when the database does not say.
pub(super) async fn generations(shared: Arc<Shared>, keys: Vec<Key>) -> Vec<(Key, Version)> {
    let read = versions::read(shared.database.as_ref(), &keys).await;
    read.unwrap_or_else(|error| {
        tracing::debug!(error = %chain(&error), "generations cannot be read; trying again");
        Vec::new()
    })
}

async fn try_load(shared: &Shared, keys: &[Key]) -> Result<Vec<(Key, Applied)>, String> {
    let reason = |error: &dyn std::error::Error| chain(error);
    let mut known = Vec::with_capacity(keys.len());
    let mut wanted = keys.to_vec();
    for _ in 0..LOAD_TRIES {
        let loaded = shared.store.load(&wanted).await.map_err(|error| reason(&error))?;
        let mut absent = Vec::new();
        for (key, applied) in wanted.into_iter().zip(loaded.applied) {
            match applied.version {
                Some(NOTHING) => known.push((key, Applied::default())),
                Some(_) => known.push((key, applied)),
                None => absent.push(key),
            }
        }
        if absent.is_empty() {
            return Ok(known);
        }
        let mut stored =
            versions::read(shared.database.as_ref(), &absent).await.map_err(|error| reason(&error))?;
        // That the database does not know a key is remembered, too. Otherwise whoever looks it up while another worker has
        // committed its first version, but has not told the store yet, would find that version without its readers.
        let there: HashSet<&Key> = stored.iter().map(|(key, _)| key).collect();
        let unknown: Vec<Key> = absent.iter().filter(|key| !there.contains(key)).cloned().collect();
        stored.extend(unknown.into_iter().map(|key| (key, NOTHING)));
        let put = shared.store.rebuild(&loaded.cache, &stored).await.map_err(|error| reason(&error))?;
        let put = put.unwrap_or_else(|| vec![false; stored.len()]);
        // Where it was not put, somebody else has written to the store meanwhile, and what was read may be too old by now.
        wanted = Vec::new();
        for ((key, version), put) in stored.into_iter().zip(put) {
            match put {
                true if version == NOTHING => known.push((key, Applied::default())),
                true => known.push((key, Applied { version: Some(version), readers: None })),
                false => wanted.push(key),
            }
        }
        if wanted.is_empty() {
            return Ok(known);
        }
    }
    Err(format!("{} keys change faster than they can be loaded", wanted.len()))
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
        match apply_part(&shared, &policy, &messages[part.clone()]).await {
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
            Err(Fault::Bound(bound)) => {
                outcome.bound = Some(bound);
                outcome.returned.extend(&sequences[part.start..]);
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
    /// None: the worker does not know what the app has bound.
    Bound(Vec<Bound>),
}

/// One transaction, tried again as long as only the server or other transactions are at fault.
async fn apply_part(shared: &Shared, policy: &Policy, messages: &[Arc<Message>]) -> Result<(), Fault> {
    let mut contentions = 0;
    let mut failures = 0;
    let mut how = Again::Together;
    loop {
        let applied = applier::apply(shared, policy, messages, how).await;
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
            // Once more, each alone: that tells which one it is, and where a model's own code has written some of them, none is.
            BatchError::Together(_) if how == Again::Together => {
                how = Again::Alone;
                continue;
            }
            BatchError::Message { position, source } => Fault::Message(position, chain(&source)),
            BatchError::Together(source) => Fault::Unknown(chain(&source)),
            BatchError::Bound(bound) => Fault::Bound(bound),
            BatchError::Database(error) => Fault::Unknown(chain(&error)),
        });
    }
}

fn kind(error: &BatchError) -> Option<DatabaseErrorKind> {
    match error {
        BatchError::Database(error) => Some(error.kind),
        BatchError::Message { source: ApplyError::Database { source, .. }, .. }
        | BatchError::Together(ApplyError::Database { source, .. }) => Some(source.kind),
        BatchError::Message { .. } | BatchError::Together(_) | BatchError::Bound(_) => None,
    }
}

/// Advances the store; waits for it when it is away, because what is not advanced must not be acknowledged.
pub(super) async fn advance(shared: &Shared, policy: &Policy, messages: &[Arc<Message>]) {
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
