//! Weak, causal and global endpoints beside each other, message by message.

use std::collections::BTreeMap;
use std::sync::Arc;

use uuid::Uuid;

use super::super::waiting::Waiting;
use super::super::*;
use crate::consistency::Consistency;
use crate::dependency::{Dependencies, ExternalDependency, ReadDependency, WriteDependency};
use crate::key::Endpoint;
use crate::operation::{Operation, OperationKind};
use crate::registry::From;

/// What the tests subscribe to; `since` is 100, later than the past and earlier than every version below.
fn policy() -> Arc<Policy> {
    policy_since(100, false)
}

/// The same; `joining` is whether all rows are on their way.
fn policy_since(since: u64, joining: bool) -> Arc<Policy> {
    let source = |from, consistency| Source { from, bound: since, since, consistency, joining, taken: true };
    let from = |text| From::parse(text).unwrap();
    Arc::new(Policy::new(vec![
        source(from("p/user"), Consistency::Causal),
        source(from("p/view"), Consistency::Weak),
        source(from("q/plan"), Consistency::Weak),
        source(from("g/post"), Consistency::Global),
        source(From::order_of("g"), Consistency::Global),
    ]))
}

fn key(text: &str) -> Key {
    Key::parse(text).unwrap()
}

fn endpoint(text: &str) -> Endpoint {
    Endpoint::parse(text).unwrap()
}

/// Writes a key at a version that follows on another one; 0 follows on none.
fn write(name: &str, previous: u64, version: u64) -> WriteDependency {
    let previous = (previous > 0).then_some(previous);
    WriteDependency { key: key(name), version, previous, readers: BTreeMap::new(), unwritten: false }
}

fn message(write: Vec<WriteDependency>) -> Message {
    let dependencies = Dependencies { write, ..Dependencies::default() };
    Message {
        id: Uuid::now_v7(),
        app: "p".into(),
        host: None,
        context: None,
        current_user_id: None,
        timestamp: 0,
        generation: 1,
        operations: Vec::new(),
        dependencies: Some(dependencies),
        bootstrap: None,
    }
}

/// The message, having read a version of a key as the first of its endpoints.
fn reading(mut message: Message, name: &str, version: u64) -> Message {
    let ordinals = message.endpoints().into_iter().map(|endpoint| (endpoint, 1)).collect();
    let dependencies = message.dependencies.as_mut().unwrap();
    dependencies.read.push(ReadDependency { key: key(name), version, ordinals });
    message
}

/// Messages that arrive in this order, where nothing was applied before.
fn arrived(messages: Vec<Message>) -> Scheduler {
    let mut scheduler = Scheduler::new(policy());
    for message in messages {
        scheduler.arrive(Arc::new(message));
    }
    for key in scheduler.take_loads() {
        // Nothing is known of it, and nobody can have read it.
        scheduler.loaded(&key, Applied { version: None, readers: Some(BTreeMap::new()) });
    }
    scheduler
}

/// Applies whatever can be, one after the other; answers with the messages in that order.
fn applied(scheduler: &mut Scheduler) -> Vec<Sequence> {
    let mut all = Vec::new();
    loop {
        let batch = scheduler.next_batch(1, 1);
        if batch.is_empty() {
            return all;
        }
        scheduler.applied(&batch);
        all.extend(batch);
    }
}

#[test]
fn a_weak_message_waits_for_nothing_not_even_for_what_is_known_of_its_key() {
    let mut scheduler = Scheduler::new(policy());
    let weak = reading(message(vec![write("p/view/1", 500, 501)]), "p/user/1", 900);
    scheduler.arrive(Arc::new(weak));
    scheduler.arrive(Arc::new(Message { dependencies: None, ..message(Vec::new()) }));
    assert_eq!(applied(&mut scheduler), [0, 1]);
}

#[test]
fn a_causal_message_waits_for_the_weak_version_that_it_read() {
    let causal = reading(message(vec![write("p/user/1", 0, 601)]), "p/view/1", 500);
    let mut scheduler = arrived(vec![causal]);
    assert!(applied(&mut scheduler).is_empty());
    assert_eq!(scheduler.obstacle_of(0), Some(&Obstacle::Version(key("p/view/1"), Version::new(1, 500))));
    // A newer one will do: the one that was read is perhaps never applied.
    scheduler.arrive(Arc::new(message(vec![write("p/view/1", 501, 502)])));
    assert_eq!(applied(&mut scheduler), [1, 0]);
}

#[test]
fn a_cause_from_another_app_is_waited_for_though_its_endpoint_is_weak() {
    let mut causal = message(vec![write("p/user/1", 0, 601)]);
    let external = ExternalDependency { key: key("q/plan/1"), generation: 1, version: 300 };
    causal.dependencies.as_mut().unwrap().external.push(external);
    let mut scheduler = arrived(vec![causal]);
    assert!(applied(&mut scheduler).is_empty());
    scheduler.arrive(Arc::new(message(vec![write("q/plan/1", 299, 300)])));
    assert_eq!(applied(&mut scheduler), [1, 0]);
}

#[test]
fn a_transaction_of_both_waits_for_what_is_causal_of_it() {
    let mut weak = write("p/view/1", 500, 601);
    weak.readers.insert(endpoint("p/user"), 7);
    let both = message(vec![write("p/user/1", 400, 601), weak]);
    let mut scheduler = arrived(vec![both]);
    assert_eq!(scheduler.obstacle_of(0).map(Obstacle::key), Some(&key("p/user/1")));
    scheduler.arrive(Arc::new(message(vec![write("p/user/1", 0, 400)])));
    assert_eq!(applied(&mut scheduler), [1, 0]);
}

#[test]
fn readers_are_waited_for_unless_they_are_weak() {
    // Given a user that was read by a weak message, which came before what it read and so was not counted,
    let mut next = write("p/user/1", 400, 401);
    next.readers.insert(endpoint("p/view"), 1);
    let weak_reader = reading(message(vec![write("p/view/1", 0, 390)]), "p/user/1", 400);
    let mut scheduler = arrived(vec![weak_reader, message(vec![next.clone()])]);
    assert_eq!(applied(&mut scheduler), [0]);
    // then its next version waits for the one before it only;
    scheduler.arrive(Arc::new(message(vec![write("p/user/1", 0, 400)])));
    assert_eq!(applied(&mut scheduler), [2, 1]);

    // and where the reader is causal, for that too.
    next.readers.insert(endpoint("p/user"), 1);
    let mut scheduler = arrived(vec![message(vec![write("p/user/1", 0, 400)]), message(vec![next])]);
    assert_eq!(applied(&mut scheduler), [0]);
    let reader = reading(message(vec![write("p/user/2", 0, 402)]), "p/user/1", 400);
    scheduler.arrive(Arc::new(reader));
    for key in scheduler.take_loads() {
        scheduler.loaded(&key, Applied { version: None, readers: Some(BTreeMap::new()) });
    }
    assert_eq!(applied(&mut scheduler), [2, 1]);
}

/// Writes an object of its own, and takes its place in the order of `g`.
fn placed(endpoint: &str, previous: u64, version: u64) -> Message {
    message(vec![write(&format!("{endpoint}/{version}"), 0, version), write("g/*", previous, version)])
}

#[test]
fn a_total_order_is_kept_through_what_is_not_subscribed_and_goes_in_one_batch() {
    // Given messages of one app that have nothing to do with each other, and come backwards,
    let endpoints = ["g/post", "g/other"];
    let mut messages: Vec<Message> = (0..100)
        .map(|n| placed(endpoints[n as usize % 2], if n == 0 { 0 } else { 999 + n }, 1_000 + n))
        .collect();
    messages.reverse();
    // when nothing is missing,
    let mut scheduler = arrived(messages);
    // then they are one batch, in their order.
    let batch = scheduler.next_batch(4, 60);
    assert_eq!(batch, (40..100).rev().collect::<Vec<_>>());
    assert!(scheduler.next_batch(4, 60).is_empty());
    scheduler.applied(&batch);
    assert_eq!(scheduler.next_batch(4, 60), (0..40).rev().collect::<Vec<_>>());
}

#[test]
fn a_total_order_has_no_gaps_but_those_of_before_it_was_asked_for() {
    // Given an order that was asked for long ago, and then not any more,
    let mut scheduler = Scheduler::new(policy());
    scheduler.arrive(Arc::new(placed("g/post", 90, 110)));
    scheduler.arrive(Arc::new(placed("g/post", 110, 120)));
    scheduler.arrive(Arc::new(placed("g/post", 130, 140)));
    for key in scheduler.take_loads() {
        let version = key.is_order().then(|| Version::new(1, 50));
        scheduler.loaded(&key, Applied { version, readers: None });
    }
    // then nobody waits for what came meanwhile, and everybody for what comes since.
    assert_eq!(applied(&mut scheduler), [0, 1]);
    assert_eq!(scheduler.obstacle_of(2), Some(&Obstacle::Version(key("g/*"), Version::new(1, 130))));
    scheduler.arrive(Arc::new(placed("g/other", 120, 130)));
    assert_eq!(applied(&mut scheduler), [3, 2]);
}

#[test]
fn a_publisher_without_a_total_order_is_followed_causally_and_one_that_has_it_need_not_be_followed_in_it() {
    // A publisher that is not global:
    let unplaced = message(vec![write("g/post/1", 0, 200)]);
    // and one that is, of which only causal things are wanted.
    let mut ignored = message(vec![write("p/user/1", 0, 201), write("p/*", 150, 201)]);
    ignored.app = "p".into();
    let mut scheduler = arrived(vec![unplaced, ignored]);
    assert_eq!(applied(&mut scheduler), [0, 1]);
}

#[test]
fn of_a_long_chain_only_the_next_one_is_looked_at() {
    let mut waiting = Waiting::default();
    let obstacle = |version| Obstacle::Version(key("g/*"), Version::new(1, version));
    for sequence in 0..1_000 {
        waiting.insert(&obstacle(1_000 - sequence), sequence);
    }
    waiting.insert(&Obstacle::NotLoaded(key("g/*")), 5_000);
    assert_eq!(waiting.at(&key("g/*"), None), [5_000]);
    assert_eq!(waiting.at(&key("g/*"), Some(Version::new(1, 2))), [5_000, 999, 998]);
    waiting.remove(&obstacle(1), 999);
    assert_eq!(waiting.at(&key("g/*"), Some(Version::new(1, 2))), [5_000, 998]);
}

/// Loads what was asked for since: nothing is known of it.
fn load(scheduler: &mut Scheduler) {
    for key in scheduler.take_loads() {
        scheduler.loaded(&key, Applied { version: None, readers: Some(BTreeMap::new()) });
    }
}

#[test]
fn while_rows_are_on_their_way_nothing_waits_and_when_they_have_come_what_follows_does() {
    // What was lost: version 501 of the user, and the place 700 in an order.
    let user = reading(message(vec![write("p/user/1", 501, 502)]), "p/user/9", 400);
    let post =
        Message { app: "g".into(), ..message(vec![write("g/post/1", 0, 702), write("g/*", 700, 701)]) };
    let mut waiting = arrived(vec![user.clone(), post.clone()]);
    assert_eq!((applied(&mut waiting).len(), waiting.blocked_len()), (0, 2));
    waiting.change(policy_since(800, true));
    assert_eq!(applied(&mut waiting), [0, 1]);
    // And whoever comes while they are.
    let mut scheduler = Scheduler::new(policy_since(800, true));
    scheduler.arrive(Arc::new(user));
    scheduler.arrive(Arc::new(post));
    assert_eq!(applied(&mut scheduler), [0, 1]);
    scheduler.change(policy_since(800, false));
    // Of before that moment nothing is waited for, of after it everything.
    scheduler.arrive(Arc::new(message(vec![write("p/user/1", 790, 801)])));
    scheduler.arrive(Arc::new(message(vec![write("p/user/2", 810, 811)])));
    let place = vec![write("g/post/2", 0, 802), write("g/*", 820, 821)];
    scheduler.arrive(Arc::new(Message { app: "g".into(), ..message(place) }));
    load(&mut scheduler);
    assert_eq!(applied(&mut scheduler), [2]);
    assert_eq!(scheduler.blocked_len(), 2);
    scheduler.arrive(Arc::new(message(vec![write("p/user/2", 0, 810)])));
    assert_eq!(applied(&mut scheduler), [5, 3]);
}

#[test]
fn what_another_version_of_the_app_has_bound_is_waited_for_and_counted_once_that_is_known() {
    // A message that reads what nobody takes here, as far as is known, is ready.
    let reader = reading(message(vec![write("p/user/1", 0, 601)]), "p/new/1", 500);
    let mut scheduler = arrived(vec![reader.clone()]);
    assert!(!policy().covers(&reader));
    assert_eq!(scheduler.ready_len(), 1);
    // Another version of the app begins to take it.
    let mut sources = policy().sources().to_vec();
    let from = From::parse("p/new").unwrap();
    let consistency = Consistency::Causal;
    let new = Source { from, bound: 100, since: 100, consistency, joining: false, taken: false };
    sources.push(new.clone());
    let known = Arc::new(Policy::new(sources));
    scheduler.change(Arc::clone(&known));
    assert!(known.covers(&reader));
    for key in scheduler.take_loads() {
        scheduler.loaded(&key, Applied { version: None, readers: Some(BTreeMap::new()) });
    }
    // Then its cause is waited for; a message that brings operations on it is for the other version, its dummy is for anyone.
    assert_eq!(scheduler.obstacle_of(0), Some(&Obstacle::Version(key("p/new/1"), Version::new(1, 500))));
    assert_eq!(known.left_to_others(&reader), None);
    let mut cause = message(vec![write("p/new/1", 0, 500)]);
    assert_eq!(known.left_to_others(&cause), None);
    cause.operations.push(Operation {
        operation: OperationKind::Destroy,
        endpoint: endpoint("p/new"),
        types: vec!["New".into()],
        id: "1".into(),
        attributes: None,
    });
    assert_eq!(known.left_to_others(&cause), Some(&new));
    scheduler.changed([&key("p/new/1")]);
    assert_eq!(scheduler.take_loads(), [key("p/new/1")]);
    let there = Applied { version: Some(Version::new(1, 500)), readers: Some(BTreeMap::new()) };
    scheduler.loaded(&key("p/new/1"), there);
    assert_eq!(applied(&mut scheduler), [0]);
    // Who has read it is counted for the other version.
    let read = known.advance_of(&reader).reads;
    assert_eq!(read, [(key("p/new/1"), Version::new(1, 500), BTreeMap::from([(endpoint("p/user"), 1)]))]);
}

#[test]
fn waiting_that_was_given_up_does_not_begin_again_with_another_policy() {
    let mut scheduler = arrived(vec![message(vec![write("p/user/1", 500, 501)])]);
    assert_eq!(scheduler.blocked_len(), 1);
    scheduler.force(0);
    scheduler.change(policy_since(50, false));
    assert_eq!(applied(&mut scheduler), [0]);
}
