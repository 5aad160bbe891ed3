//! Both adapters write the same texts for the same values, and take the same: a service need not know what the other one is built on.

use std::fmt::Debug;
use std::str::FromStr;

use bigdecimal::BigDecimal;
use chrono::{DateTime, FixedOffset, Local, NaiveDate, NaiveDateTime, NaiveTime, Utc};
use promiscuous_diesel::attribute::{Attribute, IdPart};
use promiscuous_seaorm::codec::{ColumnKind, decode, encode, id_text, id_value};
use proptest::prelude::*;
use rust_decimal::Decimal;
use sea_orm::Value;
use sea_orm::sea_query::ArrayType;
use serde_json::{Value as Json, json};
use uuid::Uuid;

/// Microseconds of the years -9998 to 9998: what both time libraries know without further features.
const MICROSECONDS: std::ops::Range<i64> = -377_000_000_000_000_000..253_000_000_000_000_000;

fn instant() -> impl Strategy<Value = DateTime<Utc>> {
    MICROSECONDS.prop_map(|micros| DateTime::from_timestamp_micros(micros).unwrap())
}

fn zone() -> impl Strategy<Value = i32> {
    -86_399..86_400_i32
}

/// The value as both adapters hold it is written alike, and each reads what the other wrote.
fn agree<T: Attribute + Debug>(diesel: &T, sea: impl Into<Value>, kind: &ArrayType) {
    let sea = sea.into();
    let wire = diesel.to_wire().unwrap();
    assert_eq!(wire, encode(&sea).unwrap());
    assert_eq!(wire.to_string(), encode(&sea).unwrap().to_string());
    let column = ColumnKind { value: kind.clone(), array: false, nullable: false };
    assert_eq!(encode(&decode(&wire, &column).unwrap()).unwrap(), wire);
    assert!(T::from_wire(&encode(&sea).unwrap()).unwrap().same(diesel), "{diesel:?}");
}

/// The same, and their ids.
fn agree_as_ids<T: IdPart + Debug>(diesel: &T, sea: impl Into<Value>, kind: &ArrayType) {
    let sea = sea.into();
    let id = id_text(&sea).unwrap();
    assert_eq!(diesel.to_id().unwrap(), id);
    assert!(T::from_id(&id).unwrap().same(diesel), "{diesel:?}");
    assert_eq!(id_value(&id, kind).unwrap(), sea);
    agree(diesel, sea, kind);
}

proptest! {
    #[test]
    fn both_adapters_write_the_same_texts(
        (bits, text, bytes, character) in (any::<u128>(), any::<String>(), any::<Vec<u8>>(), any::<char>()),
        (double, single) in (any::<f64>(), any::<f32>()),
        (at, east) in (instant(), zone()),
        (digits, scale) in (-79_228_162_514_264_337_593_543_950_335_i128..79_228_162_514_264_337_593_543_950_335, 0..29_u32),
    ) {
        agree_as_ids(&(bits & 1 == 1), bits & 1 == 1, &ArrayType::Bool);
        agree_as_ids(&(bits as i8), bits as i8, &ArrayType::TinyInt);
        agree_as_ids(&(bits as i16), bits as i16, &ArrayType::SmallInt);
        agree_as_ids(&(bits as i32), bits as i32, &ArrayType::Int);
        agree_as_ids(&(bits as i64), bits as i64, &ArrayType::BigInt);
        agree_as_ids(&(bits as u8), bits as u8, &ArrayType::TinyUnsigned);
        agree_as_ids(&(bits as u16), bits as u16, &ArrayType::SmallUnsigned);
        agree_as_ids(&(bits as u32), bits as u32, &ArrayType::Unsigned);
        agree_as_ids(&(bits as u64), bits as u64, &ArrayType::BigUnsigned);
        agree(&double, double, &ArrayType::Double);
        agree(&single, single, &ArrayType::Float);
        agree_as_ids(&character, character, &ArrayType::Char);
        agree_as_ids(&Uuid::from_u128(bits), Uuid::from_u128(bits), &ArrayType::Uuid);
        let document = json!({"a": [text, bits as u64, double, Json::Null]});
        agree(&document.clone(), document, &ArrayType::Json);
        agree_as_ids(&bytes.clone(), bytes, &ArrayType::Bytes);
        agree_as_ids(&text.clone(), text, &ArrayType::String);

        let zoned = at.with_timezone(&FixedOffset::east_opt(east).unwrap());
        agree_as_ids(&at.date_naive(), at.date_naive(), &ArrayType::ChronoDate);
        agree_as_ids(&at.time(), at.time(), &ArrayType::ChronoTime);
        agree_as_ids(&at.naive_utc(), at.naive_utc(), &ArrayType::ChronoDateTime);
        agree_as_ids(&at, at, &ArrayType::ChronoDateTimeUtc);
        agree_as_ids(&at.with_timezone(&Local), at.with_timezone(&Local), &ArrayType::ChronoDateTimeLocal);
        agree_as_ids(&zoned, zoned, &ArrayType::ChronoDateTimeWithTimeZone);
        let nanos = i128::from(at.timestamp_micros()) * 1000;
        let utc = time::OffsetDateTime::from_unix_timestamp_nanos(nanos).unwrap();
        let zoned = utc.to_offset(time::UtcOffset::from_whole_seconds(east).unwrap());
        agree_as_ids(&utc.date(), utc.date(), &ArrayType::TimeDate);
        agree_as_ids(&utc.time(), utc.time(), &ArrayType::TimeTime);
        let naive = time::PrimitiveDateTime::new(utc.date(), utc.time());
        agree_as_ids(&naive, naive, &ArrayType::TimeDateTime);
        agree_as_ids(&zoned, zoned, &ArrayType::TimeDateTimeWithTimeZone);

        let decimal = Decimal::from_i128_with_scale(digits, scale);
        let same = BigDecimal::from_str(&decimal.to_string()).unwrap();
        prop_assert_eq!(same.fractional_digit_count(), i64::from(scale));
        agree_as_ids(&same, decimal, &ArrayType::Decimal);
    }

    #[test]
    fn both_adapters_take_and_refuse_the_same_texts(text in "[+-]?[0-9]{0,12}[.]?[0-9]{0,12}|[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2})?)?|[0-9:.]{5,15}|\\PC{0,8}") {
        fn take<T: Attribute>(text: &str, kind: ArrayType) {
            let column = ColumnKind { value: kind, array: false, nullable: false };
            let (one, other) = (T::from_wire(&Json::from(text)), decode(&Json::from(text), &column));
            let (one, other) = (one.map(|value| value.to_wire().unwrap()), other.map(|value| encode(&value).unwrap()));
            assert_eq!(one.as_ref().ok(), other.as_ref().ok(), "{text}: {one:?}, {other:?}");
        }
        take::<NaiveDate>(&text, ArrayType::ChronoDate);
        take::<NaiveTime>(&text, ArrayType::ChronoTime);
        take::<NaiveDateTime>(&text, ArrayType::ChronoDateTime);
        take::<DateTime<Utc>>(&text, ArrayType::ChronoDateTimeUtc);
        take::<time::OffsetDateTime>(&text, ArrayType::TimeDateTimeWithTimeZone);
        take::<Uuid>(&text, ArrayType::Uuid);
        take::<Vec<u8>>(&text, ArrayType::Bytes);
        take::<char>(&text, ArrayType::Char);
        // rust_decimal holds the zero's sign and digits that are no number's: only numbers are compared.
        if text.bytes().any(|byte| byte.is_ascii_digit()) {
            take::<BigDecimal>(&text, ArrayType::Decimal);
        }
    }
}

#[test]
fn what_only_one_adapter_can_hold_the_other_one_refuses() {
    // Given a decimal of more digits than rust_decimal holds.
    let long = BigDecimal::from_str("0.12345678901234567890123456789012345").unwrap();
    let column = ColumnKind { value: ArrayType::Decimal, array: false, nullable: false };
    // Then it is sent exactly, and refused rather than rounded.
    assert_eq!(long.to_wire().unwrap(), "0.12345678901234567890123456789012345");
    assert!(decode(&long.to_wire().unwrap(), &column).is_err());
}
