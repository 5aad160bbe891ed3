use diesel::prelude::*;
use promiscuous_diesel::Publish;

diesel::table! {
    users (id) {
        id -> BigInt,
        name -> Text,
        email -> Nullable<Text>,
    }
}

#[derive(Queryable, Publish)]
#[publish(attributes(name), backend(Sqlite))]
struct User {
    id: i64,
    name: String,
}

fn main() {}
