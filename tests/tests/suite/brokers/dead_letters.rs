//! What could not be applied is kept aside.

use super::*;

/// A letter about a delivery.
pub(super) fn letter(body: &str) -> DeadLetter {
    let error = "it does not fit: ßé\u{1F600}".to_owned();
    DeadLetter { body: Bytes::from(body.to_owned()), id: Some(Uuid::now_v7()), error, attempts: 25 }
}

pub(super) async fn dead_letters_are_kept_aside_with_what_is_known_of_them(broker: impl TestBroker) {
    let (queue, to) = one_queue(&broker).await;
    publish_numbers(&broker, &to, 3).await;
    let mut consumer = broker.consume(&queue, 10).await.unwrap();
    let held = next_many(&mut consumer, 3).await;

    let known = letter("1");
    let unknown = DeadLetter { id: None, attempts: 0, ..letter("no message") };
    broker.bury(&queue, known.clone()).await.unwrap();
    broker.bury(&queue, unknown.clone()).await.unwrap();
    ack(&held).await;

    assert_eq!(broker.dead_letters(&queue, 2).await, [known, unknown]);
    assert_silent(&mut consumer).await;
}

pub(super) async fn an_endless_error_is_cut(broker: impl TestBroker) {
    let (queue, _) = one_queue(&broker).await;
    broker.bury(&queue, DeadLetter { error: "é".repeat(300_000), ..letter("1") }).await.unwrap();
    let buried = broker.dead_letters(&queue, 1).await;
    assert!(buried[0].error.starts_with("éé"));
}

pub(super) async fn a_classic_queue_works_too(broker: impl TestBroker) {
    let app = app();
    let queue = Queue { kind: QueueKind::Classic, ..queue(&[&format!("{app}.post")]) };
    broker.declare(&queue).await.unwrap();
    publish_numbers(&broker, &format!("{app}/post"), 2).await;

    let mut consumer = broker.consume(&queue, 10).await.unwrap();
    let held = next_many(&mut consumer, 2).await;
    broker.bury(&queue, letter("0")).await.unwrap();
    ack(&held).await;
    assert_eq!(text(&broker.dead_letters(&queue, 1).await[0].body), "0");
}

/// A queue of each kind with these letters.
async fn graveyards(broker: &impl Broker, letters: &[&str]) -> Vec<Queue> {
    let mut queues = Vec::new();
    for kind in [QueueKind::Quorum, QueueKind::Classic] {
        let app = app();
        let queue = Queue { kind, ..queue(&[&format!("{app}.post")]) };
        broker.declare(&queue).await.unwrap();
        for body in letters {
            broker.bury(&queue, letter(body)).await.unwrap();
        }
        queues.push(queue);
    }
    queues
}

async fn take(letters: &mut Box<dyn DeadLetters>, count: usize) -> Vec<TakenLetter> {
    let mut taken = Vec::new();
    for _ in 0..count {
        taken.push(letters.next().await.unwrap().expect("there are more"));
    }
    taken
}

fn said(taken: &[TakenLetter]) -> Vec<String> {
    taken.iter().map(|taken| text(&taken.letter.body)).collect()
}

/// What the dead letters say now, all of them.
async fn all_of(broker: &impl Broker, queue: &Queue) -> Vec<String> {
    let mut letters = broker.open_dead_letters(queue).await.unwrap();
    let count = usize::try_from(letters.count()).unwrap();
    let all = said(&take(&mut letters, count).await);
    letters.put_back().await.unwrap();
    all
}

pub(super) async fn dead_letters_are_read_oldest_first_and_stay_in_their_order(broker: impl TestBroker) {
    let numbers: Vec<String> = (0..40).map(|n| n.to_string()).collect();
    let numbers: Vec<&str> = numbers.iter().map(String::as_str).collect();
    for queue in graveyards(&broker, &numbers).await {
        for read in [3, 40, 17, 0, 40] {
            let mut letters = broker.open_dead_letters(&queue).await.unwrap();
            assert_eq!(letters.count(), 40);
            assert_eq!(said(&take(&mut letters, read).await), numbers[..read], "{:?}", queue.kind);
            letters.put_back().await.unwrap();
        }
        broker.bury(&queue, letter("late")).await.unwrap();
        let expected = [numbers.as_slice(), &["late"]].concat();
        assert_eq!(all_of(&broker, &queue).await, expected);
    }
}

pub(super) async fn a_dead_letter_says_what_it_was_buried_with_and_when(broker: impl TestBroker) {
    // given
    let (queue, _) = one_queue(&broker).await;
    let before = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let (known, unknown) = (letter("1"), DeadLetter { id: None, attempts: 0, ..letter("no message") });
    broker.bury(&queue, known.clone()).await.unwrap();
    broker.bury(&queue, unknown.clone()).await.unwrap();
    // when
    let mut letters = broker.open_dead_letters(&queue).await.unwrap();
    let taken = take(&mut letters, 2).await;
    // then
    assert_eq!([&taken[0].letter, &taken[1].letter], [&known, &unknown]);
    let died_at = Duration::from_millis(taken[0].died_at.expect("the broker keeps the time"));
    assert!(died_at + SOON > before && died_at < before + SOON, "{died_at:?} {before:?}");
    assert!(letters.next().await.unwrap().is_none());
}

pub(super) async fn what_a_lost_reader_had_in_hands_comes_back(broker: impl TestBroker) {
    for queue in graveyards(&broker, &["a", "b", "c"]).await {
        // given
        let mut letters = broker.open_dead_letters(&queue).await.unwrap();
        take(&mut letters, 2).await;
        // when
        let other = broker.open_dead_letters(&queue).await.unwrap();
        assert_eq!(other.count(), 1, "what is in somebody's hands is seen by nobody else");
        drop(letters);
        // then
        promiscuous_tests::until(SOON, "the letters to come back", async || {
            let count = broker.open_dead_letters(&queue).await.unwrap().count();
            (count == 3).then_some(())
        })
        .await;
        let mut back = all_of(&broker, &queue).await;
        back.sort();
        assert_eq!(back, ["a", "b", "c"]);
    }
}

pub(super) async fn a_retried_letter_goes_to_its_own_app_only_and_is_dead_no_more(broker: impl TestBroker) {
    for queue in graveyards(&broker, &["a", "b", "c"]).await {
        // given another app that wants the same messages
        let other = Queue { app: app(), ..queue.clone() };
        broker.declare(&other).await.unwrap();
        // when two of three letters are retried
        let mut letters = broker.open_dead_letters(&queue).await.unwrap();
        let taken = take(&mut letters, 3).await;
        for answer in letters.retry(&[taken[0].clone(), taken[2].clone()]).await {
            answer.unwrap();
        }
        letters.put_back().await.unwrap();
        // then
        let mut consumer = broker.consume(&queue, 10).await.unwrap();
        assert_eq!(bodies(&next_many(&mut consumer, 2).await), ["a", "c"]);
        assert_silent(&mut consumer).await;
        assert_silent(&mut broker.consume(&other, 10).await.unwrap()).await;
        assert_eq!(all_of(&broker, &queue).await, ["b"]);
    }
}

pub(super) async fn a_deleted_letter_is_gone_and_the_others_keep_their_order(broker: impl TestBroker) {
    for queue in graveyards(&broker, &["a", "b", "c", "d"]).await {
        let mut letters = broker.open_dead_letters(&queue).await.unwrap();
        let taken = take(&mut letters, 3).await;
        letters.delete(&[taken[1].tag]).await.unwrap();
        // Once more does no harm.
        letters.delete(&[taken[1].tag]).await.unwrap();
        letters.put_back().await.unwrap();
        assert_eq!(all_of(&broker, &queue).await, ["a", "c", "d"]);
    }
}

pub(super) async fn a_letter_that_dies_while_one_reads_does_not_come_round(broker: impl TestBroker) {
    for queue in graveyards(&broker, &["a", "b"]).await {
        let mut letters = broker.open_dead_letters(&queue).await.unwrap();
        take(&mut letters, 1).await;
        broker.bury(&queue, letter("a, once more")).await.unwrap();
        assert_eq!(said(&take(&mut letters, 1).await), ["b"]);
        assert!(letters.next().await.unwrap().is_none());
        letters.put_back().await.unwrap();
        assert_eq!(all_of(&broker, &queue).await, ["a", "b", "a, once more"]);
    }
}

pub(super) async fn dead_letters_of_an_undeclared_queue_are_refused(broker: impl TestBroker) {
    let refused = broker.open_dead_letters(&queue(&[])).await.map(drop);
    assert!(matches!(refused, Err(BrokerError::Refused { .. })), "{refused:?}");
}
