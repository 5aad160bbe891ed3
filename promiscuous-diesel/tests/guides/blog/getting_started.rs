use std::io::{Read, stdin};

use diesel::prelude::*;

use super::models::Post;
use super::{dialect, establish_connection};

pub fn show_posts() {
    use super::schema::posts::dsl::*;

    let connection = &mut establish_connection();
    let results = posts
        .filter(published.eq(true))
        .order(id)
        .limit(5)
        .select(Post::as_select())
        .load(connection)
        .expect("Error loading posts");

    println!("Displaying {} posts", results.len());
    for post in results {
        println!("{}", post.title);
        println!("-----------\n");
        println!("{}", post.body);
    }
}

pub fn write_post() {
    let connection = &mut establish_connection();

    let mut title = String::new();
    let mut body = String::new();

    println!("What would you like your title to be?");
    stdin().read_line(&mut title).unwrap();
    let title = title.trim_end();

    println!("\nOk! Let's write {title} (Press CTRL+D when finished)\n");
    stdin().read_to_string(&mut body).unwrap();

    let post = dialect::create_post(connection, title, &body);
    println!("\nSaved draft {title} with id {}", post.id);
}

pub fn publish_post(id: i32) {
    let connection = &mut establish_connection();
    let post = dialect::publish_post(connection, id);
    println!("Published post {}", post.title);
}

pub fn get_post(post_id: i32) {
    use super::schema::posts::dsl::posts;

    let connection = &mut establish_connection();
    let post = posts.find(post_id).select(Post::as_select()).first(connection).optional();

    match post {
        Ok(Some(post)) => println!("Post with id: {} has a title: {}", post.id, post.title),
        Ok(None) => println!("Unable to find post {post_id}"),
        Err(_) => println!("An error occurred while fetching post {post_id}"),
    }
}

pub fn delete_post(target: &str) {
    use super::schema::posts::dsl::*;

    let pattern = format!("%{target}%");
    let connection = &mut establish_connection();
    let num_deleted =
        diesel::delete(posts.filter(title.like(pattern))).execute(connection).expect("Error deleting posts");

    println!("Deleted {num_deleted} posts");
}
