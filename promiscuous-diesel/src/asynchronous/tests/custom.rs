//! PostgreSQL's own types.

use std::io::Write;
use std::sync::Arc;

use diesel::deserialize::{self, FromSql, FromSqlRow};
use diesel::expression::AsExpression;
use diesel::pg::{Pg, PgValue};
use diesel::serialize::{self, IsNull, Output, ToSql, WriteTuple};
use diesel::sql_types::{SqlType, Text};
use diesel::{ExpressionMethods, QueryDsl};
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};
use promiscuous_core::capture::CaptureSettings;

use super::common::{Db, Kitchen, kitchen};
use crate::capture::Capture;
use crate::commit::CommitPath;
use crate::connection_tests::fixtures::{attributes, model, text_id};
use crate::connection_tests::said;
use crate::model::PublishedModels;
use crate::row::RowValues;

#[derive(SqlType, diesel::query_builder::QueryId)]
#[diesel(postgres_type(name = "mood"))]
pub struct MoodType;

#[derive(SqlType, diesel::query_builder::QueryId)]
#[diesel(postgres_type(name = "pair"))]
pub struct PairType;

#[derive(Debug, Clone, Copy, PartialEq, Eq, FromSqlRow, AsExpression)]
#[diesel(sql_type = MoodType)]
pub enum Mood {
    Happy,
    Sad,
}

impl ToSql<MoodType, Pg> for Mood {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
        out.write_all(match self {
            Self::Happy => b"happy",
            Self::Sad => b"sad",
        })?;
        Ok(IsNull::No)
    }
}

impl FromSql<MoodType, Pg> for Mood {
    fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
        match value.as_bytes() {
            b"happy" => Ok(Self::Happy),
            b"sad" => Ok(Self::Sad),
            _ => Err("no such mood".into()),
        }
    }
}

#[derive(Debug, AsExpression)]
#[diesel(sql_type = PairType)]
pub struct Pair(Mood, &'static str);

impl ToSql<PairType, Pg> for Pair {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
        WriteTuple::<(MoodType, Text)>::write_tuple(&(self.0, self.1), &mut out.reborrow())
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use super::{MoodType, PairType};

    person {
        id -> Text,
        mood -> MoodType,
        moods -> Array<MoodType>,
        pair -> Nullable<PairType>,
    }
}

/// The model `person`, with its mood; the tables are made.
async fn people() -> Option<(Kitchen, Db)> {
    let Kitchen { mut db, bakery } = kitchen().await?;
    db.plain()
        .batch_execute(
            "CREATE TYPE mood AS ENUM ('happy', 'sad'); CREATE TYPE pair AS (mood mood, name text); \
             CREATE TABLE person (id TEXT PRIMARY KEY, mood mood NOT NULL, moods mood[] NOT NULL DEFAULT '{}', pair pair)",
        )
        .await
        .unwrap();
    let mood = |row: &dyn RowValues<Pg>| {
        let mut mood = String::new();
        row.value(0, &mut |value| mood = String::from_utf8(value.unwrap().as_bytes().to_vec()).unwrap());
        Ok(attributes([("name", mood.into())]))
    };
    let models = PublishedModels::new([model("person", &["id"], &["mood"], text_id::<Pg>, mood)]);
    let path = CommitPath::Recorded(Arc::clone(&bakery.recorded));
    let capture = Capture::new(models, path, CaptureSettings::default()).unwrap();
    let inner = AsyncPgConnection::establish(&bakery.url).await.unwrap();
    let people = crate::AsyncPromiscuous::with_capture(inner, capture);
    Some((Kitchen { db, bakery }, people))
}

#[tokio::test]
async fn values_of_enums_and_arrays_of_them_are_written_and_read() {
    let Some((Kitchen { bakery, .. }, mut db)) = people().await else { return };
    let db = &mut db;
    let both = [Mood::Happy, Mood::Sad];
    let joe = (person::id.eq("joe"), person::mood.eq(Mood::Sad), person::moods.eq(both.to_vec()));
    assert_eq!(diesel::insert_into(person::table).values(joe).execute(db).await, Ok(1));
    let change = diesel::update(person::table.filter(person::mood.eq_any(both)))
        .set((person::mood.eq(Mood::Happy), person::moods.eq(vec![Mood::Sad, Mood::Sad])))
        .returning((person::mood, person::moods));
    let changed: Vec<(Mood, Vec<Mood>)> = change.get_results(db).await.unwrap();
    assert_eq!(changed, [(Mood::Happy, vec![Mood::Sad, Mood::Sad])]);
    let moods: Vec<Mood> =
        person::table.filter(person::mood.eq(Mood::Happy)).select(person::mood).load(db).await.unwrap();
    assert_eq!(moods, [Mood::Happy]);
    assert_eq!(bakery.published(), ["create person/joe sad", "update person/joe happy"]);
}

#[tokio::test]
async fn a_value_inside_of_another_one_is_refused_in_a_published_write_and_passes_elsewhere() {
    let Some((Kitchen { bakery, .. }, mut db)) = people().await else { return };
    let db = &mut db;
    let joe = (person::id.eq("joe"), person::mood.eq(Mood::Sad), person::pair.eq(Pair(Mood::Sad, "x")));
    let refused = said(diesel::insert_into(person::table).values(joe).execute(db).await);
    assert!(refused.contains("`mood` is inside of another value"), "{refused}");
    let pair = diesel::dsl::sql::<diesel::sql_types::Bool>("pair IS NOT DISTINCT FROM ")
        .bind::<PairType, _>(Pair(Mood::Sad, "x"));
    let none: Vec<String> = person::table.filter(pair).select(person::id).load(db).await.unwrap();
    assert!(none.is_empty() && bakery.published().is_empty());
}

#[tokio::test]
async fn a_type_that_does_not_exist_is_named() {
    let Some((_, mut db)) = people().await else { return };
    db.plain().batch_execute("ALTER TYPE mood RENAME TO temper").await.unwrap();
    let joe = (person::id.eq("joe"), person::mood.eq(Mood::Sad));
    let refused = said(diesel::insert_into(person::table).values(joe).execute(&mut db).await);
    assert!(refused.contains("no type `mood`"), "{refused}");
}
