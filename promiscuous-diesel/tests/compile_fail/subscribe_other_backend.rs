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
#[subscribe(attributes(name), backend(Pg))]
struct User {
    id: i64,
    name: String,
}

fn main() {
    let _ = <User as promiscuous_diesel::subscription::SubscribeOn<diesel::sqlite::Sqlite>>::find;
}
