use diesel::prelude::*;
use promiscuous_diesel::Subscribe;

diesel::table! {
    users (id) {
        id -> BigInt,
        name -> Text,
        email -> Nullable<Text>,
    }
}

#[derive(Queryable, Selectable, Subscribe)]
#[diesel(table_name = users, primary_key(name, number))]
#[subscribe(attributes(email), backend(Sqlite))]
struct User {
    name: String,
    email: Option<String>,
}

fn main() {}
