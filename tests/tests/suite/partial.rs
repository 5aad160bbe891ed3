//! Subscribers that want some of the models only (the protocol's promise 7).

use promiscuous_seaorm::PromiscuousConnection;
use promiscuous_tests::entities::publishing::{counter, message, user};
use promiscuous_tests::entities::subscribing;
use sea_orm::{ActiveModelTrait, EntityTrait, Set};

use crate::apps::{Publishing, increment, request};

const ROUNDS: i64 = 30;

/// Users change, messages read them, counters are written together with users.
async fn write_everything(db: &PromiscuousConnection) {
    for round in 0..ROUNDS {
        request("users/save", async {
            let user = user::ActiveModel {
                id: Set(1),
                name: Set("joe".into()),
                revision: Set(round),
                secret: Set(String::new()),
            };
            let saved = if round == 0 { user.insert(db).await } else { user.update(db).await };
            saved.unwrap();
            // The previous write of this context is a user, which not everybody gets.
            message(db, round * 2).await;
        })
        .await;
        request("messages/create", message(db, round * 2 + 1)).await;
        request("both", async {
            let both = db.begin().await.unwrap();
            if round == 0 {
                counter::ActiveModel { id: Set(1), n: Set(1) }.insert(&both).await.unwrap();
            } else {
                increment(&both, 1).await.unwrap();
            }
            let user = user::Entity::find_by_id(1).one(&both).await.unwrap().unwrap();
            // A user that only changes what is not published says nothing, and is in nobody's way.
            let user =
                user::ActiveModel { id: Set(user.id), secret: Set(round.to_string()), ..Default::default() };
            user.update(&both).await.unwrap();
            both.commit().await.unwrap();
        })
        .await;
    }
}

async fn message(db: &PromiscuousConnection, id: i64) {
    let user = user::Entity::find_by_id(1).one(db).await.unwrap().unwrap();
    let message = message::ActiveModel {
        id: Set(id),
        user_id: Set(1),
        user_revision: Set(user.revision),
        text: Set("unchecked".into()),
    };
    message.insert(db).await.unwrap();
}

#[tokio::test]
async fn subscribers_of_some_models_do_not_wait_for_what_they_do_not_get() {
    // Given an app that wants only messages, one that wants only users, one only counters, and one everything.
    let publishing = Publishing::new().await;
    let messages = publishing.subscribing(&["message"]).await;
    let users = publishing.subscribing(&["user"]).await;
    let counters = publishing.subscribing(&["counter"]).await;
    let everything = publishing.subscribing(&["user", "message", "counter"]).await;
    let mut processes = Vec::new();
    for app in [&messages, &users, &counters, &everything] {
        processes.push(app.start().await);
    }
    // When all of them are written, and read by each other.
    let db = publishing.connect(4).await;
    write_everything(&db).await;

    // Then each app gets all of what it wants, in order.
    let count = usize::try_from(ROUNDS * 2).unwrap();
    for app in [&messages, &everything] {
        app.rows(subscribing::message::Entity, count as u64).await;
        assert_eq!(app.log("message").await.len(), count);
    }
    for app in [&counters, &everything] {
        app.counted(1, ROUNDS).await;
        assert_eq!(app.values("counter", 1).await, (1..=ROUNDS).collect::<Vec<_>>());
    }
    for app in [&users, &everything] {
        let all: Vec<i64> = (0..ROUNDS).collect();
        promiscuous_tests::until(crate::apps::SOON, "all users", async || {
            (app.values("user", 1).await.len() == all.len()).then_some(())
        })
        .await;
        assert_eq!(app.values("user", 1).await, all);
    }
    // And nothing else.
    assert_eq!(messages.log("user").await.len() + messages.log("counter").await.len(), 0);
    for process in &mut processes {
        process.terminate();
        assert!(process.wait().await.success());
    }
}

#[tokio::test]
async fn a_subscriber_that_joins_late_does_not_wait_for_the_past() {
    // Given a user and a counter that were written and read before anybody subscribed.
    let publishing = Publishing::new().await;
    let db = publishing.connect(4).await;
    write_everything(&db).await;
    // When an app joins, with a prefetch of 1,
    let late = publishing.subscribing(&["user", "message", "counter"]).await;
    let _process = late.process().arg("--prefetch").arg("1").spawn();
    late.bound().await;
    // and writes go on,
    request("later", async {
        message(&db, 1_000).await;
        increment(&db, 1).await.unwrap();
        message(&db, 1_001).await;
        increment(&db, 1).await.unwrap();
    })
    .await;
    // Then they arrive.
    late.rows(subscribing::message::Entity, 2).await;
    late.counted(1, ROUNDS + 2).await;
    assert_eq!(late.values("counter", 1).await, [ROUNDS + 1, ROUNDS + 2]);
}
