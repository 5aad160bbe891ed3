//! The subscriber, with the messages of a publisher that has come to rest: section 7.
//!
//! A blocked message stays in the queue here, and any worker may take any message of it: so all orders, all
//! redeliveries and any number of processes with windows of their own are covered.
//!
//! * [`readiness`]: what a message waits for
//! * [`applying`]: apply, acknowledge
//! * [`caching`]: what Redis knows of the database
//! * [`step`]: what the steps are called in a trace

use crate::explorer::System;
use crate::message::{Broken, Header, History, Message, Version};
use crate::scenario::{KEY_NAMES, KEYS, Model};

mod applying;
mod caching;
mod readiness;
mod state;
mod step;

use state::{Cached, LOADS, Stage, State, WORKERS};
use step::Step;

/// The steps that may come next, and where they lead.
type Next = Vec<(Step, State)>;

/// The subscribing app.
pub struct Subscriber {
    pub model: Model,
    pub history: History,
}

impl System for Subscriber {
    type State = State;
    type Step = Step;

    fn initial(&self) -> State {
        let mut state = State {
            versions: [Version(0, 0); KEYS],
            contents: [Version(0, 0); KEYS],
            rows: [0; KEYS],
            cache: [Cached::default(); KEYS],
            loads: [None; LOADS],
            queue: Default::default(),
            workers: [None; WORKERS],
            flushes: self.model.scenario.cache_flushes,
            broken: None,
        };
        self.routed().for_each(|message| state.queue.insert(message));
        state
    }

    fn next(&self, state: &State, next: &mut Next) {
        self.load(state, next);
        for slot in 0..self.model.scenario.workers {
            self.worker(state, slot, next);
        }
        self.faults(state, next);
        for (_, state) in next {
            state.workers[..self.model.scenario.workers].sort_unstable();
            state.loads.sort_unstable();
        }
    }

    fn is_fault(step: Step) -> bool {
        step.is_fault()
    }

    fn is_at_rest(&self, state: &State) -> bool {
        state.queue.is_empty() && state.workers == [None; WORKERS] && state.loads == [None; LOADS]
    }

    /// At rest, each replica must be as its original.
    fn broken(&self, state: &State) -> Option<Broken> {
        let different = self.different(state).next().is_some();
        state.broken.or_else(|| (different && self.is_at_rest(state)).then_some(Broken::Different))
    }

    fn describe(&self, step: Step, before: &State, after: &State) -> String {
        step.describe(before, after)
    }

    fn explain(&self, state: &State, broken: Broken) -> String {
        match broken {
            Broken::BeforeItsCause => "What was applied last came before its cause.".into(),
            Broken::NotInThatState => {
                "What was applied last has read an object that is in another state here.".into()
            }
            Broken::Back => "A replica went back to an older content.".into(),
            Broken::Stuck => {
                let waiting = state.queue.iter().filter_map(|message| {
                    self.obstacle(state, message).map(|obstacle| format!("{message} waits for {obstacle}"))
                });
                let waiting: Vec<String> = waiting.collect();
                format!("Nothing but a fault leads on to a state at rest: {}.", waiting.join(", "))
            }
            _ => {
                let different = self.different(state).map(|key| {
                    let (own, replica) = (self.history.rows[key].last(), state.rows[key]);
                    format!("{} is {}, and its replica {}", KEY_NAMES[key], by(own), by(replica))
                });
                let different: Vec<String> = different.collect();
                format!("All is at rest: {}.", different.join("; "))
            }
        }
    }
}

impl Subscriber {
    /// What the message of an op says; its dummy says the same.
    fn header(&self, message: Message) -> &Header {
        &self.history.headers[message.op as usize]
    }

    /// Whether the scheduler looks at a key at all (`Policy::subscribes`).
    fn is_relevant(&self, key: usize) -> bool {
        self.model.scenario.subscribed[key] || !self.model.rules.only_subscribed_keys
    }

    /// The messages that go to the subscriber's queue.
    fn routed(&self) -> impl Iterator<Item = Message> {
        let model = self.model;
        self.history.published.iter().filter(move |message| model.is_routed(message.op as usize))
    }

    /// Keys whose replica is not as the original.
    fn different(&self, state: &State) -> impl Iterator<Item = usize> {
        let (rows, replicas) = (self.history.rows, state.rows);
        let subscribed = self.model.scenario.subscribed;
        (0..KEYS).filter(move |key| subscribed[*key] && rows[*key].last() != replicas[*key])
    }

    /// What goes wrong. A pause is not a step: any process may be passed over for as long as the others like.
    fn faults(&self, state: &State, next: &mut Next) {
        for (slot, task) in state.workers.iter().enumerate() {
            let Some(task) = task else { continue };
            let mut after = *state;
            // Without its acknowledgement, the broker has it in the queue again.
            if task.stage != Stage::AckedEarly && self.model.rules.apply_before_ack {
                after.queue.insert(task.message);
            }
            after.workers[slot] = None;
            next.push((Step::Dies(task.message), after));
        }
        for (slot, _) in state.loads.iter().enumerate().filter(|(_, load)| load.is_some()) {
            let mut after = *state;
            after.loads[slot] = None;
            next.push((Step::LoadIsLost, after));
        }
        // Delivered again after a connection broke, or published again.
        for message in self.routed().filter(|message| !state.queue.contains(*message)) {
            let mut after = *state;
            after.queue.insert(message);
            next.push((Step::ComesAgain(message), after));
        }
        if state.flushes > 0 && state.cache != [Cached::default(); KEYS] {
            let after = State { cache: Default::default(), flushes: state.flushes - 1, ..*state };
            next.push((Step::Flush, after));
        }
    }
}

fn by(content: u8) -> String {
    match content {
        0 => "empty".into(),
        op => format!("as writer {op} left it"),
    }
}
