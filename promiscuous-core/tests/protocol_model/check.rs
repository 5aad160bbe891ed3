//! Checks a model in two parts: the publisher with everything that may happen to it, and then, for each history that it can
//! come to rest with, the subscriber.
//!
//! Nothing is missed by that. A subscriber has no influence on a publisher, and sees nothing of it but messages. Whatever
//! the two do side by side, the subscriber would have been free to do the same after the publisher had come to rest: a message
//! that is there already need not be taken yet. That a message may come once more at any time, because a publisher that does not
//! know of the confirm publishes it again, is a step of the subscriber's part. (That the publisher does come to rest is checked first.)

use std::collections::HashSet;
use std::fmt;
use std::time::{Duration, Instant};

use crate::explorer::{Counterexample, explore};
use crate::message::Broken;
use crate::publisher::Publisher;
use crate::rules::Rules;
use crate::scenario::{Model, Scenario};
use crate::subscriber::Subscriber;

/// What a check found.
pub struct Report {
    name: &'static str,
    /// States and steps of the publisher.
    publisher: (usize, usize),
    /// In how many ways it can have come to rest, as seen by a subscriber.
    histories: usize,
    /// States and steps of the subscriber, over all histories.
    subscriber: (usize, usize),
    took: Duration,
    /// The shortest way to a broken promise.
    pub counterexample: Option<Counterexample>,
}

/// Looks at everything that can happen in a scenario under rules.
pub fn check(scenario: Scenario, rules: Rules) -> Report {
    let model = Model { scenario, rules };
    let began = Instant::now();
    let publisher = Publisher(model);
    let (graph, counterexample) = explore(&publisher);
    let stuck = counterexample.as_ref().is_some_and(|found| found.broken == Broken::Stuck);
    // Then it is not a promise that is broken, but the model.
    assert!(!stuck || !graph.at_rest.is_empty(), "this publisher never comes to rest: {}", scenario.name);
    let mut report = Report {
        name: scenario.name,
        publisher: (graph.states.len(), graph.steps),
        histories: 0,
        subscriber: (0, 0),
        took: Duration::ZERO,
        counterexample,
    };
    if report.counterexample.is_none() {
        // In the order in which they were found: the shortest way to each history comes first.
        let mut histories = HashSet::new();
        for &state in &graph.at_rest {
            let history = publisher.history(&graph.states[state as usize]);
            if !histories.insert(history) {
                continue;
            }
            let way = graph.trace(&publisher, state);
            let shortest = report.counterexample.as_ref().map(|known| known.trace.len());
            if shortest.is_some_and(|shortest| way.len() >= shortest) {
                break;
            }
            let (seen, counterexample) = explore(&Subscriber { model, history });
            report.subscriber.0 += seen.states.len();
            report.subscriber.1 += seen.steps;
            let Some(found) = counterexample else { continue };
            if shortest.is_none_or(|shortest| way.len() + found.trace.len() < shortest) {
                let trace = way.into_iter().chain(found.trace).collect();
                report.counterexample = Some(Counterexample { trace, ..found });
            }
        }
        report.histories = histories.len();
    }
    report.took = began.elapsed();
    report
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, publisher, histories, subscriber, took, .. } = self;
        write!(
            f,
            "{name}: {} states, {} steps of the publisher; {histories} histories; {} states, {} steps of the subscriber; {:.1} s",
            publisher.0,
            publisher.1,
            subscriber.0,
            subscriber.1,
            took.as_secs_f32()
        )?;
        let Some(found) = &self.counterexample else { return Ok(()) };
        writeln!(f)?;
        for (at, sentence) in found.trace.iter().enumerate() {
            writeln!(f, "{:4}. {sentence}", at + 1)?;
        }
        write!(f, "   => {}", found.end)
    }
}
