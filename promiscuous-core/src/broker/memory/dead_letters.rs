//! Dead letters in the process, in and out of somebody's hands.

use std::collections::BTreeMap;

use async_trait::async_trait;

use super::{MemoryBroker, MemoryQueue, Queued, State, away, undeclared};
use crate::broker::{BrokerError, DeadLetter, DeadLetters, Queue, TakenLetter};

/// A letter among the dead.
#[derive(Clone)]
pub(super) struct Buried {
    /// Its place among them.
    pub(super) place: u64,
    /// Milliseconds since 1970.
    pub(super) died_at: u64,
    /// What it says.
    pub(super) letter: DeadLetter,
}

/// What one reader has taken and not settled. Gone when the reader is, or its connection is lost.
pub(super) struct Hands {
    /// Where the letters are from.
    queue: String,
    /// By tag, which is the place.
    taken: BTreeMap<u64, Buried>,
}

/// Takes dead letters of a queue in hands.
pub(super) fn open(broker: &MemoryBroker, queue: &Queue) -> Result<Box<dyn DeadLetters>, BrokerError> {
    let mut state = broker.state();
    state.check_reachable()?;
    let name = queue.name();
    let count = state.queues.get(&name).ok_or_else(|| undeclared(&name))?.dead.len() as u64;
    let id = state.next_count();
    state.hands.insert(id, Hands { queue: name, taken: BTreeMap::new() });
    Ok(Box::new(MemoryDeadLetters { broker: broker.clone(), id, count, left: count }))
}

impl State {
    /// Ends a reader; what it had in hands is where it was.
    fn bury_again(&mut self, reader: u64) {
        let Some(hands) = self.hands.remove(&reader) else { return };
        if let Some(queue) = self.queues.get_mut(&hands.queue) {
            for buried in hands.taken.into_values() {
                let at = queue.dead.partition_point(|other| other.place < buried.place);
                queue.dead.insert(at, buried);
            }
        }
    }

    /// Ends every reader.
    pub(super) fn bury_all_again(&mut self) {
        let readers: Vec<u64> = self.hands.keys().copied().collect();
        for reader in readers {
            self.bury_again(reader);
        }
    }

    fn hands(&mut self, reader: u64) -> Result<(&mut Hands, &mut MemoryQueue), BrokerError> {
        let hands = self.hands.get_mut(&reader).ok_or_else(away)?;
        let queue = self.queues.get_mut(&hands.queue).ok_or_else(away)?;
        Ok((hands, queue))
    }

    fn retry(&mut self, reader: u64, tag: u64) -> Result<(), BrokerError> {
        let place = self.next_count();
        let (hands, queue) = self.hands(reader)?;
        // One that was settled before stays settled.
        if let Some(buried) = hands.taken.remove(&tag) {
            queue.ready.push_back(Queued { place, body: buried.letter.body, redelivered: false });
        }
        Ok(())
    }
}

struct MemoryDeadLetters {
    broker: MemoryBroker,
    /// Names the hands.
    id: u64,
    count: u64,
    /// How many of them were not taken yet.
    left: u64,
}

#[async_trait]
impl DeadLetters for MemoryDeadLetters {
    fn count(&self) -> u64 {
        self.count
    }

    async fn next(&mut self) -> Result<Option<TakenLetter>, BrokerError> {
        let mut state = self.broker.state();
        let (hands, queue) = state.hands(self.id)?;
        let Some(left) = self.left.checked_sub(1) else { return Ok(None) };
        self.left = left;
        Ok(queue.dead.pop_front().map(|buried| {
            let (tag, died_at, letter) = (buried.place, Some(buried.died_at), buried.letter.clone());
            hands.taken.insert(tag, buried);
            TakenLetter { letter, died_at, tag }
        }))
    }

    async fn retry(&mut self, letters: &[TakenLetter]) -> Vec<Result<(), BrokerError>> {
        let results = {
            let mut state = self.broker.state();
            letters.iter().map(|taken| state.retry(self.id, taken.tag)).collect()
        };
        self.broker.shared.changed.notify_waiters();
        results
    }

    async fn delete(&mut self, tags: &[u64]) -> Result<(), BrokerError> {
        let mut state = self.broker.state();
        let (hands, _) = state.hands(self.id)?;
        for tag in tags {
            hands.taken.remove(tag);
        }
        Ok(())
    }

    async fn put_back(self: Box<Self>) -> Result<(), BrokerError> {
        let mut state = self.broker.state();
        state.hands(self.id)?;
        state.bury_again(self.id);
        Ok(())
    }
}

impl Drop for MemoryDeadLetters {
    fn drop(&mut self) {
        self.broker.state().bury_again(self.id);
    }
}
