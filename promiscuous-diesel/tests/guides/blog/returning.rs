//! Where the database returns what was written: PostgreSQL and SQLite.

use diesel::prelude::*;

use super::blog::models::{NewPost, Post, User};
use super::blog::schema::posts;
use super::{DbConnection, many};

pub fn create_post(connection: &mut DbConnection, title: &str, body: &str) -> Post {
    let new_post = NewPost { title, body };

    diesel::insert_into(posts::table)
        .values(&new_post)
        .returning(Post::as_returning())
        .get_result(connection)
        .expect("Error saving new post")
}

pub fn publish_post(connection: &mut DbConnection, id: i32) -> Post {
    use super::blog::schema::posts::dsl::{posts, published};

    diesel::update(posts.find(id))
        .set(published.eq(true))
        .returning(Post::as_returning())
        .get_result(connection)
        .unwrap()
}

pub fn all_about_updates(connection: &mut DbConnection) -> QueryResult<()> {
    use super::blog::schema::posts::dsl::*;

    let one: Post =
        diesel::update(posts.find(1)).set(visit_count.eq(visit_count + 1)).get_result(connection)?;
    println!("Updated: {one:?}");
    let mut all: Vec<(i32, i32)> = diesel::update(posts.filter(visit_count.gt(0)))
        .set((visit_count.eq(visit_count + id), published.eq(true)))
        .returning((id, visit_count))
        .get_results(connection)?;
    all.sort_unstable();
    println!("Updated: {all:?}");
    let none =
        diesel::update(posts.find(99)).set(title.eq("none")).returning(id).get_result::<i32>(connection);
    println!("Updated: {:?}", none.optional()?);
    let gone: Vec<String> =
        diesel::delete(posts.filter(title.eq("[REDACTED]"))).returning(title).get_results(connection)?;
    println!("Deleted: {gone:?}");
    Ok(())
}

pub fn all_about_inserts(connection: &mut DbConnection) -> QueryResult<()> {
    use super::blog::schema::users::dsl::*;

    let user: User = diesel::insert_into(users).values(name.eq("Eve")).get_result(connection)?;
    println!("Inserted: {} {}", user.id, user.name);
    let ids = many::insert_users(connection)?;
    println!("Inserted: {ids:?}");
    for new_name in ["first", "second"] {
        let upserted: String = diesel::insert_into(users)
            .values((id.eq(200), name.eq(new_name)))
            .on_conflict(id)
            .do_update()
            .set((name.eq(diesel::upsert::excluded(name)), hair_color.eq("Green")))
            .returning(name)
            .get_result(connection)?;
        println!("Upserted: {upserted}");
    }
    let copied = users
        .filter(id.gt(100))
        .select((name, hair_color))
        .insert_into(users)
        .into_columns((name, hair_color))
        .execute(connection)?;
    println!("Copied: {copied}");
    Ok(())
}
