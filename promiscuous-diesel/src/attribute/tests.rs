use std::fmt::Debug;
use std::str::FromStr;

use ::chrono::{DateTime, FixedOffset, Local, NaiveDate, NaiveDateTime, NaiveTime, Utc};
use bigdecimal::{BigDecimal, FromPrimitive};
use promiscuous_core::database::Dialect;
use proptest::prelude::*;
use serde_json::json;
use uuid::Uuid;

use super::*;

/// Microseconds of the years -9998 to 9998: what both time libraries know without further features.
const MICROSECONDS: std::ops::Range<i64> = -377_000_000_000_000_000..253_000_000_000_000_000;

fn instant() -> impl Strategy<Value = DateTime<Utc>> {
    MICROSECONDS.prop_map(|micros| DateTime::from_timestamp_micros(micros).unwrap())
}

fn zoned() -> impl Strategy<Value = DateTime<FixedOffset>> {
    (instant(), -86_399..86_400_i32)
        .prop_map(|(at, east)| at.with_timezone(&FixedOffset::east_opt(east).unwrap()))
}

fn time_zoned() -> impl Strategy<Value = ::time::OffsetDateTime> {
    (instant(), -86_399..86_400_i32).prop_map(|(at, east)| {
        let utc = ::time::OffsetDateTime::from_unix_timestamp_nanos(i128::from(at.timestamp_micros()) * 1000);
        utc.unwrap().to_offset(::time::UtcOffset::from_whole_seconds(east).unwrap())
    })
}

fn decimal() -> impl Strategy<Value = BigDecimal> {
    (any::<i128>(), 0..40_i64).prop_map(|(digits, scale)| BigDecimal::new(digits.into(), scale))
}

fn document() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        any::<u64>().prop_map(Json::from),
        any::<f64>().prop_map(Json::from),
        any::<String>().prop_map(Json::from),
        "[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}[.][0-9]{6}Z".prop_map(Json::from),
        "[+-]?[0-9.eE]{1,40}".prop_map(Json::from),
    ];
    leaf.prop_recursive(4, 20, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Json::from),
            prop::collection::hash_map(any::<String>(), inner, 0..5)
                .prop_map(|map| Json::Object(map.into_iter().collect())),
        ]
    })
}

/// Through the text of a message, as over a broker.
fn over_the_wire<T: Attribute>(value: &T) -> T {
    let text = serde_json::to_string(&value.to_wire().unwrap()).unwrap();
    T::from_wire(&serde_json::from_str(&text).unwrap()).unwrap()
}

/// Arrives as it was, alone, as an option and among others; another value's neighbour is not it.
fn survives<T: Attribute + Clone + Debug>(value: &T) {
    let arrived = over_the_wire(value);
    assert!(value.same(&arrived) && arrived.same(value), "{value:?} became {arrived:?}");
    assert_eq!(value.to_wire(), arrived.to_wire());
    let some = Some(value.clone());
    assert!(over_the_wire(&some).is_some_and(|arrived| arrived.same(value)));
    assert!(!some.same(&None) && !None.same(&some) && None::<T>.same(&None));
    let list = vec![value.clone(), arrived];
    assert!(over_the_wire(&list).same(&list) && !list.same(&vec![value.clone()]));
}

/// The same, and as an id, which is the same for equal values.
fn identifies<T: IdPart + Clone + Debug + PartialEq>(value: &T) {
    survives(value);
    let id = value.to_id().unwrap();
    let read = T::from_id(&id).unwrap();
    assert_eq!(&read, value, "{id}");
    assert_eq!(read.to_id().unwrap(), id);
    assert_eq!(Some(value.clone()).to_id().unwrap(), id);
}

proptest! {
    #[test]
    fn every_value_survives_the_wire_and_as_an_id(
        (bits, text, bytes, character) in (any::<u128>(), any::<String>(), any::<Vec<u8>>(), any::<char>()),
        (double, single) in (any::<f64>(), any::<f32>()),
        (utc, zoned, zoned_too, decimal) in (instant(), zoned(), time_zoned(), decimal()),
        document in document(),
    ) {
        identifies(&(bits & 1 == 1));
        identifies(&(bits as i8));
        identifies(&(bits as i16));
        identifies(&(bits as i32));
        identifies(&(bits as i64));
        identifies(&(bits as u16));
        identifies(&(bits as u32));
        identifies(&(bits as u64));
        identifies(&text);
        identifies(&character);
        identifies(&Uuid::from_u128(bits));
        identifies(&decimal);
        identifies(&utc);
        identifies(&utc.date_naive());
        identifies(&utc.time());
        identifies(&utc.naive_utc());
        identifies(&utc.with_timezone(&Local));
        identifies(&zoned);
        identifies(&zoned_too);
        identifies(&zoned_too.date());
        identifies(&zoned_too.time());
        identifies(&::time::PrimitiveDateTime::new(zoned_too.date(), zoned_too.time()));
        survives(&double);
        survives(&single);
        prop_assume!(!document.is_null());
        survives(&document);
        // Bytes are text on the wire, so there is no array of them; alone they are an id.
        prop_assert_eq!(&over_the_wire(&bytes), &bytes);
        prop_assert_eq!(Vec::<u8>::from_id(&bytes.to_id().unwrap()).unwrap(), bytes);
    }

    #[test]
    fn garbage_never_panics_and_what_is_taken_can_be_sent(document in document(), text in any::<String>()) {
        fn poke<T: IdPart>(json: &Json, text: &str) {
            for value in [T::from_wire(json), T::from_wire(&Json::from(text)), T::from_id(text)] {
                let _ = value.map(|value| (value.to_wire(), value.to_id(), value.settled(Dialect::Sqlite).is_some()));
            }
        }
        for text in [text, document.as_str().unwrap_or_default().to_owned()] {
            poke::<bool>(&document, &text);
            poke::<i8>(&document, &text);
            poke::<i64>(&document, &text);
            poke::<u8>(&document, &text);
            poke::<u64>(&document, &text);
            poke::<char>(&document, &text);
            poke::<String>(&document, &text);
            poke::<Vec<u8>>(&document, &text);
            poke::<Uuid>(&document, &text);
            poke::<BigDecimal>(&document, &text);
            poke::<NaiveDate>(&document, &text);
            poke::<NaiveTime>(&document, &text);
            poke::<NaiveDateTime>(&document, &text);
            poke::<DateTime<FixedOffset>>(&document, &text);
            poke::<DateTime<Local>>(&document, &text);
            poke::<::time::Date>(&document, &text);
            poke::<::time::Time>(&document, &text);
            poke::<::time::PrimitiveDateTime>(&document, &text);
            poke::<::time::OffsetDateTime>(&document, &text);
        }
        let _ = Vec::<Option<i32>>::from_wire(&document);
        let _ = f32::from_wire(&document);
    }

    #[test]
    fn a_decimal_that_sqlite_kept_as_a_float_is_written_as_it_was(digits in -999_999_999_999_999_i64..1_000_000_000_000_000, scale in 0..16_i64) {
        // Given a decimal of 15 digits, as Diesel reads it back from SQLite.
        let written = BigDecimal::new(digits.into(), scale);
        let float: f64 = written.to_plain_string().parse().unwrap();
        let read = BigDecimal::from_f64(float).unwrap();
        // Then it is the same decimal, but only on SQLite.
        prop_assert_eq!(read.settled(Dialect::Sqlite), Some(written));
        prop_assert_eq!(read.settled(Dialect::Postgres), None);
    }
}

#[test]
fn the_limits_survive() {
    identifies(&i8::MIN);
    identifies(&i64::MIN);
    identifies(&i64::MAX);
    identifies(&u64::MAX);
    identifies(&u8::MAX);
    identifies(&String::new());
    identifies(&"👩‍👩‍👧‍👦 \0 \u{FEFF}".to_owned());
    identifies(&"x".repeat(1 << 20));
    identifies(&'\0');
    identifies(&NaiveDate::MIN);
    identifies(&NaiveDate::MAX);
    identifies(&NaiveTime::from_hms_micro_opt(23, 59, 59, 1_999_999).unwrap());
    identifies(&NaiveDateTime::MIN);
    identifies(&DateTime::<Utc>::MIN_UTC);
    identifies(&::time::Date::MIN);
    identifies(&::time::Date::MAX);
    for float in [f64::MAX, 5e-324, -0.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        survives(&float);
    }
    for float in [f32::MIN_POSITIVE, f32::MAX, f32::NAN, -0.0, 0.1] {
        survives(&float);
    }
    // More digits than any database's own types, and PostgreSQL's most.
    identifies(&BigDecimal::new(1.into(), 16_383));
    identifies(&BigDecimal::from_str(&"9".repeat(131_072)).unwrap());
    assert!(Json::Null.same(&over_the_wire(&Json::Null)));
}

#[test]
fn the_wire_form_is_what_the_documentation_says() {
    let at = DateTime::parse_from_rfc3339("2025-11-20T09:30:00.123456789+01:00").unwrap();
    assert_eq!(at.to_wire().unwrap(), "2025-11-20T09:30:00.123456+01:00");
    assert_eq!(at.to_utc().to_wire().unwrap(), "2025-11-20T08:30:00.123456Z");
    assert_eq!(at.naive_local().to_wire().unwrap(), "2025-11-20T09:30:00.123456");
    assert_eq!(at.date_naive().to_wire().unwrap(), "2025-11-20");
    assert_eq!(at.time().to_wire().unwrap(), "09:30:00.123456");
    assert_eq!(u64::MAX.to_wire().unwrap().to_string(), "18446744073709551615");
    assert_eq!(f64::NAN.to_wire().unwrap(), "NaN");
    assert_eq!(vec![0xff_u8, 0xfe].to_wire().unwrap(), "//4=");
    assert_eq!(vec![Some(1_i32), None].to_wire().unwrap(), json!([1, null]));
    assert_eq!(BigDecimal::from_str("1.10").unwrap().to_wire().unwrap(), "1.10");
    assert_eq!(BigDecimal::new(0.into(), 2).to_wire().unwrap(), "0.00");
    assert_eq!(BigDecimal::new(1.into(), 12).to_wire().unwrap(), "0.000000000001");
    assert_eq!(BigDecimal::new(12.into(), -3).to_wire().unwrap(), "12000");
    assert_eq!(Uuid::nil().to_wire().unwrap(), "00000000-0000-0000-0000-000000000000");
}

#[test]
fn a_null_is_none_where_there_is_an_option_and_a_value_where_the_field_is_json() {
    assert_eq!(Option::<Json>::from_wire(&Json::Null), Ok(None));
    assert_eq!(Json::from_wire(&Json::Null), Ok(Json::Null));
    assert_eq!(Vec::<Json>::from_wire(&json!([null])), Ok(vec![Json::Null]));
    assert_eq!(Vec::<Option<Json>>::from_wire(&json!([null])), Ok(vec![None]));
    assert!(String::from_wire(&Json::Null).is_err());
    assert!(Vec::<i32>::from_wire(&json!([null])).is_err());
}

#[test]
fn what_does_not_fit_is_an_error_that_never_tells_the_value() {
    fn refused<T: Attribute>(json: Json) {
        match T::from_wire(&json) {
            Ok(_) => panic!("{json} was taken for a {}", std::any::type_name::<T>()),
            Err(error) => assert!(!error.to_string().contains("secret"), "{error}"),
        }
    }
    refused::<i32>(Json::Null);
    refused::<i32>(json!("secret"));
    refused::<i8>(json!(300));
    refused::<i64>(json!(1.5));
    refused::<u64>(json!(-1));
    refused::<f32>(json!(1e300));
    refused::<f64>(json!("secret"));
    refused::<Uuid>(json!("secret"));
    refused::<Vec<u8>>(json!("secret!"));
    refused::<Vec<u8>>(json!([1, 2]));
    refused::<char>(json!("secret"));
    refused::<bool>(json!(1));
    refused::<String>(json!(7));
    refused::<Vec<String>>(json!("secret"));
    refused::<DateTime<Utc>>(json!("2025-11-20T09:30:00"));
    refused::<NaiveDateTime>(json!("2025-11-20T09:30:00Z"));
    refused::<NaiveDate>(json!("2025-13-20"));
    for decimal in
        ["secret", "", ".", "-", "1e5", "1E999999999", "1_000", "0x10", " 1", "1.1.1", "--1", "NaN"]
    {
        refused::<BigDecimal>(json!(decimal));
    }
    refused::<BigDecimal>(json!(1.1));
    refused::<BigDecimal>(json!("9".repeat(200_000)));
    let mut deep = Json::Null;
    for _ in 0..200 {
        deep = Json::Array(vec![deep]);
    }
    assert!(deep.to_wire().is_err());
    // What a program made up, no database ever held.
    assert!(BigDecimal::new(1.into(), i64::MIN).to_wire().is_err());
    assert!(BigDecimal::new(1.into(), 1_000_000_000).to_id().is_err());
}

#[test]
fn equal_ids_have_one_text_and_only_that_is_read() {
    assert_eq!(BigDecimal::from_str("1.10").unwrap().to_id().unwrap(), "1.1");
    assert_eq!(BigDecimal::from_str("100").unwrap().to_id().unwrap(), "100");
    assert_eq!(BigDecimal::from_str("-0.00").unwrap().to_id().unwrap(), "0");
    let at = DateTime::parse_from_rfc3339("2025-11-20T09:30:00+01:00").unwrap();
    assert_eq!(at.to_id().unwrap(), at.to_utc().to_id().unwrap());
    assert!(Option::<i32>::None.to_id().is_err());
    for spelling in ["007", "+7", "7.0", " 7", "", "7e0"] {
        assert!(i32::from_id(spelling).is_err() && u64::from_id(spelling).is_err(), "{spelling}");
    }
    for spelling in ["1.10", "01", "+1", "1.", ".1", "-0"] {
        assert!(BigDecimal::from_id(spelling).is_err(), "{spelling}");
    }
    assert!(Uuid::from_id("000000000000000000000000000000FF").is_err());
    assert!(bool::from_id("True").is_err());
    assert!(DateTime::<Utc>::from_id("2025-11-20T09:30:00.000000+01:00").is_err());
    assert!(NaiveDate::from_id("2025-1-2").is_err());
    const { assert!(String::TEXT && Option::<String>::TEXT && !i64::TEXT) };
}

#[test]
fn what_is_equal_need_not_be_written() {
    let decimal = |text: &str| BigDecimal::from_str(text).unwrap();
    assert!(decimal("1.10").same(&decimal("1.1")) && !decimal("1.1").same(&decimal("1.2")));
    let at = DateTime::parse_from_rfc3339("2025-11-20T09:30:00+01:00").unwrap();
    assert!(at.same(&at.with_timezone(&FixedOffset::east_opt(0).unwrap())));
    assert!(!0.0_f64.same(&-0.0) && f64::NAN.same(&f64::NAN));
}

#[test]
fn the_ends_of_time_do_not_panic() {
    for east in [-86_399, 86_399] {
        let zone = FixedOffset::east_opt(east).unwrap();
        for at in [DateTime::<Utc>::MIN_UTC, DateTime::<Utc>::MAX_UTC] {
            let _ = (at.with_timezone(&zone).to_wire(), at.with_timezone(&zone).to_id());
            let _ = (at.with_timezone(&Local).to_wire(), at.with_timezone(&Local).to_id());
        }
    }
    for text in ["-9999-01-01T00:00:00+23:59", "+262142-12-31T23:59:59.999999-23:59", "0000-00-00T00:00:00Z"]
    {
        let json = Json::from(text);
        let _ = (DateTime::<Utc>::from_wire(&json), DateTime::<Local>::from_wire(&json));
        let _ = (DateTime::<FixedOffset>::from_wire(&json), ::time::OffsetDateTime::from_wire(&json));
    }
}
