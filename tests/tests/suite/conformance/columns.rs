//! Every type of column, from every database to every database.

use promiscuous_tests::conformance::step::transaction;
use promiscuous_tests::conformance::tables::Side;
use promiscuous_tests::conformance::{Model, Row, Stack, Step};
use promiscuous_tests::databases::Kind;
use promiscuous_tests::entities::everything;
use proptest::prelude::any;

use super::mirror::{Mirror, Pair};
use super::values::{Bounds, extremes, generate, row, runner, values};

every_pair! {
    extreme_values_arrive
}

mod rows_of_one_database_arrive_unchanged_in_another_of_its_kind {
    crate::conformance::pairs! { rows_of_one_database_arrive_unchanged_in_another_of_its_kind:
        seaorm_postgres_to_seaorm_postgres: SEAORM_POSTGRES SEAORM_POSTGRES,
        seaorm_mariadb_to_seaorm_mariadb: SEAORM_MARIADB SEAORM_MARIADB,
        seaorm_sqlite_to_seaorm_sqlite: SEAORM_SQLITE SEAORM_SQLITE,
    }
}

/// The columns of `everything`: name, and type on PostgreSQL, MariaDB and SQLite.
const COLUMNS: [(&str, [&str; 3]); 22] = [
    ("flag", ["BOOLEAN", "BOOLEAN", "BOOLEAN"]),
    ("small", ["SMALLINT", "SMALLINT", "SMALLINT"]),
    ("medium", ["INTEGER", "INTEGER", "INTEGER"]),
    ("big", ["BIGINT", "BIGINT", "BIGINT"]),
    ("single", ["REAL", "FLOAT", "REAL"]),
    ("precise", ["DOUBLE PRECISION", "DOUBLE", "REAL"]),
    ("text", ["TEXT", "LONGTEXT COLLATE utf8mb4_bin", "TEXT"]),
    ("amount", ["NUMERIC(38, 10)", "DECIMAL(38, 10)", "REAL"]),
    ("day", ["DATE", "DATE", "DATE"]),
    ("hour", ["TIME", "TIME(6)", "TIME"]),
    ("naive", ["TIMESTAMP", "DATETIME(6)", "TEXT"]),
    ("utc", ["TIMESTAMPTZ", "TIMESTAMP(6)", "TEXT"]),
    ("zoned", ["TIMESTAMPTZ", "TIMESTAMP(6)", "TEXT"]),
    ("time_day", ["DATE", "DATE", "DATE"]),
    ("time_hour", ["TIME", "TIME(6)", "TIME"]),
    ("time_naive", ["TIMESTAMP", "DATETIME(6)", "TEXT"]),
    ("time_zoned", ["TIMESTAMPTZ", "TIMESTAMP(6)", "TEXT"]),
    ("guid", ["UUID", "BINARY(16)", "BLOB"]),
    ("document", ["JSONB", "JSON", "TEXT"]),
    ("bytes", ["BYTEA", "LONGBLOB", "BLOB"]),
    ("color", ["TEXT", "VARCHAR(20)", "TEXT"]),
    ("level", ["INTEGER", "INTEGER", "INTEGER"]),
];

fn columns(kind: Kind) -> String {
    let column = |(name, types): &(&str, [&str; 3])| {
        let sql = types[kind as usize];
        // MariaDB gives the first TIMESTAMP without a default one that changes with every update.
        format!("{name} {sql} NOT NULL{}, maybe_{name} {sql} NULL", default(sql))
    };
    COLUMNS.iter().map(column).collect::<Vec<_>>().join(", ")
}

fn default(sql: &str) -> &'static str {
    if sql == "TIMESTAMP(6)" { " DEFAULT '2000-01-01 00:00:00'" } else { "" }
}

fn tables(kind: Kind, _: Side) -> Vec<String> {
    vec![format!("CREATE TABLE everything (id BIGINT NOT NULL PRIMARY KEY, {})", columns(kind))]
}

async fn start(from: Stack, to: Stack) -> Mirror {
    Pair::new(from, to, &["everything"]).tables(tables).start().await
}

/// Creates rows, updates them to `changed`, to NULLs, and destroys them, comparing column by column after each step.
async fn replicate(
    mirror: &mut Mirror,
    created: Vec<everything::Model>,
    changed: Vec<everything::Model>,
    exactly: bool,
) {
    let ids: Vec<i64> = changed.iter().map(|row| row.id).collect();
    let rows = |rows: Vec<everything::Model>| rows.into_iter().map(|row| Row::Everything(Box::new(row)));
    let count = created.len();
    let steps = [
        (Step::InsertMany(rows(created).collect()), count),
        (transaction(rows(changed).map(Step::Update)), count),
        (transaction(ids.into_iter().map(Step::ClearEverything)), count),
        (Step::DestroyAll(Model::Everything), 0),
    ];
    for (step, count) in steps {
        mirror.here.write(step).await.unwrap();
        mirror.settle().await;
        mirror.there_eyes.assert_same(&mirror.here_eyes, Model::Everything, exactly).await;
        assert_eq!(mirror.there_eyes.count("everything").await, count);
    }
}

async fn rows_of_one_database_arrive_unchanged_in_another_of_its_kind(from: Stack, to: Stack) {
    // given
    assert_eq!(from.kind, to.kind);
    let mut runner = runner();
    let mut mirror = start(from, to).await;
    let bounds = Bounds::of(from.kind);
    let strategy = (values(bounds), values(bounds), any::<u32>());

    for case in 0..2_i64 {
        // when
        let mut generated = || -> Vec<_> {
            let mut row = |id| {
                let (required, optional, present) = generate(&mut runner, &strategy);
                row(id, &required, &optional, present)
            };
            (0..64).map(|n| row(case * 1_000 + n)).collect()
        };
        let (created, changed) = (generated(), generated());

        // then
        replicate(&mut mirror, created, changed, true).await;
    }
}

async fn extreme_values_arrive(from: Stack, to: Stack) {
    // given
    let mut mirror = start(from, to).await;
    let [least, most, odd] = extremes(from.kind, to.kind);
    let of = |values: [_; 3], present| -> Vec<_> {
        (1..).zip(values).map(|(id, values)| row(id, values, values, present)).collect()
    };

    // when and then
    let (created, changed) = (of([&least, &most, &odd], !0), of([&most, &odd, &least], 0x0055_5555));
    replicate(&mut mirror, created, changed, false).await;
}
