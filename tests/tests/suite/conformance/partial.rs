//! Subscribers that want some of the models only (the protocol's promise 7).

use promiscuous_tests::conformance::step::{increment, save_user, transaction};
use promiscuous_tests::conformance::{App, Model, Row, Stack, Step};
use promiscuous_tests::until;

use crate::apps::{Publishing, SOON};

over_pairs! {
    subscribers_of_some_models_do_not_wait_for_what_they_do_not_get
    a_subscriber_that_joins_late_does_not_wait_for_the_past
}

const ROUNDS: i64 = 30;

/// Users change, messages read them, counters are written together with users.
async fn write_everything(shop: &dyn App) {
    for round in 0..ROUNDS {
        // The previous write of the message's context is a user, which not everybody gets.
        let saved = [save_user(1, "joe", round), message(round * 2)];
        shop.request("users/save", saved).await.unwrap();
        shop.request("messages/create", [message(round * 2 + 1)]).await.unwrap();
        let counted = match round {
            0 => Step::Insert(Row::Counter { id: 1, n: 1 }),
            _ => increment(1),
        };
        // A user that only changes what is not published says nothing, and is in nobody's way.
        let unseen = Step::ChangeSecret(1, round.to_string());
        let both = transaction([counted, Step::Find(Model::User, 1), unseen]);
        shop.request("both", [both]).await.unwrap();
    }
}

fn message(id: i64) -> Step {
    Step::MessageOf { id, user: 1, text: "unchecked".into() }
}

async fn subscribers_of_some_models_do_not_wait_for_what_they_do_not_get(from: Stack, to: Stack) {
    // Given an app that wants only messages, one that wants only users, one only counters, and one everything.
    let publishing = Publishing::new(from).await;
    let messages = publishing.subscribing(to, &["message"]).await;
    let users = publishing.subscribing(to, &["user"]).await;
    let counters = publishing.subscribing(to, &["counter"]).await;
    let everything = publishing.subscribing(to, &["user", "message", "counter"]).await;
    let mut processes = Vec::new();
    for app in [&messages, &users, &counters, &everything] {
        processes.push(app.start().await);
    }
    // When all of them are written, and read by each other.
    let shop = publishing.connect(4).await;
    write_everything(shop.as_ref()).await;

    // Then each app gets all of what it wants, in order.
    let count = usize::try_from(ROUNDS * 2).unwrap();
    for app in [&messages, &everything] {
        app.has_rows(Model::Message, count).await;
        assert_eq!(app.log("message").await.len(), count);
        app.assert_equals(&publishing.eyes, Model::Message).await;
    }
    for app in [&counters, &everything] {
        app.counted(1, ROUNDS).await;
        assert_eq!(app.values("counter", 1).await, (1..=ROUNDS).collect::<Vec<_>>());
        app.assert_equals(&publishing.eyes, Model::Counter).await;
    }
    for app in [&users, &everything] {
        let all: Vec<i64> = (0..ROUNDS).collect();
        until(SOON, "all users", async || (app.values("user", 1).await.len() == all.len()).then_some(()))
            .await;
        assert_eq!(app.values("user", 1).await, all);
        app.assert_equals(&publishing.eyes, Model::User).await;
    }
    // And nothing else.
    assert_eq!(messages.log("user").await.len() + messages.log("counter").await.len(), 0);
    for process in &mut processes {
        process.terminate();
        assert!(process.wait().await.success());
    }
}

async fn a_subscriber_that_joins_late_does_not_wait_for_the_past(from: Stack, to: Stack) {
    // Given a user and a counter that were written and read before anybody subscribed.
    let publishing = Publishing::new(from).await;
    let shop = publishing.connect(4).await;
    write_everything(shop.as_ref()).await;
    // When an app joins, with a prefetch of 1,
    let late = publishing.subscribing(to, &["user", "message", "counter"]).await;
    let _process = late.process().arg("--prefetch").arg("1").spawn();
    late.bound().await;
    // and writes go on,
    let later = [message(1_000), increment(1), message(1_001), increment(1)];
    shop.request("later", later).await.unwrap();
    // Then they arrive.
    late.has_rows(Model::Message, 2).await;
    late.counted(1, ROUNDS + 2).await;
    assert_eq!(late.values("counter", 1).await, [ROUNDS + 1, ROUNDS + 2]);
}
