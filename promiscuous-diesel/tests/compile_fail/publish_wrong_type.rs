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
#[diesel(table_name = users)]
#[publish(attributes(name), backend(Sqlite))]
struct User {
    id: i64,
    name: i32,
}

fn main() {}
