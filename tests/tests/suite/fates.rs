//! What becomes of transactions (the protocol's promises 2 and 5).

use std::time::{Duration, Instant};

use promiscuous_core::message::Message;
use promiscuous_tests::entities::publishing;
use promiscuous_tests::unique_app;
use sea_orm::{ActiveModelTrait, ConnectionTrait, Set};
use tokio::sync::watch;

use crate::apps::{Publishing, SOON, create_counter, increment, request, statement, written};

#[tokio::test]
async fn rolled_back_and_dropped_writes_are_not_published_and_hold_nobody_up() {
    // Given a counter.
    let publishing = Publishing::new().await;
    let subscribing = publishing.subscribing(&["counter"]).await;
    let _process = subscribing.start().await;
    let mut tap = publishing.tap().await;
    let db = publishing.connect(4).await;
    create_counter(&db, 1).await.unwrap();

    request("fates", async {
        // When a transaction is rolled back, another dropped,
        let rolled_back = db.begin().await.unwrap();
        increment(&rolled_back, 1).await.unwrap();
        create_counter(&rolled_back, 7).await.unwrap();
        rolled_back.rollback().await.unwrap();

        let dropped = db.begin().await.unwrap();
        increment(&dropped, 1).await.unwrap();
        drop(dropped);

        // a third one cancelled while it waits,
        let holder = db.begin().await.unwrap();
        increment(&holder, 1).await.unwrap();
        let waiting = tokio::time::timeout(Duration::from_millis(100), increment(&db, 1)).await;
        assert!(waiting.is_err(), "the row is locked");
        holder.rollback().await.unwrap();

        // and a savepoint rolled back or dropped in one that commits,
        let outer = db.begin().await.unwrap();
        let savepoint = outer.begin().await.unwrap();
        create_counter(&savepoint, 8).await.unwrap();
        increment(&savepoint, 1).await.unwrap();
        savepoint.rollback().await.unwrap();
        let savepoint = outer.begin().await.unwrap();
        create_counter(&savepoint, 9).await.unwrap();
        drop(savepoint);
        create_counter(&outer, 2).await.unwrap();
        outer.commit().await.unwrap();

        // Then the next write of the row arrives promptly: nothing was locked until a deadline.
        let began = Instant::now();
        increment(&db, 1).await.unwrap();
        subscribing.counted_within(Duration::from_secs(5), 1, 1).await;
        println!("the next write arrived after {:?}", began.elapsed());
    })
    .await;

    // And only what was committed was ever published.
    create_counter(&db, 99).await.unwrap();
    let messages = tap.until("counter/99").await;
    let keys: Vec<_> = messages.iter().map(written).collect();
    assert_eq!(keys, [vec!["counter/1"], vec!["counter/2"], vec!["counter/1"], vec!["counter/99"]]);
    assert!(messages.iter().all(|message| message.operations.len() == 1), "no dummies either");
}

#[tokio::test]
async fn a_write_that_the_database_refuses_publishes_nothing() {
    let publishing = Publishing::new().await;
    let mut tap = publishing.tap().await;
    let db = publishing.connect(4).await;
    request("duplicate", async {
        create_counter(&db, 1).await.unwrap();
        create_counter(&db, 1).await.unwrap_err();
        // Refused at COMMIT, after its versions are bumped: a dummy consumes them.
        let deferred = "ALTER TABLE notes ADD CONSTRAINT later UNIQUE (text) DEFERRABLE INITIALLY DEFERRED";
        db.without_promiscuous().execute_unprepared(deferred).await.unwrap();
        let transaction = db.begin().await.unwrap();
        for id in [1, 2] {
            let note = publishing::note::ActiveModel { id: Set(id), text: Set("same".into()) };
            note.insert(&transaction).await.unwrap();
        }
        increment(&transaction, 1).await.unwrap();
        transaction.commit().await.unwrap_err();
        increment(&db, 1).await.unwrap();
    })
    .await;
    // A dummy and what came after it may overtake each other on the wire.
    let mut messages = [tap.message().await, tap.message().await, tap.message().await];
    messages.sort_by_key(|message| message.version_of(0));
    let operations: Vec<_> = messages.iter().map(|message| message.operations.len()).collect();
    let created = messages[0].dependencies.as_ref().unwrap().write[0].version;
    let dummy = messages.iter().find(|m| m.operations.is_empty()).expect("a dummy");
    let dummy = &dummy.dependencies.as_ref().unwrap().write[0];
    assert_eq!(operations.iter().sum::<usize>(), 2);
    assert_eq!(dummy.previous, Some(created));
    let last =
        messages.iter().find(|m| m.dependencies.as_ref().unwrap().write[0].previous == Some(dummy.version));
    let attributes = last.expect("the write after it").operations[0].attributes.as_ref().unwrap();
    assert_eq!(attributes.get("n").map(ToString::to_string).as_deref(), Some("1"));
}

#[tokio::test]
async fn a_write_whose_message_is_too_large_is_rolled_back_and_holds_nobody_up() {
    // Given a row that no broker would take,
    let publishing = Publishing::new().await;
    let mut tap = publishing.tap().await;
    let db = publishing.connect(4).await;
    let save = async |name: String| {
        let (name, secret) = (Set(name), Set("secret".to_owned()));
        publishing::user::ActiveModel { id: Set(1), name, revision: Set(0), secret }.insert(&db).await
    };
    request("too large", async {
        // when it is written, then it is refused with advice, and is not there:
        let refused = save("x".repeat(17 << 20)).await.unwrap_err().to_string();
        assert!(refused.contains("write fewer or smaller rows"), "{refused}");
        save("small".into()).await.unwrap();
    })
    .await;
    // its versions are consumed by a dummy, and the next write of the same row comes after that.
    let messages = [tap.message().await, tap.message().await];
    let dummy = messages.iter().find(|m| m.operations.is_empty()).expect("a dummy");
    let small = messages.iter().find(|m| !m.operations.is_empty()).expect("the small one");
    let chain = |message: &Message| message.dependencies.as_ref().unwrap().write[0].clone();
    assert_eq!(chain(small).previous, Some(chain(dummy).version));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_arrives_whole_or_not_at_all() {
    const TRANSACTIONS: i64 = 150;
    // Given three rows that are always changed together.
    let publishing = Publishing::new().await;
    let subscribing = publishing.subscribing(&["user", "message", "counter"]).await;
    let _process = subscribing.start().await;
    let db = publishing.connect(4).await;
    let name = unique_app("joe");
    let save = async |number: i64| {
        let transaction = db.begin().await.unwrap();
        let user = publishing::user::ActiveModel {
            id: Set(1),
            name: Set(name.clone()),
            revision: Set(number),
            secret: Set(String::new()),
        };
        let counter = publishing::counter::ActiveModel { id: Set(1), n: Set(number) };
        let message = publishing::message::ActiveModel {
            id: Set(1),
            user_id: Set(1),
            user_revision: Set(number),
            text: Set(number.to_string()),
        };
        if number == 0 {
            user.insert(&transaction).await.unwrap();
            counter.insert(&transaction).await.unwrap();
            message.insert(&transaction).await.unwrap();
        } else {
            user.update(&transaction).await.unwrap();
            message.update(&transaction).await.unwrap();
            counter.update(&transaction).await.unwrap();
        }
        transaction.commit().await.unwrap();
    };

    // When somebody looks all the time while they are changed: at first one by one, each after the one before was seen, then
    // as fast as it goes, so that the subscriber applies several at once.
    let (look, mut seen) = watch::channel((0_u64, None::<i64>));
    let reader = tokio::spawn({
        let db = subscribing.db.clone();
        async move {
            // One statement is one snapshot.
            let sql = "SELECT (SELECT revision FROM users) AS a, (SELECT user_revision FROM messages) AS b, \
                       (SELECT n FROM counters) AS c";
            while !look.is_closed() {
                let row = db.query_one_raw(statement(sql)).await.unwrap().unwrap();
                let states: [Option<i64>; 3] = ["a", "b", "c"].map(|column| row.try_get("", column).unwrap());
                assert!(states.iter().all(|state| *state == states[0]), "torn: {states:?}");
                look.send_modify(|(looks, state)| (*looks, *state) = (*looks + 1, states[0]));
            }
        }
    });
    for number in 0..TRANSACTIONS {
        request("save", save(number)).await;
        if number < 2 * TRANSACTIONS / 3 || number + 1 == TRANSACTIONS {
            let arrived =
                tokio::time::timeout(SOON, seen.wait_for(|(_, state)| *state == Some(number))).await;
            arrived.expect("it must arrive").expect("the reader must not have seen a torn state");
        }
    }
    println!("{TRANSACTIONS} transactions, {} looks", seen.borrow().0);
    drop(seen);

    // Then they were always in the same state.
    reader.await.unwrap();
    assert_eq!(subscribing.values("user", 1).await, (0..TRANSACTIONS).collect::<Vec<_>>());
}
