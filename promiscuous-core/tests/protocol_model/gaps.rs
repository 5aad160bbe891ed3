//! What the checker finds with the rules that the code follows today, and that a further rule closes it.
//!
//! A rule that has come into the code becomes true in [`Rules::CODE`]; then its test here fails, and goes to `holds`.

use crate::check::check;
use crate::message::Broken::{self, *};
use crate::rules::Rules;
use crate::scenario::Scenario;
use crate::scenarios::*;

/// Today's rules have this gap, and these others close it.
fn gap(scenario: Scenario, expected: Broken, with: impl FnOnce(&mut Rules)) {
    let report = check(scenario, Rules::CODE);
    println!("{report}");
    let found = report.counterexample.as_ref().map(|found| found.broken);
    assert_eq!(found, Some(expected), "{report}");
    let mut rules = Rules::CODE;
    with(&mut rules);
    let report = check(scenario, rules);
    println!("{report}");
    assert!(report.counterexample.is_none(), "{report}");
}

#[test]
fn a_dummy_of_a_new_generation_makes_the_last_write_of_the_old_one_look_old() {
    gap(GIVEN_UP_AFTER_RESTART, Different, |rules| rules.dummy_hides_nothing = true);
}

#[test]
fn an_intent_that_comes_back_with_a_snapshot_gives_up_what_was_published() {
    let report = check(RESTORED, Rules::CODE);
    assert_eq!(report.counterexample.map(|found| found.broken), Some(TwoContents));
    // The two contents are a write and nothing: harmless, once that is no reason to skip the write.
    gap(RESTORED_IN_THE_END, Different, |rules| rules.dummy_hides_nothing = true);
}

#[test]
fn who_has_read_a_dead_version_waits_for_ever_when_its_intent_is_flushed() {
    gap(DEAD_VERSION_READ, Stuck, |rules| {
        rules.waits_end_with_generation = true;
        rules.dummy_hides_nothing = true;
    });
}

#[test]
fn who_follows_a_dead_version_waits_for_ever_when_its_intent_is_flushed() {
    gap(DEAD_VERSION_SUCCEEDED, Stuck, |rules| {
        rules.waits_end_with_generation = true;
        rules.dummy_hides_nothing = true;
    });
}

#[test]
fn a_worker_that_knows_from_before_a_flush_puts_an_old_version_into_the_cache() {
    gap(CACHE_FLUSHED, Stuck, |rules| rules.cache_writes_are_fenced = true);
}

#[test]
fn a_worker_that_knows_from_before_a_flush_claims_to_know_readers_that_it_does_not() {
    gap(READER_CACHE_FLUSHED, Stuck, |rules| rules.cache_writes_are_fenced = true);
}

#[test]
fn a_process_that_raises_for_one_loss_after_the_next_one_gives_a_version_twice() {
    gap(TWO_LOSSES, TwoContents, |rules| rules.raise_compares = true);
}

#[test]
fn causes_from_before_a_loss_of_the_publishers_redis_are_not_waited_for() {
    // No rule here closes that: it is an exception to promise 3 (docs/guarantees.md).
    for rules in [Rules::CODE, Rules::CLOSED] {
        let report = check(CAUSE_BEFORE_FLUSH, rules);
        println!("{report}");
        assert_eq!(report.counterexample.map(|found| found.broken), Some(BeforeItsCause));
    }
}
