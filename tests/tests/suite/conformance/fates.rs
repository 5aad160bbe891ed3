//! What becomes of transactions (the protocol's promises 2 and 5).

use std::sync::Arc;
use std::time::{Duration, Instant};

use promiscuous_core::context::Context;
use promiscuous_core::message::Message;
use promiscuous_tests::conformance::step::{create_counter, increment, save_user, transaction};
use promiscuous_tests::conformance::{App, End, Model, Pause, Row, Stack, Step};
use promiscuous_tests::databases::Kind;
use promiscuous_tests::unique_app;
use tokio::sync::watch;

use crate::apps::{Publishing, SOON, written};

over_pairs! {
    rolled_back_and_dropped_writes_are_not_published_and_hold_nobody_up
    a_transaction_arrives_whole_or_not_at_all
}

over_stacks! {
    a_write_that_the_database_refuses_publishes_nothing
    a_write_whose_message_is_too_large_is_rolled_back_and_holds_nobody_up
}

async fn rolled_back_and_dropped_writes_are_not_published_and_hold_nobody_up(from: Stack, to: Stack) {
    // Given a counter.
    let publishing = Publishing::new(from).await;
    let subscribing = publishing.subscribing(to, &["counter"]).await;
    let _process = subscribing.start().await;
    let mut tap = publishing.tap().await;
    let shop = publishing.connect(4).await;
    shop.write(create_counter(1)).await.unwrap();

    let context = Context::new("fates");
    let run = async |steps| shop.run(Some(&context), steps).await.unwrap();
    // When a transaction is rolled back, another dropped,
    run(vec![Step::Transaction(vec![increment(1), create_counter(7)], End::RollBack)]).await;
    run(vec![Step::Transaction(vec![increment(1)], End::Abandon)]).await;

    // a third one cancelled while it waits,
    if from.cancels() {
        cancelled_while_it_waits(&shop, &context).await;
    }

    // and a savepoint rolled back or dropped in one that commits,
    let rolled_back = Step::Transaction(vec![create_counter(8), increment(1)], End::RollBack);
    let dropped = Step::Transaction(vec![create_counter(9)], End::Abandon);
    run(vec![transaction([rolled_back, dropped, create_counter(2)])]).await;

    // Then the next write of the row arrives promptly: nothing was locked until a deadline.
    let began = Instant::now();
    run(vec![increment(1)]).await;
    subscribing.counted_within(Duration::from_secs(5), 1, 1).await;
    println!("the next write arrived after {:?}", began.elapsed());

    // And only what was committed was ever published.
    shop.write(create_counter(99)).await.unwrap();
    let messages = tap.until("counter/99").await;
    let keys: Vec<_> = messages.iter().map(written).collect();
    assert_eq!(keys, [vec!["counter/1"], vec!["counter/2"], vec!["counter/1"], vec!["counter/99"]]);
    assert!(messages.iter().all(|message| message.operations.len() == 1), "no dummies either");
    subscribing.counted(99, 0).await;
    subscribing.assert_equals(&publishing.eyes, Model::Counter).await;
}

async fn cancelled_while_it_waits(shop: &Arc<dyn App>, context: &Context) {
    let pause = Pause::default();
    let holding = vec![Step::Transaction(vec![increment(1), Step::Pause(pause.clone())], End::RollBack)];
    let holder = tokio::spawn({
        let (shop, context) = (Arc::clone(shop), context.clone());
        async move { shop.run(Some(&context), holding).await }
    });
    pause.reached().await;
    let waits = shop.run(Some(context), vec![increment(1)]);
    assert!(tokio::time::timeout(Duration::from_millis(100), waits).await.is_err(), "the row is locked");
    pause.go_on();
    holder.await.unwrap().unwrap();
}

async fn a_write_that_the_database_refuses_publishes_nothing(stack: Stack) {
    let publishing = Publishing::new(stack).await;
    let mut tap = publishing.tap().await;
    let shop = publishing.connect(4).await;
    let context = Context::new("duplicate");
    let run = async |steps| shop.run(Some(&context), steps).await;
    run(vec![create_counter(1)]).await.unwrap();
    run(vec![create_counter(1)]).await.unwrap_err();
    run(vec![transaction([increment(1), create_counter(2), create_counter(1)])]).await.unwrap_err();
    // Refused at COMMIT, after its versions are bumped: a dummy consumes them. MariaDB refuses nothing so late.
    let refuses_late = stack.kind != Kind::MariaDb;
    if refuses_late {
        let nothing = Step::Insert(Row::Note { id: 1, text: "about nothing".into(), about: Some(77) });
        run(vec![transaction([nothing, increment(1)])]).await.unwrap_err();
    }
    run(vec![increment(1)]).await.unwrap();

    // A dummy and what came after it may overtake each other on the wire.
    let mut messages = vec![tap.message().await, tap.message().await];
    if refuses_late {
        messages.push(tap.message().await);
    }
    messages.sort_by_key(|message| message.version_of(0));
    let chain: Vec<_> =
        messages.iter().map(|message| message.dependencies.as_ref().unwrap().write[0].clone()).collect();
    for (before, after) in chain.iter().zip(&chain[1..]) {
        assert_eq!(after.previous, Some(before.version));
    }
    let operations: Vec<_> = messages.iter().map(|message| message.operations.len()).collect();
    assert_eq!(operations, if refuses_late { vec![1, 0, 1] } else { vec![1, 1] });
    let last = messages.last().unwrap().operations[0].attributes.as_ref().unwrap();
    assert_eq!(last.get("n").map(ToString::to_string).as_deref(), Some("1"));
    assert_eq!(publishing.eyes.counter(1).await, Some(1));
    assert_eq!(publishing.eyes.counter(2).await, None);
}

async fn a_write_whose_message_is_too_large_is_rolled_back_and_holds_nobody_up(stack: Stack) {
    // Given a row that no broker would take (two on MariaDB, which takes no statement of that size),
    let publishing = Publishing::new(stack).await;
    let mut tap = publishing.tap().await;
    let shop = publishing.connect(4).await;
    let context = Context::new("too large");
    let run = async |steps| shop.run(Some(&context), steps).await;
    let size = 17 << 20;
    let large = match stack.kind {
        Kind::MariaDb => [1, 2].map(|id| save_user(id, &"x".repeat(size / 2), 0)).to_vec(),
        Kind::Postgres | Kind::Sqlite => vec![save_user(1, &"x".repeat(size), 0)],
    };
    // when it is written, then it is refused with advice, and is not there:
    let refused = match large.len() {
        1 => run(large).await,
        _ => run(vec![transaction(large)]).await,
    };
    let refused = refused.unwrap_err().to_string();
    assert!(refused.contains("write fewer or smaller rows"), "{refused}");
    run(vec![save_user(1, "small", 0)]).await.unwrap();
    // its versions are consumed by a dummy, and the next write of the same row comes after that.
    let messages = [tap.message().await, tap.message().await];
    let dummy = messages.iter().find(|m| m.operations.is_empty()).expect("a dummy");
    let small = messages.iter().find(|m| !m.operations.is_empty()).expect("the small one");
    let chain = |message: &Message| message.dependencies.as_ref().unwrap().write[0].clone();
    assert_eq!(chain(small).previous, Some(chain(dummy).version));
}

async fn a_transaction_arrives_whole_or_not_at_all(from: Stack, to: Stack) {
    const TRANSACTIONS: i64 = 150;
    // Given three rows that are always changed together.
    let publishing = Publishing::new(from).await;
    let subscribing = publishing.subscribing(to, &["user", "message", "counter"]).await;
    let _process = subscribing.start().await;
    let shop = publishing.connect(4).await;
    let name = unique_app("joe");
    let save = |number: i64| {
        let message = Row::Message { id: 1, user_id: 1, user_revision: number, text: number.to_string() };
        let counter = Row::Counter { id: 1, n: number };
        transaction(match number {
            0 => [save_user(1, &name, number), Step::Insert(counter), Step::Insert(message)],
            _ => [save_user(1, &name, number), Step::Update(message), Step::Update(counter)],
        })
    };

    // When somebody looks all the time while they are changed: at first one by one, each after the one before was seen, then
    // as fast as it goes, so that the subscriber applies several at once.
    let (look, mut seen) = watch::channel((0_u64, None::<i64>));
    let reader = tokio::spawn({
        let eyes = subscribing.eyes.clone();
        async move {
            // One statement is one snapshot.
            let sql = "SELECT (SELECT revision FROM users) AS a, (SELECT user_revision FROM messages) AS b, \
                       (SELECT n FROM counters) AS c";
            while !look.is_closed() {
                let row = eyes.row(sql).await;
                let states: [Option<i64>; 3] = ["a", "b", "c"].map(|column| row.try_get("", column).unwrap());
                assert!(states.iter().all(|state| *state == states[0]), "torn: {states:?}");
                look.send_modify(|(looks, state)| (*looks, *state) = (*looks + 1, states[0]));
            }
        }
    });
    for number in 0..TRANSACTIONS {
        shop.request("save", [save(number)]).await.unwrap();
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
    for model in [Model::User, Model::Message, Model::Counter] {
        subscribing.assert_equals(&publishing.eyes, model).await;
    }
}
