//! What goes wrong. A pause is not a step: any process may be passed over for as long as the others like.

use super::recovering::roll_back;
use super::state::{At, Recoverer, State, Store, Sweeper};
use super::step::Step;
use super::writing::end;
use super::{Next, Publisher};
use crate::scenario::Sweeps;

impl Publisher {
    /// Processes die.
    pub(super) fn deaths(&self, state: &State, next: &mut Next) {
        for w in 0..self.0.scenario.writers.len() {
            let mut after = *state;
            match state.writers[w].at {
                // It has not bumped: as if it had never been there.
                At::Read | At::Bump(0) | At::Ended => continue,
                At::Lock(_) if self.0.rules.database_before_redis => continue,
                At::Hands(_) if self.0.scenario.sweeper == Sweeps::Nothing => continue,
                At::Hands(_) => {
                    end(&mut after, w);
                    next.push((Step::WriterLetsGo(w), after));
                }
                // Also what a failed statement, a lost answer and a dropped future do: the transaction ends.
                _ if state.deaths > 0 => {
                    after.deaths -= 1;
                    end(&mut after, w);
                    next.push((Step::WriterDies(w), after));
                }
                _ => {}
            }
        }
        if state.sweeper != Sweeper::Idle {
            next.push((Step::SweeperDies, State { sweeper: Sweeper::Idle, ..*state }));
        }
        for r in 0..self.0.scenario.recoverers {
            let (op, in_transaction) = match state.recoverers[r] {
                Recoverer::Idle => continue,
                Recoverer::Hands(..) if self.0.scenario.sweeper == Sweeps::Nothing => continue,
                Recoverer::Inserted(op) | Recoverer::Checked(op) | Recoverer::FinishedEarly(op) => (op, true),
                Recoverer::Looked(op) | Recoverer::Violated(op) | Recoverer::Hands(op, _) => (op, false),
            };
            let mut after = *state;
            if in_transaction {
                roll_back(&mut after, op);
            }
            after.recoverers[r] = Recoverer::Idle;
            next.push((Step::RecovererDies(op), after));
        }
    }

    /// The publisher's Redis loses what it had, or seems to.
    pub(super) fn losses(&self, state: &State, next: &mut Next) {
        if state.flushes > 0 {
            let mut after = *state;
            after.flushes -= 1;
            after.store = Store::EMPTY;
            next.push((Step::Flush, after));
        }
        if state.restarts > 0 {
            let mut after = *state;
            after.restarts -= 1;
            after.store.trusted = false;
            next.push((Step::Restart, after));
        }
        if self.0.scenario.restored {
            match state.replica {
                None => next.push((Step::Replicate, State { replica: Some(state.store), ..*state })),
                // Empty afterwards: it happens once.
                Some(replica) if replica.generation != 0 => {
                    let mut after = *state;
                    after.store = Store { trusted: false, ..replica };
                    after.replica = Some(Store::EMPTY);
                    next.push((Step::Restore, after));
                }
                Some(_) => {}
            }
        }
    }
}
