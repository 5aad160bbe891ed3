use diesel::prelude::*;
use promiscuous_diesel::Publish;

diesel::table! {
    users (id) {
        id -> BigInt,
        name -> Text,
        email -> Nullable<Text>,
    }
}

#[derive(Queryable, Selectable, Publish)]
#[diesel(table_name = places)]
#[publish(attributes(x), backend(Sqlite))]
struct Place {
    #[diesel(column_name = id)]
    x: f64,
}

diesel::table! {
    places (id) {
        id -> Double,
    }
}

fn main() {}
