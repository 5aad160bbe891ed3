//! In the process: for tests, demos (`memory://name`) and apps that are one process.
//!
//! Queues are unbounded, as a real broker's are; what is delivered at once is bounded by each consumer's prefetch.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::Notify;

use super::{
    Acknowledger, Broker, BrokerError, Consumer, DeadLetter, DeadLetters, Delivery, Prefetch, Publication,
    Queue, QueueDepth,
};
use crate::clock;
use crate::key::Endpoint;
use dead_letters::{Buried, Hands};

mod dead_letters;

/// Brokers that are shared by name within the process; they live as long as it does.
static NAMED: Mutex<BTreeMap<String, MemoryBroker>> = Mutex::new(BTreeMap::new());

/// A broker in the process. A cheap handle: clones share their queues.
#[derive(Clone, Default)]
pub struct MemoryBroker {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    /// Held for one step at a time and never while waiting.
    state: Mutex<State>,
    /// Wakes every consumer to look again: something was queued, returned or acknowledged, or connections were lost.
    changed: Notify,
}

#[derive(Default)]
struct State {
    queues: HashMap<String, MemoryQueue>,
    /// Which app publishes an endpoint.
    claims: HashMap<Endpoint, String>,
    /// What consumers hold, by consumer.
    consumers: HashMap<u64, Holding>,
    /// Dead letters in hands, by whose.
    hands: HashMap<u64, Hands>,
    /// Numbers consumers, deliveries and messages; a message's number is its place in every queue.
    count: u64,
    /// The state of the generator that shuffles deliveries; none delivers in order.
    shuffle: Option<u64>,
    /// Whether every message is queued twice.
    duplicate: bool,
    /// More than so many deliveries are given to nobody, whatever they asked for.
    narrow: Option<u16>,
    /// Whether the broker is away.
    away: bool,
}

#[derive(Default)]
struct MemoryQueue {
    bindings: Vec<String>,
    /// Ordered by place, so that what is returned takes its old place.
    ready: VecDeque<Queued>,
    /// What will not be delivered again, ordered by place. Without what is in somebody's hands.
    dead: VecDeque<Buried>,
}

#[derive(Clone)]
struct Queued {
    place: u64,
    body: Bytes,
    redelivered: bool,
}

/// What one consumer has received and not settled. Gone when the consumer is dropped or its connection lost.
struct Holding {
    queue: String,
    prefetch: usize,
    /// By delivery tag.
    unacked: BTreeMap<u64, Queued>,
    /// Whether new deliveries are wanted.
    stopped: bool,
}

impl MemoryBroker {
    /// A broker without queues.
    pub fn new() -> Self {
        Self::default()
    }

    /// The one broker of this name in the process: what `memory://name` means.
    pub fn named(name: &str) -> Self {
        NAMED.lock().unwrap_or_else(PoisonError::into_inner).entry(name.to_owned()).or_default().clone()
    }

    /// Messages of a queue that are neither delivered nor dead, by the queue's full name.
    pub fn len(&self, queue: &str) -> usize {
        self.state().queues.get(queue).map_or(0, |queue| queue.ready.len())
    }

    /// Whether a queue has nothing to deliver, see [`len`](MemoryBroker::len).
    pub fn is_empty(&self, queue: &str) -> bool {
        self.len(queue) == 0
    }

    /// The dead letters of a queue (by its own full name, not theirs), oldest first; without those in somebody's hands.
    pub fn dead_letters(&self, queue: &str) -> Vec<DeadLetter> {
        let state = self.state();
        let dead = state.queues.get(queue).map(|queue| queue.dead.iter());
        dead.into_iter().flatten().map(|buried| buried.letter.clone()).collect()
    }

    /// Loses every connection: all consumers end with an error, and what they held is queued again. So do readers of dead letters.
    pub fn disconnect(&self) {
        let mut state = self.state();
        let consumers: Vec<u64> = state.consumers.keys().copied().collect();
        for consumer in consumers {
            state.return_all(consumer);
        }
        state.bury_all_again();
        drop(state);
        self.shared.changed.notify_waiters();
    }

    /// Goes away (and loses every connection), or comes back. While it is away everything fails as if it could not be reached.
    pub fn set_away(&self, away: bool) {
        self.state().away = away;
        if away {
            self.disconnect();
        }
    }

    /// Shuffles deliveries from now on, each among as many of the next messages as the consumer's prefetch
    /// admits; the same seed shuffles the same way. None delivers in order again.
    pub fn reorder(&self, seed: Option<u64>) {
        // The generator would stay at zero for ever.
        self.state().shuffle = seed.map(|seed| seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    }

    /// Queues every message twice from now on, or once again.
    pub fn duplicate(&self, twice: bool) {
        self.state().duplicate = twice;
    }

    /// Gives consumers fewer deliveries at a time than they ask for, as RabbitMQ is asked to do where messages are large; or as many again.
    pub fn narrow(&self, prefetch: Option<u16>) {
        self.state().narrow = prefetch;
        self.shared.changed.notify_waiters();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn away() -> BrokerError {
    BrokerError::Connection { at: "memory".into(), reason: "it is away".into() }
}

fn undeclared(queue: &str) -> BrokerError {
    BrokerError::Refused { at: "memory".into(), reason: format!("the queue {queue} was not declared") }
}

/// Whether a topic pattern takes a routing key: `*` stands for one word.
fn matches(pattern: &str, routing_key: &str) -> bool {
    let (mut pattern, mut words) = (pattern.split('.'), routing_key.split('.'));
    loop {
        match (pattern.next(), words.next()) {
            (None, None) => return true,
            (Some(wanted), Some(word)) if wanted == "*" || wanted == word => {}
            _ => return false,
        }
    }
}

impl State {
    fn check_reachable(&self) -> Result<(), BrokerError> {
        if self.away { Err(away()) } else { Ok(()) }
    }

    fn next_count(&mut self) -> u64 {
        self.count += 1;
        self.count
    }

    fn route(&mut self, publication: &Publication) -> Result<(), BrokerError> {
        let keys: Vec<String> = publication.endpoints.iter().map(Endpoint::routing_key).collect();
        let only = publication.only_to.as_deref().map(|app| Queue::of(app).name());
        if let Some(only) = only.as_ref().filter(|only| !self.queues.contains_key(*only)) {
            return Err(undeclared(only));
        }
        let wants = |name: &String, patterns: &[String]| match &only {
            Some(only) => only == name,
            None => patterns.iter().any(|pattern| keys.iter().any(|key| matches(pattern, key))),
        };
        for _ in 0..=usize::from(self.duplicate) {
            let place = self.next_count();
            let queued = Queued { place, body: publication.body.clone(), redelivered: false };
            for (name, queue) in &mut self.queues {
                if wants(name, &queue.bindings) {
                    queue.ready.push_back(queued.clone());
                }
            }
        }
        Ok(())
    }

    /// The next message for a consumer, if there is one and its prefetch admits it.
    fn take(&mut self, consumer: u64) -> Option<(u64, Queued)> {
        let holding = self.consumers.get(&consumer)?;
        let prefetch = self.narrow.map_or(holding.prefetch, |most| holding.prefetch.min(usize::from(most)));
        let room = prefetch.saturating_sub(holding.unacked.len());
        if room == 0 || holding.stopped {
            return None;
        }
        let ready = &mut self.queues.get_mut(&holding.queue)?.ready;
        let window = room.min(ready.len());
        let at = match &mut self.shuffle {
            Some(generator) if window > 0 => {
                // xorshift64: small, seeded, and good enough to shuffle by.
                *generator ^= *generator << 13;
                *generator ^= *generator >> 7;
                *generator ^= *generator << 17;
                usize::try_from(*generator % window as u64).unwrap_or(0)
            }
            _ => 0,
        };
        let queued = ready.remove(at)?;
        let tag = self.next_count();
        self.consumers.get_mut(&consumer)?.unacked.insert(tag, queued.clone());
        Some((tag, queued))
    }

    /// Forgets a delivery of a consumer, and says what it was and which queue it came from.
    fn settle(&mut self, consumer: u64, tag: u64) -> Option<(&mut MemoryQueue, Queued)> {
        let holding = self.consumers.get_mut(&consumer)?;
        let queued = holding.unacked.remove(&tag)?;
        Some((self.queues.get_mut(&holding.queue)?, queued))
    }

    /// Ends a consumer; what it held is delivered again.
    fn return_all(&mut self, consumer: u64) {
        let Some(holding) = self.consumers.remove(&consumer) else { return };
        if let Some(queue) = self.queues.get_mut(&holding.queue) {
            for queued in holding.unacked.into_values() {
                queue.put_back(queued);
            }
        }
    }
}

impl MemoryQueue {
    fn put_back(&mut self, queued: Queued) {
        let at = self.ready.partition_point(|other| other.place < queued.place);
        self.ready.insert(at, Queued { redelivered: true, ..queued });
    }
}

#[async_trait]
impl Broker for MemoryBroker {
    async fn claim(&self, app: &str, endpoints: &[Endpoint]) -> Result<(), BrokerError> {
        let mut state = self.state();
        state.check_reachable()?;
        for endpoint in endpoints {
            let owner = state.claims.entry(endpoint.clone()).or_insert_with(|| app.to_owned());
            if owner != app {
                return Err(BrokerError::EndpointTaken {
                    endpoint: endpoint.clone(),
                    owner: owner.clone(),
                    exchange: super::claim_exchange(endpoint),
                });
            }
        }
        Ok(())
    }

    async fn publish(&self, publications: Vec<Publication>) -> Vec<Result<(), BrokerError>> {
        let results = {
            let mut state = self.state();
            let publish = |publication: &Publication| {
                state.check_reachable()?;
                super::check_size("memory", publication)?;
                state.route(publication)
            };
            publications.iter().map(publish).collect()
        };
        self.shared.changed.notify_waiters();
        results
    }

    async fn declare(&self, queue: &Queue) -> Result<(), BrokerError> {
        let mut state = self.state();
        state.check_reachable()?;
        let declared = state.queues.entry(queue.name()).or_default();
        for binding in &queue.bindings {
            if !declared.bindings.contains(binding) {
                declared.bindings.push(binding.clone());
            }
        }
        Ok(())
    }

    async fn unbind(&self, queue: &Queue) -> Result<(), BrokerError> {
        let mut state = self.state();
        state.check_reachable()?;
        if let Some(declared) = state.queues.get_mut(&queue.name()) {
            declared.bindings.retain(|binding| !queue.bindings.contains(binding));
        }
        Ok(())
    }

    async fn bury(&self, queue: &Queue, letter: DeadLetter) -> Result<(), BrokerError> {
        let mut state = self.state();
        state.check_reachable()?;
        let (name, place) = (queue.name(), state.next_count());
        let Some(declared) = state.queues.get_mut(&name) else { return Err(undeclared(&name)) };
        declared.dead.push_back(Buried { place, died_at: clock::millis(), letter });
        Ok(())
    }

    async fn open_dead_letters(&self, queue: &Queue) -> Result<Box<dyn DeadLetters>, BrokerError> {
        dead_letters::open(self, queue)
    }

    /// Bodies are in this process already: only their number counts.
    async fn consume_within(
        &self,
        queue: &Queue,
        prefetch: Prefetch,
    ) -> Result<Box<dyn Consumer>, BrokerError> {
        let mut state = self.state();
        state.check_reachable()?;
        let name = queue.name();
        if !state.queues.contains_key(&name) {
            return Err(undeclared(&name));
        }
        let id = state.next_count();
        // As AMQP has it, 0 is no limit.
        let messages = prefetch.messages;
        let prefetch = if messages == 0 { usize::MAX } else { usize::from(messages) };
        let holding = Holding { queue: name, prefetch, unacked: BTreeMap::new(), stopped: false };
        state.consumers.insert(id, holding);
        Ok(Box::new(MemoryConsumer {
            prefetch: messages,
            acknowledger: Arc::new(MemoryAcknowledger { broker: self.clone(), consumer: id }),
        }))
    }

    async fn depth(&self, queue: &Queue) -> Result<Option<QueueDepth>, BrokerError> {
        let state = self.state();
        state.check_reachable()?;
        let name = queue.name();
        let consumers = || state.consumers.values().filter(|holding| holding.queue == name);
        Ok(state.queues.get(&name).map(|queue| QueueDepth {
            ready: queue.ready.len() as u64,
            unacked: Some(consumers().map(|holding| holding.unacked.len() as u64).sum()),
            consumers: consumers().filter(|holding| !holding.stopped).count() as u64,
            dead: queue.dead.len() as u64,
        }))
    }

    async fn ping(&self) -> Result<(), BrokerError> {
        self.state().check_reachable()
    }
}

struct MemoryConsumer {
    /// As it was asked for.
    prefetch: u16,
    acknowledger: Arc<MemoryAcknowledger>,
}

struct MemoryAcknowledger {
    broker: MemoryBroker,
    /// The consumer, and with it the connection, whose deliveries this settles.
    consumer: u64,
}

#[async_trait]
impl Consumer for MemoryConsumer {
    async fn next(&mut self) -> Result<Delivery, BrokerError> {
        let MemoryAcknowledger { broker, consumer } = &*self.acknowledger;
        loop {
            // Listening begins before looking, so that nothing is missed in between.
            let mut changed = std::pin::pin!(broker.shared.changed.notified());
            changed.as_mut().enable();
            {
                let mut state = broker.state();
                if !state.consumers.contains_key(consumer) {
                    let reason = "the connection was lost".into();
                    return Err(BrokerError::Connection { at: "memory".into(), reason });
                }
                if let Some((tag, queued)) = state.take(*consumer) {
                    return Ok(Delivery {
                        body: queued.body,
                        redelivered: queued.redelivered,
                        tag,
                        acknowledger: self.acknowledger.clone(),
                    });
                }
            }
            changed.await;
        }
    }

    fn prefetch(&self) -> u16 {
        let narrow = self.acknowledger.broker.state().narrow;
        narrow.map_or(self.prefetch, |most| self.prefetch.min(most))
    }

    async fn stop(&mut self) {
        let MemoryAcknowledger { broker, consumer } = &*self.acknowledger;
        if let Some(holding) = broker.state().consumers.get_mut(consumer) {
            holding.stopped = true;
        }
    }
}

impl Drop for MemoryConsumer {
    fn drop(&mut self) {
        let MemoryAcknowledger { broker, consumer } = &*self.acknowledger;
        broker.state().return_all(*consumer);
        broker.shared.changed.notify_waiters();
    }
}

impl MemoryAcknowledger {
    fn settle(&self, tags: &[u64], then: impl Fn(&mut MemoryQueue, Queued)) {
        let mut state = self.broker.state();
        for &tag in tags {
            if let Some((queue, queued)) = state.settle(self.consumer, tag) {
                then(queue, queued);
            }
        }
        drop(state);
        self.broker.shared.changed.notify_waiters();
    }
}

#[async_trait]
impl Acknowledger for MemoryAcknowledger {
    async fn ack(&self, tags: &[u64]) {
        self.settle(tags, |_, _| ());
    }

    async fn requeue(&self, tags: &[u64]) {
        self.settle(tags, MemoryQueue::put_back);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_word_by_word() {
        assert!(matches("*.post", "a.post") && matches("a.post", "a.post"));
        assert!(!matches("*.post", "a.user") && !matches("b.post", "a.post"));
        assert!(!matches("*.post", "post") && !matches("*.post", "a.b.post"));
    }
}
