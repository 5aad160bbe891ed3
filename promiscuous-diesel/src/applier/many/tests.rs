//! Whatever is looked for together ends as it would one by one, and how many statements that takes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use diesel::Connection as _;
use diesel::connection::{InstrumentationEvent, SimpleConnection};
use diesel::mysql::Mysql;
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::sqlite::Sqlite;
use promiscuous_core::key::Endpoint;
use promiscuous_core::operation::OperationKind;
use serde_json::json;

use super::*;
use crate::Subscribe;
use crate::backend::PromiscuousBackend;
use crate::subscription::{CallbackResult, Connection};
use crate::test_databases::{TestDatabase, on_each};

on_each! {
    rows_are_looked_for_with_one_statement = together;
    rows_of_several_statements_are_all_applied = hundreds;
    what_a_callback_writes_is_seen_by_the_rows_that_come_next = callbacks;
    another_object_that_a_collation_takes_for_one_of_them_stays = strangers;
    one_that_does_not_fit_is_the_one_that_is_told = misfits;
}

diesel::table! {
    words (id) {
        id -> VarChar,
        note -> VarChar,
    }
}

#[derive(Debug, Clone, PartialEq, Queryable, Selectable, Subscribe)]
#[diesel(table_name = words)]
#[subscribe(attributes(note))]
struct Word {
    id: String,
    note: String,
}

/// The same, whose callback takes care of the word that follows.
#[derive(Debug, Clone, PartialEq, Queryable, Selectable, Subscribe)]
#[diesel(table_name = words)]
#[subscribe(attributes(note), callbacks)]
struct Linked {
    id: String,
    note: String,
}

trait Tested: PromiscuousBackend {
    fn apply_words(connection: &mut Connection<Self>, operations: &[Operation]) -> Result<(), ApplyError>;
    fn apply_linked(connection: &mut Connection<Self>, operations: &[Operation]) -> Result<(), ApplyError>;
    /// `a: one`, in the order of their ids.
    fn words(connection: &mut Connection<Self>) -> Vec<String>;
}

macro_rules! tested {
    ($($backend:ty),*) => {$(
        impl Callbacks<$backend> for Linked {
            fn after_save(
                _: Option<&Self>,
                after: &Self,
                connection: &mut Connection<$backend>,
            ) -> CallbackResult {
                match after.note.as_str() {
                    "changes the next" => {
                        connection.batch_execute("UPDATE words SET note = 'changed' WHERE id = 'next'")?;
                    }
                    "brings the next" => {
                        connection.batch_execute("INSERT INTO words VALUES ('next', 'stub')")?;
                    }
                    _ => {}
                }
                Ok(())
            }
        }

        impl Tested for $backend {
            fn apply_words(
                connection: &mut Connection<Self>,
                operations: &[Operation],
            ) -> Result<(), ApplyError> {
                in_a_transaction::<Self>(connection, |connection| {
                    apply_all::<Self, Word>(connection, operations, ApplyOptions::default())
                })
            }

            fn apply_linked(
                connection: &mut Connection<Self>,
                operations: &[Operation],
            ) -> Result<(), ApplyError> {
                in_a_transaction::<Self>(connection, |connection| {
                    apply_all::<Self, Linked>(connection, operations, ApplyOptions::default())
                })
            }

            fn words(connection: &mut Connection<Self>) -> Vec<String> {
                let words: Vec<Word> = words::table.order(words::id).load(connection).unwrap();
                words.into_iter().map(|word| format!("{}: {}", word.id, word.note)).collect()
            }
        }
    )*};
}
tested!(Pg, Mysql, Sqlite);

/// As core does: an error rolls it back.
fn in_a_transaction<DB: PromiscuousBackend>(
    connection: &mut Connection<DB>,
    apply: impl FnOnce(&mut Connection<DB>) -> Result<(), ApplyError>,
) -> Result<(), ApplyError> {
    let mut applied = Ok(());
    let _ = connection.transaction(|connection| {
        applied = apply(connection);
        if applied.is_ok() { Ok(()) } else { Err(diesel::result::Error::RollbackTransaction) }
    });
    applied
}

fn prepare<DB: Tested>(test: &TestDatabase) -> Connection<DB> {
    let mut connection = test.connect_wrapped::<DB>();
    connection
        .batch_execute("CREATE TABLE words (id VARCHAR(50) NOT NULL PRIMARY KEY, note VARCHAR(50) NOT NULL)")
        .unwrap();
    connection
}

/// Words that are sent again, with their notes.
fn again<const N: usize>(words: [(&str, &str); N]) -> Vec<Operation> {
    words.map(|(id, note)| operation(id, note)).into()
}

fn operation(id: &str, note: &str) -> Operation {
    Operation {
        operation: OperationKind::Sync,
        endpoint: Endpoint::parse("shop/word").unwrap(),
        types: vec!["Word".into()],
        id: id.into(),
        attributes: json!({ "note": note }).as_object().cloned(),
    }
}

/// How many statements reach the database meanwhile, but for the transaction's beginning and end.
fn statements<DB: Tested>(connection: &mut Connection<DB>, work: impl FnOnce(&mut Connection<DB>)) -> usize {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    connection.set_instrumentation(move |event: InstrumentationEvent<'_>| {
        if let InstrumentationEvent::StartQuery { query, .. } = event
            && !["BEGIN", "COMMIT", "ROLLBACK"].iter().any(|word| query.to_string().starts_with(word))
        {
            counted.fetch_add(1, Ordering::Relaxed);
        }
    });
    work(connection);
    connection.set_instrumentation(diesel::connection::get_default_instrumentation());
    count.load(Ordering::Relaxed)
}

async fn together<DB: Tested>(test: TestDatabase) {
    // Where there is no RETURNING, a changed row is read again; and it is only locked before it is changed.
    let update = if DB::DIALECT == Dialect::Mysql { 4 } else { 1 };
    // Diesel has SQLite insert them one by one.
    let inserts = |rows| if DB::DIALECT == Dialect::Sqlite { rows } else { 1 };
    let db = &mut prepare::<DB>(&test);
    let taken = statements::<DB>(db, |db| {
        DB::apply_words(db, &again([("a", "1"), ("b", "2"), ("c", "3")])).unwrap();
    });
    assert_eq!(DB::words(db), ["a: 1", "b: 2", "c: 3"]);
    assert_eq!(taken, 1 + inserts(3));
    let taken = statements::<DB>(db, |db| {
        DB::apply_words(db, &again([("a", "1"), ("b", "2"), ("c", "3")])).unwrap();
    });
    assert_eq!(taken, 1, "nothing differs");
    let taken = statements::<DB>(db, |db| {
        DB::apply_words(db, &again([("d", "4"), ("c", "3"), ("b", "two"), ("a", "1")])).unwrap();
    });
    assert_eq!(DB::words(db), ["a: 1", "b: two", "c: 3", "d: 4"]);
    assert_eq!(taken, 1 + inserts(1) + update);
    // What is new is there before what comes after it.
    let taken = statements::<DB>(db, |db| {
        DB::apply_words(db, &again([("e", "5"), ("f", "6"), ("a", "one"), ("g", "7")])).unwrap();
    });
    assert_eq!(DB::words(db)[4..], ["e: 5", "f: 6", "g: 7"]);
    assert_eq!(taken, 1 + inserts(2) + update + inserts(1));
}

async fn hundreds<DB: Tested>(test: TestDatabase) {
    let db = &mut prepare::<DB>(&test);
    let all = |note: &str| {
        (0..AT_ONCE + 7).map(|id| operation(&format!("{id:05}"), note)).collect::<Vec<Operation>>()
    };
    DB::apply_words(db, &all("old")).unwrap();
    let taken = statements::<DB>(db, |db| DB::apply_words(db, &all("old")).unwrap());
    assert_eq!(taken, 2);
    DB::apply_words(db, &all("new")).unwrap();
    let words = DB::words(db);
    assert_eq!((words.len(), words[0].as_str()), (AT_ONCE + 7, "00000: new"));
    assert!(words.iter().all(|word| word.ends_with(": new")));
}

async fn callbacks<DB: Tested>(test: TestDatabase) {
    let db = &mut prepare::<DB>(&test);
    // It had no row when the rows were looked for.
    DB::apply_linked(db, &again([("a", "brings the next"), ("next", "2"), ("z", "3")])).unwrap();
    assert_eq!(DB::words(db), ["a: brings the next", "next: 2", "z: 3"]);
    // It was then what it is to be.
    DB::apply_linked(db, &again([("a", "changes the next"), ("next", "2"), ("z", "3")])).unwrap();
    assert_eq!(DB::words(db), ["a: changes the next", "next: 2", "z: 3"]);
}

async fn strangers<DB: Tested>(test: TestDatabase) {
    let db = &mut prepare::<DB>(&test);
    DB::apply_words(db, &again([("a", "1"), ("b", "2")])).unwrap();
    let other = DB::apply_words(db, &again([("c", "3"), ("A", "another")]));
    if DB::DIALECT == Dialect::Mysql {
        let error = other.unwrap_err();
        assert!(matches!(&error, ApplyError::WrongId { id, .. } if id == "A"), "{error:?}");
        assert!(error.to_string().contains("collation"), "{error}");
        assert_eq!(DB::words(db), ["a: 1", "b: 2"]);
    } else {
        other.unwrap();
        let mut words = DB::words(db);
        words.sort();
        assert_eq!(words, ["A: another", "a: 1", "b: 2", "c: 3"]);
    }
}

async fn misfits<DB: Tested>(test: TestDatabase) {
    let db = &mut prepare::<DB>(&test);
    let mut operations = again([("a", "1"), ("b", "2"), ("c", "3")]);
    operations[1].attributes = json!({ "note": 4711 }).as_object().cloned();
    let error = DB::apply_words(db, &operations).unwrap_err();
    assert!(matches!(&error, ApplyError::WrongType { id, .. } if id == "b"), "{error:?}");
    operations[1] = operation("b,c", "2");
    let error = DB::apply_words(db, &operations).unwrap_err();
    assert!(matches!(&error, ApplyError::WrongId { id, .. } if id == "b,c"), "{error:?}");
    assert!(DB::words(db).is_empty());
}
