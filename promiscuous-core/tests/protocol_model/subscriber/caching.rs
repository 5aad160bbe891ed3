//! The subscriber's Redis in front of its database: `batch::load`, `batch::advance`, `advance.lua`.

use super::state::{Cached, Load, Stage, State, Task};
use super::step::Step;
use super::{Next, Subscriber};
use crate::message::{Message, Version};
use crate::scenario::KEYS;

impl Subscriber {
    /// Names the cache since its last flush, for those who ask.
    pub(super) fn now(&self, state: &State) -> u8 {
        if self.model.rules.loads_name_the_cache { state.flushes } else { 0 }
    }

    /// Whether asking the database would tell nothing.
    pub(super) fn is_loaded(&self, state: &State, key: usize) -> bool {
        let nothing = state.versions[key] == Version(0, 0) && !self.model.rules.cache_remembers_absence;
        state.cache[key].present || nothing || !self.model.rules.database_is_the_truth
    }

    /// `batch::load`: a key that Redis does not know is read from the database, and then written to Redis.
    pub(super) fn load(&self, state: &State, next: &mut Next) {
        for key in (0..KEYS).filter(|key| self.is_relevant(*key) && !self.is_loaded(state, *key)) {
            let named = state.queue.iter().any(|message| {
                let header = self.header(message);
                header.write[key].version != 0 || header.read[key].version != 0
            });
            let load = Load { key: key as u8, version: state.versions[key], since: self.now(state) };
            // A second load that would write the same makes no difference.
            if let Some(free) = state.loads.iter().position(Option::is_none)
                && named
                && !state.loads.contains(&Some(load))
            {
                let mut after = *state;
                after.loads[free] = Some(load);
                next.push((Step::Load(key), after));
            }
        }
        for (at, load) in state.loads.iter().enumerate() {
            let Some(load) = load else { continue };
            let mut after = *state;
            after.loads[at] = None;
            if load.since == self.now(state) {
                rebuild(&mut after, load.key as usize, load.version);
            }
            next.push((Step::Rebuild(load.key as usize, load.version), after));
        }
    }

    /// `advance.lua`
    pub(super) fn advance(&self, state: &State, slot: usize, task: Task, next: &mut Next) {
        let mut after = *state;
        self.record(&mut after, task.message, task.skipped);
        let advanced = Task { stage: Stage::Advanced, ..task };
        after.workers[slot] = (task.stage != Stage::AckedEarly).then_some(advanced);
        next.push((Step::Advance(task.message), after));
    }

    /// A version only grows, and growing forgets the readers of the old one; a read sets the bit of its ordinal while the version
    /// that was read is the last one.
    fn record(&self, state: &mut State, message: Message, skipped: bool) {
        let rules = &self.model.rules;
        if skipped && !rules.skipped_advances_too {
            return;
        }
        let header = *self.header(message);
        let destroyed = self.model.spec(message.op as usize).destroys && !message.dummy;
        for key in (0..KEYS).filter(|key| self.is_relevant(*key) && header.write[*key].version != 0) {
            let version = Version(header.generation, header.write[key].version);
            let cached = &mut state.cache[key];
            if !cached.present && rules.cache_is_filled_by_loads {
                // Whoever loads the key has to find at least this.
                cached.version = cached.version.max(version);
            } else if cached.version < version || !rules.cache_only_grows {
                *cached = Cached { present: true, version, readers_known: true, readers: [0; KEYS] };
            }
            if destroyed && !rules.destroyed_keeps_version {
                *cached = Cached::default();
            }
        }
        for (key, version) in self.reads(message) {
            let cached = &mut state.cache[key];
            if !cached.present
                || !cached.readers_known
                || cached.version != Version(header.generation, version)
            {
                continue;
            }
            for (endpoint, seen) in cached.readers.iter_mut().enumerate() {
                match header.read[key].ordinals[endpoint] {
                    0 => {}
                    _ if !rules.readers_are_ordinals => *seen += 1,
                    ordinal => *seen |= 1 << ordinal,
                }
            }
        }
    }
}

/// `AppliedStore::rebuild`: only where nothing is known, and only what is as new as a worker has said that it must be. The readers are
/// unknown then.
fn rebuild(state: &mut State, key: usize, version: Version) {
    let cached = &mut state.cache[key];
    if !cached.present && cached.version <= version {
        // Where nothing was applied, neither can there be readers that were missed.
        let readers_known = version == Version(0, 0);
        *cached = Cached { present: true, version, readers_known, readers: [0; KEYS] };
    }
}
