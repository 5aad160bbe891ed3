//! All columns that each of the three databases can have, as themselves and as what may be NULL, on both sides.
//!
//! In two models: a table of Diesel's has 32 columns at the most, unless one waits for it to compile.

use sea_orm::entity::prelude::*;

/// A text in the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[allow(missing_docs)]
#[sea_orm(rs_type = "String", db_type = "Text")]
pub enum Color {
    #[sea_orm(string_value = "r")]
    Red,
    #[sea_orm(string_value = "bleu foncé")]
    Blue,
}

/// A number in the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[allow(missing_docs)]
#[sea_orm(rs_type = "i32", db_type = "Integer")]
pub enum Level {
    #[sea_orm(num_value = -2147483648)]
    Low,
    #[sea_orm(num_value = 2147483647)]
    High,
}

/// Everything but dates and times.
pub mod plain {
    use promiscuous_seaorm::{Publish, Subscribe};
    use sea_orm::entity::prelude::*;

    use super::{Color, Level};

    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, DeriveEntityModel, Publish, Subscribe)]
    #[sea_orm(table_name = "plains")]
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
        guid,
        maybe_guid,
        document,
        maybe_document,
        bytes,
        maybe_bytes,
        color,
        maybe_color,
        level,
        maybe_level
    ))]
    #[subscribe(attributes(
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
        guid,
        maybe_guid,
        document,
        maybe_document,
        bytes,
        maybe_bytes,
        color,
        maybe_color,
        level,
        maybe_level
    ))]
    #[allow(missing_docs)]
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
        pub maybe_guid: Option<Uuid>,
        pub maybe_document: Option<Json>,
        pub maybe_bytes: Option<Vec<u8>>,
        pub maybe_color: Option<Color>,
        pub maybe_level: Option<Level>,
    }

    impl ActiveModelBehavior for ActiveModel {}
}

/// Dates and times.
pub mod moment {
    use promiscuous_seaorm::{Publish, Subscribe};
    use sea_orm::entity::prelude::*;

    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, DeriveEntityModel, Publish, Subscribe)]
    #[sea_orm(table_name = "moments")]
    #[publish(attributes(
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
        maybe_time_zoned
    ))]
    #[subscribe(attributes(
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
        maybe_time_zoned
    ))]
    #[allow(missing_docs)]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: i64,
        pub day: Date,
        pub hour: Time,
        pub naive: DateTime,
        pub utc: DateTimeUtc,
        pub zoned: DateTimeWithTimeZone,
        pub time_day: TimeDate,
        pub time_hour: TimeTime,
        pub time_naive: TimeDateTime,
        pub time_zoned: TimeDateTimeWithTimeZone,
        pub maybe_day: Option<Date>,
        pub maybe_hour: Option<Time>,
        pub maybe_naive: Option<DateTime>,
        pub maybe_utc: Option<DateTimeUtc>,
        pub maybe_zoned: Option<DateTimeWithTimeZone>,
        pub maybe_time_day: Option<TimeDate>,
        pub maybe_time_hour: Option<TimeTime>,
        pub maybe_time_naive: Option<TimeDateTime>,
        pub maybe_time_zoned: Option<TimeDateTimeWithTimeZone>,
    }

    impl ActiveModelBehavior for ActiveModel {}
}
