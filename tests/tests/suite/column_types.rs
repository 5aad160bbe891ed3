//! Every type of column, from every database to every database.

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config as Cases, RngAlgorithm, TestRng, TestRunner};
use sea_orm::{ActiveModelTrait, EntityTrait, IntoActiveModel, ModelTrait, QueryOrder, Set};
use uuid::Uuid;

use crate::both_ways;
use crate::replica::{Kind, Pair, Replica};

mod everything {
    use promiscuous_seaorm::{Publish, Subscribe};
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
    #[sea_orm(rs_type = "String", db_type = "Text")]
    pub enum Color {
        #[sea_orm(string_value = "r")]
        Red,
        #[sea_orm(string_value = "bleu foncé")]
        Blue,
    }

    #[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
    #[sea_orm(rs_type = "i32", db_type = "Integer")]
    pub enum Level {
        #[sea_orm(num_value = -2147483648)]
        Low,
        #[sea_orm(num_value = 2147483647)]
        High,
    }

    /// All columns that each of the three databases can have, as themselves and as what may be NULL.
    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, DeriveEntityModel, Publish, Subscribe)]
    #[sea_orm(table_name = "everything")]
    #[publish(attributes(
        flag,
        maybe_flag,
        small,
        maybe_small,
        medium,
        maybe_medium,
        big,
        maybe_big,
        single,
        maybe_single,
        precise,
        maybe_precise,
        text,
        maybe_text,
        amount,
        maybe_amount,
        day,
        maybe_day,
        hour,
        maybe_hour,
        naive,
        maybe_naive,
        utc,
        maybe_utc,
        zoned,
        maybe_zoned,
        time_day,
        maybe_time_day,
        time_hour,
        maybe_time_hour,
        time_naive,
        maybe_time_naive,
        time_zoned,
        maybe_time_zoned,
        guid,
        maybe_guid,
        document,
        maybe_document,
        bytes,
        maybe_bytes,
        color,
        maybe_color,
        level,
        maybe_level,
    ))]
    #[subscribe(
        from = "shop/everything",
        attributes(
            flag,
            maybe_flag,
            small,
            maybe_small,
            medium,
            maybe_medium,
            big,
            maybe_big,
            single,
            maybe_single,
            precise,
            maybe_precise,
            text,
            maybe_text,
            amount,
            maybe_amount,
            day,
            maybe_day,
            hour,
            maybe_hour,
            naive,
            maybe_naive,
            utc,
            maybe_utc,
            zoned,
            maybe_zoned,
            time_day,
            maybe_time_day,
            time_hour,
            maybe_time_hour,
            time_naive,
            maybe_time_naive,
            time_zoned,
            maybe_time_zoned,
            guid,
            maybe_guid,
            document,
            maybe_document,
            bytes,
            maybe_bytes,
            color,
            maybe_color,
            level,
            maybe_level,
        )
    )]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: i64,
        pub flag: bool,
        pub small: i16,
        pub medium: i32,
        pub big: i64,
        pub single: f32,
        pub precise: f64,
        pub text: String,
        pub amount: Decimal,
        pub day: Date,
        pub hour: Time,
        pub naive: DateTime,
        pub utc: DateTimeUtc,
        pub zoned: DateTimeWithTimeZone,
        pub time_day: TimeDate,
        pub time_hour: TimeTime,
        pub time_naive: TimeDateTime,
        pub time_zoned: TimeDateTimeWithTimeZone,
        pub guid: Uuid,
        pub document: Json,
        pub bytes: Vec<u8>,
        pub color: Color,
        pub level: Level,
        pub maybe_flag: Option<bool>,
        pub maybe_small: Option<i16>,
        pub maybe_medium: Option<i32>,
        pub maybe_big: Option<i64>,
        pub maybe_single: Option<f32>,
        pub maybe_precise: Option<f64>,
        pub maybe_text: Option<String>,
        pub maybe_amount: Option<Decimal>,
        pub maybe_day: Option<Date>,
        pub maybe_hour: Option<Time>,
        pub maybe_naive: Option<DateTime>,
        pub maybe_utc: Option<DateTimeUtc>,
        pub maybe_zoned: Option<DateTimeWithTimeZone>,
        pub maybe_time_day: Option<TimeDate>,
        pub maybe_time_hour: Option<TimeTime>,
        pub maybe_time_naive: Option<TimeDateTime>,
        pub maybe_time_zoned: Option<TimeDateTimeWithTimeZone>,
        pub maybe_guid: Option<Uuid>,
        pub maybe_document: Option<Json>,
        pub maybe_bytes: Option<Vec<u8>>,
        pub maybe_color: Option<Color>,
        pub maybe_level: Option<Level>,
    }

    impl ActiveModelBehavior for ActiveModel {}
}

use everything::{Color, Level};

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

/// One value of each type.
#[derive(Clone, Debug)]
struct Values {
    flag: bool,
    small: i16,
    medium: i32,
    big: i64,
    single: f32,
    precise: f64,
    text: String,
    amount: rust_decimal::Decimal,
    day: chrono::NaiveDate,
    hour: chrono::NaiveTime,
    naive: chrono::NaiveDateTime,
    utc: chrono::DateTime<chrono::Utc>,
    zoned: chrono::DateTime<chrono::FixedOffset>,
    time_day: time::Date,
    time_hour: time::Time,
    time_naive: time::PrimitiveDateTime,
    time_zoned: time::OffsetDateTime,
    guid: Uuid,
    document: serde_json::Value,
    bytes: Vec<u8>,
    color: Color,
    level: Level,
}

/// A row of `required` values, whose other half is `optional` where `present` says so, by column.
fn row(id: i64, required: &Values, optional: &Values, present: u32) -> everything::Model {
    let (r, o) = (required.clone(), optional.clone());
    everything::Model {
        id,
        flag: r.flag,
        maybe_flag: (present & 1 == 1).then_some(o.flag),
        small: r.small,
        maybe_small: (present >> 1 & 1 == 1).then_some(o.small),
        medium: r.medium,
        maybe_medium: (present >> 2 & 1 == 1).then_some(o.medium),
        big: r.big,
        maybe_big: (present >> 3 & 1 == 1).then_some(o.big),
        single: r.single,
        maybe_single: (present >> 4 & 1 == 1).then_some(o.single),
        precise: r.precise,
        maybe_precise: (present >> 5 & 1 == 1).then_some(o.precise),
        text: r.text,
        maybe_text: (present >> 6 & 1 == 1).then_some(o.text),
        amount: r.amount,
        maybe_amount: (present >> 8 & 1 == 1).then_some(o.amount),
        day: r.day,
        maybe_day: (present >> 9 & 1 == 1).then_some(o.day),
        hour: r.hour,
        maybe_hour: (present >> 10 & 1 == 1).then_some(o.hour),
        naive: r.naive,
        maybe_naive: (present >> 11 & 1 == 1).then_some(o.naive),
        utc: r.utc,
        maybe_utc: (present >> 12 & 1 == 1).then_some(o.utc),
        zoned: r.zoned,
        maybe_zoned: (present >> 13 & 1 == 1).then_some(o.zoned),
        time_day: r.time_day,
        maybe_time_day: (present >> 14 & 1 == 1).then_some(o.time_day),
        time_hour: r.time_hour,
        maybe_time_hour: (present >> 15 & 1 == 1).then_some(o.time_hour),
        time_naive: r.time_naive,
        maybe_time_naive: (present >> 16 & 1 == 1).then_some(o.time_naive),
        time_zoned: r.time_zoned,
        maybe_time_zoned: (present >> 17 & 1 == 1).then_some(o.time_zoned),
        guid: r.guid,
        maybe_guid: (present >> 18 & 1 == 1).then_some(o.guid),
        document: r.document,
        maybe_document: (present >> 19 & 1 == 1).then_some(o.document),
        bytes: r.bytes,
        maybe_bytes: (present >> 20 & 1 == 1).then_some(o.bytes),
        color: r.color,
        maybe_color: (present >> 21 & 1 == 1).then_some(o.color),
        level: r.level,
        maybe_level: (present >> 22 & 1 == 1).then_some(o.level),
    }
}

/// What the generated values must keep to: the databases that they go through.
#[derive(Clone, Copy)]
struct Bounds {
    /// `NaN` and the infinities.
    strange_floats: bool,
    /// U+0000 in texts.
    nul: bool,
    /// Decimals beyond what an `f64` holds exactly.
    exact_decimals: bool,
}

impl Bounds {
    fn of(kind: Kind) -> Self {
        Self {
            strange_floats: kind == Kind::Postgres,
            nul: kind != Kind::Postgres,
            exact_decimals: kind != Kind::Sqlite,
        }
    }
}

fn values(bounds: Bounds) -> impl Strategy<Value = Values> {
    let numbers =
        (any::<bool>(), edgy::<i16>(), edgy::<i32>(), edgy::<i64>(), single(bounds), double(bounds));
    let texts = (text(bounds.nul), decimal(bounds), any::<u128>(), json(bounds), bytes());
    let moments = (day(), micros(), naive(), zoned(), naive(), naive(), zoned());
    let rest = (micros(), zoned(), any::<bool>(), any::<bool>());
    (numbers, texts, moments, rest).prop_map(|(numbers, texts, moments, rest)| {
        let (flag, small, medium, big, single, precise) = numbers;
        let (text, amount, guid, document, bytes) = texts;
        let (day, hour, naive, utc, time_day, time_naive, zoned) = moments;
        let (time_hour, time_zoned, red, low) = rest;
        Values {
            flag,
            small,
            medium,
            big,
            single,
            precise,
            text,

            amount,
            day,
            hour: chrono_time(hour),
            naive,
            utc: utc.to_utc(),
            zoned,
            time_day: time_naive_of(time_day).date(),
            time_hour: time_naive_of(chrono::NaiveDateTime::new(day, chrono_time(time_hour))).time(),
            time_naive: time_naive_of(time_naive),
            time_zoned: time_zoned_of(time_zoned),
            guid: Uuid::from_u128(guid),
            document,
            bytes,
            color: if red { Color::Red } else { Color::Blue },
            level: if low { Level::Low } else { Level::High },
        }
    })
}

/// Any value, the limits often.
fn edgy<T: Arbitrary + Limits>() -> impl Strategy<Value = T> {
    prop_oneof![4 => any::<T>(), 1 => Just(T::LEAST), 1 => Just(T::MOST)]
}

trait Limits: Clone + 'static {
    const LEAST: Self;
    const MOST: Self;
}

macro_rules! limits {
    ($($type:ident)*) => { $(impl Limits for $type { const LEAST: Self = $type::MIN; const MOST: Self = $type::MAX; })* };
}
limits!(i16 i32 i64);

fn single(bounds: Bounds) -> impl Strategy<Value = f32> {
    any::<f32>().prop_map(move |v| if v.is_finite() || bounds.strange_floats { v } else { f32::MAX })
}

fn double(bounds: Bounds) -> impl Strategy<Value = f64> {
    any::<f64>().prop_map(move |v| if v.is_finite() || bounds.strange_floats { v } else { f64::MAX })
}

fn text(nul: bool) -> impl Strategy<Value = String> {
    let any = proptest::collection::vec(any::<char>(), 0..40).prop_map(|text| text.into_iter().collect());
    let quoted = prop_oneof![Just("'\"\\;--`".to_owned()), Just("😀 \u{202e}x ".to_owned())];
    let texts = prop_oneof![6 => any, 1 => Just(String::new()), 1 => quoted, 1 => Just("\0a\0".to_owned())];
    texts.prop_map(move |text: String| if nul { text } else { text.replace('\0', "") })
}

/// At most 18 digits before the point and 10 after it.
fn decimal(bounds: Bounds) -> impl Strategy<Value = rust_decimal::Decimal> {
    let most = 10_i128.pow(28) - 1;
    let exact = prop_oneof![4 => -most..=most, 1 => Just(most), 1 => Just(-most), 1 => Just(0)];
    (exact, any::<i32>()).prop_map(move |(exact, short)| match bounds.exact_decimals {
        true => rust_decimal::Decimal::from_i128_with_scale(exact, 10),
        false => rust_decimal::Decimal::new(short.into(), 2),
    })
}

fn json(bounds: Bounds) -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<u64>().prop_map(Into::into),
        any::<f64>().prop_filter("JSON has no other", |v| v.is_finite()).prop_map(Into::into),
        text(bounds.nul).prop_map(Into::into),
    ];
    let nested = leaf.prop_recursive(4, 24, 4, |inner| {
        let key = "[a-zA-Zé \"\\\\.$]{0,6}";
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(serde_json::Value::Array),
            proptest::collection::btree_map(key, inner, 0..4)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    });
    // A nullable column cannot tell the JSON null from NULL.
    nested.prop_map(|json| if json.is_null() { serde_json::json!({"null": null}) } else { json })
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(any::<u8>(), 0..60)
}

const MICROS_A_DAY: i64 = 24 * 3600 * 1_000_000;

fn micros() -> impl Strategy<Value = i64> {
    prop_oneof![4 => 0..MICROS_A_DAY, 1 => Just(0), 1 => Just(MICROS_A_DAY - 1)]
}

fn chrono_time(micros: i64) -> chrono::NaiveTime {
    let (seconds, micros) = (micros / 1_000_000, micros % 1_000_000);
    chrono::NaiveTime::from_num_seconds_from_midnight_opt(seconds as u32, micros as u32 * 1_000).unwrap()
}

/// From the year 1 to 9999: MariaDB and the time crate know no others.
fn day() -> impl Strategy<Value = chrono::NaiveDate> {
    let first = chrono::NaiveDate::from_ymd_opt(1, 1, 1).unwrap();
    let days = chrono::NaiveDate::from_ymd_opt(9999, 12, 31).unwrap().signed_duration_since(first).num_days();
    prop_oneof![4 => 0..=days, 1 => Just(0), 1 => Just(days)]
        .prop_map(move |day| first + chrono::Duration::days(day))
}

fn naive() -> impl Strategy<Value = chrono::NaiveDateTime> {
    (day(), micros()).prop_map(|(day, micros)| chrono::NaiveDateTime::new(day, chrono_time(micros)))
}

/// What MariaDB's TIMESTAMP holds, in any zone.
fn zoned() -> impl Strategy<Value = chrono::DateTime<chrono::FixedOffset>> {
    let last = i64::from(i32::MAX) * 1_000_000 + 999_999;
    let at = prop_oneof![4 => 1_000_000..=last, 1 => Just(1_000_000), 1 => Just(last)];
    (at, -14 * 60..=14 * 60_i32).prop_map(|(micros, minutes)| {
        let zone = chrono::FixedOffset::east_opt(minutes * 60).unwrap();
        chrono::DateTime::from_timestamp_micros(micros).unwrap().with_timezone(&zone)
    })
}

fn time_naive_of(moment: chrono::NaiveDateTime) -> time::PrimitiveDateTime {
    let utc = moment.and_utc();
    let unix = time::OffsetDateTime::from_unix_timestamp(utc.timestamp()).unwrap();
    let exact = unix.replace_nanosecond(utc.timestamp_subsec_nanos()).unwrap();
    time::PrimitiveDateTime::new(exact.date(), exact.time())
}

fn time_zoned_of(moment: chrono::DateTime<chrono::FixedOffset>) -> time::OffsetDateTime {
    let offset = time::UtcOffset::from_whole_seconds(moment.offset().local_minus_utc()).unwrap();
    time_naive_of(moment.naive_utc()).assume_utc().to_offset(offset)
}

/// A generator whose seed is printed, and taken from `PROPTEST_SEED` to repeat a failure.
fn runner() -> TestRunner {
    let seed = std::env::var("PROPTEST_SEED").unwrap_or_else(|_| Uuid::now_v7().simple().to_string());
    println!("PROPTEST_SEED={seed}");
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, seed.as_bytes()[..32].try_into().unwrap());
    TestRunner::new_with_rng(Cases::default(), rng)
}

fn generate<T: std::fmt::Debug>(runner: &mut TestRunner, strategy: &impl Strategy<Value = T>) -> T {
    strategy.new_tree(runner).unwrap().current()
}

fn everything_tables(kind: Kind) -> Vec<String> {
    vec![format!("CREATE TABLE everything (id BIGINT NOT NULL PRIMARY KEY, {})", columns(kind))]
}

async fn start(from: Kind, to: Kind) -> Replica {
    Pair::new(from, to, both_ways![everything], everything_tables).start().await
}

/// Compares column by column, and reports the first column that differs.
async fn assert_same(replica: &Replica, rows: usize, exactly: bool) {
    let rows_of = |db| everything::Entity::find().order_by_asc(everything::Column::Id).all(db);
    let here = rows_of(replica.plain_here()).await.unwrap();
    let there = rows_of(replica.plain_there()).await.unwrap();
    assert_eq!((here.len(), there.len()), (rows, rows));
    for (here, there) in here.iter().zip(&there) {
        for column in <everything::Column as sea_orm::Iterable>::iter() {
            let [here, there] = [here, there].map(|row| shown(row.get(column), exactly));
            assert_eq!(there, here, "column {column:?}");
        }
    }
}

/// A value as text: moments in UTC, because the same moment in another zone is no change, and decimals without zeros at the
/// end unless asked for `exactly` what is there, because not every database keeps the scale.
fn shown(value: sea_orm::Value, exactly: bool) -> String {
    use sea_orm::Value;
    let value = match value {
        Value::Decimal(Some(v)) if !exactly => Value::from(v.normalize()),
        Value::ChronoDateTimeWithTimeZone(Some(v)) => Value::from(v.to_utc()),
        Value::TimeDateTimeWithTimeZone(Some(v)) => Value::from(v.to_offset(time::UtcOffset::UTC)),
        value => value,
    };
    format!("{value:?}")
}

/// Creates rows, updates them to `changed`, to NULLs, and destroys them, comparing after each step.
async fn replicate(
    replica: &mut Replica,
    created: Vec<everything::Model>,
    changed: Vec<everything::Model>,
    exactly: bool,
) {
    let count = created.len();
    let rows = created.into_iter().map(|row| row.into_active_model().reset_all());
    everything::Entity::insert_many(rows).exec(&replica.here).await.unwrap();
    replica.settle().await;
    assert_same(replica, count, exactly).await;

    let nulls = changed.iter().map(|row| {
        let values = everything::ActiveModel { id: Set(row.id), ..Default::default() };
        without_options(values)
    });
    let nulls: Vec<everything::ActiveModel> = nulls.collect();
    for rows in [changed.into_iter().map(|row| row.into_active_model().reset_all()).collect(), nulls] {
        let transaction = replica.here.begin().await.unwrap();
        for row in rows {
            row.update(&transaction).await.unwrap();
        }
        transaction.commit().await.unwrap();
        replica.settle().await;
        assert_same(replica, count, exactly).await;
    }

    everything::Entity::delete_many().exec(&replica.here).await.unwrap();
    replica.settle().await;
    assert_same(replica, 0, exactly).await;
}

async fn rows_of_one_database_arrive_in_another_of_its_kind(kind: Kind) {
    // given
    let mut runner = runner();
    let mut replica = start(kind, kind).await;
    let strategy = (values(Bounds::of(kind)), values(Bounds::of(kind)), any::<u32>());

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
        replicate(&mut replica, created, changed, true).await;
    }
}

/// The limits that any two of the databases agree on.
fn extremes(from: Kind, to: Kind) -> [Values; 3] {
    let sqlite = from == Kind::Sqlite || to == Kind::Sqlite;
    let day = |year, month, day| chrono::NaiveDate::from_ymd_opt(year, month, day).unwrap();
    let moment = |text: &str| chrono::DateTime::parse_from_rfc3339(text).unwrap();
    let least = Values {
        flag: false,
        small: i16::MIN,
        medium: i32::MIN,
        big: i64::MIN,
        single: f32::MIN,
        precise: f64::MIN,
        text: String::new(),
        amount: if sqlite { "-12345678.25" } else { "-999999999999999999.9999999999" }.parse().unwrap(),
        day: day(1, 1, 1),
        hour: chrono_time(0),
        naive: day(1, 1, 1).and_time(chrono_time(0)),
        utc: moment("1970-01-01T00:00:01Z").to_utc(),
        zoned: moment("1970-01-01T14:00:01+14:00"),
        time_day: time_naive_of(day(1, 1, 1).and_time(chrono_time(0))).date(),
        time_hour: time::Time::MIDNIGHT,
        time_naive: time_naive_of(day(1, 1, 1).and_time(chrono_time(0))),
        time_zoned: time_zoned_of(moment("1970-01-01T14:00:01+14:00")),
        guid: Uuid::nil(),
        document: serde_json::json!({}),
        bytes: vec![],
        color: Color::Red,
        level: Level::Low,
    };
    let most = Values {
        flag: true,
        small: i16::MAX,
        medium: i32::MAX,
        big: i64::MAX,
        single: f32::MAX,
        precise: f64::MAX,
        text: "é😀".repeat(1024 * 1024 / 6),
        amount: if sqlite { "12345678.75" } else { "999999999999999999.9999999999" }.parse().unwrap(),
        day: day(9999, 12, 31),
        hour: chrono_time(MICROS_A_DAY - 1),
        naive: day(9999, 12, 31).and_time(chrono_time(MICROS_A_DAY - 1)),
        utc: moment("2038-01-19T03:14:07.999999Z").to_utc(),
        zoned: moment("2038-01-18T15:14:07.999999-12:00"),
        time_day: time_naive_of(day(9999, 12, 31).and_time(chrono_time(0))).date(),
        time_hour: time::Time::from_hms_micro(23, 59, 59, 999_999).unwrap(),
        time_naive: time_naive_of(day(9999, 12, 31).and_time(chrono_time(MICROS_A_DAY - 1))),
        time_zoned: time_zoned_of(moment("2038-01-18T15:14:07.999999-12:00")),
        guid: Uuid::max(),
        document: serde_json::json!([null, {"a": [i64::MIN, u64::MAX, 0.1, null, "\u{1f600}", [[]]]}]),
        bytes: (0..=255).collect(),
        color: Color::Blue,
        level: Level::High,
    };
    let odd = Values {
        single: f32::MIN_POSITIVE,
        precise: 5e-324,
        text: "'\"\\;--`%s$1?\r\n\t\u{feff} ".to_owned(),
        amount: "0.01".parse().unwrap(),
        document: serde_json::json!("just 'a' \"text\""),
        ..least.clone()
    };
    [least, most, odd]
}

async fn extreme_values_arrive(from: Kind, to: Kind) {
    // given
    let mut replica = start(from, to).await;
    let [least, most, odd] = extremes(from, to);
    let of = |values: [&Values; 3], present| -> Vec<_> {
        (1..).zip(values).map(|(id, values)| row(id, values, values, present)).collect()
    };

    // when and then
    replicate(&mut replica, of([&least, &most, &odd], !0), of([&most, &odd, &least], 0x0055_5555), false)
        .await;
}

macro_rules! pairs {
    ($($name:ident: $from:ident $to:ident,)*) => {
        mod extremes {
            use super::Kind;
            $(#[tokio::test] async fn $name() { super::extreme_values_arrive(Kind::$from, Kind::$to).await; })*
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

mod rows {
    use super::Kind;

    #[tokio::test]
    async fn of_postgres_arrive_unchanged() {
        super::rows_of_one_database_arrive_in_another_of_its_kind(Kind::Postgres).await;
    }

    #[tokio::test]
    async fn of_mariadb_arrive_unchanged() {
        super::rows_of_one_database_arrive_in_another_of_its_kind(Kind::MariaDb).await;
    }

    #[tokio::test]
    async fn of_sqlite_arrive_unchanged() {
        super::rows_of_one_database_arrive_in_another_of_its_kind(Kind::Sqlite).await;
    }
}

/// Sets everything that may be NULL to NULL.
fn without_options(mut row: everything::ActiveModel) -> everything::ActiveModel {
    row.maybe_flag = Set(None);
    row.maybe_small = Set(None);
    row.maybe_medium = Set(None);
    row.maybe_big = Set(None);
    row.maybe_single = Set(None);
    row.maybe_precise = Set(None);
    row.maybe_text = Set(None);
    row.maybe_amount = Set(None);
    row.maybe_day = Set(None);
    row.maybe_hour = Set(None);
    row.maybe_naive = Set(None);
    row.maybe_utc = Set(None);
    row.maybe_zoned = Set(None);
    row.maybe_time_day = Set(None);
    row.maybe_time_hour = Set(None);
    row.maybe_time_naive = Set(None);
    row.maybe_time_zoned = Set(None);
    row.maybe_guid = Set(None);
    row.maybe_document = Set(None);
    row.maybe_bytes = Set(None);
    row.maybe_color = Set(None);
    row.maybe_level = Set(None);
    row
}

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
