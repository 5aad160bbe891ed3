//! What a subscriber subscribes to, and so which messages come to it.

use std::sync::Arc;

use proptest::prelude::*;

use super::super::{Policy, Source};
use super::history::{ENDPOINTS, version_of};
use crate::consistency::Consistency;
use crate::key::Key;
use crate::message::Message;
use crate::registry::From;

/// With how much order, and from where in the history on, in percent.
type Choice = (Consistency, usize);

/// For each endpoint whether it is subscribed and how; and from where on the total orders of the two apps are, if anybody wants them.
pub(super) type Choices = (Vec<Option<Choice>>, [usize; 2]);

fn joined() -> impl Strategy<Value = usize> {
    // Most are there from the start.
    prop_oneof![3 => Just(0usize), 1 => 0usize..100]
}

pub(super) fn choices() -> impl Strategy<Value = Choices> {
    let consistency = prop_oneof![
        5 => Just(Consistency::Causal),
        2 => Just(Consistency::Weak),
        2 => Just(Consistency::Global),
    ];
    let choice = prop::option::weighted(0.8, (consistency, joined()));
    (prop::collection::vec(choice, ENDPOINTS.len()), [joined(), joined()])
}

/// See the module.
pub(super) struct Subscription {
    pub(super) policy: Arc<Policy>,
    bound: Vec<Bound>,
}

struct Bound {
    from: From,
    consistency: Consistency,
    /// The first message that it brings.
    first: usize,
}

impl Subscription {
    pub(super) fn to((endpoints, orders): &Choices, messages: usize) -> Self {
        let mut bound = Vec::new();
        let mut bind = |from, consistency, joined: usize| {
            bound.push(Bound { from, consistency, first: messages * joined / 100 });
        };
        for (endpoint, choice) in ENDPOINTS.iter().zip(endpoints) {
            if let Some((consistency, joined)) = choice {
                bind(From::parse(endpoint).unwrap(), *consistency, *joined);
            }
        }
        for (app, joined) in ["p", "q"].into_iter().zip(orders) {
            let is_global = |(endpoint, choice): (&&str, &Option<Choice>)| {
                endpoint.starts_with(app) && choice.is_some_and(|(asked, _)| asked == Consistency::Global)
            };
            if ENDPOINTS.iter().zip(endpoints).any(is_global) {
                bind(From::order_of(app), Consistency::Global, *joined);
            }
        }
        let sources = bound.iter().map(|bound| Source {
            from: bound.from.clone(),
            bound: since(bound.first),
            since: since(bound.first),
            consistency: bound.consistency,
            joining: false,
            taken: true,
        });
        Self { policy: Arc::new(Policy::new(sources.collect())), bound }
    }

    fn of(&self, endpoint: &str) -> Option<&Bound> {
        self.bound.iter().find(|bound| bound.from.matches(endpoint))
    }

    /// Whether the message of this number comes: some binding takes it.
    pub(super) fn brings(&self, number: usize, message: &Message) -> bool {
        if message.is_sync() && number.is_multiple_of(2) {
            return false; // it went to another app only
        }
        let endpoints = message.endpoints();
        self.bound.iter().filter(|bound| bound.first <= number).any(|bound| {
            let everything = Key::of_order(&message.app).unwrap();
            bound.from.matches(everything.as_str())
                || endpoints.iter().any(|endpoint| bound.from.matches(endpoint.as_str()))
        })
    }

    /// Whether what becomes of a key matters.
    pub(super) fn wants(&self, key: &Key) -> bool {
        self.of(key.endpoint_str()).is_some()
    }

    /// Whether its messages take turns.
    pub(super) fn is_ordered(&self, key: &Key) -> bool {
        self.of(key.endpoint_str()).is_some_and(|bound| bound.consistency.is_ordered())
    }

    /// Whether a message with this version of a key was sure to come.
    pub(super) fn covers(&self, endpoint: &str, version: u64) -> bool {
        self.of(endpoint).is_some_and(|bound| version >= since(bound.first))
    }
}

/// Between the version of the message before this one, and its own.
fn since(first: usize) -> u64 {
    version_of(first) - 5
}
