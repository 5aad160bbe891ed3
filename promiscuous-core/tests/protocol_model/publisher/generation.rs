//! Section 4: a version store that lost its data is noticed and survived (`publisher/generation.rs`).

use super::state::{At, Refusal, State};
use super::step::Step;
use super::{Next, Publisher};

impl Publisher {
    /// `Generation::renew`: learns from the database what to do about the store's refusal; one writer of a process at a time.
    pub(super) fn renew(&self, state: &State, w: usize, next: &mut Next) {
        let raises =
            |other: usize| matches!(state.writers[other].at, At::RaiseDatabase(..) | At::RaiseStore(..));
        let process = self.process(w);
        if (0..self.writers()).any(|other| self.process(other) == process && raises(other)) {
            return;
        }
        let mut after = *state;
        let stored = state.generation;
        after.writers[w].at = match state.writers[w].at {
            // Another writer of this process has dealt with it.
            At::Lost(used, _) | At::Stale(used, ..) if state.known[process] > used => At::Bump(0),
            // `Generation::adopt`
            At::Stale(_, mirrored, _) if mirrored >= stored => {
                after.generation = mirrored;
                after.known[process] = after.known[process].max(mirrored);
                At::Bump(0)
            }
            At::Lost(used, refusal) | At::Stale(used, _, refusal) => {
                let to = stored.max(used) + u8::from(self.0.rules.loss_raises_generation);
                At::RaiseDatabase(to, refusal)
            }
            _ => return,
        };
        next.push((Step::ReadGeneration(w), after));
    }

    /// What a store is like now, for those who will compare.
    pub(super) fn refusal(&self, state: &State) -> Refusal {
        match self.0.rules.raise_compares {
            true => Refusal { losses: state.losses_left(), generation: state.store.generation },
            false => Refusal { losses: 0, generation: 0 },
        }
    }

    /// `Generation::raise`: the database first.
    pub(super) fn store_in_database(&self, mut state: State, w: usize, to: u8, refusal: Refusal) -> State {
        state.generation = state.generation.max(to);
        state.writers[w].at = At::RaiseStore(to, refusal);
        state
    }

    /// `raise_generation.lua`: at least this one, and this server run is the trusted one.
    pub(super) fn raise_generation(&self, mut state: State, w: usize, to: u8, refusal: Refusal) -> State {
        state.writers[w].at = At::Bump(0);
        if self.refusal(&state) == refusal {
            self.raise_store(&mut state, to);
            let known = &mut state.known[self.process(w)];
            *known = (*known).max(to);
        }
        state
    }

    fn raise_store(&self, state: &mut State, to: u8) {
        let store = &mut state.store;
        store.generation = store.generation.max(to);
        store.trusted = true;
    }

    /// `announcing::watch`: a background task notices the loss, so that it need not wait for the next write.
    pub(super) fn notice_loss(&self, state: &State, next: &mut Next) {
        if self.is_loss_unnoticed(state) {
            let mut after = *state;
            after.generation += 1;
            self.raise_store(&mut after, state.generation + 1);
            next.push((Step::NoticeLoss, after));
        }
    }

    /// Whether a task that looks for losses has something to do.
    pub(super) fn is_loss_unnoticed(&self, state: &State) -> bool {
        self.0.rules.waits_end_with_generation && (!state.store.trusted || state.store.generation == 0)
    }
}
