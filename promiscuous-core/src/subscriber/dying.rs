//! What cannot be applied goes to the dead letters, with why (section 7 of the protocol).
//!
//! First it is put there, then its versions are consumed like those of a dummy, so that its successors go on (unless they are to
//! wait), and then its delivery is acknowledged: whoever dies in between leaves it in the queue, and it dies once more.

use std::sync::Arc;

use super::applier::{self, Again, BatchError};
use super::batch::{self, Shared};
use super::binding;
use super::scheduler::{Policy, Sequence};
use super::settings::OnDead;
use super::worker::Worker;
use crate::broker::{Broker, DeadLetter, Delivery, Queue};
use crate::error::chain;
use crate::message::Message;
use crate::metrics;

/// A message on its way to the dead letters.
pub(super) struct Dying {
    sequence: Sequence,
    message: Arc<Message>,
    letter: DeadLetter,
}

impl Worker {
    /// A message has failed for the last time.
    pub(super) fn dies(&mut self, sequence: Sequence, error: &str) {
        let (Some(message), Some(held)) = (self.scheduler.message(sequence), self.held.get(sequence)) else {
            return;
        };
        let letter = DeadLetter {
            body: held.delivery.body.clone(),
            id: Some(message.id),
            error: error.to_owned(),
            attempts: held.failures,
        };
        let dying = Dying { sequence, message: Arc::clone(message), letter };
        let (shared, policy) = (Arc::clone(&self.subscriber.shared), Arc::clone(&self.policy));
        let (broker, queue) = (Arc::clone(&self.subscriber.broker), self.queue.clone());
        let on_dead = self.subscriber.settings.on_dead;
        self.dying.spawn(die(shared, policy, broker, queue, on_dead, dying));
    }

    /// A body that is no message: nothing waits for it, and nothing is known of it but its delivery.
    pub(super) fn is_poison(&mut self, delivery: Delivery, error: &str) {
        let letter = DeadLetter { body: delivery.body, id: None, error: error.to_owned(), attempts: 0 };
        let shared = Arc::clone(&self.subscriber.shared);
        let (broker, queue) = (Arc::clone(&self.subscriber.broker), self.queue.clone());
        self.dying.spawn(async move {
            bury(&shared, broker.as_ref(), &queue, letter).await;
            delivery.acknowledger.ack(&[delivery.tag]).await;
            None
        });
    }

    /// A message is among the dead letters.
    pub(super) async fn is_dead(&mut self, sequence: Option<Sequence>) {
        let Some(sequence) = sequence else { return };
        ::metrics::counter!(metrics::DEAD).increment(1);
        self.subscriber.status.send_modify(|status| status.dead += 1);
        // Unless its connection was lost: then it comes, and dies, again.
        if let Some(held) = self.held.remove(sequence) {
            self.parked.has_left(sequence);
            held.delivery.acknowledger.ack(&[held.delivery.tag]).await;
        }
        match self.subscriber.settings.on_dead {
            OnDead::Skip => self.scheduler.applied(&[sequence]),
            OnDead::Block => self.scheduler.forget(sequence),
        }
    }
}

/// Waits for servers that are away.
async fn die(
    shared: Arc<Shared>,
    mut policy: Arc<Policy>,
    broker: Arc<dyn Broker>,
    queue: Queue,
    on_dead: OnDead,
    dying: Dying,
) -> Option<Sequence> {
    let Dying { sequence, message, letter } = dying;
    bury(&shared, broker.as_ref(), &queue, letter).await;
    if on_dead == OnDead::Skip {
        let dummy = [Arc::new(Message { operations: Vec::new(), ..Message::clone(&message) })];
        let mut failures = 0;
        while let Err(error) = applier::apply(&shared, &policy, &dummy, Again::Together).await {
            if let BatchError::Bound(bound) = error {
                policy = Arc::new(Policy::new(binding::with(policy.sources(), &bound, shared.skew)));
                continue;
            }
            failures += 1;
            if failures == 1 {
                tracing::warn!(error = %chain(&error), "a dead letter's versions cannot be consumed; trying again");
            }
            tokio::time::sleep(shared.retry.pause(failures)).await;
        }
        batch::advance(&shared, &policy, &dummy).await;
    }
    Some(sequence)
}

async fn bury(shared: &Shared, broker: &dyn Broker, queue: &Queue, letter: DeadLetter) {
    let mut failures = 0;
    while let Err(error) = broker.bury(queue, letter.clone()).await {
        failures += 1;
        if failures == 1 {
            tracing::warn!(%error, "a message cannot be put among the dead letters; trying again");
        }
        tokio::time::sleep(shared.retry.pause(failures)).await;
    }
}
