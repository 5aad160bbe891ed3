//! Section 6: the intent recoverer (`publisher/recoverer.rs`).
//!
//! Time does not pass in this model: an intent may be overdue at any moment, so every pause of its writer is one
//! past its deadline.

use super::state::{Hands, OutboxRow, Recoverer, State};
use super::step::Step;
use super::{Next, Publisher};
use crate::message::Message;
use crate::scenario::OPS;

impl Publisher {
    /// A recoverer's next step, in the order of `recoverer::settle`.
    pub(super) fn recoverer(&self, state: &State, r: usize, next: &mut Next) {
        let mut go = |step: Step, mut after: State, to: Recoverer| {
            after.recoverers[r] = to;
            next.push((step, after));
        };
        match state.recoverers[r] {
            // `recoverer::look`, `overdue.lua`
            Recoverer::Idle => {
                for op in (0..OPS).filter(|op| state.store.intents[*op]) {
                    go(Step::Look(op as u8), *state, Recoverer::Looked(op as u8));
                }
            }
            // 1. The tombstone. A writer in flight makes this wait.
            Recoverer::Looked(op) => {
                let step = Step::InsertTombstone(op);
                let row = state.outbox[op as usize];
                if row.is_committed() {
                    // 2. The writer committed, or another recoverer did.
                    go(step, *state, Recoverer::Violated(op));
                } else if !self.0.rules.tombstone_is_inserted {
                    go(step, *state, Recoverer::Inserted(op));
                } else if row == OutboxRow::Absent {
                    let mut after = *state;
                    after.outbox[op as usize] = OutboxRow::RecovererInFlight;
                    go(step, after, Recoverer::Inserted(op));
                }
            }
            // 3. The writer may have finished between our look and the insert, its row published and deleted.
            Recoverer::Inserted(op) => {
                let exists = state.store.intents[op as usize];
                if exists || !self.0.rules.intent_is_checked_again {
                    go(Step::CheckIntent(op), *state, Recoverer::Checked(op));
                } else {
                    let mut after = *state;
                    roll_back(&mut after, op);
                    go(Step::CheckIntent(op), after, Recoverer::Idle);
                }
            }
            // 4. From here on the writer cannot commit any more.
            Recoverer::Checked(op) if !self.0.rules.tombstone_before_finish => {
                let mut after = *state;
                self.finish(&mut after, op as usize);
                go(Step::RecovererFinishes(op), after, Recoverer::FinishedEarly(op));
            }
            Recoverer::Checked(op) | Recoverer::FinishedEarly(op) => {
                let mut after = *state;
                if after.outbox[op as usize] == OutboxRow::RecovererInFlight {
                    after.outbox[op as usize] = OutboxRow::Tombstone;
                }
                go(Step::CommitTombstone(op), after, Recoverer::Hands(op, Hands::default()));
            }
            Recoverer::Violated(op) => {
                let mut after = *state;
                self.finish(&mut after, op as usize);
                go(Step::RecovererFinishes(op), after, Recoverer::Idle);
            }
            Recoverer::Hands(op, hands) => {
                for (hand, after, hands) in self.hand(state, Message { op, dummy: true }, hands) {
                    let done = hands.finished && hands.confirmed && hands.deleted;
                    let to = if done { Recoverer::Idle } else { Recoverer::Hands(op, hands) };
                    go(Step::RecovererHand(op, hand), after, to);
                }
            }
        }
    }
}

/// The recoverer's transaction ends without having been.
pub(super) fn roll_back(state: &mut State, op: u8) {
    if state.outbox[op as usize] == OutboxRow::RecovererInFlight {
        state.outbox[op as usize] = OutboxRow::Absent;
    }
}
