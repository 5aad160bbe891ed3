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
#[diesel(table_name = users)]
#[subscribe(attributes(name), consistency = "strong")]
struct User {
    id: i64,
    name: String,
}

fn main() {}
