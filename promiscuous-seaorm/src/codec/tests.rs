use chrono::{DateTime, FixedOffset, Local, NaiveDate, NaiveDateTime, NaiveTime, Utc};
use std::str::FromStr;

use proptest::prelude::*;
use rust_decimal::Decimal;
use sea_orm::sea_query::EnumTypeName;
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

fn time_zoned() -> impl Strategy<Value = time::OffsetDateTime> {
    (instant(), -86_399..86_400_i32).prop_map(|(at, east)| {
        let utc = time::OffsetDateTime::from_unix_timestamp_nanos(i128::from(at.timestamp_micros()) * 1000);
        utc.unwrap().to_offset(time::UtcOffset::from_whole_seconds(east).unwrap())
    })
}

fn json() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        any::<u64>().prop_map(Json::from),
        any::<f64>().prop_map(Json::from),
        any::<String>().prop_map(Json::from),
        "[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}[.][0-9]{6}Z".prop_map(Json::from),
        "[+-]?[0-9.]{1,40}".prop_map(Json::from),
    ];
    leaf.prop_recursive(4, 20, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Json::from),
            prop::collection::hash_map(any::<String>(), inner, 0..5)
                .prop_map(|map| Json::Object(map.into_iter().collect())),
        ]
    })
}

fn of(kind: ArrayType) -> ColumnKind {
    ColumnKind { value: kind, array: false, nullable: false }
}

fn enum_name() -> EnumTypeName {
    "mood".into()
}

/// Any value of any kind but NULL, with the type of the column that it belongs to.
fn value() -> BoxedStrategy<(Value, ArrayType)> {
    fn kind<T: Into<Value> + std::fmt::Debug>(
        values: impl Strategy<Value = T> + 'static,
        kind: ArrayType,
    ) -> BoxedStrategy<(Value, ArrayType)> {
        values.prop_map(move |value| (value.into(), kind.clone())).boxed()
    }
    prop_oneof![
        kind(any::<bool>(), ArrayType::Bool),
        kind(any::<i8>(), ArrayType::TinyInt),
        kind(any::<i16>(), ArrayType::SmallInt),
        kind(any::<i32>(), ArrayType::Int),
        kind(any::<i64>(), ArrayType::BigInt),
        kind(any::<u8>(), ArrayType::TinyUnsigned),
        kind(any::<u16>(), ArrayType::SmallUnsigned),
        kind(any::<u32>(), ArrayType::Unsigned),
        kind(any::<u64>(), ArrayType::BigUnsigned),
        kind(any::<f32>(), ArrayType::Float),
        kind(any::<f64>(), ArrayType::Double),
        kind(any::<String>(), ArrayType::String),
        kind(any::<char>(), ArrayType::Char),
        kind(any::<Vec<u8>>(), ArrayType::Bytes),
        kind(json(), ArrayType::Json),
        any::<String>()
            .prop_map(|value| {
                let value = Enum { type_name: enum_name(), value: value.into() };
                (Value::Enum(OptionEnum::Some(Box::new(value))), ArrayType::Enum(Box::new(enum_name())))
            })
            .boxed(),
        kind(instant().prop_map(|at| at.date_naive()), ArrayType::ChronoDate),
        kind(instant().prop_map(|at| at.time()), ArrayType::ChronoTime),
        kind(instant().prop_map(|at| at.naive_utc()), ArrayType::ChronoDateTime),
        kind(instant(), ArrayType::ChronoDateTimeUtc),
        kind(instant().prop_map(|at| at.with_timezone(&Local)), ArrayType::ChronoDateTimeLocal),
        kind(zoned(), ArrayType::ChronoDateTimeWithTimeZone),
        kind(time_zoned().prop_map(time::OffsetDateTime::date), ArrayType::TimeDate),
        kind(time_zoned().prop_map(time::OffsetDateTime::time), ArrayType::TimeTime),
        kind(
            time_zoned().prop_map(|at| time::PrimitiveDateTime::new(at.date(), at.time())),
            ArrayType::TimeDateTime
        ),
        kind(time_zoned(), ArrayType::TimeDateTimeWithTimeZone),
        kind(any::<u128>().prop_map(Uuid::from_u128), ArrayType::Uuid),
        kind(
            (any::<i64>(), any::<i32>(), 0..29_u32).prop_map(|(high, low, scale)| {
                let digits = i128::from(high) * 4_294_967_296 + i128::from(low);
                Decimal::from_i128_with_scale(digits, scale)
            }),
            ArrayType::Decimal
        ),
    ]
    .boxed()
}

fn kinds() -> Vec<ArrayType> {
    vec![
        ArrayType::Bool,
        ArrayType::TinyInt,
        ArrayType::SmallInt,
        ArrayType::Int,
        ArrayType::BigInt,
        ArrayType::TinyUnsigned,
        ArrayType::SmallUnsigned,
        ArrayType::Unsigned,
        ArrayType::BigUnsigned,
        ArrayType::Float,
        ArrayType::Double,
        ArrayType::String,
        ArrayType::Enum(Box::new(enum_name())),
        ArrayType::Char,
        ArrayType::Bytes,
        ArrayType::Json,
        ArrayType::ChronoDate,
        ArrayType::ChronoTime,
        ArrayType::ChronoDateTime,
        ArrayType::ChronoDateTimeUtc,
        ArrayType::ChronoDateTimeLocal,
        ArrayType::ChronoDateTimeWithTimeZone,
        ArrayType::TimeDate,
        ArrayType::TimeTime,
        ArrayType::TimeDateTime,
        ArrayType::TimeDateTimeWithTimeZone,
        ArrayType::Uuid,
        ArrayType::Decimal,
    ]
}

/// Through the text of a message, as over a broker.
fn over_the_wire(value: &Value, kind: &ColumnKind) -> Value {
    let text = serde_json::to_string(&encode(value).unwrap()).unwrap();
    decode(&serde_json::from_str(&text).unwrap(), kind).unwrap()
}

/// Equal and written alike: decimals of another scale and moments of another zone are equal but not the same.
fn same(one: &Value, other: &Value) -> bool {
    one == other && encode(one) == encode(other)
}

proptest! {
    #[test]
    fn every_value_survives_the_wire((value, kind) in value()) {
        let arrived = over_the_wire(&value, &of(kind));
        prop_assert!(same(&arrived, &value), "{:?} became {:?}", value, arrived);
    }

    #[test]
    fn arrays_survive_with_their_null_elements((value, kind) in value(), places in prop::collection::vec(any::<bool>(), 0..5)) {
        prop_assume!(kind != ArrayType::Json);
        let elements = places.iter().map(|&null| if null { value.as_null() } else { value.clone() }).collect();
        let array = Value::Array(kind.clone(), Some(Box::new(elements)));
        let arrived = over_the_wire(&array, &ColumnKind { value: kind, array: true, nullable: false });
        prop_assert!(same(&arrived, &array));
    }

    #[test]
    fn an_id_is_read_back_as_it_was((value, kind) in value()) {
        if let Some(text) = id_text(&value) {
            let read = id_value(&text, &kind).unwrap();
            prop_assert_eq!(&read, &value);
            prop_assert_eq!(id_text(&read), Some(text));
        }
    }

    #[test]
    fn garbage_never_panics(json in json(), text in any::<String>(), array in any::<bool>(), nullable in any::<bool>()) {
        for value in kinds() {
            let _ = decode(&Json::from(text.clone()), &ColumnKind { value: value.clone(), array, nullable });
            let _ = id_value(&text, &value);
            if let Ok(decoded) = decode(&json, &ColumnKind { value: value.clone(), array, nullable }) {
                let _ = encode(&decoded);
                let _ = id_text(&decoded);
            }
        }
    }
}

#[test]
fn the_limits_survive() {
    let cases: Vec<(Value, ArrayType)> = vec![
        (i8::MIN.into(), ArrayType::TinyInt),
        (i64::MIN.into(), ArrayType::BigInt),
        (i64::MAX.into(), ArrayType::BigInt),
        (u64::MAX.into(), ArrayType::BigUnsigned),
        (f32::MIN_POSITIVE.into(), ArrayType::Float),
        (f32::MAX.into(), ArrayType::Float),
        (f64::MAX.into(), ArrayType::Double),
        (5e-324_f64.into(), ArrayType::Double),
        ((-0.0_f64).into(), ArrayType::Double),
        (f64::NEG_INFINITY.into(), ArrayType::Double),
        (f32::NAN.into(), ArrayType::Float),
        (Decimal::MAX.into(), ArrayType::Decimal),
        (Decimal::MIN.into(), ArrayType::Decimal),
        (Decimal::from_str("1.10").unwrap().into(), ArrayType::Decimal),
        (String::new().into(), ArrayType::String),
        ("👩‍👩‍👧‍👦 \0 \u{FEFF}".into(), ArrayType::String),
        ("x".repeat(1 << 20).into(), ArrayType::String),
        ('\0'.into(), ArrayType::Char),
        (Vec::<u8>::new().into(), ArrayType::Bytes),
        (NaiveDate::MIN.into(), ArrayType::ChronoDate),
        (NaiveDate::MAX.into(), ArrayType::ChronoDate),
        (NaiveTime::from_hms_micro_opt(23, 59, 59, 1_999_999).unwrap().into(), ArrayType::ChronoTime),
        (NaiveDateTime::MIN.into(), ArrayType::ChronoDateTime),
        (DateTime::<Utc>::MIN_UTC.into(), ArrayType::ChronoDateTimeUtc),
        (time::Date::MIN.into(), ArrayType::TimeDate),
        (time::Date::MAX.into(), ArrayType::TimeDate),
    ];
    for (value, kind) in cases {
        let arrived = over_the_wire(&value, &of(kind));
        assert!(same(&arrived, &value), "{value:?} became {arrived:?}");
    }
}

#[test]
fn the_ends_of_time_do_not_panic() {
    for east in [-86_399, 86_399] {
        let zone = FixedOffset::east_opt(east).unwrap();
        for at in [DateTime::<Utc>::MIN_UTC, DateTime::<Utc>::MAX_UTC] {
            let _ = encode(&Value::ChronoDateTimeWithTimeZone(Some(at.with_timezone(&zone))));
            let _ = encode(&Value::ChronoDateTimeLocal(Some(at.with_timezone(&Local))));
        }
    }
    for text in ["-9999-01-01T00:00:00+23:59", "+262142-12-31T23:59:59.999999-23:59", "0000-00-00T00:00:00Z"]
    {
        for kind in kinds() {
            let _ = decode(&Json::from(text), &of(kind));
        }
    }
}

#[test]
fn the_wire_form_is_what_the_documentation_says() {
    let at = DateTime::parse_from_rfc3339("2025-11-20T09:30:00.123456789+01:00").unwrap();
    let wire = |value: Value| encode(&value).unwrap().to_string();
    assert_eq!(wire(at.into()), r#""2025-11-20T09:30:00.123456+01:00""#);
    assert_eq!(wire(at.to_utc().into()), r#""2025-11-20T08:30:00.123456Z""#);
    assert_eq!(wire(at.naive_local().into()), r#""2025-11-20T09:30:00.123456""#);
    assert_eq!(wire(at.date_naive().into()), r#""2025-11-20""#);
    assert_eq!(wire(u64::MAX.into()), "18446744073709551615");
    assert_eq!(wire(f64::NAN.into()), r#""NaN""#);
    assert_eq!(wire(vec![0xff_u8, 0xfe].into()), r#""//4=""#);
    assert_eq!(wire(Decimal::new(110, 2).into()), r#""1.10""#);
    assert_eq!(wire(Uuid::nil().into()), r#""00000000-0000-0000-0000-000000000000""#);
}

#[test]
fn a_json_null_stays_a_value_where_the_column_may_not_be_null() {
    let null = Value::Json(Some(Box::new(Json::Null)));
    assert_eq!(over_the_wire(&null, &of(ArrayType::Json)), null);
    let nullable = ColumnKind { nullable: true, ..of(ArrayType::Json) };
    assert_eq!(over_the_wire(&null, &nullable), Value::Json(None));
}

#[test]
fn what_does_not_fit_is_an_error_that_never_tells_the_value() {
    for (json, kind) in [
        (Json::Null, ArrayType::Int),
        (Json::from("secret"), ArrayType::Int),
        (Json::from(300), ArrayType::TinyInt),
        (Json::from(1.5), ArrayType::BigInt),
        (Json::from(1e300), ArrayType::Float),
        (Json::from(1.1), ArrayType::Decimal),
        (Json::from("secret"), ArrayType::Decimal),
        (Json::from("secret"), ArrayType::Uuid),
        (Json::from("secret!"), ArrayType::Bytes),
        (Json::from("secret"), ArrayType::Char),
        (Json::from("secret"), ArrayType::Double),
        (Json::from("2025-11-20T09:30:00"), ArrayType::ChronoDateTimeUtc),
        (Json::from("2025-11-20T09:30:00Z"), ArrayType::ChronoDateTime),
        (Json::from("2025-13-20"), ArrayType::ChronoDate),
        (Json::from(7), ArrayType::String),
    ] {
        let error = decode(&json, &of(kind.clone())).expect_err(&format!("{kind:?}"));
        assert!(!error.to_string().contains("secret"), "{error}");
    }
    let mut deep = Json::Null;
    for _ in 0..200 {
        deep = Json::Array(vec![deep]);
    }
    assert!(encode(&deep.into()).is_err());
}

#[test]
fn equal_ids_have_one_text_and_numbers_one_spelling() {
    assert_eq!(id_text(&Decimal::new(110, 2).into()), id_text(&Decimal::new(11, 1).into()));
    let at = DateTime::parse_from_rfc3339("2025-11-20T09:30:00+01:00").unwrap();
    assert_eq!(id_text(&at.into()), id_text(&at.to_utc().into()));
    assert_eq!(id_text(&Value::Int(None)), None);
    assert_eq!(id_text(&1.5_f64.into()), None);
    for spelling in ["007", "+7", "7.0", " 7", ""] {
        assert!(id_value(spelling, &ArrayType::Int).is_err(), "{spelling}");
    }
}

/// A column of each kind that the value's type alone does not tell.
mod kinds {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
    #[sea_orm(rs_type = "Enum", db_type = "Enum", enum_name = "mood")]
    pub enum Mood {
        #[sea_orm(string_value = "happy")]
        Happy,
        #[sea_orm(string_value = "sad")]
        Sad,
    }

    #[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, FromJsonQueryResult)]
    pub struct Tags(pub Vec<String>);

    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "kinds")]
    pub struct Model {
        #[sea_orm(primary_key)]
        pub id: i32,
        pub bytes: Option<Vec<u8>>,
        pub numbers: Vec<i32>,
        pub words: Option<Vec<String>>,
        pub mood: Mood,
        pub moods: Vec<Mood>,
        pub json: Json,
        pub maybe_json: Option<Json>,
        pub tags: Option<Tags>,
        pub flag: bool,
    }

    impl ActiveModelBehavior for ActiveModel {}
}

#[test]
fn the_rust_type_of_a_field_tells_its_kind() {
    use kinds::Column;
    let mood = || ArrayType::Enum(Box::new("mood".into()));
    for (column, value, array, nullable) in [
        (Column::Id, ArrayType::Int, false, false),
        (Column::Bytes, ArrayType::Bytes, false, true),
        (Column::Numbers, ArrayType::Int, true, false),
        (Column::Words, ArrayType::String, true, true),
        (Column::Mood, mood(), false, false),
        (Column::Moods, mood(), true, false),
        (Column::Json, ArrayType::Json, false, false),
        (Column::MaybeJson, ArrayType::Json, false, true),
        (Column::Tags, ArrayType::Json, false, true),
        (Column::Flag, ArrayType::Bool, false, false),
    ] {
        assert_eq!(
            ColumnKind::of::<kinds::Entity>(column),
            ColumnKind { value, array, nullable },
            "{column:?}"
        );
    }
}

#[test]
fn a_whole_row_of_such_columns_survives() {
    use kinds::{Column, Entity, Mood, Tags};
    use sea_orm::Iterable;
    let full = kinds::Model {
        id: 1,
        bytes: Some(vec![0, 255]),
        numbers: vec![i32::MIN, 0],
        words: Some(vec![String::new(), "\0".into()]),
        mood: Mood::Sad,
        moods: vec![Mood::Happy, Mood::Sad],
        json: Json::Null,
        maybe_json: Some(serde_json::json!({"a": [null]})),
        tags: Some(Tags(vec!["x".into()])),
        flag: true,
    };
    let empty = kinds::Model {
        bytes: None,
        numbers: vec![],
        words: None,
        moods: vec![],
        maybe_json: None,
        tags: None,
        ..full.clone()
    };
    for row in [full, empty] {
        let mut arrived = <kinds::ActiveModel as ActiveModelTrait>::default();
        for column in Column::iter() {
            let value = over_the_wire(&row.get(column), &ColumnKind::of::<Entity>(column));
            arrived.try_set(column, value).unwrap();
        }
        assert_eq!(kinds::Model::try_from(arrived).unwrap(), row);
    }
}
