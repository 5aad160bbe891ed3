//! Values of all types: generated ones, and the limits.

use promiscuous_tests::conformance::Row;
use promiscuous_tests::databases::Kind;
use promiscuous_tests::entities::everything::{Color, Level, moment, plain};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config as Cases, RngAlgorithm, TestRng, TestRunner};
use uuid::Uuid;

/// One value of each type.
#[derive(Clone, Debug)]
pub struct Values {
    pub flag: bool,
    pub small: i16,
    pub medium: i32,
    pub big: i64,
    pub single: f32,
    pub precise: f64,
    pub text: String,
    pub amount: rust_decimal::Decimal,
    pub day: chrono::NaiveDate,
    pub hour: chrono::NaiveTime,
    pub naive: chrono::NaiveDateTime,
    pub utc: chrono::DateTime<chrono::Utc>,
    pub zoned: chrono::DateTime<chrono::FixedOffset>,
    pub time_day: time::Date,
    pub time_hour: time::Time,
    pub time_naive: time::PrimitiveDateTime,
    pub time_zoned: time::OffsetDateTime,
    pub guid: Uuid,
    pub document: serde_json::Value,
    pub bytes: Vec<u8>,
    pub color: Color,
    pub level: Level,
}

/// Rows of `required` values, whose other half is `optional` where `present` says so, column by column.
pub fn rows(id: i64, required: &Values, optional: &Values, present: u32) -> [Row; 2] {
    let (r, o) = (required.clone(), optional.clone());
    let has = |column: u32| present >> column & 1 == 1;
    let plain = plain::Model {
        id,
        maybe_flag: has(0).then_some(o.flag),
        flag: r.flag,
        maybe_small: has(1).then_some(o.small),
        small: r.small,
        maybe_medium: has(2).then_some(o.medium),
        medium: r.medium,
        maybe_big: has(3).then_some(o.big),
        big: r.big,
        maybe_single: has(4).then_some(o.single),
        single: r.single,
        maybe_precise: has(5).then_some(o.precise),
        precise: r.precise,
        maybe_text: has(6).then_some(o.text),
        text: r.text,
        maybe_amount: has(7).then_some(o.amount),
        amount: r.amount,
        maybe_guid: has(8).then_some(o.guid),
        guid: r.guid,
        maybe_document: has(9).then_some(o.document),
        document: r.document,
        maybe_bytes: has(10).then_some(o.bytes),
        bytes: r.bytes,
        maybe_color: has(11).then_some(o.color),
        color: r.color,
        maybe_level: has(12).then_some(o.level),
        level: r.level,
    };
    let moment = moment::Model {
        id,
        maybe_day: has(13).then_some(o.day),
        day: r.day,
        maybe_hour: has(14).then_some(o.hour),
        hour: r.hour,
        maybe_naive: has(15).then_some(o.naive),
        naive: r.naive,
        maybe_utc: has(16).then_some(o.utc),
        utc: r.utc,
        maybe_zoned: has(17).then_some(o.zoned),
        zoned: r.zoned,
        maybe_time_day: has(18).then_some(o.time_day),
        time_day: r.time_day,
        maybe_time_hour: has(19).then_some(o.time_hour),
        time_hour: r.time_hour,
        maybe_time_naive: has(20).then_some(o.time_naive),
        time_naive: r.time_naive,
        maybe_time_zoned: has(21).then_some(o.time_zoned),
        time_zoned: r.time_zoned,
    };
    [Row::Plain(Box::new(plain)), Row::Moment(Box::new(moment))]
}

/// What the generated values must keep to: the databases that they go through.
#[derive(Clone, Copy)]
pub struct Bounds {
    /// `NaN` and the infinities.
    strange_floats: bool,
    /// U+0000 in texts.
    nul: bool,
    /// Decimals beyond what an `f64` holds exactly.
    exact_decimals: bool,
}

impl Bounds {
    pub fn of(kind: Kind) -> Self {
        Self {
            strange_floats: kind == Kind::Postgres,
            nul: kind != Kind::Postgres,
            exact_decimals: kind != Kind::Sqlite,
        }
    }
}

pub fn values(bounds: Bounds) -> impl Strategy<Value = Values> {
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
pub fn runner() -> TestRunner {
    let seed = std::env::var("PROPTEST_SEED").unwrap_or_else(|_| Uuid::now_v7().simple().to_string());
    println!("PROPTEST_SEED={seed}");
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, seed.as_bytes()[..32].try_into().unwrap());
    TestRunner::new_with_rng(Cases::default(), rng)
}

pub fn generate<T: std::fmt::Debug>(runner: &mut TestRunner, strategy: &impl Strategy<Value = T>) -> T {
    strategy.new_tree(runner).unwrap().current()
}

/// The limits that any two of the databases agree on.
pub fn extremes(from: Kind, to: Kind) -> [Values; 3] {
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
