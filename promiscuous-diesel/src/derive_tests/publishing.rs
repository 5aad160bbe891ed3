//! Rows, as they are published.

use diesel::prelude::*;
use diesel::sqlite::Sqlite;
use serde_json::json;

use super::database::{Fresh, Tested, on_each, published};
use crate::model::PublishOn;
use crate::publication::describe;
use crate::{Attribute, IdPart, Publish};

diesel::table! {
    people (id) {
        id -> BigInt,
        first -> Text,
        #[sql_name = "last name"]
        last -> Nullable<Text>,
        #[sql_name = "type"]
        r#type -> Text,
        password -> Text,
    }
}

diesel::table! {
    shop.carts (owner, place) {
        owner -> Text,
        place -> BigInt,
        note -> Text,
    }
}

/// With a renamed column, a keyword, a method, and a secret.
#[derive(Queryable, Selectable, Publish)]
#[diesel(table_name = people)]
#[publish(attributes(first, r#type, family), virtual_attributes(full_name, initials))]
#[allow(dead_code)]
struct Person {
    id: i64,
    first: String,
    #[diesel(column_name = last)]
    family: Option<String>,
    r#type: String,
    password: String,
}

impl Person {
    fn full_name(&self) -> String {
        [Some(self.first.as_str()), self.family.as_deref()]
            .into_iter()
            .flatten()
            .collect::<Vec<_>>()
            .join(" ")
    }

    fn initials(&self) -> Vec<char> {
        self.full_name().split(' ').filter_map(|name| name.chars().next()).collect()
    }
}

/// Only what is published and the key need fields; the order is the struct's own.
#[derive(Publish)]
#[diesel(table_name = carts)]
#[diesel(primary_key(owner, place))]
#[publish(to = "store/basket", as = "Basket", types("Basket", "Thing"))]
#[allow(dead_code)]
struct Cart {
    #[publish]
    note: String,
    #[diesel(deserialize_as = i64)]
    place: Place,
    owner: String,
}

/// What `deserialize_as` converts to.
#[derive(Attribute, IdPart)]
struct Place(i64);

impl TryFrom<i64> for Place {
    type Error = String;

    fn try_from(place: i64) -> Result<Self, String> {
        if place < 0 { Err(format!("{place} is secret")) } else { Ok(Self(place)) }
    }
}

#[test]
fn the_declaration_and_diesel_s_names_become_the_model() {
    let model = describe::<Sqlite, Person>("crowdtap").unwrap();
    assert_eq!(model.endpoint.as_str(), "crowdtap/person");
    assert_eq!((model.name.as_str(), model.types.as_slice()), ("Person", ["Person".to_owned()].as_slice()));
    assert_eq!((model.table.schema.as_deref(), model.table.name.as_str()), (None, "people"));
    assert_eq!(model.table.primary_key, ["id"]);
    assert_eq!(model.table.attribute_columns, ["first", "type", "last name"]);
    assert!(model.table.has_virtual_attributes);
    // Virtual attributes may use any column.
    assert_eq!(model.columns, ["id", "first", "last name", "type", "password"]);
    assert_eq!(Person::declaration().attributes, ["first", "type", "family"]);

    let model = describe::<diesel::pg::Pg, Cart>("crowdtap").unwrap();
    assert_eq!(model.endpoint.as_str(), "store/basket");
    assert_eq!((model.name.as_str(), model.types.len()), ("Basket", 2));
    assert_eq!((model.table.schema.as_deref(), model.table.name.as_str()), (Some("shop"), "carts"));
    assert_eq!(model.table.primary_key, ["owner", "place"]);
    assert_eq!((model.columns, model.table.attribute_columns), (vec!["note".into()], vec!["note".into()]));
    let model = describe::<diesel::mysql::Mysql, Cart>("crowdtap").unwrap();
    assert_eq!((model.table.schema.as_deref(), model.table.name.as_str()), (Some("shop"), "carts"));
}

#[test]
fn an_endpoint_that_is_none_is_an_error_at_start() {
    assert!(describe::<Sqlite, Person>("crowd tap").is_err());
}

on_each! {
    only_what_is_listed_leaves;
    a_row_without_a_key_has_no_id;
    a_row_that_cannot_be_read_is_an_error_that_tells_no_value;
}

const PEOPLE: &str =
    "(id BIGINT PRIMARY KEY, first TEXT NOT NULL, last TEXT, kind TEXT NOT NULL, password TEXT NOT NULL)";

fn only_what_is_listed_leaves<DB>()
where
    DB: Tested<Connection: diesel::connection::LoadConnection>,
    Person: PublishOn<DB>,
    DB: diesel::expression::QueryMetadata<diesel::sql_types::Untyped>,
    diesel::query_builder::SqlQuery: diesel::query_builder::QueryFragment<DB>,
{
    let Some(mut db) = Fresh::<DB>::with(&format!(
        "CREATE TABLE people {PEOPLE}; INSERT INTO people VALUES (1, 'Ann', 'O''Hara', 'admin', 'secret'), (-2, 'Joe', NULL, '', 'secret')"
    )) else {
        return;
    };
    let sql = "SELECT id, id, first, last, kind, password FROM people ORDER BY id DESC";
    let rows: Vec<_> =
        published::<DB, Person, _>(diesel::sql_query(sql), &mut db).into_iter().map(Result::unwrap).collect();
    assert_eq!(rows[0].0.as_deref(), Some("1"));
    assert_eq!(
        json!(rows[0].1),
        json!({"first": "Ann", "family": "O'Hara", "type": "admin", "full_name": "Ann O'Hara", "initials": ["A", "O"]})
    );
    assert_eq!(rows[1].0.as_deref(), Some("-2"));
    assert_eq!(
        json!(rows[1].1),
        json!({"first": "Joe", "family": null, "type": "", "full_name": "Joe", "initials": ["J"]})
    );
}

fn a_row_without_a_key_has_no_id<DB>()
where
    DB: Tested<Connection: diesel::connection::LoadConnection>,
    Cart: PublishOn<DB>,
    DB: diesel::expression::QueryMetadata<diesel::sql_types::Untyped>,
    diesel::query_builder::SqlQuery: diesel::query_builder::QueryFragment<DB>,
{
    // Given the rows of an outer join, of which one has no cart, one half a key, and one an awkward key.
    let Some(mut db) = Fresh::<DB>::with(
        "CREATE TABLE carts (owner VARCHAR(20), place BIGINT, note TEXT NOT NULL);
         INSERT INTO carts VALUES (NULL, NULL, 'none'), ('a', NULL, 'half'), ('São/1', 7, 'whole')",
    ) else {
        return;
    };
    let sql = "SELECT owner, place, note FROM carts ORDER BY note";
    let rows = published::<DB, Cart, _>(diesel::sql_query(sql), &mut db);
    let ids: Vec<_> = rows.into_iter().map(|row| row.unwrap().0).collect();
    assert_eq!(ids, [None, None, Some("S%C3%A3o%2F1,7".to_owned())]);
}

fn a_row_that_cannot_be_read_is_an_error_that_tells_no_value<DB>()
where
    DB: Tested<Connection: diesel::connection::LoadConnection>,
    Cart: PublishOn<DB>,
    DB: diesel::expression::QueryMetadata<diesel::sql_types::Untyped>,
    diesel::query_builder::SqlQuery: diesel::query_builder::QueryFragment<DB>,
{
    let Some(mut db) = Fresh::<DB>::with(
        "CREATE TABLE carts (owner VARCHAR(20), place BIGINT, note TEXT);
         INSERT INTO carts VALUES ('a', 1, NULL), ('b', -77, 'secret')",
    ) else {
        return;
    };
    let sql = "SELECT owner, place, note FROM carts ORDER BY owner";
    let rows = published::<DB, Cart, _>(diesel::sql_query(sql), &mut db);
    let errors: Vec<_> = rows.into_iter().map(|row| row.unwrap_err().to_string()).collect();
    assert!(errors[0].contains("`note`") && errors[0].contains("it is NULL"), "{}", errors[0]);
    assert!(errors[1].contains("`place`") && errors[1].contains("cannot be converted"), "{}", errors[1]);
    assert!(
        errors
            .iter()
            .all(|error| error.contains("`carts`") && !error.contains("77") && !error.contains("secret"))
    );
}
