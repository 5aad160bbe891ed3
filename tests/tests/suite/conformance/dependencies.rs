//! Which reads and writes each of an adapter's calls records in the message that goes over the wire.

use std::sync::Arc;

use promiscuous_core::message::Message;
use promiscuous_core::operation::OperationKind;
use promiscuous_tests::conformance::step::{
    create_counter, destroy_counter, increment, save_user, transaction,
};
use promiscuous_tests::conformance::{App, Key, Model, Row, Stack, Step};

use crate::apps::{Publishing, Tap, read, written};

over_stacks! {
    each_way_of_reading_is_a_read_of_the_next_message
    what_a_context_did_before_causes_what_it_does_next
    without_a_context_nothing_is_remembered_but_inside_of_a_transaction
    what_is_not_published_says_nothing
    a_statement_on_many_rows_is_one_message_with_an_operation_for_each
}

/// Users 1 and 2, the message 11 of user 1, the counter 5, a note; all of it told already.
async fn given(stack: Stack) -> (Publishing, Arc<dyn App>, Tap) {
    let publishing = Publishing::new(stack).await;
    let mut tap = publishing.tap().await;
    let shop = publishing.connect(3).await;
    let message = Row::Message { id: 11, user_id: 1, user_revision: 0, text: "hello".into() };
    let note = Row::Note { id: 1, text: "unpublished".into(), about: None };
    let users = [1, 2].map(|id| save_user(id, &format!("user {id}"), 0));
    let rest = [Step::Insert(message), Step::Insert(note), create_counter(5)];
    shop.request("given", users.into_iter().chain(rest)).await.unwrap();
    tap.until("counter/5").await;
    (publishing, shop, tap)
}

/// Each way of the adapter's reads something in a context of its own, which then increments the counter 5: the increment's reads
/// must be those keys.
async fn each_way_of_reading_is_a_read_of_the_next_message(stack: Stack) {
    let (_publishing, shop, mut tap) = given(stack).await;
    let ways = stack.ways_of_reading();
    assert!(ways.len() > 10);
    for way in ways {
        shop.request(way.name, [Step::Way(way.name), increment(5)]).await.unwrap();
        let message = tap.message().await;
        assert_eq!(message.context.as_deref(), Some(way.name));
        assert_eq!(written(&message), ["counter/5"], "{}", way.name);
        assert_eq!(read(&message), way.told, "{}", way.name);
        println!("{:<24} reads {:?}", way.name, way.told);
    }
}

/// The messages until one about the counter 100, which is written now.
async fn told(shop: &dyn App, tap: &mut Tap) -> Vec<Message> {
    shop.write(create_counter(100)).await.unwrap();
    let mut messages = tap.until("counter/100").await;
    messages.pop();
    shop.write(destroy_counter(100)).await.unwrap();
    tap.until("counter/100").await;
    messages
}

fn operations(message: &Message) -> Vec<(OperationKind, String)> {
    message.operations.iter().map(|o| (o.operation, o.id.clone())).collect()
}

async fn what_a_context_did_before_causes_what_it_does_next(stack: Stack) {
    let (_publishing, shop, mut tap) = given(stack).await;
    let several = [
        Step::Find(Model::User, 2),
        create_counter(1),
        // The read was a cause of the write before, the write is the cause of this one.
        create_counter(2),
        Step::Destroy(Key::Number(Model::Message, 11)),
        // The last write of each endpoint, for subscribers that get only one of them.
        create_counter(3),
    ];
    shop.request("several", several).await.unwrap();
    let reads: Vec<_> = told(shop.as_ref(), &mut tap).await.iter().map(read).collect();
    let expected: [&[&str]; 4] = [&["user/2"], &["counter/1"], &["counter/2"], &["counter/2", "message/11"]];
    assert_eq!(reads, expected);
    // The exact version that was written is what is read.
    shop.request("exact", [create_counter(6), create_counter(7)]).await.unwrap();
    let messages = told(shop.as_ref(), &mut tap).await;
    let first = &messages[0].dependencies.as_ref().unwrap().write[0];
    let second = &messages[1].dependencies.as_ref().unwrap().read[0];
    assert_eq!((&first.key, first.version), (&second.key, second.version));
    assert_eq!(second.ordinals.values().copied().collect::<Vec<_>>(), [1]);
}

async fn without_a_context_nothing_is_remembered_but_inside_of_a_transaction(stack: Stack) {
    let (_publishing, shop, mut tap) = given(stack).await;
    let find = || Step::Find(Model::User, 1);
    let outside =
        vec![find(), create_counter(1), create_counter(2), transaction([find(), create_counter(3)])];
    shop.run(None, outside).await.unwrap();
    let reads: Vec<_> = told(shop.as_ref(), &mut tap).await.iter().map(read).collect();
    let expected: [&[&str]; 3] = [&[], &[], &["user/1"]];
    assert_eq!(reads, expected);
}

async fn what_is_not_published_says_nothing(stack: Stack) {
    let (_publishing, shop, mut tap) = given(stack).await;
    let unpublished = [
        Step::ChangeSecret(1, "new".into()),
        Step::Update(Row::Note { id: 1, text: "changed".into(), about: None }),
        Step::Destroy(Key::Number(Model::Note, 1)),
        // No row is met.
        increment(77),
        destroy_counter(77),
        // What was created is gone before anybody could hear of it.
        transaction([create_counter(8), destroy_counter(8)]),
    ];
    shop.request("unpublished", unpublished).await.unwrap();
    assert_eq!(told(shop.as_ref(), &mut tap).await, []);
}

async fn a_statement_on_many_rows_is_one_message_with_an_operation_for_each(stack: Stack) {
    use OperationKind::{Create, Destroy, Update};
    let (_publishing, shop, mut tap) = given(stack).await;
    let many = [
        Step::InsertMany([1, 2, 3].map(|id| Row::Counter { id, n: id }).into()),
        Step::Add { counters: vec![1, 2], n: 10 },
        Step::DestroyCountersBelow(4),
    ];
    shop.request("many", many).await.unwrap();
    let messages = told(shop.as_ref(), &mut tap).await;
    let done: Vec<_> = messages.iter().map(operations).collect();
    let all = |kind, ids: &[&str]| ids.iter().map(|id| (kind, (*id).to_owned())).collect::<Vec<_>>();
    assert_eq!(
        done,
        [all(Create, &["1", "2", "3"]), all(Update, &["1", "2"]), all(Destroy, &["1", "2", "3"])]
    );
    for message in &messages {
        let keys: Vec<_> = message.operations.iter().map(|o| format!("counter/{}", o.id)).collect();
        assert_eq!(written(message), keys);
    }
    let n = |message: &Message, at: usize| message.operations[at].attributes.as_ref().unwrap()["n"].clone();
    assert_eq!((n(&messages[1], 0), n(&messages[1], 1)), (11.into(), 12.into()));
}
