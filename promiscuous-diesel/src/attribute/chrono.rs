//! chrono's dates and times.

use chrono::{DateTime, FixedOffset, Local, NaiveDate, NaiveDateTime, NaiveTime, Utc};
use promiscuous_core::codec::moment;

use super::moments::moments;

moments! {
    NaiveDate: DATE, |v| moment::date_text(v), |v| moment::date_text(v), |text| moment::date(text);
    NaiveTime: TIME, |v| moment::time_text(v), |v| moment::time_text(v), |text| moment::time(text);
    NaiveDateTime: NAIVE, |v| moment::naive_text(v), |v| moment::naive_text(v), |text| moment::naive(text);
    DateTime<Utc>: ZONED,
        |v| moment::zoned_text(v.fixed_offset()),
        |v| moment::zoned_text(v.fixed_offset()),
        |text| moment::zoned(text).map(|moment| moment.to_utc());
    DateTime<Local>: ZONED,
        |v| moment::zoned_text(v.fixed_offset()),
        |v| moment::zoned_text(moment::in_utc(v.fixed_offset())),
        |text| moment::zoned(text).map(|moment| moment.with_timezone(&Local));
    DateTime<FixedOffset>: ZONED,
        |v| moment::zoned_text(v),
        |v| moment::zoned_text(moment::in_utc(v)),
        |text| moment::zoned(text);
}
