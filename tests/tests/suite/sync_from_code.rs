//! Rows that the app's own code publishes again.

use promiscuous_core::error::chain;
use promiscuous_core::sync::SyncError;
use promiscuous_tests::conformance::step::{create_counter, increment};
use promiscuous_tests::conformance::tables;
use promiscuous_tests::conformance::{Model, Stack};

use crate::apps::Publishing;
use crate::commands::publish::{insert, until_equal};

crate::conformance::over_pairs! {
    what_was_written_behind_the_adapter_s_back_is_there_after_a_sync
}

crate::conformance::over_stacks! {
    what_is_no_model_or_no_condition_is_told_and_sends_nothing
}

async fn what_was_written_behind_the_adapter_s_back_is_there_after_a_sync(from: Stack, to: Stack) {
    // given a counter that was replicated and changed since by somebody else, and others that nobody has heard of
    let publishing = Publishing::new(from).await;
    let subscribing = publishing.subscribing(to, &["counter"]).await;
    let _process = subscribing.start().await;
    let shop = publishing.connect(2).await;
    shop.write(create_counter(1)).await.unwrap();
    subscribing.counted(1, 0).await;
    publishing.eyes.execute("UPDATE counters SET n = 7 WHERE id = 1").await;
    insert(&publishing, 2..=30, 3).await;
    // when one is sent, whatever the program remembers of it, then it is there, and nothing else
    assert!(shop.sync_counter(1).await.unwrap());
    subscribing.counted(1, 7).await;
    assert_eq!(subscribing.count("counters").await, 1);
    // when some are, then only they are
    assert_eq!(shop.sync_counters(Some("id BETWEEN 5 AND 9")).await.unwrap(), 5);
    subscribing.has_rows(Model::Counter, 6).await;
    assert_eq!(subscribing.count("counters WHERE id BETWEEN 5 AND 9").await, 5);
    // and one that is gone is not, which is told
    publishing.eyes.execute("DELETE FROM counters WHERE id = 30").await;
    assert!(!shop.sync_counter(30).await.unwrap());
    // and what is written after that arrives, as ever
    for id in [1, 5, 20] {
        shop.write(increment(id)).await.unwrap();
    }
    subscribing.counted(20, 4).await;
    // There is nothing else but what was sent: 1, 5 to 9, and 20.
    assert_eq!(subscribing.count("counters").await, 7);
    // when all are
    assert_eq!(shop.sync_counters(None).await.unwrap(), 29);
    until_equal(&subscribing, &publishing, Model::Counter).await;
    assert_eq!(publishing.eyes.count("promiscuous_sync").await, 0);
}

async fn what_is_no_model_or_no_condition_is_told_and_sends_nothing(stack: Stack) {
    // given an app that publishes other models, and one that publishes this one
    let other = Publishing::of(stack, &["user"], tables::numbered).await;
    let told = other.connect(2).await.sync_counter(1).await.unwrap_err();
    assert!(matches!(&told, SyncError::Unpublished { model, .. } if model == "Counter"), "{told:?}");
    let publishing = Publishing::new(stack).await;
    insert(&publishing, 1..=3, 0).await;
    let shop = publishing.connect(2).await;
    let mut tap = publishing.tap().await;
    // when, then
    let told = shop.sync_counters(Some("n = 0; DELETE FROM counters")).await.unwrap_err();
    assert!(matches!(told, SyncError::Selection(_)), "{told:?}");
    let told = shop.sync_counters(Some("no_such_column = 0")).await.unwrap_err();
    assert!(matches!(told, SyncError::Rows { .. }) && chain(&told).contains("no_such_column"), "{told:?}");
    // The first thing that was published is what is published now.
    assert_eq!(shop.sync_counters(Some("id = 2")).await.unwrap(), 1);
    let message = tap.message().await;
    assert_eq!((message.operations.len(), message.operations[0].id.as_str()), (1, "2"));
    assert_eq!(publishing.eyes.count("promiscuous_sync").await, 0);
}
