//! Each rule is needed: without it, the checker finds a broken promise.
//!
//! All of it in a scenario that holds with all of them: what is found is there for want of that one rule.

use crate::check::check;
use crate::message::Broken::{self, *};
use crate::rules::Rules;
use crate::scenario::Scenario;
use crate::scenarios::*;

fn breaks(scenario: Scenario, without: impl FnOnce(&mut Rules), expected: Broken) {
    let whole = check(scenario, Rules::CODE);
    assert!(whole.counterexample.is_none(), "with all rules: {whole}");
    let mut rules = Rules::CODE;
    without(&mut rules);
    let report = check(scenario, rules);
    println!("{report}");
    let found = report.counterexample.as_ref().map(|found| found.broken);
    assert_eq!(found, Some(expected), "{report}");
}

mod versions {
    use super::*;

    #[test]
    fn without_a_check_of_the_generation_a_flushed_redis_gives_a_version_twice() {
        breaks(FLUSHED, |rules| rules.bump_checks_generation = false, TwoContents);
    }

    #[test]
    fn without_a_higher_generation_after_a_loss_a_version_is_given_twice() {
        breaks(FLUSHED, |rules| rules.loss_raises_generation = false, TwoContents);
    }

    #[test]
    fn unless_a_raise_compares_the_store_with_what_refused_a_version_is_given_twice() {
        breaks(TWO_LOSSES, |rules| rules.raise_compares = false, TwoContents);
    }

    #[test]
    fn unless_older_hashes_count_as_absent_a_version_waits_for_one_that_never_was() {
        breaks(RESTARTED, |rules| rules.older_hash_is_absent = false, Stuck);
    }

    #[test]
    fn unless_all_keys_are_bumped_in_one_call_messages_wait_for_each_other() {
        breaks(READ_EACH_OTHER, |rules| rules.bump_is_atomic = false, Stuck);
    }

    #[test]
    fn unless_readers_are_counted_per_endpoint_a_subscriber_waits_for_readers_it_does_not_get() {
        breaks(READER_SEES_ONLY_A, |rules| rules.readers_per_endpoint = false, Stuck);
    }
}

mod publishing {
    use super::*;

    #[test]
    fn unless_the_database_decides_first_versions_do_not_follow_the_commits() {
        breaks(ONE_KEY_CALM, |rules| rules.database_before_redis = false, Back);
    }

    #[test]
    fn unless_the_outbox_row_is_in_the_transaction_a_committed_write_is_lost() {
        breaks(ONE_KEY_IN_TURN, |rules| rules.outbox_in_transaction = false, Different);
    }

    #[test]
    fn unless_the_broker_comes_last_what_is_not_committed_is_published() {
        breaks(ONE_KEY_IN_TURN, |rules| rules.commit_before_broker = false, Uncommitted);
    }

    #[test]
    fn unless_the_outbox_row_stays_until_the_confirm_a_committed_write_is_lost() {
        breaks(ONE_KEY_IN_TURN, |rules| rules.confirm_before_delete = false, Different);
    }

    #[test]
    fn unless_the_outbox_row_stays_until_finish_a_committed_op_is_given_up_as_well() {
        breaks(ONE_KEY_IN_TURN, |rules| rules.finish_before_delete = false, TwoContents);
    }

    #[test]
    fn unless_finish_keeps_the_locks_of_others_a_version_in_flight_is_not_locked() {
        breaks(ONE_KEY_IN_TURN, |rules| rules.finish_removes_own_locks = false, Unlocked);
    }
}

mod recovery {
    use super::*;

    #[test]
    fn unless_the_outbox_is_swept_what_a_dead_writer_left_there_stays() {
        breaks(ONE_KEY_IN_TURN, |rules| rules.outbox_is_swept = false, Stuck);
    }

    #[test]
    fn unless_intents_are_recovered_what_a_dead_writer_left_undecided_stays() {
        breaks(ONE_KEY_IN_TURN, |rules| rules.intents_are_recovered = false, Stuck);
    }

    #[test]
    fn unless_a_tombstone_is_inserted_a_writer_that_wakes_up_commits_what_was_given_up() {
        breaks(UNLOCKED_IN_TURN, |rules| rules.tombstone_is_inserted = false, TwoContents);
    }

    #[test]
    fn unless_the_intent_is_checked_again_a_published_op_is_given_up_as_well() {
        breaks(ONE_KEY_IN_TURN, |rules| rules.intent_is_checked_again = false, TwoContents);
    }

    #[test]
    fn unless_the_tombstone_is_committed_before_finish_a_dead_recoverer_leaves_a_version_to_nobody() {
        breaks(UNLOCKED_IN_TURN, |rules| rules.tombstone_before_finish = false, Stuck);
    }

    #[test]
    fn unless_tombstones_are_kept_a_writer_that_wakes_up_commits_what_was_given_up() {
        breaks(UNLOCKED_IN_TURN, |rules| rules.tombstones_are_kept = false, TwoContents);
    }

    #[test]
    fn unless_a_dummy_consumes_reads_the_next_writer_waits_for_a_dead_reader() {
        breaks(READER_MAY_DIE, |rules| rules.dummy_consumes_reads = false, Stuck);
    }
}

mod subscribing {
    use super::*;

    #[test]
    fn unless_a_write_waits_for_the_one_before_a_transaction_is_torn_apart() {
        breaks(TRANSACTION_THEN_EACH, |rules| rules.wait_for_previous = false, BeforeItsCause);
    }

    #[test]
    fn unless_a_write_waits_for_readers_they_see_another_state() {
        breaks(READER, |rules| rules.wait_for_readers = false, NotInThatState);
    }

    #[test]
    fn unless_a_reader_waits_for_what_it_read_it_comes_before_its_cause() {
        breaks(READER, |rules| rules.wait_for_reads = false, BeforeItsCause);
    }

    #[test]
    fn unless_other_keys_are_ignored_a_subscriber_waits_for_what_it_does_not_get() {
        breaks(READER_SEES_ONLY_B, |rules| rules.only_subscribed_keys = false, Stuck);
    }

    #[test]
    fn unless_versions_are_committed_with_their_rows_a_write_is_lost() {
        let one_worker = Scenario { workers: 1, ..THREE_IN_TURN };
        breaks(one_worker, |rules| rules.versions_with_rows = false, Different);
    }

    #[test]
    fn unless_only_newer_versions_are_applied_a_replica_goes_back() {
        breaks(THREE_IN_TURN, |rules| rules.only_newer = false, Back);
    }

    #[test]
    fn unless_a_destroyed_key_keeps_its_version_a_late_message_brings_the_row_back() {
        breaks(DESTROYED, |rules| rules.destroyed_keeps_version = false, Back);
    }

    #[test]
    fn unless_the_database_is_asked_a_flushed_redis_knows_no_predecessor() {
        breaks(CACHE_FLUSHED, |rules| rules.database_is_the_truth = false, Stuck);
    }

    #[test]
    fn unless_versions_only_grow_in_redis_a_message_that_comes_again_stops_the_next() {
        breaks(THREE_IN_TURN, |rules| rules.cache_only_grows = false, Stuck);
    }

    #[test]
    fn unless_readers_are_told_apart_one_that_comes_twice_counts_for_two() {
        breaks(TWO_READERS, |rules| rules.readers_are_ordinals = false, NotInThatState);
    }

    #[test]
    fn unless_skipped_messages_advance_redis_too_a_death_before_that_stops_the_next() {
        breaks(THREE_IN_TURN, |rules| rules.skipped_advances_too = false, Stuck);
    }

    #[test]
    fn unless_a_message_is_applied_before_its_acknowledgement_a_write_is_lost() {
        breaks(THREE_IN_TURN, |rules| rules.apply_before_ack = false, Different);
    }

    #[test]
    fn unless_redis_is_advanced_before_the_acknowledgement_a_death_between_stops_the_next() {
        breaks(THREE_IN_TURN, |rules| rules.advance_before_ack = false, Stuck);
    }

    #[test]
    fn unless_absence_is_remembered_a_key_looked_up_between_commit_and_advance_loses_its_readers() {
        breaks(READER_TWO_WORKERS, |rules| rules.cache_remembers_absence = false, NotInThatState);
    }

    #[test]
    fn unless_only_loads_fill_the_cache_an_old_version_gets_into_a_flushed_one() {
        breaks(CACHE_FLUSHED, |rules| rules.cache_is_filled_by_loads = false, Stuck);
        breaks(READER_CACHE_FLUSHED, |rules| rules.cache_is_filled_by_loads = false, Stuck);
    }

    #[test]
    fn unless_loads_name_the_cache_what_was_read_before_a_flush_gets_into_the_next_one() {
        let twice = Scenario { cache_flushes: 2, ..CACHE_FLUSHED };
        breaks(twice, |rules| rules.loads_name_the_cache = false, Stuck);
    }

    #[test]
    fn unless_waits_end_with_a_generation_a_dead_version_that_was_flushed_is_waited_for() {
        breaks(DEAD_VERSION_READ, |rules| rules.waits_end_with_generation = false, Stuck);
        breaks(DEAD_VERSION_SUCCEEDED, |rules| rules.waits_end_with_generation = false, Stuck);
    }

    #[test]
    fn unless_a_dummy_hides_nothing_the_last_write_of_an_old_generation_is_skipped() {
        breaks(GIVEN_UP_AFTER_RESTART, |rules| rules.dummy_hides_nothing = false, Different);
        breaks(RESTORED_IN_THE_END, |rules| rules.dummy_hides_nothing = false, Different);
    }
}
