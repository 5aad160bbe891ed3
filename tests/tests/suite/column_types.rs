//! Types of columns that not every database has, or that SeaORM reads from some of them only. The others are in
//! `conformance::columns`.

use sea_orm::{ActiveModelTrait, EntityTrait, IntoActiveModel};
use uuid::Uuid;

use crate::both_ways;
use crate::conformance::values::extremes;
use crate::replica::{Kind, Pair, Replica};

/// Integers that SeaORM reads from every database, each with its own column.
mod integers {
    use promiscuous_seaorm::{Publish, Subscribe};
    use sea_orm::entity::prelude::*;

    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, DeriveEntityModel, Publish, Subscribe)]
    #[sea_orm(table_name = "integers")]
    #[publish(attributes(tiny, wide))]
    #[subscribe(from = "shop/integers", attributes(tiny, wide))]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: u32,
        pub tiny: Option<i8>,
        pub wide: Option<u32>,
    }

    impl ActiveModelBehavior for ActiveModel {}
}

/// Integers that SeaORM does not read from PostgreSQL.
mod unsigned {
    use promiscuous_seaorm::{Publish, Subscribe};
    use sea_orm::entity::prelude::*;

    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, DeriveEntityModel, Publish, Subscribe)]
    #[sea_orm(table_name = "unsigned_integers")]
    #[publish(attributes(word, byte))]
    #[subscribe(from = "shop/unsigned", attributes(word, byte))]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: u16,
        pub word: u16,
        pub byte: Option<u8>,
    }

    impl ActiveModelBehavior for ActiveModel {}
}

/// The integers that SeaORM reads from MariaDB only.
mod giant {
    use promiscuous_seaorm::{Publish, Subscribe};
    use sea_orm::entity::prelude::*;

    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, DeriveEntityModel, Publish, Subscribe)]
    #[sea_orm(table_name = "giants")]
    #[publish(attributes(size))]
    #[subscribe(from = "shop/giant", attributes(size))]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: u64,
        pub size: Option<u64>,
    }

    impl ActiveModelBehavior for ActiveModel {}
}

fn integer_tables(kind: Kind) -> Vec<String> {
    let unsigned = if kind == Kind::MariaDb { " UNSIGNED" } else { "" };
    let tiny = if kind == Kind::Postgres { "\"char\"" } else { "TINYINT" };
    let byte = if kind == Kind::MariaDb { "TINYINT UNSIGNED" } else { "SMALLINT" };
    vec![
        format!(
            "CREATE TABLE integers (id INTEGER{unsigned} PRIMARY KEY, tiny {tiny}, wide INTEGER{unsigned})"
        ),
        format!("CREATE TABLE giants (id BIGINT{unsigned} PRIMARY KEY, size BIGINT{unsigned})"),
        format!(
            "CREATE TABLE unsigned_integers \
             (id SMALLINT{unsigned} PRIMARY KEY, word SMALLINT{unsigned} NOT NULL, byte {byte})"
        ),
    ]
}

async fn insert_update_and_delete<E>(replica: &mut Replica, rows: &[E::Model; 3], changed: &[E::Model; 3])
where
    E: EntityTrait<Model: IntoActiveModel<E::ActiveModel> + std::fmt::Debug + Sync>,
    E::ActiveModel: sea_orm::ActiveModelBehavior + Send,
{
    for (row, changed) in rows.iter().zip(changed) {
        row.clone().into_active_model().reset_all().insert(&replica.here).await.unwrap();
        changed.clone().into_active_model().reset_all().update(&replica.here).await.unwrap();
    }
    replica.settle().await;
    replica.assert_equal::<E>().await;
    let mut expected: Vec<String> = changed.iter().map(|row| format!("{row:?}")).collect();
    expected.sort();
    assert_eq!(replica.rows::<E>().await[1], expected);
    rows[0].clone().into_active_model().delete(&replica.here).await.unwrap();
    replica.settle().await;
    replica.assert_equal::<E>().await;
}

async fn integers_of_every_width_arrive(from: Kind, to: Kind) {
    // PostgreSQL has no unsigned integers: there SeaORM keeps an `u32` in an INTEGER.
    let most = if from == Kind::Postgres || to == Kind::Postgres { i32::MAX as u32 } else { u32::MAX };
    let mut replica = Pair::new(from, to, both_ways![integers], integer_tables).start().await;
    let row = |id, tiny, wide| integers::Model { id, tiny, wide };
    let rows = [row(0, Some(i8::MIN), Some(most)), row(1, Some(i8::MAX), Some(0)), row(most, None, None)];
    let changed = [row(0, Some(i8::MAX), None), row(1, None, Some(most)), row(most, Some(i8::MIN), Some(1))];

    insert_update_and_delete::<integers::Entity>(&mut replica, &rows, &changed).await;
}

async fn unsigned_integers_arrive(from: Kind, to: Kind) {
    let mut replica = Pair::new(from, to, both_ways![unsigned], integer_tables).start().await;
    let row = |id, word, byte| unsigned::Model { id, word, byte };
    let rows = [row(0, 0, None), row(1, u16::MAX, Some(u8::MAX)), row(u16::MAX, 1, Some(0))];
    let changed = [row(0, u16::MAX, Some(u8::MAX)), row(1, 0, Some(0)), row(u16::MAX, u16::MAX, None)];

    insert_update_and_delete::<unsigned::Entity>(&mut replica, &rows, &changed).await;
}

#[tokio::test]
async fn the_largest_integers_of_mariadb_arrive_in_another_mariadb() {
    let (from, to) = (Kind::MariaDb, Kind::MariaDb);
    let mut replica = Pair::new(from, to, both_ways![giant], integer_tables).start().await;
    let row = |id, size| giant::Model { id, size };
    let rows = [row(u64::MAX, Some(u64::MAX)), row(i64::MAX as u64 + 1, None), row(0, Some(0))];
    let changed = [row(u64::MAX, None), row(i64::MAX as u64 + 1, Some(u64::MAX)), row(0, Some(1))];

    insert_update_and_delete::<giant::Entity>(&mut replica, &rows, &changed).await;
}

mod unsigned_integers {
    use super::Kind;

    #[tokio::test]
    async fn of_mariadb_arrive_in_sqlite() {
        super::unsigned_integers_arrive(Kind::MariaDb, Kind::Sqlite).await;
    }

    #[tokio::test]
    async fn of_sqlite_arrive_in_mariadb() {
        super::unsigned_integers_arrive(Kind::Sqlite, Kind::MariaDb).await;
    }
}

mod integers_of_every_width {
    use super::Kind;

    #[tokio::test]
    async fn of_postgres_arrive_in_mariadb() {
        super::integers_of_every_width_arrive(Kind::Postgres, Kind::MariaDb).await;
    }

    #[tokio::test]
    async fn of_mariadb_arrive_in_sqlite() {
        super::integers_of_every_width_arrive(Kind::MariaDb, Kind::Sqlite).await;
    }

    #[tokio::test]
    async fn of_sqlite_arrive_in_postgres() {
        super::integers_of_every_width_arrive(Kind::Sqlite, Kind::Postgres).await;
    }
}

/// What only PostgreSQL has.
mod native {
    use promiscuous_seaorm::{Publish, Subscribe};
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
    #[sea_orm(rs_type = "String", db_type = "Enum", enum_name = "mood")]
    pub enum Mood {
        #[sea_orm(string_value = "so so")]
        SoSo,
        #[sea_orm(string_value = "Great")]
        Great,
    }

    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, DeriveEntityModel, Publish, Subscribe)]
    #[sea_orm(table_name = "natives")]
    #[publish(attributes(
        mood,
        maybe_mood,
        flags,
        small,
        medium,
        big,
        single,
        precise,
        texts,
        guids,
        days,
        moments,
        amounts,
        documents,
        maybe_texts,
        moods
    ))]
    #[subscribe(
        from = "shop/native",
        attributes(
            mood,
            maybe_mood,
            flags,
            small,
            medium,
            big,
            single,
            precise,
            texts,
            guids,
            days,
            moments,
            amounts,
            documents,
            maybe_texts,
            moods
        )
    )]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: i32,
        pub mood: Mood,
        pub maybe_mood: Option<Mood>,
        pub flags: Vec<bool>,
        pub small: Vec<i16>,
        pub medium: Vec<i32>,
        pub big: Vec<i64>,
        pub single: Vec<f32>,
        pub precise: Vec<f64>,
        pub texts: Vec<String>,
        pub guids: Vec<Uuid>,
        pub days: Vec<Date>,
        pub moments: Vec<DateTimeUtc>,
        pub amounts: Vec<Decimal>,
        pub documents: Vec<Json>,
        pub maybe_texts: Option<Vec<String>>,
        pub moods: Vec<Mood>,
    }

    impl ActiveModelBehavior for ActiveModel {}
}

use native::Mood;

fn native_tables(_: Kind) -> Vec<String> {
    let columns = "id INTEGER PRIMARY KEY, mood mood NOT NULL, maybe_mood mood, flags BOOLEAN[] NOT NULL, \
                   small SMALLINT[] NOT NULL, medium INTEGER[] NOT NULL, big BIGINT[] NOT NULL, \
                   single REAL[] NOT NULL, precise DOUBLE PRECISION[] NOT NULL, texts TEXT[] NOT NULL, \
                   guids UUID[] NOT NULL, days DATE[] NOT NULL, moments TIMESTAMPTZ[] NOT NULL, \
                   amounts NUMERIC[] NOT NULL, documents JSON[] NOT NULL, maybe_texts TEXT[], moods mood[] NOT NULL";
    vec!["CREATE TYPE mood AS ENUM ('so so', 'Great')".into(), format!("CREATE TABLE natives ({columns})")]
}

#[tokio::test]
async fn what_only_postgres_has_arrives_in_another_postgres() {
    // given
    let (from, to) = (Kind::Postgres, Kind::Postgres);
    let mut replica = Pair::new(from, to, both_ways![native], native_tables).start().await;
    let [least, most, _] = extremes(Kind::Postgres, Kind::Postgres);
    let full = native::Model {
        id: 1,
        mood: Mood::Great,
        maybe_mood: Some(Mood::SoSo),
        flags: vec![true, false],
        small: vec![i16::MIN, i16::MAX],
        medium: vec![i32::MIN, i32::MAX],
        big: vec![i64::MIN, i64::MAX],
        single: vec![f32::MIN, f32::INFINITY, -0.0],
        precise: vec![f64::MIN, f64::NEG_INFINITY, 5e-324],
        texts: vec![String::new(), "{\"a\",NULL}".into(), "NULL".into(), "😀'\\".into()],
        guids: vec![Uuid::nil(), Uuid::max()],
        days: vec![least.day, most.day],
        moments: vec![least.utc, most.utc],
        amounts: vec![least.amount, most.amount, "1.10".parse().unwrap()],
        documents: vec![serde_json::json!(null), serde_json::json!({"a": [1, null]})],
        maybe_texts: Some(vec![]),
        moods: vec![Mood::Great, Mood::SoSo],
    };
    let empty = native::Model {
        id: 1,
        mood: Mood::SoSo,
        maybe_mood: None,
        flags: vec![],
        small: vec![],
        medium: vec![],
        big: vec![],
        single: vec![],
        precise: vec![],
        texts: vec![],
        guids: vec![],
        days: vec![],
        moments: vec![],
        amounts: vec![],
        documents: vec![],
        maybe_texts: None,
        moods: vec![],
    };

    // when
    full.clone().into_active_model().reset_all().insert(&replica.here).await.unwrap();
    let messages = replica.settle().await;

    // then
    replica.assert_equal::<native::Entity>().await;
    let attributes = messages[0].operations[0].attributes.as_ref().unwrap();
    assert_eq!(attributes["moods"], serde_json::json!(["Great", "so so"]));
    assert_eq!(replica.rows::<native::Entity>().await[1], [format!("{full:?}")]);

    // when
    empty.clone().into_active_model().reset_all().update(&replica.here).await.unwrap();
    replica.settle().await;

    // then
    assert_eq!(replica.rows::<native::Entity>().await[1], [format!("{empty:?}")]);

    // when
    native::Entity::delete_by_id(1).exec(&replica.here).await.unwrap();
    replica.settle().await;

    // then
    assert!(replica.rows::<native::Entity>().await.concat().is_empty());
}
