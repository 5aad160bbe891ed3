use uuid::Uuid;

use super::comparing::operation;
use super::*;

on_each! {
    every_id_comes_once_and_in_order_however_many_at_a_time = pages;
    what_is_paged_is_found_again_by_its_id = found_again;
    an_empty_table_has_no_ids = empty;
    an_id_of_another_model_is_refused_with_advice_and_without_the_id = strangers;
}

fn insert_awkward_ids<DB: PromiscuousBackend>(test: &TestDatabase) {
    for id in ["-3", "5", "9223372036854775807", "-9223372036854775808", "40", "0"] {
        run::<DB>(test, &format!("INSERT INTO items (id) VALUES ({id})"));
        run::<DB>(
            test,
            &format!("INSERT INTO links (item) VALUES ({id}); INSERT INTO links (item) VALUES (NULL)"),
        );
    }
    let texts =
        ["a/b", "a b", "O''Hara", "Straße", "A", "a", "ä", "%", "", "10", "9", "Ω", "a, b", "\u{1F370}"];
    for text in texts {
        run::<DB>(test, &format!("INSERT INTO labels (id) VALUES ('{text}')"));
        run::<DB>(
            test,
            &format!(
                "INSERT INTO copies (origin) VALUES ('{text}'); INSERT INTO copies (origin) VALUES (NULL)"
            ),
        );
    }
    for owner in ["a", "A", "b/c", "ü "] {
        for number in [1, -2, 30] {
            run::<DB>(test, &format!("INSERT INTO places (owner, number) VALUES ('{owner}', {number})"));
        }
    }
}

/// All ids, so many at a time.
async fn paged<DB: PromiscuousBackend>(
    rows: &DieselSubscribedRows<DB>,
    model: usize,
    limit: usize,
) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    loop {
        let next = rows.ids_after(model, all.last().map(String::as_str), limit).await.unwrap();
        assert!(next.len() <= limit && all.len() < 1000, "{next:?}");
        if next.is_empty() {
            return all;
        }
        all.extend(next);
    }
}

/// Columns with their types.
type Columns = &'static [(&'static str, SqlType)];

const IDS: [(usize, &str, Columns); 5] = [
    (ITEM, "items", &[("id", SqlType::Int)]),
    (LABEL, "labels", &[("id", SqlType::Text)]),
    (PLACE, "places", &[("owner", SqlType::Text), ("number", SqlType::Int)]),
    (COPY, "copies", &[("origin", SqlType::Text)]),
    (LINK, "links", &[("item", SqlType::Int)]),
];

/// The ids of a table in the order of their columns, as a plain SELECT has them.
fn selected<DB: PromiscuousBackend>(test: &TestDatabase, columns: Columns, table: &str) -> Vec<String> {
    let names = columns.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
    let text = format!("SELECT {names} FROM {table} WHERE {} IS NOT NULL ORDER BY {names}", columns[0].0);
    let types: Vec<SqlType> = columns.iter().map(|(_, of)| *of).collect();
    let rows = crate::sql::query(&mut test.connect::<DB>(), Sql::new(DB::DIALECT, &text), &types).unwrap();
    let part = |value: &SqlValue| match value {
        SqlValue::Int(number) => number.to_string(),
        SqlValue::Text(text) => text.clone(),
        SqlValue::Null => panic!("an id that is NULL"),
    };
    let id =
        |row: &Vec<SqlValue>| encode_id(row.iter().map(part).collect::<Vec<_>>().iter().map(String::as_str));
    rows.iter().map(id).collect()
}

async fn pages<DB: Tested>(test: TestDatabase) {
    // Given keys of numbers, text and several columns, and foreign keys of which some are NULL.
    let rows = prepare::<DB>(&test);
    insert_awkward_ids::<DB>(&test);
    for (model, table, columns) in IDS {
        let expected = selected::<DB>(&test, columns, table);
        assert!(expected.len() >= 6);
        for limit in [1, 2, 5, expected.len(), 500] {
            // When they are paged through, then each comes once, where a plain SELECT has it.
            assert_eq!(paged(&rows, model, limit).await, expected, "{table}, {limit} at a time");
        }
    }
}

async fn found_again<DB: Tested>(test: TestDatabase) {
    // Given composite ids, too, which a foreign key of text keeps as they are written.
    let rows = prepare::<DB>(&test);
    insert_awkward_ids::<DB>(&test);
    run::<DB>(&test, "INSERT INTO copies (origin) VALUES ('S%C3%A3o,1'), ('b%2Fc,-2,%')");
    for (model, table, _) in IDS {
        let ids = paged(&rows, model, 500).await;
        // When their rows are asked for, in another order, then each is there under its id.
        let mut asked = ids.clone();
        asked.reverse();
        let mut read: Vec<String> =
            rows.read(model, &asked).await.unwrap().into_iter().map(|row| row.id).collect();
        read.sort();
        asked.sort();
        assert_eq!(read, asked, "{table}");
        // Then applying a message with such an id finds the row, too.
        for id in &ids {
            let gone = operation(OperationKind::Destroy, id, Json::Null);
            assert_eq!(rows.compare(model, &gone).await.unwrap(), Comparison::Same, "{table} {id}");
        }
        if model == COPY {
            assert!(ids.contains(&"S%C3%A3o,1".to_owned()) && ids.contains(&"b%2Fc,-2,%".to_owned()));
            assert!(ids.contains(&"a%2C%20b".to_owned()) && ids.contains(&"%".to_owned()), "{ids:?}");
        }
    }
}

async fn empty<DB: Tested>(test: TestDatabase) {
    let rows = prepare::<DB>(&test);
    run::<DB>(&test, "INSERT INTO copies (origin) VALUES (NULL); INSERT INTO links (item) VALUES (NULL)");
    for (model, id) in [(ITEM, "5"), (LABEL, "x"), (PLACE, "x,1"), (COPY, "x,1"), (LINK, "5")] {
        assert!(rows.ids_after(model, None, 10).await.unwrap().is_empty());
        assert!(rows.ids_after(model, Some(id), 10).await.unwrap().is_empty());
        assert!(rows.read(model, &texts(&[id])).await.unwrap().is_empty());
        assert!(rows.read(model, &[]).await.unwrap().is_empty());
    }
}

async fn strangers<DB: Tested>(test: TestDatabase) {
    let rows = prepare::<DB>(&test);
    for (model, id, wanted) in [
        (ITEM, "secret", "`id` wants the id of a column of i64"),
        (ITEM, "007", "`id` wants the id of a column of i64"),
        (ITEM, "1,2", "one part for each of id"),
        (PLACE, "secret", "one part for each of owner, number"),
        (PLACE, "secret,x", "`number` wants"),
        (LINK, "secret", "`item` wants"),
        (COPY, "%secret", "one part for each of origin"),
    ] {
        let error = rows.ids_after(model, Some(id), 5).await.unwrap_err();
        let said = chain(&error);
        assert_eq!(error.kind, DatabaseErrorKind::Other);
        assert!(said.contains(wanted) && said.contains("begin from the start"), "{said}");
        assert!(!said.contains("secret") && !said.contains("007"), "{said}");
    }
    let unknown = rows.ids_after(7, None, 5).await.unwrap_err();
    assert!(chain(&unknown).contains("no subscribed model 7"), "{}", chain(&unknown));
    assert!(rows.read(7, &[]).await.is_err() && rows.attributes(7).is_empty());
    assert_eq!(rows.attributes(ITEM), ["name", "price", "at", "weight"]);
}

diesel::table! {
    tokens (id) {
        id -> Uuid,
        note -> Text,
    }
}

#[derive(Queryable, Selectable, Subscribe)]
#[diesel(table_name = tokens)]
#[subscribe(attributes(note), backend(Pg))]
struct Token {
    id: Uuid,
    note: String,
}

#[tokio::test]
async fn uuids_of_postgres_are_paged_and_found() {
    let Some(test) = TestDatabase::served::<PgConnection>("TEST_POSTGRES_URL") else { return };
    test.create::<Pg>("CREATE TABLE tokens (id UUID PRIMARY KEY, note TEXT NOT NULL)");
    let rows = rows_of::<Pg>(
        &test,
        Models::new().subscribe::<Token>().subscribed().unwrap(),
        ApplyOptions::default(),
    );
    let mut expected: Vec<String> = (0..7).map(|_| Uuid::now_v7().to_string()).collect();
    for id in &expected {
        run::<Pg>(&test, &format!("INSERT INTO tokens VALUES ('{id}', 'note of {id}')"));
    }
    expected.sort();
    for limit in [1, 3, 7] {
        assert_eq!(paged(&rows, 0, limit).await, expected);
    }
    let asked = [expected[3].clone(), Uuid::now_v7().to_string(), "no uuid".into()];
    let read = rows.read(0, &asked).await.unwrap();
    assert_eq!((read.len(), &read[0].id), (1, &expected[3]));
    assert_eq!(read[0].attributes["note"], format!("note of {}", expected[3]));
    assert!(rows.ids_after(0, Some("no uuid"), 5).await.is_err());
}

#[tokio::test]
async fn a_key_of_mariadb_s_that_cannot_be_gone_through_is_refused() {
    // Given an ENUM, which is ordered as it was declared and compared as text.
    let Some(test) = TestDatabase::served::<MysqlConnection>("TEST_MARIADB_URL") else { return };
    let rows = prepare::<Mysql>(&test);
    run::<Mysql>(
        &test,
        "DROP TABLE labels; CREATE TABLE labels (id ENUM('b', 'a', 'c') NOT NULL PRIMARY KEY, note TEXT NOT NULL DEFAULT '');
         INSERT INTO labels (id) VALUES ('a'), ('b'), ('c')",
    );
    let error = chain(&rows.ids_after(LABEL, None, 2).await.unwrap_err());
    assert!(error.contains("does not order") && error.contains("the subscribed model `Label`"), "{error}");
}
