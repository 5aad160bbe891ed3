use uuid::Uuid;

use super::*;

on_each! {
    every_row_comes_once_and_in_order_however_many_at_a_time = pages;
    a_stretch_is_read_from_its_first_to_its_last_row = stretches;
    text_is_ordered_as_the_database_does_by_default = collated;
    an_empty_table_has_no_rows = empty;
    what_is_gone_is_told_from_what_is_there_and_from_what_can_be_no_id = missing;
}

fn insert_awkward_keys<DB: PromiscuousBackend>(test: &TestDatabase) {
    let mut connection = fill::<DB>(test, 0);
    for id in ["-3", "5", "9223372036854775807", "-9223372036854775808", "40", "0"] {
        connection.batch_execute(&format!("INSERT INTO items VALUES ({id}, 'x')")).unwrap();
    }
    let texts =
        ["a/b", "a b", "O''Hara", "Straße", "A", "a", "ä", "%", "", "a,b", "1", "10", "9", "Ω", "\u{1F370}"];
    for text in texts {
        connection.batch_execute(&format!("INSERT INTO labels (id) VALUES ('{text}')")).unwrap();
    }
    for owner in ["a", "A", "b/c", "ü "] {
        for (place, slot) in [(1, 1), (1, -2), (1, 10), (-2, 5), (30, 0)] {
            let values = format!("('{owner}', {place}, {slot}, '{owner} {place} {slot}')");
            connection.batch_execute(&format!("INSERT INTO carts VALUES {values}")).unwrap();
        }
    }
}

/// Columns with their types.
type Columns = &'static [(&'static str, SqlType)];

const KEYS: [(usize, &str, Columns); 3] = [
    (ITEM, "items", &[("id", SqlType::Int)]),
    (LABEL, "labels", &[("id", SqlType::Text)]),
    (CART, "carts", &[("owner", SqlType::Text), ("place", SqlType::Int), ("slot", SqlType::Int)]),
];

async fn pages<DB: Tested>(test: TestDatabase) {
    // Given keys of numbers, text, and several columns.
    let rows = prepare::<DB>(&test);
    insert_awkward_keys::<DB>(&test);
    for (model, table, columns) in KEYS {
        let expected = selected::<DB>(&test, columns, table);
        assert!(expected.len() >= 6);
        assert_eq!(rows.count(model, None).await.unwrap(), expected.len() as u64);
        for limit in [1, 2, 3, expected.len(), 500] {
            // When they are paged through, then each comes once, where a plain SELECT has it.
            assert_eq!(paged(&rows, model, None, limit).await, expected, "{table}, {limit} at a time");
        }
    }
}

async fn stretches<DB: Tested>(test: TestDatabase) {
    let rows = prepare::<DB>(&test);
    insert_awkward_keys::<DB>(&test);
    for (model, table, columns) in KEYS {
        let all = selected::<DB>(&test, columns, table);
        for (from, to) in [(0, 0), (0, all.len() - 1), (1, 4), (2, 2), (3, all.len() - 2)] {
            let stretch = Stretch { first: &all[from], last: &all[to] };
            for unless_written in [false, true] {
                let read = rows.read(model, None, stretch, unless_written).await.unwrap();
                let ids: Vec<String> = read.into_iter().map(|row| row.id).collect();
                assert_eq!(ids, all[from..=to], "{table}");
            }
        }
        // Given a stretch whose ends are in the wrong order, then nothing lies between them.
        let stretch = Stretch { first: &all[3], last: &all[2] };
        assert!(rows.read(model, None, stretch, false).await.unwrap().is_empty());
    }
    // Then its rows are what is published of them, the virtual attributes too.
    let one = Stretch { first: "5", last: "5" };
    let read = rows.read(ITEM, None, one, true).await.unwrap();
    assert_eq!((read.len(), read[0].id.as_str()), (1, "5"));
    assert_eq!(Json::from(read[0].attributes.clone()), json!({"name": "x", "shout": "5 X!"}));
    let cart = Stretch { first: "b%2Fc,1,-2", last: "b%2Fc,1,-2" };
    let read = rows.read(CART, None, cart, false).await.unwrap();
    assert_eq!(Json::from(read[0].attributes.clone()), json!({"note": "b/c 1 -2"}));
}

async fn collated<DB: Tested>(test: TestDatabase) {
    // Given text in the collation that a table has when it says none.
    let rows = prepare::<DB>(&test);
    let mut connection = test.connect::<DB>();
    connection
        .batch_execute(
            "DROP TABLE labels; CREATE TABLE labels (id VARCHAR(50) NOT NULL PRIMARY KEY, note VARCHAR(50) NOT NULL DEFAULT '');
             INSERT INTO labels (id) VALUES ('b'), ('A'), ('c'), ('B2'), ('ä2'), ('Z'), ('a-1'), ('a 2'), ('_')",
        )
        .unwrap();
    let expected = selected::<DB>(&test, &[("id", SqlType::Text)], "labels");
    for limit in [1, 2, 4] {
        assert_eq!(paged(&rows, LABEL, None, limit).await, expected);
    }
}

async fn empty<DB: Tested>(test: TestDatabase) {
    let rows = prepare::<DB>(&test);
    for (model, id) in [(ITEM, "5"), (LABEL, "x"), (CART, "x,1,2")] {
        assert_eq!(rows.count(model, None).await.unwrap(), 0);
        assert!(rows.ids_after(model, None, None, 10).await.unwrap().is_empty());
        assert!(rows.ids_after(model, None, Some(id), 10).await.unwrap().is_empty());
        for unless_written in [false, true] {
            let stretch = Stretch { first: id, last: id };
            assert!(rows.read(model, None, stretch, unless_written).await.unwrap().is_empty());
        }
    }
}

async fn missing<DB: Tested>(test: TestDatabase) {
    // Given
    let rows = prepare::<DB>(&test);
    insert_awkward_keys::<DB>(&test);
    let missing = async |model, ids: &[&str]| {
        let ids: Vec<String> = ids.iter().map(|&id| id.to_owned()).collect();
        rows.missing(model, &ids).await.unwrap()
    };
    // then
    assert_eq!(missing(ITEM, &["5", "6", "-3", "no number", "7"]).await, ["6", "7"]);
    assert_eq!(missing(ITEM, &["5"]).await, [""; 0]);
    assert_eq!(missing(ITEM, &[]).await, [""; 0]);
    let carts = ["b%2Fc,1,-2", "b%2Fc,2,-2", "A,1,1", "b,1,1", "A,1"];
    assert_eq!(missing(CART, &carts).await, ["b%2Fc,2,-2", "b,1,1"]);
    assert_eq!(missing(LABEL, &["a%2Fb", "a%2Fc", "%"]).await, ["a%2Fc"]);
    // and of all keys none is
    for (model, table, columns) in KEYS {
        let all = selected::<DB>(&test, columns, table);
        assert_eq!(rows.missing(model, &all).await.unwrap(), [""; 0], "{table}");
    }
}

#[test]
fn models_are_known_by_name() {
    let rows = prepare::<Sqlite>(&TestDatabase::sqlite());
    let known: Vec<_> = rows.models().iter().map(|model| model.name.as_str()).collect();
    assert_eq!(known, ["Cart", "Item", "Label"]);
    let item = &rows.models()[ITEM];
    assert_eq!(
        (item.endpoint.as_str(), item.types.as_slice()),
        ("shop/item", ["Item".to_owned()].as_slice())
    );
}

diesel::table! {
    shop.devices (id) {
        id -> Uuid,
        kind -> Text,
    }
}

/// In a schema, and its key is read into a type that cannot be written.
#[derive(Publish)]
#[diesel(table_name = devices)]
#[publish(attributes(kind), backend(Pg))]
#[allow(dead_code)]
struct Device {
    id: Serial,
    kind: String,
}

#[derive(Attribute, IdPart)]
struct Serial(Uuid);

impl FromSql<diesel::sql_types::Uuid, Pg> for Serial {
    fn from_sql(value: diesel::pg::PgValue<'_>) -> deserialize::Result<Self> {
        FromSql::<diesel::sql_types::Uuid, Pg>::from_sql(value).map(Self)
    }
}

mod written {
    use super::*;

    /// The same with a key that Diesel writes.
    #[derive(Publish)]
    #[diesel(table_name = devices)]
    #[publish(attributes(kind), backend(Pg))]
    #[allow(dead_code)]
    pub(super) struct Device {
        id: Uuid,
        kind: String,
    }
}

#[tokio::test]
async fn uuids_in_a_schema_are_paged_through_on_postgres() {
    let Some(test) = TestDatabase::served::<diesel::PgConnection>("TEST_POSTGRES_URL") else { return };
    test.create::<Pg>(
        "CREATE SCHEMA shop; CREATE TABLE shop.devices (id UUID PRIMARY KEY, kind TEXT NOT NULL)",
    );
    // Anywhere in their order.
    let scattered =
        |number: u128| Uuid::from_u128(number.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835));
    let mut expected: Vec<String> = (1..8).map(|number| scattered(number).to_string()).collect();
    for id in &expected {
        test.connect::<Pg>()
            .batch_execute(&format!("INSERT INTO shop.devices VALUES ('{id}', 'x')"))
            .unwrap();
    }
    expected.sort();
    let (read, written) = (Models::new().publish::<Device>(), Models::new().publish::<written::Device>());
    for models in [read, written] {
        let rows = rows_of(&test, models.published("shop").unwrap());
        for limit in [1, 3, 10] {
            assert_eq!(paged::<Pg>(&rows, 0, None, limit).await, expected);
        }
        let stretch = Stretch { first: &expected[1], last: &expected[4] };
        assert_eq!(rows.read(0, None, stretch, true).await.unwrap().len(), 4);
    }
}
