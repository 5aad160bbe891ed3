//! The blog's tables from outside, through Diesel's own connection.

use diesel::prelude::*;
use diesel_migrations::MigrationHarness;

use super::blog::models::{Post, User};
use super::blog::schema::{posts, users};
use super::{DbConnection, MIGRATIONS};

/// Creates them, for a database that the blog itself does not run on.
pub fn create(url: &str) {
    let mut connection = DbConnection::establish(url).unwrap();
    connection.run_pending_migrations(MIGRATIONS).map(drop).unwrap();
}

/// All rows. What the database's clock has written into them is left out where two runs are compared.
pub fn rows(url: &str, moments: bool) -> Vec<String> {
    let connection = &mut DbConnection::establish(url).unwrap();
    let all: Vec<Post> = posts::table.order(posts::id).load(connection).unwrap();
    let mut rows: Vec<_> = all.into_iter().map(|post| format!("{post:?}")).collect();
    let all: Vec<User> = users::table.order(users::id).load(connection).unwrap();
    rows.extend(all.into_iter().map(|mut user| {
        if !moments {
            (user.created_at, user.updated_at) = Default::default();
        }
        format!("{user:?}")
    }));
    rows
}
