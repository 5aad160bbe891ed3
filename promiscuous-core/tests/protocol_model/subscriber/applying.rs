//! A worker takes a message that is ready, applies it, has Redis advanced, acknowledges.

use super::state::{Stage, State, Task};
use super::step::Step;
use super::{Next, Subscriber};
use crate::message::{Broken, Message, Version};
use crate::scenario::KEYS;

impl Subscriber {
    /// A worker's next step.
    pub(super) fn worker(&self, state: &State, slot: usize, next: &mut Next) {
        let Some(task) = state.workers[slot] else {
            // They are alike: the first idle one takes it.
            if !state.workers[..slot].contains(&None) {
                self.start(state, slot, next);
            }
            return;
        };
        let message = task.message;
        let mut after = *state;
        match task.stage {
            Stage::Ready if !self.model.rules.versions_with_rows => {
                let newer = self.advance_versions(&mut after, message);
                let skipped = newer == [false; KEYS];
                after.workers[slot] = Some(Task { stage: Stage::Versioned, skipped, ..task });
                next.push((Step::ApplyVersions(message), after));
            }
            Stage::Ready | Stage::Versioned => {
                let newer = match task.stage {
                    Stage::Ready => self.advance_versions(&mut after, message),
                    // It remembers whether they were.
                    _ => self.written(message).map(|written| written && !task.skipped),
                };
                self.apply_rows(&mut after, message, newer);
                let acked = !self.model.rules.advance_before_ack;
                let stage = if acked { Stage::AckedEarly } else { Stage::Applied };
                after.workers[slot] = Some(Task { stage, skipped: newer == [false; KEYS], ..task });
                next.push((Step::Apply(message), after));
            }
            Stage::Applied | Stage::AckedEarly => self.advance(state, slot, task, next),
            Stage::Advanced => {
                after.workers[slot] = None;
                next.push((Step::Ack(message), after));
            }
        }
    }

    /// `Scheduler::next_batch`: a message that waits for nothing.
    fn start(&self, state: &State, slot: usize, next: &mut Next) {
        for message in state.queue.iter() {
            let step = match self.obstacle(state, message) {
                None => Step::Start(message),
                Some(obstacle) if self.is_over(message, obstacle) => Step::GiveUp(message),
                Some(_) => continue,
            };
            let mut after = *state;
            after.queue.remove(message);
            after.workers[slot] = Some(Task { message, stage: Stage::Ready, skipped: false });
            next.push((step, after));
        }
    }

    /// Which keys a message writes that are subscribed.
    fn written(&self, message: Message) -> [bool; KEYS] {
        let header = self.header(message);
        std::array::from_fn(|key| self.model.scenario.subscribed[key] && header.write[key].version != 0)
    }

    /// `applier::apply`, the first half of the transaction: advance `promiscuous_versions`, and tell which versions were newer.
    fn advance_versions(&self, state: &mut State, message: Message) -> [bool; KEYS] {
        let rules = &self.model.rules;
        let header = *self.header(message);
        let mut newer = self.written(message);
        for key in (0..KEYS).filter(|key| self.written(message)[*key]) {
            let made = Version(header.generation, header.write[key].version);
            let applied = if rules.dummy_hides_nothing { state.contents[key] } else { state.versions[key] };
            newer[key] = applied < made || !rules.only_newer;
            state.versions[key] = if rules.only_newer { state.versions[key].max(made) } else { made };
            if newer[key] && rules.dummy_hides_nothing && !message.dummy {
                state.contents[key] = made;
            }
        }
        newer
    }

    /// `applier::apply`, the second half: apply each operation whose version was newer.
    fn apply_rows(&self, state: &mut State, message: Message, newer: [bool; KEYS]) {
        if message.dummy || newer == [false; KEYS] {
            return;
        }
        self.check_order(state, message, newer);
        for key in (0..KEYS).filter(|key| newer[*key]) {
            state.rows[key] = message.op + 1;
            if self.model.spec(message.op as usize).destroys && !self.model.rules.destroyed_keeps_version {
                state.versions[key] = Version(0, 0);
                state.contents[key] = Version(0, 0);
            }
        }
    }

    /// What is promised of the moment in which an operation is applied.
    fn check_order(&self, state: &mut State, message: Message, newer: [bool; KEYS]) {
        let op = message.op as usize;
        let (spec, header) = (self.model.spec(op), *self.header(message));
        let originals = &self.history.rows;
        let position = |key: usize, content: u8| originals[key].position(content).unwrap_or(0);
        for key in (0..KEYS).filter(|key| newer[*key]) {
            if position(key, message.op + 1) < position(key, state.rows[key]) {
                state.broken = Some(Broken::Back);
                return;
            }
        }
        // What it read, and what it overwrote, was written by its causes: all that these wrote must be here.
        let seen = spec.reads.iter().map(|key| self.history.seen[op][*key]);
        let overwritten = spec.writes.iter().map(|key| originals[*key].before(message.op + 1));
        let cause_is_missing = |cause: u8| {
            let keys = self.model.spec(cause as usize - 1).writes.iter();
            // What it overwrites itself need not have been here.
            let mut keys =
                keys.filter(|key| self.model.scenario.subscribed[**key] && !spec.writes.contains(key));
            keys.any(|&key| position(key, state.rows[key]) < position(key, cause))
        };
        let known = |content: &u8| *content != 0;
        if self.model.scenario.promises.causal && seen.chain(overwritten).filter(known).any(cause_is_missing)
        {
            state.broken = Some(Broken::BeforeItsCause);
            return;
        }
        let in_another_state = |key: &usize| {
            let read = header.read[*key].version;
            let subscribed = self.model.scenario.subscribed[*key];
            subscribed && read != 0 && state.versions[*key] != Version(header.generation, read)
        };
        if self.model.scenario.promises.exact && spec.reads.iter().any(in_another_state) {
            state.broken = Some(Broken::NotInThatState);
        }
    }
}
