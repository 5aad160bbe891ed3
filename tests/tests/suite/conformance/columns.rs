//! Every type of column, from every database to every database.

use promiscuous_tests::conformance::step::transaction;
use promiscuous_tests::conformance::tables::Side;
use promiscuous_tests::conformance::{Model, Row, Stack, Step};
use promiscuous_tests::databases::Kind;
use proptest::prelude::any;

use super::mirror::{Mirror, Pair};
use super::values::{Bounds, extremes, generate, rows, runner, values};

every_pair! {
    extreme_values_arrive
}

mod rows_of_one_database_arrive_unchanged_in_another_of_its_kind {
    crate::conformance::pairs! { rows_of_one_database_arrive_unchanged_in_another_of_its_kind:
        seaorm_postgres_to_seaorm_postgres: SEAORM_POSTGRES SEAORM_POSTGRES,
        seaorm_mariadb_to_seaorm_mariadb: SEAORM_MARIADB SEAORM_MARIADB,
        seaorm_sqlite_to_seaorm_sqlite: SEAORM_SQLITE SEAORM_SQLITE,
        seaorm_postgres_to_diesel_postgres: SEAORM_POSTGRES DIESEL_POSTGRES,
        seaorm_mariadb_to_diesel_mariadb: SEAORM_MARIADB DIESEL_MARIADB,
        seaorm_sqlite_to_diesel_sqlite: SEAORM_SQLITE DIESEL_SQLITE,
        diesel_postgres_to_seaorm_postgres: DIESEL_POSTGRES SEAORM_POSTGRES,
        diesel_mariadb_to_seaorm_mariadb: DIESEL_MARIADB SEAORM_MARIADB,
        diesel_sqlite_to_seaorm_sqlite: DIESEL_SQLITE SEAORM_SQLITE,
        diesel_postgres_to_diesel_postgres: DIESEL_POSTGRES DIESEL_POSTGRES,
        diesel_mariadb_to_diesel_mariadb: DIESEL_MARIADB DIESEL_MARIADB,
        diesel_sqlite_to_diesel_sqlite: DIESEL_SQLITE DIESEL_SQLITE,
    }
}

/// The columns: name, and type on PostgreSQL, MariaDB and SQLite.
const PLAIN: [(&str, [&str; 3]); 13] = [
    ("flag", ["BOOLEAN", "BOOLEAN", "BOOLEAN"]),
    ("small", ["SMALLINT", "SMALLINT", "SMALLINT"]),
    ("medium", ["INTEGER", "INTEGER", "INTEGER"]),
    ("big", ["BIGINT", "BIGINT", "BIGINT"]),
    ("single", ["REAL", "FLOAT", "REAL"]),
    ("precise", ["DOUBLE PRECISION", "DOUBLE", "REAL"]),
    ("text", ["TEXT", "LONGTEXT COLLATE utf8mb4_bin", "TEXT"]),
    ("amount", ["NUMERIC(38, 10)", "DECIMAL(38, 10)", "REAL"]),
    ("guid", ["UUID", "BINARY(16)", "BLOB"]),
    ("document", ["JSONB", "JSON", "TEXT"]),
    ("bytes", ["BYTEA", "LONGBLOB", "BLOB"]),
    ("color", ["TEXT", "VARCHAR(20)", "TEXT"]),
    ("level", ["INTEGER", "INTEGER", "INTEGER"]),
];

/// The same for dates and times.
const MOMENTS: [(&str, [&str; 3]); 9] = [
    ("day", ["DATE", "DATE", "DATE"]),
    ("hour", ["TIME", "TIME(6)", "TIME"]),
    ("naive", ["TIMESTAMP", "DATETIME(6)", "TEXT"]),
    ("utc", ["TIMESTAMPTZ", "TIMESTAMP(6)", "TEXT"]),
    ("zoned", ["TIMESTAMPTZ", "TIMESTAMP(6)", "TEXT"]),
    ("time_day", ["DATE", "DATE", "DATE"]),
    ("time_hour", ["TIME", "TIME(6)", "TIME"]),
    ("time_naive", ["TIMESTAMP", "DATETIME(6)", "TEXT"]),
    ("time_zoned", ["TIMESTAMPTZ", "TIMESTAMP(6)", "TEXT"]),
];

fn table(kind: Kind, model: Model, from: &[(&str, [&str; 3])]) -> String {
    let column = |(name, types): &(&str, [&str; 3])| {
        let sql = types[kind as usize];
        // MariaDB gives the first TIMESTAMP without a default one that changes with every update.
        format!("{name} {sql} NOT NULL{}, maybe_{name} {sql} NULL", default(sql))
    };
    let columns = from.iter().map(column).collect::<Vec<_>>().join(", ");
    format!("CREATE TABLE {} (id BIGINT NOT NULL PRIMARY KEY, {columns})", model.table())
}

fn default(sql: &str) -> &'static str {
    if sql == "TIMESTAMP(6)" { " DEFAULT '2000-01-01 00:00:00'" } else { "" }
}

const MODELS: [Model; 2] = [Model::Plain, Model::Moment];

fn tables(kind: Kind, _: Side) -> Vec<String> {
    vec![table(kind, Model::Plain, &PLAIN), table(kind, Model::Moment, &MOMENTS)]
}

async fn start(from: Stack, to: Stack) -> Mirror {
    Pair::new(from, to, &MODELS.map(Model::endpoint)).tables(tables).start().await
}

/// Creates rows of both models, updates them to `changed`, to NULLs, and destroys them, comparing column by column after each
/// step.
async fn replicate(
    mirror: &mut Mirror,
    created: Vec<[Row; 2]>,
    changed: Vec<[Row; 2]>,
    ids: &[i64],
    exactly: bool,
) {
    let count = created.len();
    let (plains, moments): (Vec<Row>, Vec<Row>) =
        created.into_iter().map(|[plain, moment]| (plain, moment)).unzip();
    let clear = ids.iter().flat_map(|id| MODELS.map(|model| Step::Clear(model, *id)));
    let steps = [
        (vec![Step::InsertMany(plains), Step::InsertMany(moments)], count),
        (vec![transaction(changed.into_iter().flatten().map(Step::Update))], count),
        (vec![transaction(clear)], count),
        (MODELS.map(Step::DestroyAll).into(), 0),
    ];
    for (steps, count) in steps {
        mirror.here.run(None, steps).await.unwrap();
        mirror.settle().await;
        for model in MODELS {
            mirror.there_eyes.assert_same(&mirror.here_eyes, model, exactly).await;
            assert_eq!(mirror.there_eyes.count(model.table()).await, count);
        }
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
                rows(id, &required, &optional, present)
            };
            (0..64).map(|n| row(case * 1_000 + n)).collect()
        };
        let (created, changed) = (generated(), generated());
        let ids: Vec<i64> = (0..64).map(|n| case * 1_000 + n).collect();

        // then
        replicate(&mut mirror, created, changed, &ids, true).await;
    }
}

async fn extreme_values_arrive(from: Stack, to: Stack) {
    // given
    let mut mirror = start(from, to).await;
    let [least, most, odd] = extremes(from.kind, to.kind);
    let of = |values: [_; 3], present| -> Vec<_> {
        (1..).zip(values).map(|(id, values)| rows(id, values, values, present)).collect()
    };

    // when and then
    let (created, changed) = (of([&least, &most, &odd], !0), of([&most, &odd, &least], 0x0055_5555));
    replicate(&mut mirror, created, changed, &[1, 2, 3], false).await;
}
