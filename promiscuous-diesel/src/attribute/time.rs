//! The time crate's dates and times.

use promiscuous_core::codec::{moment, timely};
use time::{Date, OffsetDateTime, PrimitiveDateTime, Time};

use super::moments::moments;

moments! {
    Date: DATE,
        |v| moment::date_text(timely::from_date(v)?),
        |v| moment::date_text(timely::from_date(v)?),
        |text| timely::to_date(moment::date(text)?);
    Time: TIME,
        |v| moment::time_text(timely::from_time(v)?),
        |v| moment::time_text(timely::from_time(v)?),
        |text| timely::to_time(moment::time(text)?);
    PrimitiveDateTime: NAIVE,
        |v| moment::naive_text(timely::from_naive(v)?),
        |v| moment::naive_text(timely::from_naive(v)?),
        |text| timely::to_naive(moment::naive(text)?);
    OffsetDateTime: ZONED,
        |v| moment::zoned_text(timely::from_zoned(v)?),
        |v| moment::zoned_text(moment::in_utc(timely::from_zoned(v)?)),
        |text| timely::to_zoned(moment::zoned(text)?);
}
