//! Messages in memory that are not yet acknowledged.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use super::scheduler::Sequence;
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
    /// Bytes that it takes of the window.
    weight: usize,
}

impl Held {
    /// A message that has just come.
    pub(super) fn new(delivery: Delivery) -> Self {
        let now = Instant::now();
        let weight = delivery.body.len();
        Self { delivery, arrived: now, since: now, failures: 0, weight }
    }

    /// A message that was parked, and that arrived first then. The broker has forgotten it: it takes nothing of the window, or what it
    /// waits for might not fit in. It has failed so often before.
    pub(super) fn back(delivery: Delivery, arrived: Instant, failures: u32) -> Self {
        Self { arrived, failures, weight: 0, ..Self::new(delivery) }
    }
}

/// All messages in memory, and how many bytes they have: the broker's window counts messages, and they may be of any size.
pub(super) struct InMemory {
    by_sequence: HashMap<Sequence, Held>,
    /// What they weigh together.
    bytes: usize,
    /// No more is taken from the broker once they weigh as much.
    limit: usize,
}

impl InMemory {
    /// None yet.
    pub(super) fn new(limit: usize) -> Self {
        Self { by_sequence: HashMap::new(), bytes: 0, limit }
    }

    /// Whether another message may be taken from the broker, whatever its size.
    pub(super) fn has_room(&self) -> bool {
        self.bytes < self.limit
    }

    pub(super) fn insert(&mut self, sequence: Sequence, held: Held) {
        self.bytes += held.weight;
        if let Some(before) = self.by_sequence.insert(sequence, held) {
            self.bytes -= before.weight;
        }
    }

    pub(super) fn remove(&mut self, sequence: Sequence) -> Option<Held> {
        let held = self.by_sequence.remove(&sequence)?;
        self.bytes -= held.weight;
        Some(held)
    }

    /// Counts a failed attempt, and answers with how many there were. What fails may stay for a quarter of an hour: it takes nothing of the
    /// window any more, or a few large messages that fail would hold up all others.
    pub(super) fn fails(&mut self, sequence: Sequence) -> Option<u32> {
        let held = self.by_sequence.get_mut(&sequence)?;
        self.bytes -= std::mem::take(&mut held.weight);
        held.failures += 1;
        Some(held.failures)
    }

    /// Takes the delivery of a message that has come once more, and answers with the earlier one.
    pub(super) fn redelivered(&mut self, sequence: Sequence, delivery: Delivery) -> Option<Delivery> {
        let held = self.by_sequence.get_mut(&sequence)?;
        Some(std::mem::replace(&mut held.delivery, delivery))
    }

    pub(super) fn get(&self, sequence: Sequence) -> Option<&Held> {
        self.by_sequence.get(&sequence)
    }

    pub(super) fn contains(&self, sequence: Sequence) -> bool {
        self.by_sequence.contains_key(&sequence)
    }

    pub(super) fn len(&self) -> usize {
        self.by_sequence.len()
    }

    pub(super) fn sequences(&self) -> impl Iterator<Item = Sequence> {
        self.by_sequence.keys().copied()
    }

    /// Takes all of them out.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = Held> {
        self.bytes = 0;
        self.by_sequence.drain().map(|(_, held)| held)
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

#[cfg(test)]
mod tests {
    use super::*;

    struct Nobody;

    #[async_trait::async_trait]
    impl Acknowledger for Nobody {
        async fn ack(&self, _tags: &[u64]) {}
        async fn requeue(&self, _tags: &[u64]) {}
    }

    fn delivery(bytes: usize) -> Delivery {
        Delivery {
            body: vec![b'x'; bytes].into(),
            redelivered: false,
            tag: 1,
            acknowledger: Arc::new(Nobody),
        }
    }

    #[test]
    fn a_window_is_full_of_bytes_and_has_room_again_when_they_leave() {
        let mut held = InMemory::new(100);
        held.insert(1, Held::new(delivery(99)));
        assert!(held.has_room());
        held.insert(2, Held::new(delivery(500)));
        assert!(!held.has_room());
        held.redelivered(2, delivery(500));
        held.remove(1);
        assert!(!held.has_room());
        held.remove(2);
        held.remove(2);
        assert!(held.has_room());
        held.insert(3, Held::new(delivery(100)));
        held.insert(3, Held::new(delivery(99)));
        assert!(held.has_room());
        held.insert(4, Held::new(delivery(1)));
        assert!(!held.has_room());
        assert_eq!((held.drain().count(), held.has_room()), (2, true));
    }

    #[test]
    fn neither_what_fails_nor_what_was_parked_takes_room() {
        let mut held = InMemory::new(100);
        held.insert(1, Held::back(delivery(500), Instant::now(), 0));
        held.insert(2, Held::new(delivery(500)));
        assert_eq!((held.fails(2), held.fails(2), held.fails(3)), (Some(1), Some(2), None));
        assert!(held.has_room());
        held.remove(1);
        held.remove(2);
        held.insert(4, Held::new(delivery(100)));
        assert!(!held.has_room());
    }
}
