use chrono::{NaiveDate, NaiveDateTime};
use diesel::dsl::now;
use diesel::prelude::*;

use super::models::{Edit, Post, PostForm, Schedule};
use super::schema::posts::dsl::*;
use super::{DbConnection, dialect, establish_connection};

fn new_year(year: i32) -> NaiveDateTime {
    NaiveDate::from_ymd_opt(year, 1, 1).and_then(|day| day.and_hms_opt(0, 0, 0)).expect("a moment")
}

fn publish_all_posts(connection: &mut DbConnection) -> QueryResult<usize> {
    diesel::update(posts).set(published.eq(true)).execute(connection)
}

fn publish_pending_posts(connection: &mut DbConnection) -> QueryResult<usize> {
    diesel::update(posts).filter(publish_at.lt(now)).set(published.eq(true)).execute(connection)
}

fn hide_post(post: &Post, connection: &mut DbConnection) -> QueryResult<usize> {
    diesel::update(post).set(published.eq(false)).execute(connection)
}

fn plan_all_posts(connection: &mut DbConnection) -> QueryResult<usize> {
    let past = diesel::update(posts.filter(title.ne("Keep me"))).set(publish_at.eq(new_year(2000)));
    let future = diesel::update(posts.filter(title.eq("Keep me"))).set(publish_at.eq(new_year(2999)));
    Ok(past.execute(connection)? + future.execute(connection)?)
}

fn increment_visit_counts(connection: &mut DbConnection) -> QueryResult<usize> {
    diesel::update(posts).set(visit_count.eq(visit_count + 1)).execute(connection)
}

fn redact(which: i32, connection: &mut DbConnection) -> QueryResult<usize> {
    diesel::update(posts.find(which))
        .set((title.eq("[REDACTED]"), body.eq("This post has been classified")))
        .execute(connection)
}

fn copy_title(connection: &mut DbConnection) -> QueryResult<usize> {
    diesel::update(posts.filter(id.gt(1)).filter(published.eq(true)))
        .set((body.eq(title), title.eq(title.concat("!")), visit_count.eq(visit_count * 2)))
        .execute(connection)
}

fn edit(which: i32, form: &PostForm<'_>, connection: &mut DbConnection) -> QueryResult<usize> {
    diesel::update(posts.find(which)).set(form).execute(connection)
}

fn say(what: &str, changed: QueryResult<usize>) -> QueryResult<()> {
    match changed {
        Ok(changed) => println!("{what}: {changed} posts"),
        // Diesel refuses an update that sets nothing.
        Err(diesel::result::Error::QueryBuilderError(error)) => println!("{what}: {error}"),
        Err(error) => return Err(error),
    }
    Ok(())
}

pub fn all_about_updates() -> QueryResult<()> {
    let connection = &mut establish_connection();
    for draft in ["Read me", "Forget me"] {
        dialect::create_post(connection, draft, "Dolor sit amet");
    }

    say("published", publish_all_posts(connection))?;
    let post: Post = posts.find(1).first(connection)?;
    say("hidden", hide_post(&post, connection))?;
    say("planned", plan_all_posts(connection))?;
    say("published what is due", publish_pending_posts(connection))?;
    say("visited", increment_visit_counts(connection))?;
    say("visited", increment_visit_counts(connection))?;
    say("redacted", redact(5, connection))?;
    say("copied", copy_title(connection))?;
    say("redacted what is not there", redact(99, connection))?;

    say("only a body", edit(1, &PostForm { title: None, body: Some("Only the body") }, connection))?;
    say("both", edit(4, &PostForm { title: Some("Both"), body: Some("of them") }, connection))?;
    say("nothing", edit(4, &PostForm { title: None, body: None }, connection))?;
    let unplanned = diesel::update(posts.find(1)).set(Schedule { publish_at: None });
    say("not planned any more", unplanned.execute(connection))?;
    let edits = [
        Edit { id: 1, body: "Planned again", publish_at: Some(Some(new_year(2500))) },
        Edit { id: 4, body: "Not planned", publish_at: Some(None) },
        Edit { id: 5, body: "As before", publish_at: None },
    ];
    for edit in edits {
        let edited: Post = edit.save_changes(connection)?;
        println!("{} appears {:?}", edited.title, edited.publish_at);
    }

    let mut post: Post = posts.filter(title.like("%Forget%")).first(connection)?;
    post.title = "Remember me".into();
    post.visit_count += 10;
    let saved: Post = post.save_changes(connection)?;
    println!("Saved: {saved:?}");
    for post in posts.order(id).select(Post::as_select()).load(connection)? {
        println!("{post:?}");
    }
    Ok(())
}
