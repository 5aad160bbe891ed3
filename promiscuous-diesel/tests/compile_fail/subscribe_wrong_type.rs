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
#[diesel(table_name = users, check_for_backend(diesel::sqlite::Sqlite))]
#[subscribe(attributes(name))]
struct User {
    id: i64,
    name: i32,
}

fn main() {}
