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
#[diesel(table_name = users)]
#[publish(attributes(name))]
struct User<'a> {
    id: i64,
    name: &'a str,
}

fn main() {}
