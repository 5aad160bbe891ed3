//! `docs/wire-format.schema.json` describes what is really published, and nothing else.

use std::time::Duration;

use jsonschema::Validator;
use promiscuous_core::key::Endpoint;
use promiscuous_core::message::Message;
use promiscuous_core::operation::{Operation, OperationKind};
use promiscuous_seaorm::Context;
use promiscuous_tests::until;
use sea_orm::{ActiveModelTrait, EntityTrait, IntoActiveModel, Set};
use serde_json::{Value as Json, json};
use uuid::Uuid;

use crate::both_ways;
use crate::replica::{Kind, Pair, SOON, count};

/// One attribute for each form of value.
mod sample {
    use promiscuous_seaorm::{Publish, Subscribe};
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
    #[sea_orm(rs_type = "String", db_type = "Text")]
    pub enum Color {
        #[sea_orm(string_value = "r")]
        Red,
    }

    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, DeriveEntityModel, Publish, Subscribe)]
    #[sea_orm(table_name = "samples")]
    #[publish(attributes(
        flag, big, precise, words, amount, day, hour, naive, utc, guid, document, bytes, color, empty
    ))]
    #[subscribe(
        from = "shop/sample",
        attributes(
            flag, big, precise, words, amount, day, hour, naive, utc, guid, document, bytes, color, empty
        )
    )]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub place: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub number: i32,
        pub flag: bool,
        pub big: i64,
        pub precise: f64,
        pub words: String,
        pub amount: Decimal,
        pub day: Date,
        pub hour: Time,
        pub naive: DateTime,
        pub utc: DateTimeUtc,
        pub guid: Uuid,
        pub document: Json,
        pub bytes: Vec<u8>,
        pub color: Color,
        pub empty: Option<String>,
    }

    impl ActiveModelBehavior for ActiveModel {}
}

fn tables(kind: Kind) -> Vec<String> {
    let [bytes, precise, amount, hour, naive, utc, guid, json] = match kind {
        Kind::Postgres => [
            "BYTEA",
            "DOUBLE PRECISION",
            "NUMERIC(20, 2)",
            "TIME",
            "TIMESTAMP",
            "TIMESTAMPTZ",
            "UUID",
            "JSON",
        ],
        Kind::MariaDb => [
            "BLOB",
            "DOUBLE",
            "DECIMAL(20, 2)",
            "TIME(6)",
            "DATETIME(6)",
            "DATETIME(6)",
            "BINARY(16)",
            "JSON",
        ],
        Kind::Sqlite => ["BLOB", "REAL", "REAL", "TIME", "TEXT", "TEXT", "BLOB", "TEXT"],
    };
    vec![format!(
        "CREATE TABLE samples (place VARCHAR(100) NOT NULL, number INTEGER NOT NULL, flag BOOLEAN NOT NULL, \
         big BIGINT NOT NULL, precise {precise} NOT NULL, words TEXT NOT NULL, amount {amount} NOT NULL, \
         day DATE NOT NULL, hour {hour} NOT NULL, naive {naive} NOT NULL, utc {utc} NOT NULL, guid {guid} NOT NULL, \
         document {json} NOT NULL, bytes {bytes} NOT NULL, color VARCHAR(9) NOT NULL, empty TEXT, \
         PRIMARY KEY (place, number))"
    )]
}

fn sample(number: i32) -> sample::Model {
    let moment = chrono::DateTime::parse_from_rfc3339("2025-11-20T09:30:00.000001Z").unwrap();
    sample::Model {
        place: "São Paulo/a,b".into(),
        number,
        flag: true,
        big: i64::MIN,
        precise: 0.1,
        words: "hi".into(),
        amount: "12.25".parse().unwrap(),
        day: moment.date_naive(),
        hour: moment.time(),
        naive: moment.naive_utc(),
        utc: moment.to_utc(),
        guid: Uuid::from_u128(255),
        document: json!({"a": [1, null]}),
        bytes: vec![0, 255],
        color: sample::Color::Red,
        empty: None,
    }
}

fn schema() -> Validator {
    let text = include_str!("../../../docs/wire-format.schema.json");
    let schema: Json = serde_json::from_str(text).unwrap();
    assert!(jsonschema::meta::is_valid(&schema), "the schema is none");
    jsonschema::validator_for(&schema).unwrap()
}

fn assert_valid(schema: &Validator, message: &Json) {
    let errors: Vec<String> =
        schema.iter_errors(message).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(errors.is_empty(), "{errors:#?}\n{message:#}");
}

async fn what_is_published_keeps_to_the_schema(kind: Kind) {
    // given
    let mut pair = Pair::new(kind, Kind::Sqlite, both_ways![sample], tables);
    pair.adjust = |settings| {
        settings.host = Some("web-1".into());
        settings.total_order = true;
        settings.deadline = Duration::from_millis(200);
        settings.look_every = Duration::from_millis(50);
    };
    let mut replica = pair.start().await;

    // when: a create, an update, a transaction that has read, a destroy, and a dummy
    let db = replica.here.with_context(Context::for_user("samples/create", "42"));
    sample(1).into_active_model().reset_all().insert(&db).await.unwrap();
    let mut changed = sample(1).into_active_model();
    changed.words = Set("changed".into());
    changed.update(&db).await.unwrap();
    let transaction = db.begin().await.unwrap();
    sample::Entity::find().all(&transaction).await.unwrap();
    sample(2).into_active_model().reset_all().insert(&transaction).await.unwrap();
    sample(3).into_active_model().reset_all().insert(&transaction).await.unwrap();
    transaction.commit().await.unwrap();
    sample::Entity::delete_by_id(("São Paulo/a,b".to_owned(), 1)).exec(&db).await.unwrap();
    let dead = Operation {
        operation: OperationKind::Destroy,
        endpoint: Endpoint::parse("shop/sample").unwrap(),
        types: vec!["Sample".into()],
        id: "S%C3%A3o%20Paulo%2Fa%2Cb,2".into(),
        attributes: None,
    };
    let publisher = replica.here.publisher().unwrap().clone();
    publisher.lock_and_bump(vec![dead], None).await.unwrap().unwrap().failed();
    let here = replica.plain_here().clone();
    until(SOON, "a fence", async || {
        (count(&here, "promiscuous_outbox WHERE state = 2").await == 1).then_some(())
    })
    .await;

    // then
    let schema = schema();
    let mut messages: Vec<Json> =
        replica.bodies().await.iter().map(|body| serde_json::from_slice(body).unwrap()).collect();
    messages.sort_by_key(|message| message["id"].as_str().unwrap().to_owned());
    messages.dedup_by_key(|message| message["id"].clone());
    for message in &messages {
        assert_valid(&schema, message);
    }
    let kinds: Vec<Vec<&str>> = messages
        .iter()
        .map(|message| {
            let operations = message["operations"].as_array().unwrap();
            operations.iter().map(|operation| operation["operation"].as_str().unwrap()).collect()
        })
        .collect();
    assert_eq!(kinds, [vec!["create"], vec!["update"], vec!["create", "create"], vec!["destroy"], vec![]]);
    assert_eq!(messages[0]["host"], "web-1");
    assert_eq!(messages[0]["context"], "samples/create");
    assert_eq!(messages[0]["current_user_id"], "42");
    for (before, message) in messages.iter().zip(&messages[1..]) {
        let place =
            |message: &Json| message["dependencies"]["write"].as_array().unwrap().last().unwrap().clone();
        let (before, place) = (place(before), place(message));
        assert_eq!((&place["key"], &place["previous"]), (&json!("shop/*"), &before["version"]));
    }
    assert_eq!(messages[2]["dependencies"]["read"][0]["ordinals"], json!({"shop/sample": 1}));
    assert_eq!(messages[3]["dependencies"]["write"][0]["key"], "shop/sample/S%C3%A3o%20Paulo%2Fa%2Cb,1");

    // And the values have the forms that wire-format.md lists.
    assert_eq!(
        messages[0]["operations"][0]["attributes"],
        json!({
            "flag": true,
            "big": i64::MIN,
            "precise": 0.1,
            "words": "hi",
            "amount": "12.25",
            "day": "2025-11-20",
            "hour": "09:30:00.000001",
            "naive": "2025-11-20T09:30:00.000001",
            "utc": "2025-11-20T09:30:00.000001Z",
            "guid": "00000000-0000-0000-0000-0000000000ff",
            "document": {"a": [1, null]},
            "bytes": "AP8=",
            "color": "r",
            "empty": null,
        })
    );
}

#[tokio::test]
async fn what_postgres_publishes_keeps_to_the_schema() {
    what_is_published_keeps_to_the_schema(Kind::Postgres).await;
}

#[tokio::test]
async fn what_mariadb_publishes_keeps_to_the_schema() {
    what_is_published_keeps_to_the_schema(Kind::MariaDb).await;
}

#[tokio::test]
async fn what_sqlite_publishes_keeps_to_the_schema() {
    what_is_published_keeps_to_the_schema(Kind::Sqlite).await;
}

/// The example of `docs/wire-format.md`.
fn example() -> Json {
    let text = include_str!("../../../docs/wire-format.md");
    let begin = text.find("```json\n").expect("wire-format.md has an example") + "```json\n".len();
    let end = text[begin..].find("```").unwrap() + begin;
    serde_json::from_str(&text[begin..end]).unwrap()
}

#[test]
fn the_documentation_s_example_is_a_message() {
    assert_valid(&schema(), &example());
    Message::decode(example().to_string().as_bytes()).unwrap();
}

#[test]
fn what_is_no_message_fails_the_schema_and_the_decoder() {
    let schema = schema();
    for (pointer, wrong) in [
        ("/id", json!("7")),
        ("/id", json!(null)),
        ("/app", json!(7)),
        ("/timestamp", json!("now")),
        ("/timestamp", json!(-1)),
        ("/generation", json!(1.5)),
        ("/operations", json!(null)),
        ("/operations/0/operation", json!("upsert")),
        ("/operations/0/endpoint", json!("post")),
        ("/operations/0/endpoint", json!("a/b/c")),
        ("/operations/0/types", json!([])),
        ("/operations/0/types", json!("Post")),
        ("/operations/0/id", json!(9)),
        ("/operations/0/id", json!("a b")),
        ("/operations/0/id", json!("a/b")),
        ("/operations/0/id", json!("")),
        ("/operations/0/attributes", json!(null)),
        ("/operations/0/attributes", json!([])),
        ("/dependencies", json!([])),
        ("/dependencies/write/0/key", json!("crowdtap/post")),
        ("/dependencies/read/0/key", json!("crowdtap/*")),
        ("/dependencies/external/0/key", json!("accounts/*")),
        ("/dependencies/write/0/version", json!("1")),
        ("/dependencies/write/0/previous", json!(-1)),
        ("/dependencies/write/0/readers", json!({"post": 1})),
        ("/dependencies/read/0/ordinals", json!({"crowdtap/post": null})),
        ("/dependencies/external/0/generation", json!(null)),
    ] {
        let mut message = example();
        *message.pointer_mut(pointer).unwrap_or_else(|| panic!("the example has no {pointer}")) =
            wrong.clone();
        assert!(!schema.is_valid(&message), "{pointer} = {wrong}");
        assert!(Message::decode(message.to_string().as_bytes()).is_err(), "{pointer} = {wrong}");
    }
    for field in ["id", "app", "timestamp", "generation", "operations"] {
        let mut message = example();
        message.as_object_mut().unwrap().remove(field);
        assert!(!schema.is_valid(&message), "without {field}");
        assert!(Message::decode(message.to_string().as_bytes()).is_err(), "without {field}");
    }
}

#[test]
fn fields_of_tomorrow_and_absent_optional_ones_are_no_errors() {
    let schema = schema();
    let mut message = example();
    message["tomorrow"] = json!([]);
    message["operations"][0]["tomorrow"] = json!(1);
    message["dependencies"]["write"][0]["tomorrow"] = json!({});
    for optional in ["host", "context", "current_user_id"] {
        message.as_object_mut().unwrap().remove(optional);
    }
    assert_valid(&schema, &message);
    Message::decode(message.to_string().as_bytes()).unwrap();

    message.as_object_mut().unwrap().remove("dependencies");
    assert_valid(&schema, &message);
    Message::decode(message.to_string().as_bytes()).unwrap();
}
