//! Messages in memory that are not yet acknowledged.

use std::sync::Arc;
use std::time::Instant;

use crate::broker::{Acknowledger, Delivery};

/// A message in memory.
pub(super) struct Held {
    /// To acknowledge it.
    pub(super) delivery: Delivery,
    /// When it came first, also if it was parked since: for `wait_timeout` and for reporting.
    pub(super) arrived: Instant,
    /// When it came into memory.
    pub(super) since: Instant,
    /// Failed attempts so far.
    pub(super) failures: u32,
}

impl Held {
    /// A message that has just come.
    pub(super) fn new(delivery: Delivery) -> Self {
        let now = Instant::now();
        Self { delivery, arrived: now, since: now, failures: 0 }
    }
}

/// Deliveries, sorted by the connection that brought them: one call settles all of a connection's.
#[derive(Default)]
pub(super) struct ByConnection(Vec<(Arc<dyn Acknowledger>, Vec<u64>)>);

impl ByConnection {
    pub(super) fn of(delivery: Delivery) -> Self {
        let mut one = Self::default();
        one.add(delivery);
        one
    }

    pub(super) fn add(&mut self, delivery: Delivery) {
        let Delivery { tag, acknowledger, .. } = delivery;
        match self.0.iter_mut().find(|(known, _)| Arc::ptr_eq(known, &acknowledger)) {
            Some((_, tags)) => tags.push(tag),
            None => self.0.push((acknowledger, vec![tag])),
        }
    }

    /// They are done.
    pub(super) async fn ack(self) {
        for (acknowledger, tags) in self.0 {
            acknowledger.ack(&tags).await;
        }
    }

    /// They go back to the queue, in the order in which they came.
    pub(super) async fn requeue(self) {
        for (acknowledger, mut tags) in self.0 {
            tags.sort_unstable();
            acknowledger.requeue(&tags).await;
        }
    }
}
