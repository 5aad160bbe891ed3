use chrono::NaiveDateTime;

use super::*;

on_each! {
    an_id_of_another_model_is_refused_with_advice_and_without_the_id = strangers;
    a_row_that_cannot_be_sent_is_an_error_that_tells_no_value = unsendable;
}

async fn strangers<DB: Tested>(test: TestDatabase) {
    let rows = prepare::<DB>(&test);
    for (model, id, wanted) in [
        (ITEM, "secret", "`id` wants the id of a column of i64"),
        (ITEM, "007", "`id` wants the id of a column of i64"),
        (ITEM, "1,2", "1 parts"),
        (CART, "secret", "3 parts"),
        (CART, "secret,1,2,3", "3 parts"),
        (CART, "secret,x,1", "`place` wants"),
        (ITEM, "%secret", "not encoded"),
    ] {
        let stretch = |first, last| rows.read(model, None, Stretch { first, last }, true);
        let good = if model == ITEM { "1" } else { "a,1,1" };
        for error in [
            rows.ids_after(model, None, Some(id), 5).await.unwrap_err(),
            stretch(id, good).await.unwrap_err(),
            stretch(good, id).await.unwrap_err(),
        ] {
            let said = chain(&error);
            assert_eq!(error.kind, DatabaseErrorKind::Other);
            assert!(said.contains(wanted) && said.contains("begin from the start"), "{said}");
            assert!(!said.contains("secret") && !said.contains("007"), "{said}");
        }
    }
    let error = rows.count(7, None).await.unwrap_err();
    assert!(chain(&error).contains("no published model 7"), "{}", chain(&error));
}

async fn unsendable<DB: Tested>(test: TestDatabase) {
    let rows = prepare::<DB>(&test);
    test.connect::<DB>()
        .batch_execute(
            "DROP TABLE items; CREATE TABLE items (id BIGINT NOT NULL PRIMARY KEY, name VARCHAR(50));
             INSERT INTO items VALUES (4711, NULL)",
        )
        .unwrap();
    let one = Stretch { first: "4711", last: "4711" };
    for unless_written in [false, true] {
        let error = chain(&rows.read(ITEM, None, one, unless_written).await.unwrap_err());
        assert!(
            error.contains("`name`") && error.contains("it is NULL") && !error.contains("4711"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn a_row_of_sqlite_s_without_a_key_is_none_of_the_published() {
    // Given rows whose key SQLite allows to be NULL, which come first.
    let test = TestDatabase::sqlite();
    let rows = prepare::<Sqlite>(&test);
    test.connect::<Sqlite>()
        .batch_execute(
            "DROP TABLE labels; CREATE TABLE labels (id TEXT PRIMARY KEY, note TEXT NOT NULL DEFAULT '');
             INSERT INTO labels (id) VALUES (NULL), (NULL), (NULL), ('a'), ('b')",
        )
        .unwrap();
    assert_eq!(rows.count(LABEL, None).await.unwrap(), 2);
    for limit in [1, 2, 5] {
        assert_eq!(paged(&rows, LABEL, None, limit).await, ["a", "b"]);
    }
}

diesel::table! {
    moments (id) {
        id -> Timestamp,
        note -> Text,
    }
}

#[derive(Publish)]
#[diesel(table_name = moments)]
#[publish(attributes(note), backend(Sqlite))]
#[allow(dead_code)]
struct Moment {
    id: NaiveDateTime,
    note: String,
}

#[tokio::test]
async fn rows_that_the_database_would_give_for_ever_are_refused() {
    // Given moments that somebody else wrote, in a form that SQLite orders behind Diesel's.
    let test = TestDatabase::sqlite();
    test.create::<Sqlite>(
        "CREATE TABLE moments (id TIMESTAMP NOT NULL PRIMARY KEY, note TEXT NOT NULL);
         INSERT INTO moments VALUES ('2025-01-01T00:00:00', ''), ('2025-01-02T00:00:00', '')",
    );
    let rows = rows_of::<Sqlite>(&test, Models::new().publish::<Moment>().published("shop").unwrap());
    let first = rows.ids_after(0, None, None, 1).await.unwrap();
    let error = rows.ids_after(0, None, first.last().map(String::as_str), 1).await.unwrap_err();
    assert!(chain(&error).contains("does not order"), "{}", chain(&error));
}

#[tokio::test]
async fn a_key_that_mariadb_orders_otherwise_than_it_compares_it_is_refused() {
    // Given a key whose order is not that of its text, so that rows would be left out.
    let Some(test) = TestDatabase::served::<diesel::MysqlConnection>("TEST_MARIADB_URL") else { return };
    let rows = prepare::<Mysql>(&test);
    test.connect::<Mysql>()
        .batch_execute(
            "DROP TABLE labels; CREATE TABLE labels (id ENUM('b', 'a') NOT NULL PRIMARY KEY, note VARCHAR(50) NOT NULL DEFAULT '');
             INSERT INTO labels (id) VALUES ('a'), ('b')",
        )
        .unwrap();
    let error = rows.ids_after(LABEL, None, None, 1).await.unwrap_err();
    assert!(chain(&error).contains("ENUM"), "{}", chain(&error));
}

diesel::table! {
    shouts (id) {
        id -> Text,
        note -> Text,
    }
}

/// Its id has another text than what is read, which could not be searched for.
#[derive(Publish)]
#[diesel(table_name = shouts)]
#[publish(attributes(note), backend(Sqlite))]
#[allow(dead_code)]
struct Shout {
    #[diesel(deserialize_as = String)]
    id: Loud,
    note: String,
}

#[derive(Attribute, IdPart)]
struct Loud(String);

impl From<String> for Loud {
    fn from(text: String) -> Self {
        Self(text.to_uppercase())
    }
}

#[tokio::test]
async fn an_id_that_cannot_be_told_from_what_is_read_is_refused() {
    let test = TestDatabase::sqlite();
    test.create::<Sqlite>(
        "CREATE TABLE shouts (id TEXT NOT NULL PRIMARY KEY, note TEXT NOT NULL); INSERT INTO shouts VALUES ('A', ''), ('b', ''), ('c', '')",
    );
    let rows = rows_of::<Sqlite>(&test, Models::new().publish::<Shout>().published("shop").unwrap());
    assert_eq!(rows.ids_after(0, None, Some("A"), 5).await.unwrap(), ["B", "C"]);
    let error = rows.ids_after(0, None, Some("b"), 5).await.unwrap_err();
    assert!(chain(&error).contains("implement Diesel's `ToSql`"), "{}", chain(&error));
}
