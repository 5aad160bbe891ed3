//! SQLite: what many new rows return is known to Diesel on a `SqliteConnection` only, and not on a pooled one or any other.

use diesel::prelude::*;

use super::DbConnection;
use super::blog::schema::users::dsl::*;

pub fn insert_users(connection: &mut DbConnection) -> QueryResult<Vec<i32>> {
    let all = [("Flo", "Black"), ("Gus", "Blond")];
    connection.transaction(|connection| {
        all.into_iter()
            .map(|(new_name, color)| {
                diesel::insert_into(users)
                    .values((name.eq(new_name), hair_color.eq(color)))
                    .returning(id)
                    .get_result(connection)
            })
            .collect()
    })
}
