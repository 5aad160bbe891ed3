//! Visits every state that can be reached, breadth first, so that the first trace found is a shortest one.
//!
//! Written by hand rather than with a model checking crate, because of one property: *whatever has gone wrong, everything comes to
//! rest without anything else having to go wrong*. That is reachability backwards from the states at rest along steps
//! that are no faults, on the whole graph, which has cycles (a message may be delivered again for ever). Checkers that
//! look at paths (stateright's `eventually`) neither tell faults from steps nor see through cycles.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hash, Hasher};

use crate::message::Broken;

/// More states than this, and the scenario is too large to be a test.
const MOST: usize = 60_000_000;

/// Something with states and steps between them.
pub trait System {
    type State: Copy + Eq + Hash;
    type Step: Copy;

    fn initial(&self) -> Self::State;
    /// Everything that may happen next.
    fn next(&self, state: &Self::State, next: &mut Vec<(Self::Step, Self::State)>);
    /// Whether a step is something that goes wrong: what must come to rest may not need it.
    fn is_fault(step: Self::Step) -> bool;
    /// Whether nobody has anything left to do.
    fn is_at_rest(&self, state: &Self::State) -> bool;
    /// The promise that is broken in a state. Being stuck is found by the search.
    fn broken(&self, state: &Self::State) -> Option<Broken>;
    /// A sentence about the step that led from one state to another.
    fn describe(&self, step: Self::Step, before: &Self::State, after: &Self::State) -> String;
    /// A sentence about what is wrong with a state.
    fn explain(&self, state: &Self::State, broken: Broken) -> String;
}

/// A broken promise.
pub struct Counterexample {
    pub broken: Broken,
    /// One sentence for each step that leads there.
    pub trace: Vec<String>,
    /// What is wrong in the end.
    pub end: String,
}

/// The states that were reached, numbered in the order in which they were found.
pub struct Graph<S: System> {
    pub states: Vec<S::State>,
    /// States in which nobody has anything left to do.
    pub at_rest: Vec<u32>,
    /// How many steps lead from one state to another.
    pub steps: usize,
    /// By hash, or the next free number after it: the states themselves are kept once.
    numbers: HashMap<u64, u32, BuildHasherDefault<Quick>>,
    /// From which state, by which step, each one was found.
    found_by: Vec<(u32, Option<S::Step>)>,
    /// Steps that are no faults, as (to, from).
    sound: Vec<(u32, u32)>,
}

/// Visits all that can be reached, up to the first broken promise.
pub fn explore<S: System>(system: &S) -> (Graph<S>, Option<Counterexample>) {
    let mut graph = Graph {
        states: Vec::new(),
        at_rest: Vec::new(),
        steps: 0,
        numbers: HashMap::default(),
        found_by: Vec::new(),
        sound: Vec::new(),
    };
    graph.number(system.initial(), 0, None);
    let mut next = Vec::new();
    let mut at = 0;
    while at < graph.states.len() {
        let state = graph.states[at];
        if let Some(broken) = system.broken(&state) {
            let counterexample = graph.counterexample(system, at as u32, broken);
            return (graph, Some(counterexample));
        }
        if system.is_at_rest(&state) {
            graph.at_rest.push(at as u32);
        }
        next.clear();
        system.next(&state, &mut next);
        for &(step, after) in &next {
            let to = graph.number(after, at as u32, Some(step));
            graph.steps += 1;
            if !S::is_fault(step) {
                graph.sound.push((to, at as u32));
            }
        }
        assert!(graph.states.len() < MOST, "this scenario is too large");
        at += 1;
    }
    let counterexample = graph.trapped().map(|state| graph.counterexample(system, state, Broken::Stuck));
    (graph, counterexample)
}

impl<S: System> Graph<S> {
    fn number(&mut self, state: S::State, from: u32, step: Option<S::Step>) -> u32 {
        let mut hasher = Quick::default();
        state.hash(&mut hasher);
        let mut place = hasher.finish();
        while let Some(&number) = self.numbers.get(&place) {
            if self.states[number as usize] == state {
                return number;
            }
            place = place.wrapping_add(1);
        }
        let number = self.states.len() as u32;
        self.numbers.insert(place, number);
        self.states.push(state);
        self.found_by.push((from, step));
        number
    }

    /// A state from which no state at rest can be reached by steps that are no faults: one where nothing moves any
    /// more, if there is any.
    fn trapped(&self) -> Option<u32> {
        let mut first = vec![0_u32; self.states.len() + 1];
        let mut moves = vec![false; self.states.len()];
        for &(to, from) in &self.sound {
            first[to as usize + 1] += 1;
            moves[from as usize] |= to != from;
        }
        for n in 1..first.len() {
            first[n] += first[n - 1];
        }
        let mut sources = vec![0_u32; self.sound.len()];
        let mut free = first.clone();
        for &(to, from) in &self.sound {
            sources[free[to as usize] as usize] = from;
            free[to as usize] += 1;
        }
        let mut rests = vec![false; self.states.len()];
        let mut todo = self.at_rest.clone();
        while let Some(state) = todo.pop() {
            if std::mem::replace(&mut rests[state as usize], true) {
                continue;
            }
            let (begin, end) = (first[state as usize] as usize, first[state as usize + 1] as usize);
            todo.extend(sources[begin..end].iter().filter(|from| !rests[**from as usize]));
        }
        let trapped = || (0..self.states.len()).filter(|state| !rests[*state]);
        trapped().find(|state| !moves[*state]).or_else(|| trapped().next()).map(|state| state as u32)
    }

    /// How a state was reached first, in sentences.
    pub fn trace(&self, system: &S, mut state: u32) -> Vec<String> {
        let mut sentences = Vec::new();
        while let (from, Some(step)) = self.found_by[state as usize] {
            let (before, after) = (&self.states[from as usize], &self.states[state as usize]);
            sentences.push(system.describe(step, before, after));
            state = from;
        }
        sentences.reverse();
        sentences
    }

    fn counterexample(&self, system: &S, state: u32, broken: Broken) -> Counterexample {
        let end = system.explain(&self.states[state as usize], broken);
        Counterexample { broken, trace: self.trace(system, state), end }
    }
}

/// Fast, and good enough for states of small numbers, which no attacker chooses.
#[derive(Default)]
struct Quick(u64);

impl Hasher for Quick {
    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 29)
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u8(*byte);
        }
    }

    fn write_u8(&mut self, byte: u8) {
        self.0 = (self.0.rotate_left(5) ^ u64::from(byte)).wrapping_mul(0x517c_c1b7_2722_0a95);
    }

    /// A hash is its own hash.
    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }

    fn write_usize(&mut self, number: usize) {
        self.write_u8(number as u8);
    }

    fn write_isize(&mut self, number: isize) {
        self.write_u8(number as u8);
    }
}
