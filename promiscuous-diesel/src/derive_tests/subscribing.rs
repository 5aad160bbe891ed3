//! Changes, as they are written.

use diesel::connection::SimpleConnection as _;
use diesel::deserialize::{self, FromSql, FromSqlRow};
use diesel::expression::AsExpression;
use diesel::mysql::Mysql;
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::result::{DatabaseErrorKind, Error};
use diesel::serialize::{self, Output, ToSql};
use diesel::sql_types::Text;
use promiscuous_core::database::Dialect;
use serde_json::json;

use super::database::{Fresh, Tested, fill, insert, on_each, parts, update};
use crate::subscription::{SubscribeOn, Unfit};
use crate::{Attribute, IdPart, Subscribe};

diesel::table! {
    people (id) {
        id -> BigInt,
        first -> Text,
        #[sql_name = "last name"]
        last -> Nullable<Text>,
        mood -> Text,
        note -> Text,
    }
}

diesel::table! {
    copies (id) {
        id -> Integer,
        origin -> Nullable<Text>,
        title -> Text,
        mine -> Nullable<Text>,
    }
}

diesel::table! {
    places (owner, number) {
        owner -> Text,
        number -> Integer,
        note -> Nullable<Text>,
    }
}

/// A key of one's own type.
#[derive(Debug, Clone, Copy, PartialEq, AsExpression, FromSqlRow, Attribute, IdPart)]
#[diesel(sql_type = diesel::sql_types::BigInt)]
struct PersonId(i64);

impl<DB: diesel::backend::Backend> ToSql<diesel::sql_types::BigInt, DB> for PersonId
where
    i64: ToSql<diesel::sql_types::BigInt, DB>,
{
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, DB>) -> serialize::Result {
        self.0.to_sql(out)
    }
}

impl<DB: diesel::backend::Backend> FromSql<diesel::sql_types::BigInt, DB> for PersonId
where
    i64: FromSql<diesel::sql_types::BigInt, DB>,
{
    fn from_sql(value: DB::RawValue<'_>) -> deserialize::Result<Self> {
        i64::from_sql(value).map(Self)
    }
}

/// An enum that is kept as text.
#[derive(Debug, Clone, Copy, PartialEq, AsExpression, FromSqlRow, Attribute)]
#[diesel(sql_type = Text)]
enum Mood {
    #[attribute("happy")]
    Happy,
    #[attribute("sad")]
    Sad,
}

impl<DB: diesel::backend::Backend> ToSql<Text, DB> for Mood
where
    str: ToSql<Text, DB>,
{
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, DB>) -> serialize::Result {
        match self {
            Self::Happy => "happy",
            Self::Sad => "sad",
        }
        .to_sql(out)
    }
}

impl<DB: diesel::backend::Backend> FromSql<Text, DB> for Mood
where
    String: FromSql<Text, DB>,
{
    fn from_sql(value: DB::RawValue<'_>) -> deserialize::Result<Self> {
        match String::from_sql(value)?.as_str() {
            "happy" => Ok(Self::Happy),
            "sad" => Ok(Self::Sad),
            _ => Err("no mood".into()),
        }
    }
}

/// Text that is kept in capitals: `serialize_as` and `deserialize_as`.
#[derive(Debug, Clone, PartialEq, Attribute)]
struct Lower(String);

impl From<Lower> for String {
    fn from(value: Lower) -> Self {
        value.0.to_uppercase()
    }
}

impl From<String> for Lower {
    fn from(value: String) -> Self {
        Self(value.to_lowercase())
    }
}

/// With types of one's own, a renamed column, and setters.
#[derive(Debug, PartialEq, Queryable, Selectable, Subscribe)]
#[diesel(table_name = people)]
#[subscribe(attributes(first, family, mood), virtual_attributes(shout, whisper))]
struct Person {
    id: PersonId,
    #[diesel(serialize_as = String, deserialize_as = String)]
    first: Lower,
    #[diesel(column_name = last)]
    family: Option<String>,
    mood: Mood,
    note: String,
}

impl PersonChanges {
    fn set_shout(&mut self, shout: String) {
        self.note = Some(format!("{shout}!"));
    }

    fn set_whisper(&mut self, whisper: u8) -> Result<(), &'static str> {
        if whisper == 0 { Err("silence") } else { Ok(()) }
    }
}

/// With a primary key of its own.
#[derive(Debug, PartialEq, Queryable, Selectable, Subscribe)]
#[diesel(table_name = copies)]
#[subscribe(from = "crowdtap/place", attributes(title), foreign_key = "origin")]
struct Copy {
    id: i32,
    origin: Option<String>,
    title: String,
    mine: Option<String>,
}

/// With columns in a struct of their own, and one that is computed: both are read, neither is written.
#[derive(Debug, PartialEq, Queryable, Selectable, Subscribe)]
#[diesel(table_name = places, primary_key(owner, number))]
#[subscribe(as = "Place", attributes(owner))]
struct PlaceWithExtras {
    owner: String,
    number: i32,
    #[diesel(embed)]
    extras: Extras,
    #[diesel(select_expression = places::number + 1_i32)]
    next: i32,
}

/// See [`PlaceWithExtras`].
#[derive(Debug, PartialEq, Queryable, Selectable)]
#[diesel(table_name = places)]
struct Extras {
    note: Option<String>,
}

/// With a composite key, in another order than the fields.
#[derive(Debug, PartialEq, Queryable, Selectable, Subscribe)]
#[diesel(table_name = places, primary_key(owner, number))]
#[subscribe(attributes(note))]
struct Place {
    note: Option<String>,
    number: i32,
    owner: String,
}

fn tables(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Mysql => {
            "CREATE TABLE people (id BIGINT PRIMARY KEY, first TEXT NOT NULL, `last name` TEXT, mood TEXT NOT NULL, note TEXT NOT NULL DEFAULT ('none'));
             CREATE TABLE copies (id INTEGER AUTO_INCREMENT PRIMARY KEY, origin VARCHAR(50) COLLATE utf8mb4_nopad_bin UNIQUE, title TEXT NOT NULL, mine TEXT);
             CREATE TABLE places (owner VARCHAR(50) COLLATE utf8mb4_general_ci, number INTEGER, note TEXT, PRIMARY KEY (owner, number));"
        }
        Dialect::Postgres => {
            "CREATE TABLE people (id BIGINT PRIMARY KEY, first TEXT NOT NULL, \"last name\" TEXT, mood TEXT NOT NULL, note TEXT NOT NULL DEFAULT 'none');
             CREATE TABLE copies (id SERIAL PRIMARY KEY, origin TEXT UNIQUE, title TEXT NOT NULL, mine TEXT);
             CREATE TABLE places (owner TEXT, number INTEGER, note TEXT, PRIMARY KEY (owner, number));"
        }
        Dialect::Sqlite => {
            "CREATE TABLE people (id BIGINT PRIMARY KEY, first TEXT NOT NULL, \"last name\" TEXT, mood TEXT NOT NULL, note TEXT NOT NULL DEFAULT 'none');
             CREATE TABLE copies (id INTEGER PRIMARY KEY AUTOINCREMENT, origin TEXT UNIQUE, title TEXT NOT NULL, mine TEXT);
             CREATE TABLE places (owner TEXT, number INTEGER, note TEXT, PRIMARY KEY (owner, number));"
        }
    }
}

on_each! {
    a_row_comes_into_being_changes_and_goes;
    a_foreign_key_keeps_the_publisher_s_id_beside_a_key_of_one_s_own;
    a_composite_key_is_compared_part_by_part;
    a_row_keeps_its_key_and_what_is_gone_is_not_found;
    a_column_that_nobody_sets_has_its_default;
}

fn a_row_comes_into_being_changes_and_goes<DB: Tested>()
where
    Person: SubscribeOn<DB>,
{
    let Some(mut db) = Fresh::<DB>::with(tables(DB::DIALECT)) else { return };
    let id = parts(&["7"]);
    assert_eq!(Person::find(&id, &mut db).unwrap(), None);
    // When it is created, then the answer is the row as the database has it.
    let values = json!({"first": "ann", "family": "O'Hara", "mood": "happy", "shout": "hi"});
    let created: Person = insert::<DB, _>(&["7"], &values, &mut db);
    let expected = Person {
        id: PersonId(7),
        first: Lower("ann".into()),
        family: Some("O'Hara".into()),
        mood: Mood::Happy,
        note: "hi!".into(),
    };
    assert_eq!(created, expected);
    assert_eq!(Person::find(&id, &mut db).unwrap(), Some(expected));
    // When the same comes again, but for what goes through a setter, then nothing is to be written.
    let same = json!({"first": "ann", "family": "O'Hara", "mood": "happy"});
    assert!(update::<DB, _>(&created, &same, &mut db).is_none());
    // When some of it changes, then that is written, and a null is NULL.
    let updated = update::<DB, _>(&created, &json!({"family": null, "mood": "sad"}), &mut db).unwrap();
    assert_eq!((updated.family.as_deref(), updated.mood, updated.first.0.as_str()), (None, Mood::Sad, "ann"));
    assert_eq!(Person::find(&id, &mut db).unwrap(), Some(Person { note: "hi!".into(), ..updated }));
    // When it is destroyed, then it is gone, and nothing else is.
    insert::<DB, Person>(&["8"], &values, &mut db);
    created.delete(&mut db).unwrap();
    assert_eq!(Person::find(&id, &mut db).unwrap(), None);
    assert!(Person::find(&parts(&["8"]), &mut db).unwrap().is_some());
}

fn a_foreign_key_keeps_the_publisher_s_id_beside_a_key_of_one_s_own<DB: Tested>()
where
    Copy: SubscribeOn<DB>,
{
    let Some(mut db) = Fresh::<DB>::with(tables(DB::DIALECT)) else { return };
    db.batch_execute("INSERT INTO copies (title) VALUES ('local')").unwrap();
    let declared = Copy::declaration();
    assert!(declared.foreign_key && declared.keeps_whole_id);
    assert_eq!(declared.id_columns, ["origin"]);
    // Given a composite id, which text keeps as it is written.
    let copy: Copy = insert::<DB, _>(&["S%C3%A3o,1"], &json!({"title": "one"}), &mut db);
    assert_eq!((copy.id, copy.origin.as_deref()), (2, Some("S%C3%A3o,1")));
    let copy = update::<DB, _>(&copy, &json!({"title": "two"}), &mut db).unwrap();
    assert_eq!((copy.id, copy.title.as_str()), (2, "two"));
    let id = parts(&["S%C3%A3o,1"]);
    assert_eq!(Copy::find(&id, &mut db).unwrap().as_ref(), Some(&copy));
    assert_eq!(copy.stranger(&id), None);
    // A row of one's own is nobody's copy.
    let another = CopyChanges {
        origin: Some(Some("S%C3%A3o,1".into())),
        title: Some("again".into()),
        ..Default::default()
    };
    let twice = Copy::insert(another, &mut db).unwrap_err();
    assert!(matches!(twice, Error::DatabaseError(DatabaseErrorKind::UniqueViolation, _)), "{twice}");
}

fn a_composite_key_is_compared_part_by_part<DB: Tested>()
where
    Place: SubscribeOn<DB>,
    PlaceWithExtras: SubscribeOn<DB>,
{
    let Some(mut db) = Fresh::<DB>::with(tables(DB::DIALECT)) else { return };
    assert_eq!(Place::declaration().id_columns, ["owner", "number"]);
    let first: Place = insert::<DB, _>(&["ann", "1"], &json!({"note": "first"}), &mut db);
    insert::<DB, Place>(&["ann", "2"], &json!({"note": "second"}), &mut db);
    update::<DB, _>(&first, &json!({"note": "changed"}), &mut db).unwrap();
    let second = Place::find(&parts(&["ann", "2"]), &mut db).unwrap().unwrap();
    assert_eq!(second, Place { note: Some("second".into()), number: 2, owner: "ann".into() });
    // Where a collation takes one for the other, that is noticed.
    let found = Place::find(&parts(&["ANN", "1"]), &mut db).unwrap();
    if DB::DIALECT == Dialect::Mysql {
        assert_eq!(found.unwrap().stranger(&parts(&["ANN", "1"])), Some("owner"));
    } else {
        assert_eq!(found, None);
    }
    let extended = PlaceWithExtras::find(&parts(&["ann", "1"]), &mut db).unwrap().unwrap();
    assert_eq!((extended.extras.note.as_deref(), extended.next), (Some("changed"), 2));
    first.delete(&mut db).unwrap();
    assert!(Place::find(&parts(&["ann", "2"]), &mut db).unwrap().is_some());
}

fn a_row_keeps_its_key_and_what_is_gone_is_not_found<DB: Tested>()
where
    Place: SubscribeOn<DB>,
{
    let Some(mut db) = Fresh::<DB>::with(tables(DB::DIALECT)) else { return };
    let place: Place = insert::<DB, _>(&["ann", "1"], &json!({"note": "n"}), &mut db);
    // When changes name a key, as those of a callback may, then the row keeps its own.
    let changes = PlaceChanges { number: Some(9), note: Some(Some("m".into())), ..Default::default() };
    let updated = place.update(changes, &mut db).unwrap();
    assert_eq!((updated.number, updated.note.as_deref()), (1, Some("m")));
    // When nothing is left to write, then the row is read.
    let empty = || PlaceChanges { owner: Some("joe".into()), ..Default::default() };
    assert_eq!(place.update(empty(), &mut db).unwrap(), updated);
    // When somebody else has deleted it, then an update says so, and a delete is fine.
    db.batch_execute("DELETE FROM places").unwrap();
    let changes = || PlaceChanges { note: Some(None), ..Default::default() };
    assert!(matches!(place.update(changes(), &mut db), Err(Error::NotFound)));
    assert!(matches!(place.update(empty(), &mut db), Err(Error::NotFound)));
    place.delete(&mut db).unwrap();
}

fn a_column_that_nobody_sets_has_its_default<DB: Tested>()
where
    Person: SubscribeOn<DB>,
{
    let Some(mut db) = Fresh::<DB>::with(tables(DB::DIALECT)) else { return };
    let person: Person = insert::<DB, _>(&["1"], &json!({"first": "a", "mood": "sad"}), &mut db);
    assert_eq!((person.note.as_str(), person.family), ("none", None));
}

#[test]
fn what_does_not_fit_says_why_without_the_value() {
    let mut changes = PersonChanges::default();
    for id in ["007", "secret", "", "9223372036854775808"] {
        let (column, why) = Person::set_id(&mut changes, &parts(&[id])).unwrap_err();
        assert_eq!(column, "id");
        assert!(matches!(&why, Unfit::Expected(what) if !what.contains("secret")), "{why:?}");
    }
    assert!(Person::set_id(&mut changes, &parts(&["1", "2"])).is_err());
    let why = fill::<Person>(&mut changes, &json!({"mood": "secret"})).unwrap_err();
    assert_eq!(why, Unfit::Expected("one of \"happy\", \"sad\"".into()));
    let why = fill::<Person>(&mut changes, &json!({"whisper": "secret"})).unwrap_err();
    assert_eq!(why, Unfit::Expected("what its setter takes, u8".into()));
    let why = fill::<Person>(&mut changes, &json!({"whisper": 0})).unwrap_err();
    assert_eq!(why, Unfit::Refused("silence".into()));
    // Nothing is set that is not subscribed.
    assert!(fill::<Person>(&mut changes, &json!({"note": "secret"})).is_err());
    assert!(changes.note.is_none() && changes.id.is_none() && changes.mood.is_none());
}

#[test]
fn the_declaration_is_what_the_attribute_says() {
    let declared = Person::declaration();
    assert_eq!((declared.name.as_str(), declared.named, declared.from.as_deref()), ("Person", false, None));
    assert_eq!(declared.attributes, ["first", "family", "mood"]);
    assert_eq!(declared.virtual_attributes, ["shout", "whisper"]);
    assert_eq!((declared.table.as_str(), declared.foreign_key), ("people", false));
    assert!(!declared.keeps_whole_id && declared.id_columns == ["id"]);
}

/// Begins a transaction that finds a person.
fn finding<DB: Tested>(db: &mut Fresh<DB>) -> Option<Person>
where
    Person: SubscribeOn<DB>,
{
    db.batch_execute("BEGIN").unwrap();
    Person::find(&parts(&["1"]), db).unwrap()
}

#[test]
fn a_row_that_postgres_finds_cannot_change_meanwhile_but_can_be_referred_to() {
    let Some(mut db) = Fresh::<Pg>::with(tables(Dialect::Postgres)) else { return };
    db.batch_execute("CREATE TABLE pets (person BIGINT REFERENCES people (id))").unwrap();
    insert::<Pg, Person>(&["1"], &json!({"first": "a", "mood": "sad"}), &mut db);
    assert!(finding(&mut db).is_some());
    let wait = "SET lock_timeout = 300;";
    let blocked = db.elsewhere(&format!("{wait} UPDATE people SET note = 'x'")).unwrap_err();
    assert!(blocked.to_string().contains("lock timeout"), "{blocked}");
    db.elsewhere(&format!("{wait} INSERT INTO pets VALUES (1)")).unwrap();
}

#[test]
fn a_row_that_mariadb_finds_is_the_newest_and_cannot_change_meanwhile() {
    let Some(mut db) = Fresh::<Mysql>::with(tables(Dialect::Mysql)) else { return };
    insert::<Mysql, Person>(&["1"], &json!({"first": "a", "mood": "sad"}), &mut db);
    // Given a transaction with a snapshot that has become old.
    db.batch_execute("START TRANSACTION WITH CONSISTENT SNAPSHOT").unwrap();
    db.elsewhere("UPDATE people SET mood = 'happy'").unwrap();
    // When it looks for the row, then it finds it as it is, and keeps it so.
    let found = <Person as SubscribeOn<Mysql>>::find(&parts(&["1"]), &mut db).unwrap().unwrap();
    assert_eq!(found.mood, Mood::Happy);
    let wait = "SET innodb_lock_wait_timeout = 1;";
    let blocked = db.elsewhere(&format!("{wait} UPDATE people SET note = 'x'")).unwrap_err();
    assert!(blocked.to_string().contains("Lock wait timeout"), "{blocked}");
}

#[test]
fn two_that_look_for_missing_rows_in_mariadb_do_not_wait_for_each_other() {
    let Some(mut db) = Fresh::<Mysql>::with(tables(Dialect::Mysql)) else { return };
    assert!(finding(&mut db).is_none());
    db.elsewhere("SET innodb_lock_wait_timeout = 1; INSERT INTO people VALUES (2, 'b', NULL, 'sad', '')")
        .unwrap();
    insert::<Mysql, Person>(&["1"], &json!({"first": "a", "mood": "sad"}), &mut db);
}

diesel::table! {
    events (id) {
        id -> BigInt,
        at -> Nullable<Timestamp>,
        note -> Nullable<Text>,
    }
}

#[derive(Queryable, Selectable, Subscribe)]
#[diesel(table_name = events)]
#[subscribe(attributes(at), backend(Mysql))]
#[allow(dead_code)]
struct Event {
    id: i64,
    at: Option<chrono::NaiveDateTime>,
    note: Option<String>,
}

#[test]
fn a_moment_that_mariadb_would_take_for_null_is_an_error() {
    let Some(mut db) =
        Fresh::<Mysql>::with("CREATE TABLE events (id BIGINT PRIMARY KEY, at DATETIME(6), note TEXT)")
    else {
        return;
    };
    let far = json!({"at": "2525-01-01T00:00:00.000000"});
    let near = json!({"at": "2025-01-01T00:00:00.000000"});
    let changes = |id: &str, at: &serde_json::Value| {
        let mut changes = EventChanges::default();
        Event::set_id(&mut changes, &parts(&[id])).unwrap();
        fill::<Event>(&mut changes, at).unwrap();
        changes
    };
    // Given a moment beyond what Diesel's Timestamp is in MariaDB, when it is inserted, alone or with others, or updated to.
    let inserted = Event::insert(changes("1", &far), &mut db).map(|_| ()).unwrap_err().to_string();
    let rows = vec![changes("4", &json!({"at": null})), changes("5", &far), changes("6", &near)];
    let together = Event::insert_all(rows, &mut db).unwrap_err().to_string();
    Event::insert_all(vec![changes("7", &json!({"at": null})), changes("8", &near)], &mut db).unwrap();
    let event: Event = insert::<Mysql, _>(&["2"], &near, &mut db);
    let mut changes = EventChanges::default();
    fill::<Event>(&mut changes, &far).unwrap();
    let updated = event.update(changes, &mut db).map(|_| ()).unwrap_err().to_string();
    // Then the error says what to do; a NULL that is meant stays one.
    assert!(
        [inserted, together, updated]
            .iter()
            .all(|error| error.contains("`at`") && error.contains("`Datetime`"))
    );
    let event: Event = insert::<Mysql, _>(&["3"], &json!({"at": null}), &mut db);
    assert!(update::<Mysql, _>(&event, &near, &mut db).is_some());
}
