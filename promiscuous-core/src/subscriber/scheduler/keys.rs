//! What is known of the keys that messages in memory name: a mirror of the store, as small as the prefetch window.

use std::collections::{BTreeMap, HashMap};

use crate::dependency::Version;
use crate::key::{Endpoint, Key};
use crate::version_store::Applied;

/// Reading what is known of a key.
pub(super) trait Known {
    /// None while it is not loaded.
    fn get(&self, key: &Key) -> Option<&Applied>;
}

/// Recording what a message changes.
pub(super) trait Advancing {
    /// A version was applied, whose readers may be unknown; whether that told anything new.
    fn write(&mut self, key: &Key, version: Version, readers_unknown: bool) -> bool;
    /// A reader of a version was applied; whether that told anything new.
    fn read(&mut self, key: &Key, version: Version, ordinals: &BTreeMap<Endpoint, u64>) -> bool;
}

/// See the module.
#[derive(Default)]
pub(super) struct Keys {
    known: HashMap<Key, KeyState>,
    /// Keys to load, not yet handed out.
    to_load: Vec<Key>,
}

#[derive(Default)]
struct KeyState {
    /// None until loaded.
    applied: Option<Applied>,
    /// How many messages name the key; at zero it is forgotten.
    references: usize,
    /// A load is asked for or under way.
    loading: bool,
    /// It changed while a load was under way, whose answer may be too old.
    again: bool,
    /// Another process may have changed it since it was loaded. Nobody minded, for nobody waited for it.
    outdated: bool,
}

impl Keys {
    /// A message names the key. It is loaded, unless nothing of the message depends on what is known of it.
    pub(super) fn refer(&mut self, key: &Key, depends: bool) {
        let state = self.known.entry(key.clone()).or_default();
        state.references += 1;
        if depends && state.applied.is_none() && !state.loading {
            state.loading = true;
            self.to_load.push(key.clone());
        }
    }

    /// A message that named the key has left.
    pub(super) fn release(&mut self, key: &Key) {
        if let Some(state) = self.known.get_mut(key) {
            state.references -= 1;
            if state.references == 0 {
                self.known.remove(key);
            }
        }
    }

    /// The store may know more.
    pub(super) fn reload(&mut self, key: &Key) {
        let Some(state) = self.known.get_mut(key) else { return };
        state.outdated = false;
        if state.loading {
            state.again = true;
        } else {
            state.loading = true;
            self.to_load.push(key.clone());
        }
    }

    /// The store may know more, once somebody asks.
    pub(super) fn outdate(&mut self, key: &Key) {
        if let Some(state) = self.known.get_mut(key) {
            state.outdated = true;
        }
    }

    /// The store may know more about everything.
    pub(super) fn outdate_all(&mut self) {
        self.known.values_mut().for_each(|state| state.outdated = true);
    }

    /// Somebody waits for the key.
    pub(super) fn reload_if_outdated(&mut self, key: &Key) {
        if self.known.get(key).is_some_and(|state| state.outdated) {
            self.reload(key);
        }
    }

    pub(super) fn take_loads(&mut self) -> Vec<Key> {
        std::mem::take(&mut self.to_load)
    }

    /// The store's answer, merged with what was applied here meanwhile: knowledge only grows.
    pub(super) fn loaded(&mut self, key: &Key, answer: Applied) {
        let Some(state) = self.known.get_mut(key) else { return };
        state.loading = false;
        match &mut state.applied {
            Some(own) if own.version > answer.version => {}
            Some(own) if own.version == answer.version => merge_readers(own, answer),
            slot => *slot = Some(answer),
        }
        if std::mem::take(&mut state.again) {
            state.loading = true;
            self.to_load.push(key.clone());
        }
    }
}

fn merge_readers(own: &mut Applied, answer: Applied) {
    match (&mut own.readers, answer.readers) {
        (Some(mine), Some(theirs)) => {
            for (endpoint, ordinals) in theirs {
                let set = mine.entry(endpoint).or_default();
                if ordinals.up_to > set.up_to {
                    let own_beyond = std::mem::replace(set, ordinals).beyond;
                    own_beyond.into_iter().for_each(|ordinal| set.insert(ordinal));
                } else {
                    ordinals.beyond.into_iter().for_each(|ordinal| set.insert(ordinal));
                }
            }
        }
        (slot, None) => *slot = None,
        (None, Some(_)) => {}
    }
}

impl Known for Keys {
    fn get(&self, key: &Key) -> Option<&Applied> {
        self.known.get(key)?.applied.as_ref()
    }
}

impl Advancing for Keys {
    fn write(&mut self, key: &Key, version: Version, readers_unknown: bool) -> bool {
        match self.known.get_mut(key) {
            Some(KeyState { applied: Some(applied), .. }) => write(applied, version, readers_unknown),
            // The store knows more of it than we do: perhaps that version had come before, with its readers.
            Some(state) if readers_unknown => {
                state.again = state.loading;
                false
            }
            // Applied without having waited for anything: who has read it, nobody knows.
            Some(state) => {
                state.applied = Some(Applied { version: Some(version), readers: None });
                true
            }
            None => false,
        }
    }

    fn read(&mut self, key: &Key, version: Version, ordinals: &BTreeMap<Endpoint, u64>) -> bool {
        match self.known.get_mut(key).and_then(|state| state.applied.as_mut()) {
            Some(applied) => read(applied, version, ordinals),
            None => false,
        }
    }
}

/// What will be known once the batch in the making is applied.
#[derive(Default)]
pub(super) struct Overlay {
    changed: HashMap<Key, Applied>,
}

impl Overlay {
    /// Reads through to what is known today.
    pub(super) fn over<'a>(&'a self, keys: &'a Keys) -> impl Known + 'a {
        Over { overlay: self, keys }
    }

    /// Records changes on top of what is known today.
    pub(super) fn on<'a>(&'a mut self, keys: &'a Keys) -> impl Advancing + 'a {
        On { overlay: self, keys }
    }
}

struct Over<'a> {
    overlay: &'a Overlay,
    keys: &'a Keys,
}

impl Known for Over<'_> {
    fn get(&self, key: &Key) -> Option<&Applied> {
        self.overlay.changed.get(key).or_else(|| self.keys.get(key))
    }
}

struct On<'a> {
    overlay: &'a mut Overlay,
    keys: &'a Keys,
}

impl On<'_> {
    fn entry(&mut self, key: &Key) -> &mut Applied {
        let keys = self.keys;
        let changed = &mut self.overlay.changed;
        changed.entry(key.clone()).or_insert_with(|| keys.get(key).cloned().unwrap_or_default())
    }
}

impl Advancing for On<'_> {
    fn write(&mut self, key: &Key, version: Version, readers_unknown: bool) -> bool {
        if self.keys.get(key).is_none() && !self.overlay.changed.contains_key(key) {
            if readers_unknown {
                return false;
            }
            let applied = Applied { version: Some(version), readers: None };
            self.overlay.changed.insert(key.clone(), applied);
            return true;
        }
        write(self.entry(key), version, readers_unknown)
    }

    fn read(&mut self, key: &Key, version: Version, ordinals: &BTreeMap<Endpoint, u64>) -> bool {
        if self.keys.get(key).is_none() && !self.overlay.changed.contains_key(key) {
            return false;
        }
        read(self.entry(key), version, ordinals)
    }
}

fn write(applied: &mut Applied, version: Version, readers_unknown: bool) -> bool {
    let newer = applied.version.is_none_or(|own| own < version);
    if newer {
        applied.version = Some(version);
        applied.readers = (!readers_unknown).then(BTreeMap::new);
    }
    newer
}

fn read(applied: &mut Applied, version: Version, ordinals: &BTreeMap<Endpoint, u64>) -> bool {
    if applied.version != Some(version) {
        return false;
    }
    let Some(readers) = &mut applied.readers else { return false };
    for (endpoint, &ordinal) in ordinals {
        match readers.get_mut(endpoint) {
            Some(set) => set.insert(ordinal),
            None => readers.entry(endpoint.clone()).or_default().insert(ordinal),
        }
    }
    true
}
