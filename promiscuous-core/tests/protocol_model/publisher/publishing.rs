//! Section 5: *finish*, publish, delete (`publisher/publishing.rs`); and the sweeper of section 6 (`publisher/sweeper.rs`).

use super::state::{At, Hands, OutboxRow, Recoverer, State, Sweeper};
use super::step::{Hand, Step};
use super::{Next, Publisher};
use crate::message::Message;
use crate::scenario::{OPS, Sweeps};

impl Publisher {
    /// `publishing::confirmed`: *finish* and publish, in any order; then the outbox row goes or becomes a fence.
    pub(super) fn hand(&self, state: &State, message: Message, hands: Hands) -> Vec<(Hand, State, Hands)> {
        let op = message.op as usize;
        let mut next = Vec::new();
        if !hands.finished {
            let mut after = *state;
            self.finish(&mut after, op);
            next.push((Hand::Finish, after, Hands { finished: true, ..hands }));
        }
        if !hands.confirmed {
            let mut after = *state;
            self.publish(&mut after, message);
            next.push((Hand::Publish, after, Hands { confirmed: true, ..hands }));
        }
        let confirmed = hands.confirmed || !self.0.rules.confirm_before_delete;
        let finished = hands.finished || !self.0.rules.finish_before_delete;
        if !hands.deleted && confirmed && finished {
            let mut after = *state;
            if state.outbox[op].is_committed() {
                // `Outbox::delete`, `Outbox::keep_as_fences`
                let kept = message.dummy && self.0.rules.tombstones_are_kept;
                after.outbox[op] = if kept { OutboxRow::Fence } else { OutboxRow::Absent };
            }
            next.push((Hand::Delete, after, Hands { deleted: true, ..hands }));
        }
        next
    }

    /// `finish.lua`: the intent, and those locks that still name the op.
    pub(super) fn finish(&self, state: &mut State, op: usize) {
        state.store.intents[op] = false;
        for &key in self.0.spec(op).writes {
            let lock = &mut state.store.locks[key];
            if *lock == op as u8 + 1 || !self.0.rules.finish_removes_own_locks {
                *lock = 0;
            }
        }
    }

    /// `sweeper::sweep`: whatever is in the outbox, also what its writer is still publishing.
    pub(super) fn sweeper(&self, state: &State, next: &mut Next) {
        match state.sweeper {
            Sweeper::Idle => {
                for op in 0..OPS {
                    let dummy = match state.outbox[op] {
                        OutboxRow::Pending => false,
                        OutboxRow::Tombstone => true,
                        _ => continue,
                    };
                    if self.0.scenario.sweeper == Sweeps::Abandoned && is_in_hands(state, op) {
                        continue;
                    }
                    let message = Message { op: op as u8, dummy };
                    let mut after = *state;
                    after.sweeper = Sweeper::Holds(message, Hands::default());
                    next.push((Step::Sweep(message), after));
                }
            }
            Sweeper::Holds(message, hands) => {
                for (hand, mut after, hands) in self.hand(state, message, hands) {
                    let done = hands.finished && hands.confirmed && hands.deleted;
                    after.sweeper = if done { Sweeper::Idle } else { Sweeper::Holds(message, hands) };
                    next.push((Step::SweeperHand(message, hand), after));
                }
            }
        }
    }
}

/// Whether somebody else is publishing what an op left in the outbox.
fn is_in_hands(state: &State, op: usize) -> bool {
    let recovers = |recoverer: &Recoverer| matches!(recoverer, Recoverer::Hands(of, _) if *of as usize == op);
    matches!(state.writers[op].at, At::Hands(_)) || state.recoverers.iter().any(recovers)
}
