//! The promises hold.

use crate::check::check;
use crate::message::Broken;
use crate::rules::Rules;
use crate::scenario::{Scenario, Sweeps};
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
fn a_key_that_is_looked_up_between_commit_and_advance_keeps_its_readers() {
    holds(READER_TWO_WORKERS, Rules::CODE);
    holds(READER, Rules::CODE);
}

#[test]
fn a_destroyed_row_stays_destroyed() {
    holds(DESTROYED, Rules::CODE);
}

#[test]
fn a_reader_comes_between_the_writers_that_it_came_between() {
    holds(READER_MAY_DIE, Rules::CODE);
    holds(TWO_READERS, Rules::CODE);
}

#[test]
fn a_publishers_redis_may_be_flushed_or_restarted_while_nobody_is_given_up() {
    holds(FLUSHED, Rules::CODE);
    holds(RESTARTED, Rules::CODE);
}

#[test]
fn who_depends_on_a_dead_version_goes_on_although_its_intent_is_flushed() {
    holds(DEAD_VERSION_READ, Rules::CODE);
    holds(DEAD_VERSION_SUCCEEDED, Rules::CODE);
}

#[test]
fn a_dummy_of_a_new_generation_does_not_hide_the_last_write_of_the_old_one() {
    holds(GIVEN_UP_AFTER_RESTART, Rules::CODE);
}

#[test]
fn an_intent_that_comes_back_with_a_snapshot_loses_nothing() {
    // Two messages for one version, a write and nothing: harmless, for that is no reason to skip the write.
    let report = check(RESTORED, Rules::CODE);
    assert_eq!(report.counterexample.map(|found| found.broken), Some(Broken::TwoContents));
    holds(RESTORED_IN_THE_END, Rules::CODE);
}

#[test]
fn a_process_that_raises_for_one_loss_after_the_next_one_vouches_for_nothing() {
    holds(TWO_LOSSES, Rules::CODE);
}

#[test]
fn a_subscribers_redis_may_be_flushed() {
    holds(CACHE_FLUSHED, Rules::CODE);
    holds(READER_CACHE_FLUSHED, Rules::CODE);
}

/// Larger worlds: an optimised build needs up to two minutes for each.
mod larger {
    use super::*;

    #[test]
    #[ignore = "large"]
    fn two_recoverers_and_a_sweeper_that_takes_what_is_in_others_hands() {
        holds(TWO_RECOVERERS_AND_SWEEPER, Rules::CODE);
    }

    #[test]
    #[ignore = "large"]
    fn three_writers_on_one_key() {
        holds(THREE_WRITERS, Rules::CODE);
    }

    #[test]
    #[ignore = "large"]
    fn transactions_over_two_keys_and_a_reader() {
        holds(TWO_KEYS_AND_READER, Rules::CODE);
    }

    #[test]
    #[ignore = "large"]
    fn a_reader_between_two_writers_and_a_sweeper() {
        holds(READER_AND_SWEEPER, Rules::CODE);
    }

    #[test]
    #[ignore = "large"]
    fn the_subscribers_redis_may_be_flushed_twice() {
        holds(Scenario { cache_flushes: 2, ..CACHE_FLUSHED }, Rules::CODE);
        holds(Scenario { workers: 2, ..READER_CACHE_FLUSHED }, Rules::CODE);
    }

    #[test]
    #[ignore = "large"]
    fn the_publishers_redis_may_be_flushed_while_somebody_is_given_up() {
        holds(Scenario { flushes: 1, ..GIVEN_UP_AFTER_RESTART }, Rules::CODE);
        holds(Scenario { sweeper: Sweeps::All, workers: 2, ..DEAD_VERSION_READ }, Rules::CODE);
    }

    #[test]
    #[ignore = "large"]
    fn the_publishers_redis_may_come_back_from_a_snapshot() {
        holds(Scenario { deaths: 1, ..TWO_WRITERS_RESTORED }, Rules::CODE);
    }
}
