//! Where the database returns nothing: MySQL and MariaDB.

use diesel::dsl::DuplicatedKeys;
use diesel::prelude::*;

use super::DbConnection;
use super::blog::models::{NewPost, Post};

pub fn create_post(connection: &mut DbConnection, title: &str, body: &str) -> Post {
    use super::blog::schema::posts;

    let new_post = NewPost { title, body };

    connection
        .transaction(|connection| {
            diesel::insert_into(posts::table).values(&new_post).execute(connection)?;

            posts::table.order(posts::id.desc()).select(Post::as_select()).first(connection)
        })
        .unwrap_or_else(|error: diesel::result::Error| panic!("Error while saving post: {error}"))
}

pub fn publish_post(connection: &mut DbConnection, id: i32) -> Post {
    use super::blog::schema::posts::dsl::{posts, published};

    connection
        .transaction(|connection| {
            let post = posts.find(id).select(Post::as_select()).first(connection)?;

            diesel::update(posts.find(id)).set(published.eq(true)).execute(connection)?;
            Ok(post)
        })
        .unwrap_or_else(|_: diesel::result::Error| panic!("Unable to find post {id}"))
}

pub fn all_about_updates(connection: &mut DbConnection) -> QueryResult<()> {
    use super::blog::schema::posts::dsl::*;

    let all = diesel::update(posts.filter(visit_count.gt(0)))
        .set((visit_count.eq(visit_count + id), published.eq(true)))
        .execute(connection)?;
    println!("Updated: {all}");
    let one: i32 = connection.transaction(|connection| {
        diesel::update(posts.find(1)).set(visit_count.eq(visit_count + 1)).execute(connection)?;
        posts.find(1).select(visit_count).first(connection)
    })?;
    println!("Updated: {one}");
    let gone = diesel::delete(posts.filter(title.eq("[REDACTED]"))).execute(connection)?;
    println!("Deleted: {gone}");
    Ok(())
}

pub fn all_about_inserts(connection: &mut DbConnection) -> QueryResult<()> {
    use super::blog::schema::users::dsl::*;

    for new_name in ["first", "second"] {
        let upserted = diesel::insert_into(users)
            .values((id.eq(200), name.eq(new_name)))
            .on_conflict(DuplicatedKeys)
            .do_update()
            .set((name.eq(new_name), hair_color.eq("Green")))
            .execute(connection)?;
        println!("Upserted: {upserted}");
    }
    let inserted =
        diesel::insert_or_ignore_into(users).values((id.eq(200), name.eq("ignored"))).execute(connection)?;
    println!("Ignored: {inserted} inserted");
    Ok(())
}
