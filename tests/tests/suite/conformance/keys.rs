//! Every type of primary key, from every database to every database, and foreign ids kept beside a local key.

use promiscuous_core::key::decode_id;
use promiscuous_tests::conformance::tables::{self, Side};
use promiscuous_tests::conformance::{Key, Model, Row, Stack, Step};
use promiscuous_tests::databases::Kind;
use promiscuous_tests::entities::keyed::{pair_copy, word, word_copy};
use sea_orm::{ActiveModelTrait, EntityTrait, IntoActiveModel, Set};
use uuid::Uuid;

use super::mirror::Pair;
use crate::observed::SOON;

every_pair! {
    keys_of_every_type_arrive
    foreign_ids_are_kept_beside_a_key_of_ones_own
}

fn tables(kind: Kind, _: Side) -> Vec<String> {
    tables::keyed(kind, false)
}

const WORDS: [&str; 26] = [
    "a/b",
    "a b",
    "a,b",
    ",",
    "%",
    "100%",
    "%2F",
    "a%2Fb",
    "",
    " ",
    "😀",
    "é",
    "e\u{301}",
    "ß",
    "A",
    "a",
    "a ",
    "a\t",
    "日本",
    "'\"\\",
    "a:b{c}*?",
    "null",
    // Nothing of an id is ever part of a statement.
    "'); DROP TABLE words; --",
    "\\' OR 1=1 -- ",
    "$1",
    "`words`; SELECT ?",
];

const KEYED: [Model; 4] = [Model::Word, Model::Thing, Model::Pair, Model::Day];

fn word(id: &str, note: &str) -> Row {
    Row::Word { id: id.into(), note: note.into() }
}

fn pair(left_id: i32, right_id: &str, note: &str) -> Row {
    Row::Pair { left_id, right_id: right_id.into(), note: note.into() }
}

async fn keys_of_every_type_arrive(from: Stack, to: Stack) {
    // given
    let mut mirror = Pair::new(from, to, &KEYED.map(Model::endpoint)).tables(tables).start().await;
    let shop = mirror.here.clone();
    let write = async |steps: Vec<Step>| shop.run(None, steps).await.unwrap();
    let at = |text: &str| chrono::DateTime::parse_from_rfc3339(text).unwrap().to_utc();
    let moments = ["2000-02-29T00:00:00Z", "2000-02-29T00:00:00.000001Z"].map(at);

    // when
    write(vec![Step::InsertMany(WORDS.map(|id| word(id, "new")).into())]).await;
    let things = [Uuid::nil(), Uuid::max(), Uuid::now_v7()].map(|id| Row::Thing { id, note: "new".into() });
    let pairs = WORDS.map(|id| pair(i32::MIN, id, "new"));
    let days = moments.map(|at| Row::Day { id: at.date_naive(), at, note: "new".into() });
    write(things.into_iter().chain(pairs).chain(days).map(Step::Insert).collect()).await;
    let messages = mirror.settle().await;

    // then
    mirror.assert_equal(&KEYED).await;
    let ids = messages[0].operations.iter().map(|operation| decode_id(&operation.id).unwrap().concat());
    let mut ids: Vec<String> = ids.collect();
    ids.sort();
    let mut words = WORDS;
    words.sort();
    assert_eq!(ids, words);

    // when: every other row changes
    for (position, id) in WORDS.into_iter().enumerate().filter(|(position, _)| position % 2 == 0) {
        let note = format!("changed {position}");
        write(vec![Step::Update(word(id, &note)), Step::Update(pair(i32::MIN, id, &note))]).await;
    }
    write(vec![Step::NoteAllThings("all".into()), Step::NoteDaysAt(moments[1], "later".into())]).await;
    mirror.settle().await;

    // then
    mirror.assert_equal(&KEYED).await;

    // when: every third row goes
    for id in WORDS.into_iter().step_by(3) {
        let (word, pair) = (Key::Word(id.into()), Key::Pair(i32::MIN, id.into()));
        write(vec![Step::Destroy(word), Step::Destroy(pair)]).await;
    }
    let (thing, day) = (Key::Thing(Uuid::max()), Key::Day(moments[0].date_naive(), moments[0]));
    write(vec![Step::Destroy(thing), Step::Destroy(day)]).await;
    mirror.settle().await;

    // then
    mirror.assert_equal(&KEYED).await;
    assert_eq!(mirror.there_eyes.count("words").await, WORDS.len() - WORDS.len().div_ceil(3));
    assert_eq!(mirror.there_eyes.count("pairs").await, WORDS.len() - WORDS.len().div_ceil(3));
    assert_eq!(mirror.there_eyes.count("things").await, 2);
    assert_eq!(mirror.there_eyes.count("days").await, 1);
}

async fn foreign_ids_are_kept_beside_a_key_of_ones_own(from: Stack, to: Stack) {
    // given
    let models = Pair::new(from, to, &["word", "pair"]).subscribing(&["word copy", "pair copy"]);
    let mut mirror = models.tables(tables).start().await;
    // Rows that are already there have taken the first keys.
    let own =
        word_copy::ActiveModel { word_id: Set("own".into()), note: Set("own".into()), ..Default::default() };
    own.insert(&mirror.there_eyes.db).await.unwrap();

    // when
    let new = WORDS.iter().flat_map(|id| [Step::Insert(word(id, "new")), Step::Insert(pair(7, id, "new"))]);
    let changed = [
        Step::Update(word("a ", "changed")),
        Step::Update(pair(7, "a,b", "changed")),
        Step::Destroy(Key::Word("a".into())),
    ];
    mirror.here.run(None, new.chain(changed).collect()).await.unwrap();
    mirror.settle().await;

    // then
    let words = word::Entity::find().all(&mirror.here_eyes.db).await.unwrap();
    let mut words: Vec<(String, String)> = words.into_iter().map(|word| (word.id, word.note)).collect();
    words.push(("own".into(), "own".into()));
    words.sort();
    let copies = word_copy::Entity::find().all(&mirror.there_eyes.db).await.unwrap();
    let mut copies: Vec<(String, String)> =
        copies.into_iter().map(|copy| (copy.word_id, copy.note)).collect();
    copies.sort();
    assert_eq!(copies, words);
    let pairs = pair_copy::Entity::find().all(&mirror.there_eyes.db).await.unwrap();
    assert_eq!(pairs.len(), WORDS.len());
    let changed: Vec<&str> =
        pairs.iter().filter(|pair| pair.note == "changed").map(|pair| pair.pair_id.as_str()).collect();
    assert_eq!(changed, ["7,a%2Cb"]);
}

/// MariaDB's default collation takes `a` and `A` for the same text.
fn loose_tables(kind: Kind, _: Side) -> Vec<String> {
    tables::keyed(kind, true)
}

macro_rules! into_mariadb {
    ($($scenario:ident)*) => {
        $(mod $scenario {
            crate::conformance::pairs! { $scenario:
                seaorm_postgres_to_seaorm_mariadb: SEAORM_POSTGRES SEAORM_MARIADB,
                seaorm_postgres_to_diesel_mariadb: SEAORM_POSTGRES DIESEL_MARIADB,
            }
        })*
    };
}

into_mariadb! {
    an_id_that_the_collation_takes_for_another_one_fails_and_touches_no_other_row
    destroying_an_id_that_the_collation_takes_for_another_one_destroys_no_other_row
}

async fn an_id_that_the_collation_takes_for_another_one_fails_and_touches_no_other_row(
    from: Stack,
    to: Stack,
) {
    // given
    let mut mirror = Pair::new(from, to, &["word"]).tables(loose_tables).start().await;
    mirror.here.write(Step::Insert(word("a", "small"))).await.unwrap();
    mirror.settle().await;
    let small = mirror.there_eyes.rows(Model::Word, true).await;

    // when
    mirror.here.write(Step::Insert(word("A", "capital"))).await.unwrap();

    // then
    let failing = mirror.running.status.wait_for(|status| status.failing == 1);
    tokio::time::timeout(SOON, failing).await.expect("the second did not fail").unwrap();
    assert_eq!(small.len(), 1);
    assert_eq!(mirror.there_eyes.rows(Model::Word, true).await, small);
}

async fn destroying_an_id_that_the_collation_takes_for_another_one_destroys_no_other_row(
    from: Stack,
    to: Stack,
) {
    // given: a shop whose `A` was never copied
    let mut mirror = Pair::new(from, to, &["word"]).tables(loose_tables).start().await;
    let unseen = word::Model { id: "A".into(), note: "x".into() }.into_active_model();
    unseen.insert(&mirror.here_eyes.db).await.unwrap();
    mirror.here.write(Step::Insert(word("a", "x"))).await.unwrap();
    mirror.settle().await;

    // when
    mirror.here.write(Step::Destroy(Key::Word("A".into()))).await.unwrap();
    mirror.settle().await;

    // then
    mirror.assert_equal(&[Model::Word]).await;
    assert_eq!(mirror.there_eyes.count("words").await, 1);
}

macro_rules! from_mariadb {
    ($($scenario:ident)*) => {
        $(mod $scenario {
            crate::conformance::pairs! { $scenario:
                seaorm_mariadb_to_seaorm_postgres: SEAORM_MARIADB SEAORM_POSTGRES,
                diesel_mariadb_to_seaorm_postgres: DIESEL_MARIADB SEAORM_POSTGRES,
            }
        })*
    };
}

from_mariadb! {
    what_is_written_by_another_spelling_of_its_id_is_published_under_its_own
}

async fn what_is_written_by_another_spelling_of_its_id_is_published_under_its_own(from: Stack, to: Stack) {
    // given
    let mut mirror = Pair::new(from, to, &["word"]).tables(loose_tables).start().await;
    let words = ["abc", "def"].map(|id| Step::Insert(word(id, "new")));
    mirror.here.run(None, words.into()).await.unwrap();
    mirror.settle().await;
    // when
    mirror.here.write(Step::Update(word("ABC", "changed"))).await.unwrap();
    mirror.here.write(Step::Destroy(Key::Word("DEF ".into()))).await.unwrap();
    mirror.settle().await;
    // then
    mirror.assert_equal(&[Model::Word]).await;
    assert_eq!(mirror.there_eyes.count("words").await, 1);
}
