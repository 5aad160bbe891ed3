use promiscuous_diesel::Publish;

diesel::table! {
    users (id) {
        id -> BigInt,
        name -> Text,
        email -> Nullable<Text>,
    }
}

#[derive(Publish)]
#[publish(attributes(name))]
enum User {
    Named,
}

fn main() {}
