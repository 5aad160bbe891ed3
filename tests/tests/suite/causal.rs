//! Causal order (the protocol's promises 3, 4 and 6), with real processes on real servers.

use std::collections::BTreeSet;

use promiscuous_seaorm::PromiscuousConnection;
use promiscuous_tests::entities::publishing::counter;
use promiscuous_tests::entities::{publishing, subscribing};
use sea_orm::{ActiveModelTrait, DbErr, EntityTrait, IntoActiveModel, QuerySelect, Set};
use tokio::task::JoinSet;

use crate::apps::{Publishing, create_counter, increment, request};

const OBJECTS: i64 = 3;
const WRITERS: i64 = 10;
const INCREMENTS: i64 = 10;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_increments_arrive_in_order_each_once() {
    // Given two processes that share a queue.
    let publishing = Publishing::new().await;
    let subscribing = publishing.subscribing(&["counter"]).await;
    let shared = || subscribing.process().arg("--workers").arg("4").arg("--prefetch").arg("20");
    let _processes = [shared().spawn(), shared().spawn()];
    subscribing.bound().await;
    let db = publishing.connect(12).await;
    for id in 1..=OBJECTS {
        create_counter(&db, id).await.unwrap();
    }

    // When ten writers increment three counters ten times each.
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let db = db.clone();
        writers.spawn(request("increment", async move {
            for turn in 0..INCREMENTS {
                for id in 1..=OBJECTS {
                    if (writer + turn) % 2 == 0 {
                        increment(&db, id).await.unwrap();
                    } else {
                        increment_after_reading(&db, id).await.unwrap();
                    }
                }
            }
        }));
    }
    while let Some(written) = writers.join_next().await {
        written.unwrap();
    }

    // Then each step of each counter was applied, once, in order, and both processes took part.
    let last = WRITERS * INCREMENTS;
    for id in 1..=OBJECTS {
        subscribing.counted(id, last).await;
        assert_eq!(subscribing.values("counter", id).await, (0..=last).collect::<Vec<_>>());
    }
    let log = subscribing.log("counter").await;
    let processes: BTreeSet<i64> = log.iter().map(|line| line.process).collect();
    assert_eq!(processes.len(), 2);
}

async fn increment_after_reading(db: &PromiscuousConnection, id: i64) -> Result<(), DbErr> {
    let transaction = db.begin().await?;
    let counter = counter::Entity::find_by_id(id).lock_exclusive().one(&transaction).await?.unwrap();
    let n = counter.n + 1;
    let mut counter = counter.into_active_model();
    counter.n = Set(n);
    counter.update(&transaction).await?;
    transaction.commit().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_is_never_applied_before_its_user_nor_a_comment_before_its_message() {
    const USERS: i64 = 20;
    const REVISIONS: i64 = 4;
    // Given two processes to which users are slow, and the rest is not.
    let publishing = Publishing::new().await;
    let subscribing = publishing.subscribing(&["user", "message", "comment"]).await;
    let _processes = [subscribing.process().spawn(), subscribing.process().spawn()];
    subscribing.bound().await;
    let db = publishing.connect(8).await;

    // When each user is changed, and after each change writes a message that others comment on.
    let mut chains = JoinSet::new();
    for id in 1..=USERS {
        chains.spawn(chain(db.clone(), id, REVISIONS));
    }
    while let Some(written) = chains.join_next().await {
        written.unwrap();
    }

    // Then every message met its user in the state in which it was written.
    let messages = u64::try_from(USERS * REVISIONS).unwrap();
    subscribing.rows(subscribing::message::Entity, messages).await;
    subscribing.rows(subscribing::comment::Entity, messages).await;
    assert_eq!(subscribing.violations().await, [""; 0]);
    for id in 1..=USERS {
        assert_eq!(subscribing.values("user", id).await, (0..REVISIONS).collect::<Vec<_>>());
    }
}

async fn chain(db: PromiscuousConnection, id: i64, revisions: i64) {
    let checked = || Set(subscribing::CHECKED.to_owned());
    for revision in 0..revisions {
        // Each step is a request of its own: only what it reads ties it to the one before.
        request("users/save", async {
            let user = publishing::user::ActiveModel {
                id: Set(id),
                name: Set(subscribing::SLOW.to_owned()),
                revision: Set(revision),
                secret: Set("none".to_owned()),
            };
            match revision {
                0 => user.insert(&db).await.unwrap(),
                _ => user.update(&db).await.unwrap(),
            }
        })
        .await;
        let message = id * 100 + revision;
        request("messages/create", async {
            let user = publishing::user::Entity::find_by_id(id).one(&db).await.unwrap().unwrap();
            publishing::message::ActiveModel {
                id: Set(message),
                user_id: Set(user.id),
                user_revision: Set(user.revision),
                text: checked(),
            }
            .insert(&db)
            .await
            .unwrap();
        })
        .await;
        request("comments/create", async {
            let message = publishing::message::Entity::find_by_id(message).one(&db).await.unwrap().unwrap();
            let comment = publishing::comment::ActiveModel {
                id: Set(message.id),
                message_id: Set(message.id),
                text: checked(),
            };
            comment.insert(&db).await.unwrap();
        })
        .await;
    }
}
