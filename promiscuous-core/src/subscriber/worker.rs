//! The worker: one queue, one scheduler, several batches at a time.

use std::collections::{BTreeSet, HashMap};
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use tokio::sync::broadcast;
use tokio::task::JoinSet;

use super::batch::{self, Outcome};
use super::binding::Bound;
use super::handle::Subscriber;
use super::held::{ByConnection, Held, InMemory};
use super::parking::ParkingState;
use super::pulse::Longest;
use super::scheduler::{Arrival, Policy, Scheduler, Sequence};
use super::settings::{Status, SubscriberSettings};
use crate::broker::{BrokerError, Consumer, Delivery, Prefetch, Queue};
use crate::clock;
use crate::consistency::Consistency;
use crate::dependency::Version;
use crate::error::Error;
use crate::health::Pulse;
use crate::key::Key;
use crate::message::Message;
use crate::metrics;
use crate::notice::{self, Notice};
use crate::version_store::{Announcement, Applied};

/// Deliveries taken at once before keys are loaded: one round trip for all of them.
const DELIVERIES: usize = 256;

/// Loads under way at the same time; further keys gather for the next one.
const LOADS: usize = 2;

/// The broker's bodies in memory, as they came, are aimed to be so many times what is decoded of them.
const WINDOWS: usize = 4;

/// A batch that is being applied.
pub(super) struct InFlight {
    pub(super) sequences: Vec<Sequence>,
    /// For its health: one that takes very long hangs.
    pub(super) since: Instant,
}

pub(super) struct Worker {
    pub(super) subscriber: Subscriber,
    pub(super) policy: Arc<Policy>,
    pub(super) scheduler: Scheduler,
    pub(super) queue: Queue,
    pub(super) held: InMemory,
    pub(super) batches: JoinSet<Outcome>,
    /// What each running batch consists of, in case it panics.
    pub(super) in_flight: HashMap<tokio::task::Id, InFlight>,
    pub(super) loads: JoinSet<Vec<(Key, Applied)>>,
    pub(super) retries: BTreeSet<(Instant, Sequence)>,
    /// Which generations the endpoints are in that blocked messages wait for: being looked up.
    pub(super) generations: JoinSet<Vec<(Key, Version)>>,
    /// How often blocked messages were looked at.
    pub(super) looks: u64,
    /// On their way to the dead letters.
    pub(super) dying: JoinSet<Option<Sequence>>,
    /// Messages that wait and are not in memory, and those of them that are back.
    pub(super) parked: ParkingState,
    /// What has waited longest for its cause.
    pub(super) longest: Longest,
    /// The states of the sources: being read, and asked for where rows are on their way. One task at a time.
    pub(super) states: JoinSet<Option<Vec<Bound>>>,
}

impl Worker {
    pub(super) fn new(subscriber: Subscriber, policy: Arc<Policy>, queue: Queue) -> Self {
        let parked = ParkingState::new(&subscriber.shared);
        Self {
            held: InMemory::new(subscriber.settings.window_bytes),
            subscriber,
            scheduler: Scheduler::new(Arc::clone(&policy)),
            policy,
            queue,
            batches: JoinSet::new(),
            in_flight: HashMap::new(),
            loads: JoinSet::new(),
            retries: BTreeSet::new(),
            generations: JoinSet::new(),
            looks: 0,
            dying: JoinSet::new(),
            parked,
            longest: Longest::default(),
            states: JoinSet::new(),
        }
    }

    pub(super) async fn run(
        &mut self,
        mut announcements: broadcast::Receiver<Announcement>,
        mut shutdown: std::pin::Pin<&mut impl Future<Output = ()>>,
        pulse: Pulse,
    ) -> Result<(), Error> {
        let mut consumer: Option<Box<dyn Consumer>> = None;
        let mut connect_at = Instant::now();
        let mut failures = 0;
        let mut every_second = tokio::time::interval(Duration::from_secs(1));
        every_second.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            self.start_loads();
            self.start_batches();
            if !self.parked.leaving.is_empty() {
                self.start_parking();
            }
            self.start_looking();
            self.look_whether_stuck(consumer.as_deref().map(Consumer::prefetch));
            let (parks_at, looks_at) = (self.parks_at(), self.looks_at());
            self.tell(consumer.is_some());
            let next_retry = self.retries.first().map(|(at, _)| *at);
            tokio::select! {
                biased;
                () = &mut shutdown => {
                    pulse.end();
                    return self.drain(consumer).await;
                }
                Some(done) = self.batches.join_next_with_id(), if !self.batches.is_empty() => {
                    self.batch_done(done).await;
                }
                Some(Ok(loaded)) = self.loads.join_next(), if !self.loads.is_empty() => {
                    for (key, applied) in loaded {
                        self.scheduler.loaded(&key, applied);
                    }
                }
                Some(Ok(generations)) = self.generations.join_next(), if !self.generations.is_empty() => {
                    self.give_up_what_is_over(&generations);
                }
                Some(Ok(sequence)) = self.dying.join_next(), if !self.dying.is_empty() => self.is_dead(sequence).await,
                event = self.parked.next() => self.parking_event(event).await,
                Some(Ok(states)) = self.states.join_next(), if !self.states.is_empty() => self.states_read(states),
                () = sleep_until(parks_at), if parks_at.is_some() => self.start_parking(),
                // Then it looks: see above.
                () = sleep_until(looks_at), if looks_at.is_some() => {}
                announced = announcements.recv() => match announced {
                    Ok(Announcement::Advanced(keys)) => {
                        self.scheduler.changed(&keys);
                        self.parked.advanced(keys);
                    }
                    Ok(Announcement::Lost) | Err(broadcast::error::RecvError::Lagged(_)) => {
                        self.everything_changed();
                    }
                    Err(broadcast::error::RecvError::Closed) => {
                        announcements = self.subscriber.shared.store.announcements().await?;
                        self.everything_changed();
                    }
                },
                () = sleep_until(next_retry), if next_retry.is_some() => self.retry_due(),
                _ = every_second.tick() => {
                    self.look_at_blocked();
                    self.look_at_states();
                    self.start_parking();
                    self.take(&pulse, consumer.is_some());
                }
                delivered = next(&mut consumer), if consumer.is_some() && self.held.has_room() => match delivered {
                    Ok(delivery) => {
                        self.arrive(delivery).await;
                        self.take_more(&mut consumer).await;
                    }
                    Err(error) => {
                        tracing::warn!(%error, "the broker is gone; consuming again as soon as it is back");
                        consumer = None;
                        connect_at = Instant::now();
                        self.forget_deliveries();
                    }
                },
                () = sleep_until(Some(connect_at)), if consumer.is_none() => {
                    match self.consume().await {
                        Ok(connected) => {
                            failures = 0;
                            consumer = Some(connected);
                        }
                        Err(error @ Error::Broker(BrokerError::Refused { .. })) => return Err(error),
                        Err(_) => {
                            failures += 1;
                            let pause = self.subscriber.shared.retry.pause(failures);
                            connect_at = Instant::now() + pause.min(Duration::from_secs(5));
                        }
                    }
                }
            }
        }
    }

    async fn consume(&self) -> Result<Box<dyn Consumer>, Error> {
        // Declared again each time: the broker may have come back empty.
        self.subscriber.binder().declare(&self.queue).await?;
        let settings = &self.subscriber.settings;
        let bytes = settings.window_bytes.saturating_mul(WINDOWS);
        let prefetch = Prefetch { messages: settings.prefetch, bytes };
        Ok(self.subscriber.broker.consume_within(&self.queue, prefetch).await?)
    }

    /// Takes what has arrived already, without waiting.
    async fn take_more(&mut self, consumer: &mut Option<Box<dyn Consumer>>) {
        for _ in 1..DELIVERIES {
            if !self.held.has_room() {
                return;
            }
            let Some(Ok(delivery)) = next(consumer).now_or_never() else { return };
            self.arrive(delivery).await;
        }
    }

    async fn arrive(&mut self, delivery: Delivery) {
        let message = match Message::decode(&delivery.body) {
            Ok(message) => Arc::new(message),
            Err(error) => {
                ::metrics::counter!(metrics::POISON).increment(1);
                tracing::error!(
                    error = %crate::error::chain(&error), bytes = delivery.body.len(),
                    "a body that is no message goes to the dead letters"
                );
                notice::tell(&Notice::Poison { bytes: delivery.body.len(), error: error.to_string() });
                self.is_poison(delivery, &error.to_string());
                return;
            }
        };
        match self.scheduler.arrive(message) {
            Arrival::New(sequence) => {
                self.held.insert(sequence, Held::new(delivery));
            }
            Arrival::Again(sequence) => {
                // The earlier delivery's connection is gone, or the broker holds it twice: one of the two
                // is acknowledged now, the other when it is applied.
                if let Some(earlier) = self.held.redelivered(sequence, delivery) {
                    // If that one was parked, its row goes: the broker has it now.
                    self.parked.has_left(sequence);
                    earlier.acknowledger.ack(&[earlier.tag]).await;
                }
            }
        }
    }

    fn start_loads(&mut self) {
        if self.loads.len() >= LOADS {
            return;
        }
        let keys = self.scheduler.take_loads();
        if !keys.is_empty() {
            self.loads.spawn(batch::load(Arc::clone(&self.subscriber.shared), keys));
        }
    }

    fn start_batches(&mut self) {
        let SubscriberSettings { workers, batch: limit, .. } = self.subscriber.settings;
        while self.batches.len() < workers && self.scheduler.ready_len() > 0 {
            let idle = workers - self.batches.len();
            // An even share for each idle worker; a batch never waits to fill up.
            let share = self.scheduler.ready_len().div_ceil(idle).clamp(1, limit);
            let sequences = self.scheduler.next_batch(share, limit);
            let messages: Vec<Arc<Message>> =
                sequences.iter().filter_map(|s| self.scheduler.message(*s).cloned()).collect();
            if messages.is_empty() {
                return;
            }
            if self.leave_to_others(&sequences) {
                continue;
            }
            let (shared, policy) = (Arc::clone(&self.subscriber.shared), Arc::clone(&self.policy));
            let task = self.batches.spawn(batch::work(shared, policy, sequences.clone(), messages));
            self.in_flight.insert(task.id(), InFlight { sequences, since: Instant::now() });
        }
    }

    async fn batch_done(&mut self, done: Result<(tokio::task::Id, Outcome), tokio::task::JoinError>) {
        let outcome = match done {
            Ok((id, outcome)) => {
                self.in_flight.remove(&id);
                outcome
            }
            Err(error) => {
                let sequences =
                    self.in_flight.remove(&error.id()).map(|batch| batch.sequences).unwrap_or_default();
                Outcome::panicked(sequences)
            }
        };
        self.acknowledge(&outcome.applied).await;
        if outcome.applied.iter().any(|sequence| self.is_marker(*sequence)) {
            self.start_reading_states();
        }
        self.scheduler.applied(&outcome.applied);
        let has_place_of_others = outcome.failed.iter().any(|(sequence, _)| self.parked.is_back(*sequence));
        for (sequence, error) in outcome.failed {
            self.message_failed(sequence, &error).await;
        }
        self.states_read(outcome.bound);
        self.scheduler.returned(&outcome.returned);
        if has_place_of_others {
            self.start_parking();
        }
    }

    async fn message_failed(&mut self, sequence: Sequence, error: &str) {
        ::metrics::counter!(metrics::APPLY_FAILED).increment(1);
        let id = self.scheduler.message(sequence).map(|m| m.id);
        let Some(failures) = self.held.fails(sequence) else {
            // Its delivery was lost with a connection: it comes again.
            self.scheduler.forget(sequence);
            return;
        };
        if self.subscriber.settings.consistency == Consistency::None {
            tracing::error!(?id, %error, "swallowed, because order and errors are switched off");
            self.acknowledge(&[sequence]).await;
            self.scheduler.applied(&[sequence]);
            return;
        }
        if failures >= self.subscriber.settings.max_attempts {
            tracing::error!(?id, %error, attempts = failures, "a message failed for the last time: it goes to the dead letters");
            if let Some(id) = id {
                notice::tell(&Notice::Dead { id, attempts: failures, error: error.to_owned() });
            }
            self.scheduler.failed(sequence);
            self.dies(sequence, error);
            return;
        }
        let pause = self.subscriber.shared.retry.pause(failures);
        tracing::error!(?id, %error, attempt = failures, ?pause, "a message failed and is tried again");
        if let Some(id) = id {
            notice::tell(&Notice::Failed { id, attempt: failures, error: error.to_owned() });
        }
        self.scheduler.failed(sequence);
        self.retries.insert((Instant::now() + pause, sequence));
    }

    fn retry_due(&mut self) {
        let now = Instant::now();
        while let Some(&(at, sequence)) = self.retries.first().filter(|(at, _)| *at <= now) {
            self.retries.remove(&(at, sequence));
            self.scheduler.retry(sequence);
        }
    }

    /// Acknowledges applied messages: one call for each connection that delivered them.
    async fn acknowledge(&mut self, sequences: &[Sequence]) {
        let now = clock::millis();
        let mut deliveries = ByConnection::default();
        let mut applied = 0;
        for sequence in sequences {
            let Some(held) = self.held.remove(*sequence) else { continue };
            self.parked.has_left(*sequence);
            applied += 1;
            if let Some(message) = self.scheduler.message(*sequence) {
                let took = Duration::from_millis(now.saturating_sub(message.timestamp));
                ::metrics::histogram!(metrics::LATENCY).record(took.as_secs_f64());
            }
            deliveries.add(held.delivery);
        }
        ::metrics::counter!(metrics::APPLIED).increment(applied);
        self.subscriber.status.send_modify(|status| status.applied += applied);
        fail::fail_point!("before_ack");
        deliveries.ack().await;
    }

    /// Announcements were lost.
    fn everything_changed(&mut self) {
        self.scheduler.all_changed();
        self.parked.look_at_all();
    }

    /// Their connection is gone, so the broker delivers them again, to this worker or another: what is not under way leaves.
    fn forget_deliveries(&mut self) {
        let in_flight: BTreeSet<Sequence> =
            self.in_flight.values().flat_map(|batch| &batch.sequences).copied().collect();
        let stays = |sequence: &Sequence| in_flight.contains(sequence) || self.parked.is_back(*sequence);
        let forgotten: Vec<Sequence> = self.held.sequences().filter(|s| !stays(s)).collect();
        for sequence in forgotten {
            self.held.remove(sequence);
            self.scheduler.forget(sequence);
        }
        self.retries.retain(|(_, sequence)| self.held.contains(*sequence));
        self.parked.leaving.retain(|sequence, _| self.held.contains(*sequence));
    }

    /// The graceful end: what has begun is applied and acknowledged, the rest returns to the queue.
    async fn drain(&mut self, mut consumer: Option<Box<dyn Consumer>>) -> Result<(), Error> {
        if let Some(consumer) = &mut consumer {
            consumer.stop().await;
        }
        while let Some(done) = self.batches.join_next_with_id().await {
            self.batch_done(done).await;
        }
        let mut returned = ByConnection::default();
        self.held.drain().for_each(|held| returned.add(held.delivery));
        returned.requeue().await;
        self.tell(false);
        Ok(())
    }

    fn tell(&self, consuming: bool) {
        let held = self.held.len();
        let parked = usize::try_from(self.parked.failing()).unwrap_or(usize::MAX);
        let failing = self.retries.len().saturating_add(parked);
        let blocked = self.scheduler.blocked_len();
        ::metrics::gauge!(metrics::BLOCKED).set(blocked as f64);
        self.subscriber.status.send_if_modified(|status| {
            let now = Status { consuming, held, blocked, failing, ..*status };
            let changed = *status != now;
            *status = now;
            changed
        });
    }
}

async fn next(consumer: &mut Option<Box<dyn Consumer>>) -> Result<Delivery, BrokerError> {
    match consumer {
        Some(consumer) => consumer.next().await,
        None => std::future::pending().await,
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}
