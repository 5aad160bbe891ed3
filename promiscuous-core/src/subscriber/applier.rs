//! Applying a batch: many messages in one database transaction, versions and rows together.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;

use super::batch::Shared;
use super::binding::{self, Bound};
use super::scheduler::Policy;
use super::versions::{self, Content, Write};
use crate::bootstrap::joining;
use crate::context::Context;
use crate::database::{ApplyError, DatabaseError, Transaction};
use crate::dependency::{ExternalDependency, Version};
use crate::key::Endpoint;
use crate::message::Message;
use crate::operation::{Operation, OperationKind};
use crate::version_store::NOTHING;

/// Why a batch was rolled back.
#[derive(Debug, thiserror::Error)]
pub(super) enum BatchError {
    /// One message is at fault.
    #[error("a message could not be applied")]
    Message {
        /// Its position in the batch.
        position: usize,
        #[source]
        source: ApplyError,
    },
    /// One of several objects that were applied together is at fault, or that they were: a model's own code may have written one of them.
    #[error("several objects could not be applied together")]
    Together(#[source] ApplyError),
    /// The app has bound more than this worker knows of, another version of it having started; this is what it has bound. Nobody is at fault.
    #[error("the app has bound more than this worker knows of")]
    Bound(Vec<Bound>),
    /// The database is at fault, or nobody can tell which message is.
    #[error("the transaction failed")]
    Database(#[from] DatabaseError),
}

/// Whether objects that are sent again are applied many at a time, or each alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Again {
    Together,
    Alone,
}

/// Applies messages in order, in one transaction: advance `promiscuous_versions`, apply each operation whose
/// version was newer, commit.
pub(super) async fn apply(
    shared: &Shared,
    policy: &Policy,
    messages: &[Arc<Message>],
    how: Again,
) -> Result<(), BatchError> {
    let writes = counted_writes(policy, messages);
    let causes: Vec<ExternalDependency> = messages.iter().flat_map(|m| m.as_causes()).collect();
    let name = match messages {
        [message] => format!("subscriber/{}", message.app),
        _ => "subscriber".to_owned(),
    };
    // What the app's own hooks write is caused by all of the batch, because it is committed with all of it.
    let context = Context::caused_by(name, causes);
    let applying = async {
        look_at_bound(shared, policy, messages).await?;
        let mut transaction = shared.database.begin().await?;
        match apply_in(transaction.as_mut(), shared, policy, messages, &writes, how).await {
            Ok(()) => {
                fail::fail_point!("before_apply_commit");
                Ok(transaction.commit().await?)
            }
            Err(error) => {
                // The error that matters is the first one.
                let _ = transaction.rollback().await;
                Err(error)
            }
        }
    };
    context.scope(applying).await
}

/// Whether the worker knows how each endpoint of the messages takes part. **A message must not be applied, and with it acknowledged, by who does not know what
/// the app has bound**: another version of the app, on the same queue, may have begun to take an endpoint a moment ago, and would never see it.
///
/// Whoever binds one records that before the queue is bound, so that a message which came by it finds the record here. Not in the transaction:
/// in MySQL the first read decides what all others see.
async fn look_at_bound(
    shared: &Shared,
    policy: &Policy,
    messages: &[Arc<Message>],
) -> Result<(), BatchError> {
    if messages.iter().all(|message| policy.covers(message)) {
        return Ok(());
    }
    let bound = binding::bound(shared.database.as_ref()).await?;
    let knows = binding::with(policy.sources(), &bound, shared.skew) == policy.sources();
    if knows { Ok(()) } else { Err(BatchError::Bound(bound)) }
}

async fn apply_in(
    transaction: &mut dyn Transaction,
    shared: &Shared,
    policy: &Policy,
    messages: &[Arc<Message>],
    writes: &[Write<'_>],
    how: Again,
) -> Result<(), BatchError> {
    let (dialect, subscriptions) = (shared.database.dialect(), &shared.subscriptions);
    let newer = versions::advance(transaction, dialect, writes).await?;
    let mut newer = newer.into_iter();
    let mut again = SentAgain::default();
    for (position, message) in messages.iter().enumerate() {
        if let Some(step) = &message.bootstrap {
            let state_of = |source: &str| binding::state_of(subscriptions, source);
            joining::take(transaction, dialect, &message.app, step, state_of).await?;
        }
        let dependencies = message.dependencies.as_ref();
        let versioned = dependencies.map_or(0, |d| d.write.len());
        let failed = |source| BatchError::Message { position, source };
        for place in 0..versioned.max(message.operations.len()) {
            // Same order as `counted_writes`; an operation without a version is always applied.
            let is_newer = match dependencies.and_then(|d| d.write.get(place)) {
                Some(write) if !policy.subscribes(&write.key) => continue,
                Some(_) => newer.next().unwrap_or(true),
                None => true,
            };
            let Some(operation) = message.operations.get(place).filter(|_| is_newer) else { continue };
            if subscriptions.resolve(operation).map_err(failed)?.is_none() {
                continue;
            }
            let is_again = operation.operation == OperationKind::Sync && operation.attributes.is_some();
            if is_again && how == Again::Together {
                if again.has(operation) {
                    again.apply(transaction).await?;
                }
                again.add(position, operation);
                continue;
            }
            // What comes later in the batch may refer to what came before.
            again.apply(transaction).await?;
            transaction.apply(&as_change(operation)).await.map_err(failed)?;
        }
    }
    again.apply(transaction).await
}

/// Objects that were sent again, by one message after the other: they are applied together, each another one.
#[derive(Default)]
struct SentAgain<'m> {
    operations: Vec<&'m Operation>,
    objects: HashSet<(&'m Endpoint, &'m str)>,
    /// The position of the message that the last one came with.
    position: usize,
}

impl<'m> SentAgain<'m> {
    /// Whether the object is among them.
    fn has(&self, operation: &Operation) -> bool {
        self.objects.contains(&(&operation.endpoint, operation.id.as_str()))
    }

    fn add(&mut self, position: usize, operation: &'m Operation) {
        self.objects.insert((&operation.endpoint, &operation.id));
        self.operations.push(operation);
        self.position = position;
    }

    /// Applies them, and begins anew.
    async fn apply(&mut self, transaction: &mut dyn Transaction) -> Result<(), BatchError> {
        if self.operations.is_empty() {
            return Ok(());
        }
        let Self { operations, position, .. } = std::mem::take(self);
        let applied = transaction.apply_all(&operations).await;
        applied.map_err(|source| match operations[..] {
            [_] => BatchError::Message { position, source },
            _ => BatchError::Together(source),
        })
    }
}

/// An object that was sent without attributes is there no more.
fn as_change(operation: &Operation) -> Cow<'_, Operation> {
    match operation {
        Operation { operation: OperationKind::Sync, attributes: None, .. } => {
            Cow::Owned(Operation { operation: OperationKind::Destroy, ..operation.clone() })
        }
        _ => Cow::Borrowed(operation),
    }
}

/// Every version that the messages bring for bound endpoints, in order; dummies consume theirs too.
fn counted_writes<'m>(policy: &Policy, messages: &'m [Arc<Message>]) -> Vec<Write<'m>> {
    let mut writes = Vec::new();
    for message in messages {
        for (place, write) in message.dependencies.iter().flat_map(|d| &d.write).enumerate() {
            if policy.subscribes(&write.key) {
                let version = Version::new(message.generation, write.version);
                // The first keys are those of the operations; further ones are only consumed.
                let content = match message.operations.get(place).map(|operation| operation.operation) {
                    None => Content::Nothing,
                    Some(OperationKind::Sync) => Content::Sync,
                    Some(_) => Content::Change,
                };
                let consumed = if write.unwritten { NOTHING } else { version };
                writes.push(Write { key: &write.key, version, consumed, content });
            }
        }
    }
    writes
}
