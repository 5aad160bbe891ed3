//! All columns that each of the three databases can have, as themselves and as what may be NULL, on both sides.
//!
//! Diesel has a type for most of them on every database; where it has none, the models use one of [`kept`](super::kept). On MariaDB
//! Diesel drops the microseconds of the time crate's times, so chrono's take their place there.

/// The models of one database: for each column, and its twin that may be NULL, the SQL type and the Rust type.
macro_rules! everything {
    ($(#[doc = $doc:literal])* $module:ident, $backend:ty,
     plain { $($plain:ident, $maybe_plain:ident: $plain_sql:ty => $plain_rust:ty,)* }
     moment { $($moment:ident, $maybe_moment:ident: $moment_sql:ty => $moment_rust:ty,)* }) => {
        $(#[doc = $doc])*
        #[allow(missing_docs)]
        pub mod $module {
            use bigdecimal::BigDecimal;
            #[allow(unused_imports)]
            use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, Utc};
            use diesel::prelude::*;
            use promiscuous_diesel::{Publish, Subscribe};
            use serde_json::Value as JsonValue;

            use crate::entities::everything;
            #[allow(unused_imports)]
            use crate::entities_diesel::kept::{Color, Guid, Kept, Level, Moment as Zoned};

            diesel::table! {
                #[allow(unused_imports)]
                use diesel::mysql::sql_types::Datetime;
                use diesel::sql_types::*;

                plains (id) {
                    id -> BigInt,
                    $($plain -> $plain_sql,)*
                    $($maybe_plain -> Nullable<$plain_sql>,)*
                }
            }

            diesel::table! {
                #[allow(unused_imports)]
                use diesel::mysql::sql_types::Datetime;
                use diesel::sql_types::*;

                moments (id) {
                    id -> BigInt,
                    $($moment -> $moment_sql,)*
                    $($maybe_moment -> Nullable<$moment_sql>,)*
                }
            }

            /// Everything but dates and times.
            #[derive(Clone, Debug, Queryable, Selectable, Identifiable, Insertable, AsChangeset, Publish, Subscribe)]
            #[diesel(table_name = plains, check_for_backend($backend), treat_none_as_null = true)]
            pub struct Plain {
                pub id: i64,
                $(#[publish] #[subscribe] pub $plain: $plain_rust,)*
                $(#[publish] #[subscribe] pub $maybe_plain: Option<$plain_rust>,)*
            }

            /// Dates and times.
            #[derive(Clone, Debug, Queryable, Selectable, Identifiable, Insertable, AsChangeset, Publish, Subscribe)]
            #[diesel(table_name = moments, check_for_backend($backend), treat_none_as_null = true)]
            pub struct Moment {
                pub id: i64,
                $(#[publish] #[subscribe] pub $moment: $moment_rust,)*
                $(#[publish] #[subscribe] pub $maybe_moment: Option<$moment_rust>,)*
            }

            /// Sets what may be NULL to NULL.
            #[derive(Default, AsChangeset)]
            #[diesel(table_name = plains, treat_none_as_null = true)]
            pub struct ClearedPlain {
                $($maybe_plain: Option<$plain_rust>,)*
            }

            /// Sets what may be NULL to NULL.
            #[derive(Default, AsChangeset)]
            #[diesel(table_name = moments, treat_none_as_null = true)]
            pub struct ClearedMoment {
                $($maybe_moment: Option<$moment_rust>,)*
            }

            impl From<everything::plain::Model> for Plain {
                fn from(row: everything::plain::Model) -> Self {
                    Self {
                        id: row.id,
                        $($plain: Kept::kept(row.$plain),)*
                        $($maybe_plain: Kept::kept(row.$maybe_plain),)*
                    }
                }
            }

            impl From<everything::moment::Model> for Moment {
                fn from(row: everything::moment::Model) -> Self {
                    Self {
                        id: row.id,
                        $($moment: Kept::kept(row.$moment),)*
                        $($maybe_moment: Kept::kept(row.$maybe_moment),)*
                    }
                }
            }
        }
    };
}

everything! {
    /// On PostgreSQL.
    postgres, diesel::pg::Pg,
    plain {
        flag, maybe_flag: Bool => bool,
        small, maybe_small: SmallInt => i16,
        medium, maybe_medium: Integer => i32,
        big, maybe_big: BigInt => i64,
        single, maybe_single: Float => f32,
        precise, maybe_precise: Double => f64,
        text, maybe_text: Text => String,
        amount, maybe_amount: Numeric => BigDecimal,
        guid, maybe_guid: Uuid => uuid::Uuid,
        document, maybe_document: Jsonb => JsonValue,
        bytes, maybe_bytes: Binary => Vec<u8>,
        color, maybe_color: Text => Color,
        level, maybe_level: Integer => Level,
    }
    moment {
        day, maybe_day: Date => NaiveDate,
        hour, maybe_hour: Time => NaiveTime,
        naive, maybe_naive: Timestamp => NaiveDateTime,
        utc, maybe_utc: Timestamptz => DateTime<Utc>,
        zoned, maybe_zoned: Timestamptz => DateTime<Utc>,
        time_day, maybe_time_day: Date => time::Date,
        time_hour, maybe_time_hour: Time => time::Time,
        time_naive, maybe_time_naive: Timestamp => time::PrimitiveDateTime,
        time_zoned, maybe_time_zoned: Timestamptz => time::OffsetDateTime,
    }
}

everything! {
    /// On MariaDB.
    mariadb, diesel::mysql::Mysql,
    plain {
        flag, maybe_flag: Bool => bool,
        small, maybe_small: SmallInt => i16,
        medium, maybe_medium: Integer => i32,
        big, maybe_big: BigInt => i64,
        single, maybe_single: Float => f32,
        precise, maybe_precise: Double => f64,
        text, maybe_text: Text => String,
        amount, maybe_amount: Numeric => BigDecimal,
        guid, maybe_guid: Binary => Guid,
        document, maybe_document: Json => JsonValue,
        bytes, maybe_bytes: Binary => Vec<u8>,
        color, maybe_color: Text => Color,
        level, maybe_level: Integer => Level,
    }
    moment {
        day, maybe_day: Date => NaiveDate,
        hour, maybe_hour: Time => NaiveTime,
        naive, maybe_naive: Datetime => NaiveDateTime,
        utc, maybe_utc: Timestamp => Zoned,
        zoned, maybe_zoned: Timestamp => Zoned,
        time_day, maybe_time_day: Date => time::Date,
        time_hour, maybe_time_hour: Time => NaiveTime,
        time_naive, maybe_time_naive: Datetime => NaiveDateTime,
        time_zoned, maybe_time_zoned: Timestamp => Zoned,
    }
}

everything! {
    /// On SQLite.
    sqlite, diesel::sqlite::Sqlite,
    plain {
        flag, maybe_flag: Bool => bool,
        small, maybe_small: SmallInt => i16,
        medium, maybe_medium: Integer => i32,
        big, maybe_big: BigInt => i64,
        single, maybe_single: Float => f32,
        precise, maybe_precise: Double => f64,
        text, maybe_text: Text => String,
        amount, maybe_amount: Numeric => BigDecimal,
        guid, maybe_guid: Binary => Guid,
        document, maybe_document: Json => JsonValue,
        bytes, maybe_bytes: Binary => Vec<u8>,
        color, maybe_color: Text => Color,
        level, maybe_level: Integer => Level,
    }
    moment {
        day, maybe_day: Date => NaiveDate,
        hour, maybe_hour: Time => NaiveTime,
        naive, maybe_naive: Timestamp => NaiveDateTime,
        utc, maybe_utc: TimestamptzSqlite => DateTime<Utc>,
        zoned, maybe_zoned: TimestamptzSqlite => DateTime<Utc>,
        time_day, maybe_time_day: Date => time::Date,
        time_hour, maybe_time_hour: Time => time::Time,
        time_naive, maybe_time_naive: Timestamp => time::PrimitiveDateTime,
        time_zoned, maybe_time_zoned: TimestamptzSqlite => time::OffsetDateTime,
    }
}
