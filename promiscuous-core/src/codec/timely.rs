//! The time crate's values, read and written through chrono, so that a publisher that uses one and a subscriber that uses the other
//! agree.

use chrono::{DateTime, Datelike, FixedOffset, NaiveDate, NaiveDateTime, NaiveTime, Timelike};

use super::CodecError;
use super::moment::{DATE, TIME, ZONED};

/// From the time crate's date.
///
/// # Errors
/// When chrono has none such.
pub fn from_date(date: time::Date) -> Result<NaiveDate, CodecError> {
    NaiveDate::from_yo_opt(date.year(), u32::from(date.ordinal())).ok_or_else(|| CodecError::expected(DATE))
}

/// From the time crate's time of day.
///
/// # Errors
/// When chrono has none such.
pub fn from_time(time: time::Time) -> Result<NaiveTime, CodecError> {
    let (hour, minute, second, nano) = time.as_hms_nano();
    NaiveTime::from_hms_nano_opt(hour.into(), minute.into(), second.into(), nano)
        .ok_or_else(|| CodecError::expected(TIME))
}

/// From the time crate's date and time.
///
/// # Errors
/// When chrono has none such.
pub fn from_naive(moment: time::PrimitiveDateTime) -> Result<NaiveDateTime, CodecError> {
    Ok(NaiveDateTime::new(from_date(moment.date())?, from_time(moment.time())?))
}

/// From the time crate's date and time with a zone.
///
/// # Errors
/// When chrono has none such.
pub fn from_zoned(moment: time::OffsetDateTime) -> Result<DateTime<FixedOffset>, CodecError> {
    let wrong = || CodecError::expected(ZONED);
    let offset = FixedOffset::east_opt(moment.offset().whole_seconds()).ok_or_else(wrong)?;
    let local = from_naive(time::PrimitiveDateTime::new(moment.date(), moment.time()))?;
    let utc = local.checked_sub_offset(offset).ok_or_else(wrong)?;
    Ok(DateTime::from_naive_utc_and_offset(utc, offset))
}

/// To the time crate's date.
///
/// # Errors
/// When there is none.
pub fn to_date(date: NaiveDate) -> Result<time::Date, CodecError> {
    let ordinal = u16::try_from(date.ordinal()).map_err(|_| CodecError::expected(DATE))?;
    time::Date::from_ordinal_date(date.year(), ordinal).map_err(|_| CodecError::expected(DATE))
}

/// To the time crate's time of day. It knows no leap seconds.
///
/// # Errors
/// When there is none.
pub fn to_time(time: NaiveTime) -> Result<time::Time, CodecError> {
    let part = |n: u32| u8::try_from(n).map_err(|_| CodecError::expected(TIME));
    time::Time::from_hms_nano(
        part(time.hour())?,
        part(time.minute())?,
        part(time.second())?,
        time.nanosecond(),
    )
    .map_err(|_| CodecError::expected(TIME))
}

/// To the time crate's date and time.
///
/// # Errors
/// When there is none.
pub fn to_naive(moment: NaiveDateTime) -> Result<time::PrimitiveDateTime, CodecError> {
    Ok(time::PrimitiveDateTime::new(to_date(moment.date())?, to_time(moment.time())?))
}

/// To the time crate's date and time with a zone.
///
/// # Errors
/// When there is none.
pub fn to_zoned(moment: DateTime<FixedOffset>) -> Result<time::OffsetDateTime, CodecError> {
    let wrong = || CodecError::expected(ZONED);
    let offset =
        time::UtcOffset::from_whole_seconds(moment.offset().local_minus_utc()).map_err(|_| wrong())?;
    let local = moment.naive_utc().checked_add_offset(*moment.offset()).ok_or_else(wrong)?;
    Ok(to_naive(local)?.assume_offset(offset))
}
