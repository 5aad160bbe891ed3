use diesel::prelude::*;
use promiscuous_diesel::Publish;

diesel::table! {
    users (id) {
        id -> BigInt,
        name -> Text,
        email -> Nullable<Text>,
    }
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = users)]
struct Contact {
    email: Option<String>,
}

#[derive(Queryable, Selectable, Publish)]
#[diesel(table_name = users)]
#[publish(attributes(name), virtual_attributes(full_name))]
struct User {
    id: i64,
    name: String,
    #[diesel(embed)]
    contact: Contact,
}

fn main() {}
