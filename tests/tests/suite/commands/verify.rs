//! `promiscuous verify`: rows are compared with those of their publisher.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use promiscuous_tests::conformance::step::{create_counter, increment};
use promiscuous_tests::conformance::tables::{self, Side};
use promiscuous_tests::conformance::{Model, Row, Stack, Step};
use promiscuous_tests::databases::Kind;
use promiscuous_tests::until;
use serde_json::{Value, json};
use uuid::Uuid;

use super::bootstrap::serve;
use super::json;
use super::publish::{insert, until_equal, write};
use crate::apps::{Publishing, SOON, Subscribing};

crate::conformance::over_pairs! {
    rows_that_are_written_all_the_time_are_found_equal
    what_is_missing_different_or_extra_is_found_and_mended
    rows_with_keys_of_every_type_are_compared
}

/// What `promiscuous verify` finds, its summary, and its exit status.
async fn verify(subscribing: &Subscribing, arguments: &[&str]) -> (Vec<Value>, Value, i32) {
    let arguments = [&["verify", "--format", "json"], arguments].concat();
    let (mut lines, code) = json(subscribing.command(&arguments)).await;
    let mut summary = lines.pop().expect("it ends with a summary");
    summary["seconds"].take();
    lines.sort_by_key(|line| line["id"].as_str().map(str::to_owned));
    (lines, summary, code)
}

/// A summary.
fn found(rows: u64, missing: u64, different: u64, extra: u64) -> Value {
    json!({
        "rows": rows, "missing": missing, "different": different, "extra": extra, "busy": 0, "sent": 0, "removed": 0,
        "seconds": null,
    })
}

fn line(publishing: &Publishing, id: &str, kind: &str, attributes: &[&str], late: bool) -> Value {
    let endpoint = format!("{}/counter", publishing.app);
    json!({ "endpoint": endpoint, "id": id, "kind": kind, "attributes": attributes, "late": late })
}

async fn rows_that_are_written_all_the_time_are_found_equal(from: Stack, to: Stack) {
    // given rows that are the same, some of which were published behind everybody's back, and writers
    let publishing = Publishing::new(from).await;
    let subscribing = publishing.subscribing(to, &["counter"]).await;
    let _process = subscribing.start().await;
    let _serving = serve(&publishing, &[]);
    insert(&publishing, 1..=9, 0).await;
    insert(&publishing, 100..130, 0).await;
    insert(&publishing, 5_000..7_500, 1).await;
    let published = publishing.command(&["publish", "Counter"]).spawn().wait().await;
    assert!(published.success());
    until_equal(&subscribing, &publishing, Model::Counter).await;
    let shop = publishing.connect(4).await;
    let ended = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> =
        (0..3).map(|task| tokio::spawn(write(Arc::clone(&shop), task, Arc::clone(&ended)))).collect();
    // when
    for _ in 0..2 {
        let (lines, summary, code) = verify(&subscribing, &[]).await;
        // then
        assert_eq!((lines.as_slice(), code), ([].as_slice(), 0), "{summary}");
        assert!(summary["rows"].as_u64() > Some(2_500), "{summary}");
    }
    ended.store(true, Ordering::SeqCst);
    for writer in writers {
        writer.await.unwrap();
    }
}

async fn what_is_missing_different_or_extra_is_found_and_mended(from: Stack, to: Stack) {
    // given counters that are the same on both sides, until somebody meddles with them
    let publishing = Publishing::new(from).await;
    let subscribing = publishing.subscribing(to, &["counter"]).await;
    let _process = subscribing.start().await;
    let _serving = serve(&publishing, &[]);
    let shop = publishing.connect(2).await;
    for id in 1..=6 {
        shop.write(create_counter(id)).await.unwrap();
    }
    until_equal(&subscribing, &publishing, Model::Counter).await;
    assert_eq!(verify(&subscribing, &["counter"]).await, (vec![], found(6, 0, 0, 0), 0));
    subscribing.eyes.execute("DELETE FROM counters WHERE id = 2").await;
    subscribing.eyes.execute("UPDATE counters SET n = 40 WHERE id = 3").await;
    subscribing.eyes.execute("INSERT INTO counters (id, n) VALUES (70, 1)").await;
    publishing.eyes.execute("UPDATE counters SET n = 50 WHERE id = 5").await;
    publishing.eyes.execute("DELETE FROM counters WHERE id = 6").await;
    insert(&publishing, [80], 8).await;
    // when
    let (lines, summary, code) = verify(&subscribing, &["--patience", "1s"]).await;
    // then
    let say = |id, kind, attributes, late| line(&publishing, id, kind, attributes, late);
    let all = [
        say("2", "missing", &[], false),
        say("3", "different", &["n"], false),
        say("5", "different", &["n"], false),
        say("6", "extra", &[], false),
        say("70", "extra", &[], false),
        say("80", "missing", &[], false),
    ];
    assert_eq!((lines.as_slice(), code), (all.as_slice(), 1));
    assert_eq!(summary, found(6, 2, 2, 2));
    // and nothing has changed
    assert_eq!(subscribing.counter(3).await, Some(40));
    // when it is to be mended, but nobody says that rows may go
    let (_, summary, code) = verify(&subscribing, &["--repair", "--patience", "1s"]).await;
    assert_eq!((&summary["sent"], &summary["removed"], code), (&json!(4), &json!(0), 1));
    // then
    until(SOON, "rows that are mended", async || {
        let mended = subscribing.counter(5).await == Some(50) && subscribing.counter(80).await == Some(8);
        (mended && subscribing.counter(3).await == Some(0)).then_some(())
    })
    .await;
    assert_eq!(subscribing.counter(70).await, Some(1));
    // and when they may
    let (lines, summary, _) = verify(&subscribing, &["--repair", "--yes", "--patience", "1s"]).await;
    assert_eq!((lines.len(), &summary["removed"]), (2, &json!(2)));
    until_equal(&subscribing, &publishing, Model::Counter).await;
    assert_eq!(verify(&subscribing, &["--patience", "1s"]).await, (vec![], found(6, 0, 0, 0), 0));
    // and what is written after that arrives, as ever
    for id in [2, 3] {
        shop.write(increment(id)).await.unwrap();
    }
    until_equal(&subscribing, &publishing, Model::Counter).await;
}

fn keyed(kind: Kind, _: Side) -> Vec<String> {
    tables::keyed(kind, false)
}

async fn rows_with_keys_of_every_type_are_compared(from: Stack, to: Stack) {
    // given
    const WORDS: [&str; 6] = ["a/b", "a,b", "%2F", "", "A", "a"];
    let publishing = Publishing::of(from, &["word", "thing", "pair", "day"], keyed).await;
    let subscribing = publishing.subscribing(to, &["word", "thing", "pair", "day"]).await;
    let _process = subscribing.start().await;
    let _serving = serve(&publishing, &[]);
    let shop = publishing.connect(2).await;
    let note = || String::from("new");
    let at = chrono::DateTime::parse_from_rfc3339("2000-02-29T00:00:00.000001Z").unwrap().to_utc();
    let words = WORDS.map(|id| Row::Word { id: id.into(), note: note() });
    let pairs = WORDS.map(|id| Row::Pair { left_id: -1, right_id: id.into(), note: note() });
    let things = [Uuid::nil(), Uuid::max()].map(|id| Row::Thing { id, note: note() });
    let day = Row::Day { id: at.date_naive(), at, note: note() };
    let all = words.into_iter().chain(pairs).chain(things).chain([day]);
    shop.run(None, all.map(Step::Insert).collect()).await.unwrap();
    for model in [Model::Word, Model::Pair, Model::Thing, Model::Day] {
        until_equal(&subscribing, &publishing, model).await;
    }
    assert_eq!(verify(&subscribing, &[]).await, (vec![], found(15, 0, 0, 0), 0));
    // when
    for change in [
        "UPDATE words SET note = 'changed' WHERE id = 'a'",
        "UPDATE pairs SET note = 'changed' WHERE right_id = 'a,b'",
        "DELETE FROM pairs WHERE right_id = ''",
        "UPDATE things SET note = 'changed'",
        "DELETE FROM days",
        "INSERT INTO words (id, note) VALUES ('of nobody', 'x')",
    ] {
        subscribing.eyes.execute(change).await;
    }
    // then
    let (lines, summary, code) = verify(&subscribing, &["--repair", "--yes", "--patience", "1s"]).await;
    let said = |line: &Value| {
        let endpoint = line["endpoint"].as_str().unwrap().split_once('/').unwrap().1.to_owned();
        format!("{endpoint} {}", line["kind"].as_str().unwrap())
    };
    let mut said: Vec<String> = lines.iter().map(said).collect();
    said.sort();
    let expected = [
        "day missing",
        "pair different",
        "pair missing",
        "thing different",
        "thing different",
        "word different",
        "word extra",
    ];
    assert_eq!((said, code), (expected.map(str::to_owned).to_vec(), 1), "{lines:?}");
    assert_eq!((&summary["sent"], &summary["removed"]), (&json!(6), &json!(1)));
    for model in [Model::Word, Model::Pair, Model::Thing, Model::Day] {
        until_equal(&subscribing, &publishing, model).await;
    }
    assert_eq!(verify(&subscribing, &[]).await, (vec![], found(15, 0, 0, 0), 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_does_not_come_is_late_and_one_that_is_on_its_way_is_waited_for() {
    // given a subscriber that is down, and a write that it does not have
    let publishing = Publishing::new(Stack::SEAORM_POSTGRES).await;
    let subscribing = publishing.subscribing(Stack::DIESEL_POSTGRES, &["counter"]).await;
    let mut process = subscribing.start().await;
    let _serving = serve(&publishing, &[]);
    let shop = publishing.connect(2).await;
    shop.write(create_counter(1)).await.unwrap();
    subscribing.counted(1, 0).await;
    process.terminate();
    assert!(process.wait().await.success());
    shop.write(increment(1)).await.unwrap();
    // when and then
    let (lines, _, code) = verify(&subscribing, &["--patience", "1s"]).await;
    assert_eq!((lines, code), (vec![line(&publishing, "1", "different", &["n"], true)], 1));
    // and when it comes while it is waited for
    let mut verifying = subscribing.command(&["verify", "--patience", "60s"]).spawn();
    let _process = subscribing.start().await;
    assert!(verifying.wait().await.success());
    assert_eq!(verifying.said(), ["1 rows compared, all equal"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_cannot_compare_says_why() {
    // given a publisher that does not serve
    let publishing = Publishing::new(Stack::SEAORM_SQLITE).await;
    let subscribing = publishing.subscribing(Stack::DIESEL_SQLITE, &["counter"]).await;
    let _process = subscribing.start().await;
    let refused = async |arguments: &[&str]| {
        let arguments = [&["verify", "--patience", "1s"], arguments].concat();
        let mut process = subscribing.command(&arguments).with_log().spawn();
        let code = process.wait().await.code();
        (code, process.said().join(" "))
    };
    // when and then
    let (code, said) = refused(&[]).await;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("publish --serve"), "{said}");
    let (code, said) = refused(&["user"]).await;
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("does not subscribe to `user`"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bootstrap_into_another_adapter_and_database_is_verified_while_writes_go_on() {
    // given rows of before there was a subscriber, and writers
    let publishing = Publishing::new(Stack::SEAORM_POSTGRES).await;
    let subscribing = publishing.subscribing(Stack::DIESEL_MARIADB, &["counter"]).await;
    insert(&publishing, 1..=9, 0).await;
    insert(&publishing, 100..130, 0).await;
    insert(&publishing, 5_000..8_000, 1).await;
    let shop = publishing.connect(4).await;
    let ended = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> =
        (0..3).map(|task| tokio::spawn(write(Arc::clone(&shop), task, Arc::clone(&ended)))).collect();
    let _serving = serve(&publishing, &["--chunk", "100"]);
    // when
    let (said, code) = json(subscribing.command(&["bootstrap", "--format", "json"])).await;
    assert_eq!(code, 0, "{said:?}");
    let _process = subscribing.start().await;
    // then
    let (lines, summary, code) = verify(&subscribing, &[]).await;
    assert_eq!((lines.as_slice(), code), ([].as_slice(), 0), "{summary}");
    assert!(summary["rows"].as_u64() > Some(3_000), "{summary}");
    ended.store(true, Ordering::SeqCst);
    for writer in writers {
        writer.await.unwrap();
    }
    until_equal(&subscribing, &publishing, Model::Counter).await;
    let (lines, _, code) = verify(&subscribing, &[]).await;
    assert_eq!((lines.len(), code), (0, 0));
}

/// Subscribers keep words in a column of fixed width.
fn padded(kind: Kind, side: Side) -> Vec<String> {
    let tables = tables::keyed(kind, false).into_iter();
    let padded = |table: String| match side {
        Side::Publishing => table,
        Side::Subscribing => table.replace("words (id VARCHAR(150)", "words (id CHAR(12)"),
    };
    tables.map(padded).collect()
}

mod ids_that_a_column_keeps_in_another_form_are_no_extra_rows {
    crate::conformance::pairs! { ids_that_a_column_keeps_in_another_form_are_no_extra_rows:
        seaorm_mariadb_to_seaorm_postgres: SEAORM_MARIADB SEAORM_POSTGRES,
        seaorm_mariadb_to_diesel_postgres: SEAORM_MARIADB DIESEL_POSTGRES,
    }
}

async fn ids_that_a_column_keeps_in_another_form_are_no_extra_rows(from: Stack, to: Stack) {
    // given words that one subscriber pads, and another one keeps beside a key of its own
    let publishing = Publishing::of(from, &["word"], padded).await;
    let _serving = serve(&publishing, &[]);
    for models in [["word"], ["word copy"]] {
        let subscribing = publishing.subscribing(to, &models).await;
        let _process = subscribing.start().await;
        let table = models[0].replace("word copy", "word_copie") + "s";
        let shop = publishing.connect(2).await;
        for id in ["abc", "a,b", "x y"] {
            let id = format!("{id}{}", table.len());
            shop.write(Step::Insert(Row::Word { id, note: "new".into() })).await.unwrap();
        }
        until(SOON, "the words", async || (subscribing.count(&table).await == 3).then_some(())).await;
        // what this one has not heard of
        let older = "DELETE FROM words WHERE id NOT LIKE ";
        publishing.eyes.execute(&format!("{older}'%{}'", table.len())).await;
        // when and then
        assert_eq!(verify(&subscribing, &[]).await, (vec![], found(3, 0, 0, 0), 0), "{table}");
    }
}
