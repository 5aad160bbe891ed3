//! Old and new workers of an app in processes of their own, and `promiscuous unbind`.

use promiscuous_tests::conformance::step::{create_counter, increment, save_user, transaction};
use promiscuous_tests::conformance::{Model, Stack};
use promiscuous_tests::deaths::STOP_AT;
use promiscuous_tests::processes::Process;
use promiscuous_tests::until;
use serde_json::{Value, json};

use super::bootstrap::faults::delete_queue;
use super::bootstrap::serve;
use super::json;
use crate::apps::{Publishing, SOON, Subscribing};
use crate::conformance::over_stacks;

over_stacks! {
    what_a_new_version_takes_is_kept_for_it_and_passed_over_once_it_is_unbound
}

/// Starts a worker of the version that takes counters only.
fn old(subscribing: &Subscribing) -> Process {
    subscribing.process().env("SUBSCRIBES", "counter").spawn()
}

/// Tells the version that takes counters only to do this.
async fn told(subscribing: &Subscribing, arguments: &[&str]) -> (Vec<Value>, i32) {
    json(subscribing.command(arguments).env("SUBSCRIBES", "counter")).await
}

async fn until_count(subscribing: &Subscribing, of: &str, expected: usize) {
    let there = async || (subscribing.eyes.count(of).await == expected).then_some(());
    until(SOON, of, there).await;
}

async fn what_a_new_version_takes_is_kept_for_it_and_passed_over_once_it_is_unbound(stack: Stack) {
    // given an old worker, and a new version that has bound users as well and was taken away again
    let publishing = Publishing::new(stack).await;
    let subscribing = publishing.subscribing(stack, &["counter", "user"]).await;
    let endpoint = format!("{}/user", publishing.app);
    let mut worker = old(&subscribing);
    until_count(&subscribing, "promiscuous_subscriptions WHERE state = 'live'", 1).await;
    let mut new = subscribing.start().await;
    new.kill().await;
    // when both are written
    let shop = publishing.connect(2).await;
    shop.write(create_counter(1)).await.unwrap();
    shop.write(transaction([save_user(1, "ada", 0), create_counter(2)])).await.unwrap();
    shop.write(increment(2)).await.unwrap();
    shop.write(increment(1)).await.unwrap();
    // then what is only for the new version waits for it, which is told with what to do,
    subscribing.counted(1, 1).await;
    until_count(&subscribing, &format!("promiscuous_parked WHERE waits_for = '={endpoint}'"), 1).await;
    let (status, code) = told(&subscribing, &["status", "--format", "json"]).await;
    assert_eq!((code, &status[0]["parked"]["left"]), (0, &json!(1)));
    assert!(
        status[0]["advice"].to_string().contains(&format!("promiscuous unbind '{endpoint}'")),
        "{status:?}"
    );
    let (blocked, code) = told(&subscribing, &["blocked", "--format", "json"]).await;
    assert_eq!((code, &blocked[0]["left_to_who_takes"]), (0, &json!(endpoint)));
    assert!(blocked[0]["advice"].as_str().unwrap().contains("promiscuous unbind"), "{blocked:?}");
    // and nobody unbinds what he takes, or without being asked.
    let (_, code) = json(subscribing.command(&["unbind", &endpoint, "--yes"])).await;
    assert_eq!(code, 1);
    let (_, code) = told(&subscribing, &["unbind", &endpoint]).await;
    assert_eq!(code, 2);
    // when it is unbound
    let (_, code) = told(&subscribing, &["unbind", &endpoint, "--yes"]).await;
    assert_eq!(code, 0);
    // then the old worker goes on without it.
    subscribing.counted(2, 1).await;
    until_count(&subscribing, "promiscuous_parked", 0).await;
    shop.write(save_user(2, "bob", 0)).await.unwrap();
    shop.write(create_counter(3)).await.unwrap();
    subscribing.counted(3, 0).await;
    assert_eq!(subscribing.eyes.count("users").await, 0);
    let (status, _) = told(&subscribing, &["status", "--format", "json"]).await;
    assert_eq!((&status[0]["parked"]["left"], &status[0]["advice"]), (&json!(0), &json!([])));
    let (_, code) = told(&subscribing, &["unbind", &endpoint, "--yes"]).await;
    assert_eq!(code, 0);
    worker.terminate();
    assert!(worker.wait().await.success());
}

mod faults {
    use super::*;

    over_stacks! {
        a_queue_that_is_lost_costs_neither_version_anything
        what_is_to_be_bound_is_recorded_before_it_is
        old_and_new_workers_that_die_in_turns_lose_nothing
    }

    pub async fn what_is_to_be_bound_is_recorded_before_it_is(stack: Stack) {
        // given an old worker
        let publishing = Publishing::new(stack).await;
        let subscribing = publishing.subscribing(stack, &["counter", "user"]).await;
        let _worker = old(&subscribing);
        until_count(&subscribing, "promiscuous_subscriptions WHERE state = 'live'", 1).await;
        // when a new one is about to bind what it takes, and dies
        let mut new = subscribing.process().env(STOP_AT, "before_declare").spawn();
        new.wait_for_line("reached").await;
        let user = format!("{}/user", publishing.app);
        let recorded = format!("promiscuous_subscriptions WHERE state = 'binding' AND endpoint = '{user}'");
        assert_eq!(subscribing.eyes.count(&recorded).await, 1);
        let shop = publishing.connect(2).await;
        shop.write(save_user(1, "ada", 0)).await.unwrap();
        publishing.eyes.outbox_is_empty().await;
        new.kill().await;
        // then nothing has come by it, and when it is tried again, what is written from then on does.
        let _new = subscribing.start().await;
        shop.write(save_user(2, "bob", 0)).await.unwrap();
        until_count(&subscribing, "users", 1).await;
        until_count(&subscribing, "promiscuous_parked", 0).await;
        shop.write(create_counter(1)).await.unwrap();
        subscribing.counted(1, 0).await;
        assert_eq!(subscribing.eyes.count("users").await, 1);
    }

    pub async fn a_queue_that_is_lost_costs_neither_version_anything(stack: Stack) {
        // given both versions, up to date and stopped
        let publishing = Publishing::new(stack).await;
        let subscribing = publishing.subscribing(stack, &["counter", "user"]).await;
        let mut new = subscribing.start().await;
        let shop = publishing.connect(2).await;
        shop.write(create_counter(1)).await.unwrap();
        shop.write(save_user(1, "ada", 0)).await.unwrap();
        subscribing.counted(1, 0).await;
        until_count(&subscribing, "users", 1).await;
        new.kill().await;
        // when their queue is deleted, and the old one is there first
        shop.write(increment(1)).await.unwrap();
        shop.write(save_user(2, "bob", 0)).await.unwrap();
        publishing.eyes.outbox_is_empty().await;
        delete_queue(&subscribing.app).await;
        let _worker = old(&subscribing);
        let bound = "promiscuous_sync WHERE position LIKE '%\"is_bound\":true%'";
        until_count(&subscribing, bound, 1).await;
        shop.write(save_user(3, "eve", 0)).await.unwrap();
        let _serving = serve(&publishing, &[]);
        subscribing.counted(1, 1).await;
        // then the new one finds everything, too.
        let _new = subscribing.start().await;
        until_count(&subscribing, "users", 3).await;
        until_count(&subscribing, "promiscuous_subscriptions WHERE state = 'live'", 2).await;
        for model in [Model::User, Model::Counter] {
            subscribing.assert_same(&publishing.eyes, model, true).await;
        }
        until_count(&subscribing, "promiscuous_parked", 0).await;
    }

    pub async fn old_and_new_workers_that_die_in_turns_lose_nothing(stack: Stack) {
        // given
        const ROUNDS: i64 = 4;
        const WRITES: i64 = 15;
        let publishing = Publishing::new(stack).await;
        let subscribing = publishing.subscribing(stack, &["counter", "user"]).await;
        let mut first = old(&subscribing);
        until_count(&subscribing, "promiscuous_subscriptions WHERE state = 'live'", 1).await;
        let mut new = subscribing.start().await;
        let shop = publishing.connect(2).await;
        // when both are written, while one after the other dies and is replaced
        for round in 0..ROUNDS {
            for number in 0..WRITES {
                let (user, counter) = (save_user(number, "ada", round), counter(round, number));
                match number % 3 {
                    0 => shop.write(transaction([user, counter])).await.unwrap(),
                    _ => {
                        shop.write(user).await.unwrap();
                        shop.write(counter).await.unwrap();
                    }
                }
                match number {
                    5 => {
                        new.kill().await;
                        new = subscribing.process().spawn();
                    }
                    10 => {
                        first.kill().await;
                        first = old(&subscribing);
                    }
                    _ => {}
                }
            }
        }
        // then the copies are what was written.
        for number in 0..WRITES {
            subscribing.counted(number, ROUNDS - 1).await;
        }
        until_count(
            &subscribing,
            &format!("users WHERE revision = {}", ROUNDS - 1),
            WRITES.try_into().unwrap(),
        )
        .await;
        for model in [Model::User, Model::Counter] {
            subscribing.assert_same(&publishing.eyes, model, true).await;
        }
        until_count(&subscribing, "promiscuous_parked", 0).await;
        assert!(subscribing.eyes.violations().await.is_empty());
    }

    fn counter(round: i64, number: i64) -> promiscuous_tests::conformance::Step {
        if round == 0 { create_counter(number) } else { increment(number) }
    }
}
