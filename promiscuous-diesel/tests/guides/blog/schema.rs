diesel::table! {
    posts (id) {
        id -> Integer,
        title -> Varchar,
        body -> Text,
        published -> Bool,
        publish_at -> Nullable<Timestamp>,
        visit_count -> Integer,
    }
}

diesel::table! {
    users (id) {
        id -> Integer,
        name -> Varchar,
        hair_color -> Nullable<Varchar>,
        created_at -> Timestamp,
        updated_at -> Timestamp,
    }
}
