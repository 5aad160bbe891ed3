use diesel::prelude::*;
use promiscuous_diesel::Publish;

diesel::table! {
    users (id) {
        id -> BigInt,
        name -> Text,
        email -> Nullable<Text>,
    }
}

#[derive(Debug, diesel::deserialize::FromSqlRow, diesel::expression::AsExpression)]
#[diesel(sql_type = diesel::sql_types::Text)]
struct Name(String);

impl diesel::deserialize::FromSql<diesel::sql_types::Text, diesel::sqlite::Sqlite> for Name {
    fn from_sql(value: diesel::sqlite::SqliteValue<'_, '_, '_>) -> diesel::deserialize::Result<Self> {
        <String as diesel::deserialize::FromSql<diesel::sql_types::Text, diesel::sqlite::Sqlite>>::from_sql(value).map(Self)
    }
}

#[derive(Queryable, Selectable, Publish)]
#[diesel(table_name = users)]
#[publish(attributes(name), backend(Sqlite))]
struct User {
    id: i64,
    name: Name,
}

fn main() {}
