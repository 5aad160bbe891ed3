//! Somebody's app, written after Diesel's guides "Getting Started", "All About Updates" and "All About Inserts". What it knows of
//! promiscuous is the type of its connection, which is said outside.

pub mod getting_started;
pub mod inserts;
pub mod models;
pub mod schema;
pub mod updates;

use std::env;

use diesel::prelude::*;
use diesel_migrations::MigrationHarness;

use super::{DbConnection, MIGRATIONS, dialect};

pub fn establish_connection() -> DbConnection {
    let database_url = env::var("DATABASE_URL").expect("DATABASE_URL must be set");
    DbConnection::establish(&database_url)
        .unwrap_or_else(|error| panic!("Error connecting to {database_url}: {error}"))
}

pub fn run_migrations() {
    let connection = &mut establish_connection();
    let done = connection.run_pending_migrations(MIGRATIONS).expect("Error running migrations");
    println!("{} migrations were run", done.len());
}

/// A day in the life of the blog. Its first post comes from the standard input.
pub fn run() {
    run_migrations();

    getting_started::write_post();
    getting_started::show_posts();
    getting_started::publish_post(1);
    getting_started::show_posts();
    for title in ["Diesel demo", "Another demo", "Keep me"] {
        let post = dialect::create_post(&mut establish_connection(), title, "Lorem ipsum");
        println!("Saved draft {} with id {}", post.title, post.id);
    }
    getting_started::get_post(1);
    getting_started::get_post(99);
    getting_started::delete_post("demo");
    getting_started::get_post(2);

    updates::all_about_updates().expect("Error updating");
    dialect::all_about_updates(&mut establish_connection()).expect("Error updating");
    inserts::all_about_inserts().expect("Error inserting");
    dialect::all_about_inserts(&mut establish_connection()).expect("Error inserting");
    getting_started::show_posts();
}
