//! With a hand-written model, so that nothing here depends on what the derive makes.

use diesel::Connection as _;
use diesel::prelude::*;
use diesel::query_builder::QueryFragment;
use diesel::sql_types::BigInt;
use promiscuous_core::database::DatabaseErrorKind;
use promiscuous_core::key::Endpoint;
use promiscuous_core::operation::Attributes;
use serde_json::{Value as Json, json};

use super::*;
use crate::key::{KeyValue, KeyValues};
use crate::model::UnreadableRow;
use crate::subscribed_rows::load::load_rows;
use crate::subscription::{Connection, Subscribe};
use crate::test_databases::{TestDatabase, on_each};

on_each! {
    creates_updates_and_destroys_call_back_in_order = order;
    the_upsert_rules_of_the_protocol_hold = upserts;
    nothing_is_written_where_nothing_differs = unchanged;
    what_does_not_fit_is_told_without_its_value = misfits;
    a_models_own_code_may_refuse_or_panic = refusals;
    a_row_that_another_writer_inserted_is_found_with_the_next_attempt = raced;
}

diesel::table! {
    people (id) {
        id -> BigInt,
        #[sql_name = "full_name"]
        name -> VarChar,
        nickname -> Nullable<VarChar>,
        badge -> VarChar,
    }
}

diesel::table! {
    calls (id) {
        id -> Integer,
        name -> VarChar,
    }
}

const TABLES: [&str; 2] = [
    "CREATE TABLE people (id BIGINT NOT NULL PRIMARY KEY, full_name VARCHAR(100) NOT NULL UNIQUE, nickname VARCHAR(100), \
     badge VARCHAR(100) NOT NULL DEFAULT '')",
    // What was called, in order.
    "CREATE TABLE calls (id INTEGER NOT NULL PRIMARY KEY, name VARCHAR(200) NOT NULL)",
];

#[derive(Debug, Clone, PartialEq, Queryable, Selectable)]
#[diesel(table_name = people)]
struct Person {
    id: i64,
    name: String,
    nickname: Option<String>,
    badge: String,
}

#[derive(Debug, Default, AsChangeset, Insertable)]
#[diesel(table_name = people)]
struct PersonChanges {
    id: Option<i64>,
    name: Option<String>,
    nickname: Option<Option<String>>,
    badge: Option<String>,
}

impl Subscribe for Person {
    type Changes = PersonChanges;

    fn declaration() -> SubscribeDeclaration {
        SubscribeDeclaration {
            name: "Person".into(),
            attributes: vec!["name", "nickname"],
            virtual_attributes: vec!["initials"],
            id_columns: vec!["id"],
            table: "people".into(),
            ..SubscribeDeclaration::default()
        }
    }

    fn set_id(changes: &mut PersonChanges, parts: &[String]) -> Result<(), (&'static str, Unfit)> {
        let id = parts[0].parse().map_err(|_| ("id", Unfit::Expected("a number".into())))?;
        changes.id = Some(id);
        Ok(())
    }

    fn set(changes: &mut PersonChanges, attribute: &str, value: &Json) -> Result<(), Unfit> {
        let text = value.as_str().map(str::to_owned);
        match attribute {
            "name" => changes.name = Some(text.ok_or_else(|| Unfit::Expected("a string".into()))?),
            "nickname" => changes.nickname = Some(text),
            _ => match text.as_deref() {
                Some("") => return Err(Unfit::Refused("nobody has no initials".into())),
                Some("panic") => panic!("not these"),
                text => changes.badge = Some(format!("[{}]", text.unwrap_or_default())),
            },
        }
        Ok(())
    }
}

/// Remembers a call in the same transaction, with what the row was and is.
fn called(
    connection: &mut (impl diesel::connection::SimpleConnection + ?Sized),
    name: &str,
    person: Option<&str>,
) -> CallbackResult {
    let person = person.unwrap_or("nobody");
    // Test names only: there is nothing to quote.
    connection.batch_execute(&format!(
        "INSERT INTO calls SELECT COALESCE(MAX(id), 0) + 1, '{name} {person}' FROM calls"
    ))?;
    Ok(())
}

macro_rules! person_on {
    ($backend:ty) => {
        impl SubscribeOn<$backend> for Person {
            fn differs(&self, changes: &mut PersonChanges) -> bool {
                changes.name.take_if(|name| *name == self.name);
                changes.nickname.take_if(|nickname| *nickname == self.nickname);
                changes.badge.take_if(|badge| *badge == self.badge);
                changes.name.is_some() || changes.nickname.is_some() || changes.badge.is_some()
            }

            fn stranger(&self, parts: &[String]) -> Option<&'static str> {
                // As if the collation took 666 for 6.
                (self.id.to_string() != parts[0]).then_some("id")
            }
            fn find(parts: &[String], connection: &mut Connection<$backend>) -> QueryResult<Option<Self>> {
                let id = if parts[0] == "666" { 6 } else { parts[0].parse().unwrap() };
                people::table.find::<i64>(id).first(connection).optional()
            }
            fn insert(changes: PersonChanges, connection: &mut Connection<$backend>) -> QueryResult<Self> {
                let id = changes.id.unwrap();
                diesel::insert_into(people::table).values(changes).execute(connection)?;
                people::table.find(id).first(connection)
            }
            fn update(
                &self,
                changes: PersonChanges,
                connection: &mut Connection<$backend>,
            ) -> QueryResult<Self> {
                diesel::update(people::table.find(self.id)).set(changes).execute(connection)?;
                people::table.find(self.id).first(connection)
            }
            fn delete(&self, connection: &mut Connection<$backend>) -> QueryResult<()> {
                diesel::delete(people::table.find(self.id)).execute(connection).map(|_| ())
            }
            fn from_table() -> impl QueryFragment<$backend> {
                people::table
            }
            fn id_values(parts: &[String]) -> KeyValues<$backend> {
                Ok(vec![KeyValue::typed::<BigInt, i64>(parts[0].parse().unwrap())])
            }
            fn load_rows(
                from: &dyn QueryFragment<$backend>,
                connection: &mut <$backend as PromiscuousBackend>::Connection,
            ) -> QueryResult<Vec<Self>> {
                load_rows(from, connection)
            }
            fn own_id(&self) -> Result<Vec<String>, UnreadableRow> {
                Ok(vec![self.id.to_string()])
            }
            fn column_attributes(&self) -> Result<Attributes, UnreadableRow> {
                let person = json!({"name": self.name, "nickname": self.nickname});
                Ok(person.as_object().cloned().unwrap())
            }
            fn would_change(&self, changes: &mut PersonChanges) -> bool {
                SubscribeOn::<$backend>::differs(self, changes)
            }
        }

        impl Callbacks<$backend> for Person {
            fn before_save(
                before: Option<&Self>,
                changes: &mut PersonChanges,
                connection: &mut Connection<$backend>,
            ) -> CallbackResult {
                called(connection, "before_save", before.map(|person| person.name.as_str()))?;
                match changes.name.as_deref() {
                    Some("refused") => return Err("not this name".into()),
                    Some("not found") => return Err(DieselError::NotFound.into()),
                    Some("panic") => panic!("a callback went wrong"),
                    Some("database") => connection.batch_execute_nowhere()?,
                    Some("unchanged") => *changes = PersonChanges::default(),
                    _ => {}
                }
                Ok(())
            }
            fn before_create(
                changes: &mut PersonChanges,
                connection: &mut Connection<$backend>,
            ) -> CallbackResult {
                called(connection, "before_create", changes.name.as_deref())
            }
            fn before_update(
                before: &Self,
                changes: &mut PersonChanges,
                connection: &mut Connection<$backend>,
            ) -> CallbackResult {
                changes.badge.get_or_insert_with(|| "updated".into());
                called(connection, "before_update", Some(&before.name))
            }
            fn before_destroy(before: &Self, connection: &mut Connection<$backend>) -> CallbackResult {
                called(connection, "before_destroy", Some(&before.name))?;
                if before.name == "forever" { Err("stays".into()) } else { Ok(()) }
            }
            fn after_create(after: &Self, connection: &mut Connection<$backend>) -> CallbackResult {
                called(connection, "after_create", Some(&after.name))
            }
            fn after_update(
                before: &Self,
                after: &Self,
                connection: &mut Connection<$backend>,
            ) -> CallbackResult {
                called(connection, "after_update", Some(&format!("{} {}", before.name, after.name)))
            }
            fn after_destroy(before: &Self, connection: &mut Connection<$backend>) -> CallbackResult {
                called(connection, "after_destroy", Some(&before.name))
            }
            fn after_save(
                before: Option<&Self>,
                after: &Self,
                connection: &mut Connection<$backend>,
            ) -> CallbackResult {
                let before = before.map_or("nobody", |person| person.name.as_str());
                called(connection, "after_save", Some(&format!("{before} {}", after.name)))
            }
        }

        impl Rows for $backend {
            fn people(connection: &mut Connection<$backend>) -> Vec<Person> {
                people::table.order(people::id).load(connection).unwrap()
            }
            fn calls(connection: &mut Connection<$backend>) -> Vec<String> {
                let names = calls::table.order(calls::id).select(calls::name).load(connection).unwrap();
                diesel::delete(calls::table).execute(connection).unwrap();
                names
            }
        }
    };
}

person_on!(diesel::sqlite::Sqlite);
#[cfg(feature = "postgres")]
person_on!(diesel::pg::Pg);
#[cfg(feature = "mysql")]
person_on!(diesel::mysql::Mysql);

/// A statement that fails.
trait Nowhere: diesel::connection::SimpleConnection {
    fn batch_execute_nowhere(&mut self) -> QueryResult<()> {
        self.batch_execute("INSERT INTO nowhere VALUES (1)")
    }
}
impl<C: diesel::connection::SimpleConnection> Nowhere for C {}

/// What is in the tables.
trait Rows: PromiscuousBackend {
    fn people(connection: &mut Connection<Self>) -> Vec<Person>;
    /// What was called since the last time.
    fn calls(connection: &mut Connection<Self>) -> Vec<String>;
}

trait Tested: Rows {
    fn apply(
        connection: &mut Connection<Self>,
        operation: &Operation,
        options: ApplyOptions,
    ) -> Result<(), ApplyError>;
}

impl<DB: Rows> Tested for DB
where
    Person: SubscribeOn<DB> + Callbacks<DB>,
{
    /// As core does: in a transaction that an error rolls back.
    fn apply(
        connection: &mut Connection<Self>,
        operation: &Operation,
        options: ApplyOptions,
    ) -> Result<(), ApplyError> {
        let mut applied = Ok(());
        let _ = connection.transaction(|connection| {
            applied = apply::<Self, Person>(connection, operation, options);
            if applied.is_ok() { Ok(()) } else { Err(DieselError::RollbackTransaction) }
        });
        applied
    }
}

fn prepare<DB: Tested>(test: &TestDatabase) -> Connection<DB> {
    for table in TABLES {
        test.connect_wrapped::<DB>().batch_execute_test(table);
    }
    test.connect_wrapped::<DB>()
}

trait Batch {
    fn batch_execute_test(&mut self, sql: &str);
}
impl<C: diesel::connection::SimpleConnection> Batch for C {
    fn batch_execute_test(&mut self, sql: &str) {
        self.batch_execute(sql).unwrap();
    }
}

fn operation(kind: OperationKind, id: &str, attributes: Json) -> Operation {
    Operation {
        operation: kind,
        endpoint: Endpoint::parse("crowdtap/person").unwrap(),
        types: vec!["Any".into()],
        id: id.into(),
        attributes: attributes.as_object().cloned(),
    }
}

fn named(name: &str) -> Json {
    json!({"name": name, "nickname": null, "initials": "J"})
}

fn do_it<DB: Tested>(
    connection: &mut Connection<DB>,
    kind: OperationKind,
    attributes: Json,
) -> Result<(), ApplyError> {
    DB::apply(connection, &operation(kind, "5", attributes), ApplyOptions::default())
}

fn joe(name: &str, badge: &str) -> Person {
    Person { id: 5, name: name.into(), nickname: None, badge: badge.into() }
}

async fn order<DB: Tested>(test: TestDatabase) {
    let db = &mut prepare::<DB>(&test);
    do_it::<DB>(db, OperationKind::Create, named("Joe")).unwrap();
    assert_eq!(DB::people(db), [joe("Joe", "[J]")]);
    let calls = ["before_save nobody", "before_create Joe", "after_create Joe", "after_save nobody Joe"];
    assert_eq!(DB::calls(db), calls);
    do_it::<DB>(db, OperationKind::Update, named("Jim")).unwrap();
    assert_eq!(DB::people(db), [joe("Jim", "updated")], "a callback may change what is written");
    let calls = ["before_save Joe", "before_update Joe", "after_update Joe Jim", "after_save Joe Jim"];
    assert_eq!(DB::calls(db), calls);
    do_it::<DB>(db, OperationKind::Destroy, Json::Null).unwrap();
    assert!(DB::people(db).is_empty());
    assert_eq!(DB::calls(db), ["before_destroy Jim", "after_destroy Jim"]);
}

async fn upserts<DB: Tested>(test: TestDatabase) {
    let db = &mut prepare::<DB>(&test);
    do_it::<DB>(db, OperationKind::Destroy, Json::Null).unwrap();
    assert!(DB::calls(db).is_empty(), "destroying what is not there does nothing");
    do_it::<DB>(db, OperationKind::Update, named("Joe")).unwrap();
    assert_eq!(DB::calls(db)[1], "before_create Joe", "an update of a missing row creates it");
    do_it::<DB>(db, OperationKind::Create, named("Jim")).unwrap();
    assert_eq!(DB::calls(db)[1], "before_update Joe", "a create of an existing row updates it");
    do_it::<DB>(db, OperationKind::Sync, named("Jon")).unwrap();
    assert_eq!(DB::calls(db)[1], "before_update Jim", "a sync is like an update");
    assert_eq!(DB::people(db).len(), 1);
}

async fn unchanged<DB: Tested>(test: TestDatabase) {
    let db = &mut prepare::<DB>(&test);
    do_it::<DB>(db, OperationKind::Create, named("Joe")).unwrap();
    DB::calls(db);
    do_it::<DB>(db, OperationKind::Sync, named("Joe")).unwrap();
    assert!(DB::calls(db).is_empty(), "no callback, no statement");
    // A callback that takes out everything, and one that adds something of its own.
    do_it::<DB>(db, OperationKind::Update, json!({"name": "unchanged", "nickname": null, "initials": "J"}))
        .unwrap();
    assert_eq!(DB::people(db), [joe("Joe", "updated")]);
    do_it::<DB>(db, OperationKind::Update, json!({"name": "unchanged", "nickname": null, "initials": "J"}))
        .unwrap();
    assert_eq!(DB::calls(db)[4..], ["before_save Joe", "before_update Joe"]);
    assert_eq!(DB::people(db), [joe("Joe", "updated")]);
}

async fn misfits<DB: Tested>(test: TestDatabase) {
    let db = &mut prepare::<DB>(&test);
    let relaxed = ApplyOptions::default().relaxed_schema(true);
    let missing = json!({"name": "Joe", "initials": "J"});
    let error = do_it::<DB>(db, OperationKind::Create, missing.clone()).unwrap_err();
    assert!(
        matches!(&error, ApplyError::MissingAttribute { attribute, .. } if attribute == "nickname"),
        "{error}"
    );
    DB::apply(db, &operation(OperationKind::Create, "5", missing), relaxed).unwrap();
    assert_eq!(DB::people(db), [joe("Joe", "[J]")]);

    let wrong = json!({"name": 4711, "nickname": null, "initials": "J"});
    let error = do_it::<DB>(db, OperationKind::Update, wrong).unwrap_err();
    assert!(matches!(&error, ApplyError::WrongType { attribute, .. } if attribute == "name"), "{error}");
    assert!(!error.to_string().contains("4711"), "{error}");
    for (id, wanted) in [("x", "a number"), ("5,6", "1 columns and not of 2"), ("%ff", "an encoded id")] {
        let operation = operation(OperationKind::Update, id, named("Joe"));
        let error = DB::apply(db, &operation, ApplyOptions::default()).unwrap_err();
        assert!(matches!(error, ApplyError::WrongId { .. }) && error.to_string().contains(wanted), "{error}");
    }
    // A row that only the database takes for this one.
    let operation_6 = operation(OperationKind::Create, "6", named("Six"));
    DB::apply(db, &operation_6, ApplyOptions::default()).unwrap();
    let stranger = operation(OperationKind::Update, "666", named("Devil"));
    let error = DB::apply(db, &stranger, ApplyOptions::default()).unwrap_err();
    assert!(
        matches!(&error, ApplyError::WrongId { .. }) && error.to_string().contains("collation"),
        "{error}"
    );
    let stranger = operation(OperationKind::Destroy, "666", Json::Null);
    DB::apply(db, &stranger, ApplyOptions::default()).unwrap();
    assert_eq!(DB::people(db)[1].name, "Six", "it stays as it is");
}

async fn refusals<DB: Tested>(test: TestDatabase) {
    let db = &mut prepare::<DB>(&test);
    for (name, wanted) in [
        ("refused", "not this name"),
        ("not found", "not found"),
        ("panic", "it panicked: a callback went wrong"),
    ] {
        let error = do_it::<DB>(db, OperationKind::Create, named(name)).unwrap_err();
        let ApplyError::Callback { reason, .. } = &error else { panic!("{error:?}") };
        assert!(reason.to_lowercase().contains(wanted), "{reason}");
    }
    for (initials, wanted) in
        [("", "`set_initials`: nobody has no initials"), ("panic", "it panicked: not these")]
    {
        let attributes = json!({"name": "Joe", "nickname": null, "initials": initials});
        let error = do_it::<DB>(db, OperationKind::Create, attributes).unwrap_err();
        assert!(error.to_string().contains(wanted), "{error}");
    }
    let error = do_it::<DB>(db, OperationKind::Create, named("database")).unwrap_err();
    assert!(matches!(error, ApplyError::Database { .. }), "the database's errors stay its own: {error:?}");
    assert!(DB::people(db).is_empty());
    assert!(DB::calls(db).is_empty(), "what callbacks wrote is undone with the rest");
    do_it::<DB>(db, OperationKind::Create, named("forever")).unwrap();
    assert!(do_it::<DB>(db, OperationKind::Destroy, Json::Null).is_err());
    assert_eq!(DB::people(db).len(), 1);
}

/// Somebody else's row is in the way of a unique index; when it is this object's own row, the next attempt finds it.
async fn raced<DB: Tested>(test: TestDatabase) {
    let db = &mut prepare::<DB>(&test);
    let six = operation(OperationKind::Create, "6", named("Joe"));
    DB::apply(db, &six, ApplyOptions::default()).unwrap();
    let error = do_it::<DB>(db, OperationKind::Create, named("Joe")).unwrap_err();
    let ApplyError::Database { source, .. } = &error else { panic!("{error:?}") };
    assert_eq!(source.kind, DatabaseErrorKind::UniqueViolation);
    DB::calls(db);
    // The transaction was rolled back, and the connection goes on.
    DB::apply(db, &operation(OperationKind::Destroy, "6", Json::Null), ApplyOptions::default()).unwrap();
    do_it::<DB>(db, OperationKind::Create, named("Joe")).unwrap();
    assert_eq!(DB::people(db), [joe("Joe", "[J]")]);
}
