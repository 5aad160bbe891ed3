//! The derives as their users meet them: in a program, and in what the compiler says about a wrong use.
#![cfg(all(feature = "postgres", feature = "mysql", feature = "sqlite"))]

use diesel::prelude::*;
use diesel::sqlite::Sqlite;
use promiscuous_diesel::subscription::{CallbackResult, Callbacks, Connection};
use promiscuous_diesel::{Consistency, Models, Publish, Subscribe};

mod schema {
    diesel::table! {
        users (id) {
            id -> BigInt,
            email -> Text,
            score -> Integer,
        }
    }

    diesel::table! {
        posts (id) {
            id -> BigInt,
            body -> Text,
        }
    }
}

use schema::{posts, users};

/// Subscribed here, and published again with an attribute of its own: a decorator.
#[derive(Queryable, Selectable, Publish, Subscribe)]
#[diesel(table_name = users)]
#[subscribe(
    from = "crowdtap/user",
    attributes(email),
    virtual_attributes(name),
    consistency = "weak",
    callbacks,
    backend(Pg, Sqlite)
)]
#[publish(attributes(score), virtual_attributes(name))]
#[allow(dead_code)]
struct User {
    id: i64,
    email: String,
    score: i32,
}

impl User {
    fn name(&self) -> String {
        self.email.clone()
    }
}

impl UserChanges {
    fn set_name(&mut self, name: String) {
        self.email = Some(name);
    }
}

impl Callbacks<Sqlite> for User {
    fn before_create(changes: &mut UserChanges, _connection: &mut Connection<Sqlite>) -> CallbackResult {
        changes.score = Some(0);
        Ok(())
    }
}

impl Callbacks<diesel::pg::Pg> for User {}

/// Only published, and only from PostgreSQL.
#[derive(Publish)]
#[diesel(table_name = posts)]
#[publish(backend(Pg))]
#[allow(dead_code)]
struct Post {
    id: i64,
    #[publish]
    body: String,
}

#[test]
fn every_derived_model_of_the_program_is_known_once_for_each_of_its_backends() {
    let endpoints = |models: Vec<&str>| models.join(" ");
    let published = Models::<Sqlite>::of_this_program().published("sniper").unwrap();
    assert_eq!(endpoints(published.iter().map(|model| model.endpoint.as_str()).collect()), "sniper/user");
    let published = Models::<diesel::pg::Pg>::of_this_program().published("sniper").unwrap();
    assert_eq!(
        endpoints(published.iter().map(|model| model.endpoint.as_str()).collect()),
        "sniper/post sniper/user"
    );
    let subscribed = Models::<diesel::mysql::Mysql>::of_this_program().subscribed().unwrap();
    assert!(subscribed.subscriptions().is_empty());
    let subscribed = Models::<Sqlite>::of_this_program().subscribed().unwrap();
    assert_eq!(subscribed.iter().map(|model| model.table.as_str()).collect::<Vec<_>>(), ["users"]);
    assert!(subscribed.subscriptions().wants("crowdtap/user"));
}

#[test]
fn an_endpoint_may_be_known_only_at_run_time() {
    let models = Models::<Sqlite>::new().subscribe_from::<User>("staging/user");
    let subscribed = models.subscribed().unwrap();
    assert!(
        subscribed.subscriptions().wants("staging/user")
            && !subscribed.subscriptions().wants("crowdtap/user")
    );
    assert!(Models::<Sqlite>::new().subscribe_from::<User>("stag ing/user").subscribed().is_err());
}

#[test]
fn wanting_or_publishing_the_same_twice_is_an_error_at_start() {
    let twice = Models::<Sqlite>::new().subscribe::<User>().subscribe::<User>();
    let error = twice.subscribed().err().map(|error| error.to_string()).unwrap_or_default();
    assert!(error.contains("subscribe to `User` of crowdtap/user"), "{error}");
    let twice = Models::<Sqlite>::new().publish::<User>().publish::<User>();
    let error = twice.published("sniper").err().map(|error| error.to_string()).unwrap_or_default();
    assert!(error.contains("two models are published as sniper/user"), "{error}");
}

#[test]
fn two_consistencies_of_one_endpoint_are_an_error_at_start() {
    assert_eq!(<User as Subscribe>::declaration().consistency, Some(Consistency::Weak));
    let two = Models::<Sqlite>::new().subscribe::<User>().subscribe_with::<User>(|admin| {
        (admin.name, admin.named, admin.consistency) = ("Admin".into(), true, None);
    });
    let two = two.subscribed().unwrap().subscriptions().clone();
    assert!(two.clone().with_default(Consistency::Weak).is_ok());
    let error = two.with_default(Consistency::Causal).unwrap_err().to_string();
    assert!(error.contains("ask for two consistencies, `weak` and `causal`"), "{error}");
}

// What the compiler lists depends on what is there to be listed.
#[cfg(all(feature = "chrono", feature = "time", feature = "numeric"))]
#[test]
fn wrong_uses_say_what_to_do() {
    trybuild::TestCases::new().compile_fail("tests/compile_fail/*.rs");
}
