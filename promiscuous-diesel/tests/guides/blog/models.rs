use chrono::NaiveDateTime;
use diesel::prelude::*;

use super::schema::{posts, users};

#[derive(Debug, Clone, Queryable, Selectable, Identifiable, AsChangeset)]
#[diesel(table_name = posts)]
pub struct Post {
    pub id: i32,
    pub title: String,
    pub body: String,
    pub published: bool,
    pub publish_at: Option<NaiveDateTime>,
    pub visit_count: i32,
}

#[derive(Insertable)]
#[diesel(table_name = posts)]
pub struct NewPost<'a> {
    pub title: &'a str,
    pub body: &'a str,
}

/// What an author edits. None leaves the column alone.
#[derive(AsChangeset)]
#[diesel(table_name = posts)]
pub struct PostForm<'a> {
    pub title: Option<&'a str>,
    pub body: Option<&'a str>,
}

/// When a post appears. None takes it off the calendar.
#[derive(AsChangeset)]
#[diesel(table_name = posts, treat_none_as_null = true)]
pub struct Schedule {
    pub publish_at: Option<NaiveDateTime>,
}

/// Both in one: an outer None leaves the column alone, an inner one sets it to NULL.
#[derive(Identifiable, AsChangeset)]
#[diesel(table_name = posts)]
pub struct Edit<'a> {
    pub id: i32,
    pub body: &'a str,
    pub publish_at: Option<Option<NaiveDateTime>>,
}

#[derive(Debug, Queryable, Selectable, Identifiable)]
#[diesel(table_name = users)]
pub struct User {
    pub id: i32,
    pub name: String,
    pub hair_color: Option<String>,
    pub created_at: NaiveDateTime,
    pub updated_at: NaiveDateTime,
}

#[derive(Insertable)]
#[diesel(table_name = users)]
pub struct NewUser<'a> {
    pub name: &'a str,
    pub hair_color: Option<&'a str>,
}
