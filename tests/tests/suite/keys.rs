//! Every type of primary key, from every database to every database, and foreign ids kept beside a local key.

use promiscuous_core::key::decode_id;
use promiscuous_seaorm::Models;
use sea_orm::sea_query::Expr;
use sea_orm::{ActiveModelTrait, ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter, Set};
use uuid::Uuid;

use crate::both_ways;
use crate::replica::{Kind, Pair, SOON};

macro_rules! keyed {
    ($module:ident, $table:literal, $from:literal, { $($key:ident: $type:ty),* }) => {
        // SeaORM generates more than is used here.
        #[allow(dead_code)]
        mod $module {
            use promiscuous_seaorm::{Publish, Subscribe};
            use sea_orm::entity::prelude::*;

            #[sea_orm::model]
            #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Publish, Subscribe)]
            #[sea_orm(table_name = $table)]
            #[publish(attributes(note))]
            #[subscribe(from = $from, attributes(note))]
            pub struct Model {
                $(#[sea_orm(primary_key, auto_increment = false)]
                pub $key: $type,)*
                pub note: String,
            }

            impl ActiveModelBehavior for ActiveModel {}
        }
    };
}

keyed!(word, "words", "shop/word", { id: String });
keyed!(thing, "things", "shop/thing", { id: Uuid });
keyed!(pair, "pairs", "shop/pair", { left_id: i32, right_id: String });
keyed!(day, "days", "shop/day", { id: Date, at: DateTimeUtc });

/// Has a key of its own, and the shop's beside it.
mod word_copy {
    use promiscuous_seaorm::Subscribe;
    use sea_orm::entity::prelude::*;

    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Subscribe)]
    #[sea_orm(table_name = "word_copies")]
    #[subscribe(from = "shop/word", as = "Word", attributes(note), foreign_key = "word_id")]
    pub struct Model {
        #[sea_orm(primary_key)]
        pub id: i32,
        pub word_id: String,
        pub note: String,
    }

    impl ActiveModelBehavior for ActiveModel {}
}

/// The same for a composite key, kept as it is written.
mod pair_copy {
    use promiscuous_seaorm::Subscribe;
    use sea_orm::entity::prelude::*;

    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Subscribe)]
    #[sea_orm(table_name = "pair_copies")]
    #[subscribe(from = "shop/pair", as = "Pair", attributes(note), foreign_key = "pair_id")]
    pub struct Model {
        #[sea_orm(primary_key)]
        pub id: i32,
        pub pair_id: String,
        pub note: String,
    }

    impl ActiveModelBehavior for ActiveModel {}
}

/// Columns for text, UUIDs, moments, and a generated key.
fn tables_with(kind: Kind, text: &str) -> Vec<String> {
    let (guid, moment, serial) = match kind {
        Kind::Postgres => ("UUID", "TIMESTAMPTZ", "SERIAL PRIMARY KEY"),
        Kind::MariaDb => ("BINARY(16)", "DATETIME(6)", "INTEGER AUTO_INCREMENT PRIMARY KEY"),
        Kind::Sqlite => ("BLOB", "TEXT", "INTEGER PRIMARY KEY"),
    };
    [
        format!("words (id {text} PRIMARY KEY, note {text} NOT NULL)"),
        format!("things (id {guid} PRIMARY KEY, note {text} NOT NULL)"),
        format!(
            "pairs (left_id INTEGER NOT NULL, right_id {text} NOT NULL, note {text} NOT NULL, PRIMARY KEY (left_id, right_id))"
        ),
        format!("days (id DATE NOT NULL, at {moment} NOT NULL, note {text} NOT NULL, PRIMARY KEY (id, at))"),
        format!("word_copies (id {serial}, word_id {text} NOT NULL UNIQUE, note {text} NOT NULL)"),
        format!("pair_copies (id {serial}, pair_id {text} NOT NULL UNIQUE, note {text} NOT NULL)"),
    ]
    .map(|table| format!("CREATE TABLE {table}"))
    .into()
}

fn tables(kind: Kind) -> Vec<String> {
    let text = match kind {
        // Byte by byte, and without ignoring spaces at the end: what two keys are elsewhere are two here.
        Kind::MariaDb => "VARCHAR(150) COLLATE utf8mb4_nopad_bin",
        Kind::Postgres | Kind::Sqlite => "VARCHAR(150)",
    };
    tables_with(kind, text)
}

const WORDS: [&str; 22] = [
    "a/b", "a b", "a,b", ",", "%", "100%", "%2F", "a%2Fb", "", " ", "😀", "é", "e\u{301}", "ß", "A", "a",
    "a ", "a\t", "日本", "'\"\\", "a:b{c}*?", "null",
];

async fn keys_of_every_type_arrive(from: Kind, to: Kind) {
    // given
    let models = both_ways![word, thing, pair, day];
    let mut replica = Pair::new(from, to, models, tables).start().await;
    let note = || "new".to_owned();
    let at = |text: &str| chrono::DateTime::parse_from_rfc3339(text).unwrap().to_utc();
    let moments = ["2000-02-29T00:00:00Z", "2000-02-29T00:00:00.000001Z"].map(at);

    // when
    let words = WORDS.map(|id| word::Model { id: id.into(), note: note() }.into_active_model());
    word::Entity::insert_many(words).exec_without_returning(&replica.here).await.unwrap();
    for id in [Uuid::nil(), Uuid::max(), Uuid::now_v7()] {
        thing::Model { id, note: note() }.into_active_model().insert(&replica.here).await.unwrap();
    }
    for right_id in WORDS {
        let pair = pair::Model { left_id: i32::MIN, right_id: right_id.into(), note: note() };
        pair.into_active_model().insert(&replica.here).await.unwrap();
    }
    for at in moments {
        let day = day::Model { id: at.date_naive(), at, note: note() };
        day.into_active_model().insert(&replica.here).await.unwrap();
    }
    let messages = replica.settle().await;

    // then
    replica.assert_equal::<word::Entity>().await;
    replica.assert_equal::<thing::Entity>().await;
    replica.assert_equal::<pair::Entity>().await;
    replica.assert_equal::<day::Entity>().await;
    let ids = messages[0].operations.iter().map(|operation| decode_id(&operation.id).unwrap().concat());
    let mut ids: Vec<String> = ids.collect();
    ids.sort();
    let mut words = WORDS;
    words.sort();
    assert_eq!(ids, words);

    // when: every other row changes
    for (position, id) in WORDS.into_iter().enumerate().filter(|(position, _)| position % 2 == 0) {
        let note = Set(format!("changed {position}"));
        let word = word::ActiveModel { id: Set(id.into()), note: note.clone() };
        word.update(&replica.here).await.unwrap();
        let pair = pair::ActiveModel { left_id: Set(i32::MIN), right_id: Set(id.into()), note };
        pair.update_without_returning(&replica.here).await.unwrap();
    }
    thing::Entity::update_many()
        .col_expr(thing::Column::Note, Expr::value("all"))
        .exec(&replica.here)
        .await
        .unwrap();
    day::Entity::update_many()
        .col_expr(day::Column::Note, Expr::value("later"))
        .filter(day::Column::At.eq(moments[1]))
        .exec(&replica.here)
        .await
        .unwrap();
    replica.settle().await;

    // then
    replica.assert_equal::<word::Entity>().await;
    replica.assert_equal::<thing::Entity>().await;
    replica.assert_equal::<pair::Entity>().await;
    replica.assert_equal::<day::Entity>().await;

    // when: every third row goes
    for id in WORDS.into_iter().step_by(3) {
        word::Entity::delete_by_id(id).exec(&replica.here).await.unwrap();
        pair::Entity::delete_by_id((i32::MIN, id.to_owned())).exec(&replica.here).await.unwrap();
    }
    thing::Entity::delete_by_id(Uuid::max()).exec(&replica.here).await.unwrap();
    day::Entity::delete_by_id((moments[0].date_naive(), moments[0])).exec(&replica.here).await.unwrap();
    replica.settle().await;

    // then
    replica.assert_equal::<word::Entity>().await;
    replica.assert_equal::<thing::Entity>().await;
    replica.assert_equal::<pair::Entity>().await;
    replica.assert_equal::<day::Entity>().await;
    let [_, left] = replica.rows::<word::Entity>().await;
    assert_eq!(left.len(), WORDS.len() - WORDS.len().div_ceil(3));
}

async fn foreign_ids_are_kept_beside_a_key_of_ones_own(from: Kind, to: Kind) {
    // given
    let models = [
        Models::new().publish::<word::Entity>().publish::<pair::Entity>(),
        Models::new().subscribe::<word_copy::Entity>().subscribe::<pair_copy::Entity>(),
    ];
    let mut replica = Pair::new(from, to, models, tables).start().await;
    // Rows that are already there have taken the first keys.
    let own =
        word_copy::ActiveModel { word_id: Set("own".into()), note: Set("own".into()), ..Default::default() };
    own.insert(replica.plain_there()).await.unwrap();

    // when
    for id in WORDS {
        let note = "new".to_owned();
        word::Model { id: id.into(), note: note.clone() }
            .into_active_model()
            .insert(&replica.here)
            .await
            .unwrap();
        let pair = pair::Model { left_id: 7, right_id: id.into(), note };
        pair.into_active_model().insert(&replica.here).await.unwrap();
    }
    let word = word::ActiveModel { id: Set("a ".into()), note: Set("changed".into()) };
    word.update(&replica.here).await.unwrap();
    let pair =
        pair::ActiveModel { left_id: Set(7), right_id: Set("a,b".into()), note: Set("changed".into()) };
    pair.update(&replica.here).await.unwrap();
    word::Entity::delete_by_id("a").exec(&replica.here).await.unwrap();
    replica.settle().await;

    // then
    let mut words: Vec<(String, String)> = word::Entity::find()
        .all(replica.plain_here())
        .await
        .unwrap()
        .into_iter()
        .map(|word| (word.id, word.note))
        .collect();
    words.push(("own".into(), "own".into()));
    words.sort();
    let copies = word_copy::Entity::find().all(replica.plain_there()).await.unwrap();
    let mut copies: Vec<(String, String)> =
        copies.into_iter().map(|copy| (copy.word_id, copy.note)).collect();
    copies.sort();
    assert_eq!(copies, words);
    let pairs = pair_copy::Entity::find().all(replica.plain_there()).await.unwrap();
    assert_eq!(pairs.len(), WORDS.len());
    let changed: Vec<&str> =
        pairs.iter().filter(|pair| pair.note == "changed").map(|pair| pair.pair_id.as_str()).collect();
    assert_eq!(changed, ["7,a%2Cb"]);
}

macro_rules! pairs {
    ($($name:ident: $from:ident $to:ident,)*) => {
        mod every_type {
            use super::Kind;
            $(#[tokio::test] async fn $name() { super::keys_of_every_type_arrive(Kind::$from, Kind::$to).await; })*
        }
        mod foreign {
            use super::Kind;
            $(#[tokio::test]
            async fn $name() {
                super::foreign_ids_are_kept_beside_a_key_of_ones_own(Kind::$from, Kind::$to).await;
            })*
        }
    };
}

pairs! {
    from_postgres_to_postgres: Postgres Postgres,
    from_postgres_to_mariadb: Postgres MariaDb,
    from_postgres_to_sqlite: Postgres Sqlite,
    from_mariadb_to_postgres: MariaDb Postgres,
    from_mariadb_to_mariadb: MariaDb MariaDb,
    from_mariadb_to_sqlite: MariaDb Sqlite,
    from_sqlite_to_postgres: Sqlite Postgres,
    from_sqlite_to_mariadb: Sqlite MariaDb,
    from_sqlite_to_sqlite: Sqlite Sqlite,
}

/// MariaDB's default collation takes `a` and `A` for the same text.
fn loose_tables(kind: Kind) -> Vec<String> {
    tables_with(kind, "VARCHAR(150)")
}

#[tokio::test]
async fn an_id_that_the_collation_takes_for_another_one_fails_and_touches_no_other_row() {
    // given
    let (from, to) = (Kind::Postgres, Kind::MariaDb);
    let mut replica = Pair::new(from, to, both_ways![word], loose_tables).start().await;
    let word = |id: &str, note: &str| word::Model { id: id.into(), note: note.into() }.into_active_model();
    word("a", "small").insert(&replica.here).await.unwrap();
    replica.settle().await;

    // when
    word("A", "capital").insert(&replica.here).await.unwrap();

    // then
    let failing = replica.status.wait_for(|status| status.failing == 1);
    tokio::time::timeout(SOON, failing).await.expect("the second did not fail").unwrap();
    let small = format!("{:?}", word::Model { id: "a".into(), note: "small".into() });
    assert_eq!(replica.rows::<word::Entity>().await[1], [small.as_str()]);
}

#[tokio::test]
async fn destroying_an_id_that_the_collation_takes_for_another_one_destroys_no_other_row() {
    // given: a shop whose `A` was never copied
    let (from, to) = (Kind::Postgres, Kind::MariaDb);
    let mut replica = Pair::new(from, to, both_ways![word], loose_tables).start().await;
    let word = |id: &str| word::Model { id: id.into(), note: "x".into() }.into_active_model();
    word("A").insert(replica.plain_here()).await.unwrap();
    word("a").insert(&replica.here).await.unwrap();
    replica.settle().await;

    // when
    word::Entity::delete_by_id("A").exec(&replica.here).await.unwrap();
    replica.settle().await;

    // then
    replica.assert_equal::<word::Entity>().await;
    assert_eq!(replica.rows::<word::Entity>().await[1].len(), 1);
}
