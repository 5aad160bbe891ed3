//! All in one statement.

use diesel::prelude::*;

use super::DbConnection;
use super::blog::schema::users::dsl::*;

pub fn insert_users(connection: &mut DbConnection) -> QueryResult<Vec<i32>> {
    diesel::insert_into(users)
        .values(vec![(name.eq("Flo"), hair_color.eq("Black")), (name.eq("Gus"), hair_color.eq("Blond"))])
        .returning(id)
        .get_results(connection)
}
