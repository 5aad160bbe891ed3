//! The promises hold.

use crate::check::check;
use crate::rules::Rules;
use crate::scenario::Scenario;
use crate::scenarios::*;

fn holds(scenario: Scenario, rules: Rules) {
    let report = check(scenario, rules);
    println!("{report}");
    assert!(report.counterexample.is_none(), "{report}");
}

#[test]
fn two_writers_on_one_key_may_die_and_pause_anywhere() {
    holds(ONE_KEY, Rules::CODE);
}

#[test]
fn two_recoverers_do_not_get_in_each_others_way() {
    holds(TWO_RECOVERERS, Rules::CODE);
}

#[test]
fn transactions_over_two_keys_in_both_orders_stay_whole() {
    holds(TWO_KEYS, Rules::CODE);
}

#[test]
fn what_follows_a_transaction_waits_for_all_of_it() {
    holds(TRANSACTION_THEN_EACH, Rules::CODE);
}

#[test]
fn writers_that_read_each_others_key_do_not_wait_for_each_other() {
    holds(READ_EACH_OTHER, Rules::CODE);
}

#[test]
fn a_subscriber_of_some_models_does_not_wait_for_the_others() {
    holds(READER_SEES_ONLY_A, Rules::CODE);
    holds(READER_SEES_ONLY_B, Rules::CODE);
}

#[test]
fn a_destroyed_row_stays_destroyed() {
    holds(DESTROYED, Rules::CODE);
}

#[test]
fn a_reader_comes_between_the_writers_that_it_came_between() {
    // Exact state has a gap today: see `gaps`.
    let causal = |scenario| Scenario { promises: CAUSAL, ..scenario };
    holds(causal(READER_MAY_DIE), Rules::CODE);
    holds(causal(TWO_READERS), Rules::CODE);
    holds(READER_MAY_DIE, Rules::CLOSED);
    holds(TWO_READERS, Rules::CLOSED);
}

#[test]
fn a_publishers_redis_may_be_flushed_or_restarted_while_nobody_is_given_up() {
    // When somebody is given up, there are gaps today: see `gaps`.
    holds(FLUSHED, Rules::CODE);
    holds(RESTARTED, Rules::CODE);
}

#[test]
#[ignore = "takes minutes, and an optimised build"]
fn larger_worlds_hold() {
    for scenario in DEEP {
        holds(Scenario { promises: CAUSAL, ..*scenario }, Rules::CODE);
        holds(*scenario, Rules::CLOSED);
    }
}

#[test]
#[ignore = "takes minutes, and an optimised build"]
fn larger_worlds_hold_with_the_gaps_closed_when_a_redis_loses_its_data() {
    for scenario in DEEP_CLOSED {
        holds(*scenario, Rules::CLOSED);
    }
}
