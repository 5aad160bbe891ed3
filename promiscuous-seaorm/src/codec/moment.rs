//! Dates and times as text: always to the microsecond, the finest that every supported database keeps.
//!
//! Both of SeaORM's time libraries are read and written through chrono, so that a publisher that uses one and a
//! subscriber that uses the other agree.

use chrono::{DateTime, Datelike, FixedOffset, NaiveDate, NaiveDateTime, NaiveTime, Offset, Timelike, Utc};

use super::CodecError;

/// What a date column expects.
pub(super) const DATE: &str = "a date such as \"2025-11-20\"";
/// What a time column expects.
pub(super) const TIME: &str = "a time such as \"09:30:00.000000\"";
/// What a column without a time zone expects.
pub(super) const NAIVE: &str = "a date and time without a zone, such as \"2025-11-20T09:30:00.000000\"";
/// What a column with a time zone expects.
pub(super) const ZONED: &str = "a date and time with a zone, such as \"2025-11-20T09:30:00.000000Z\"";

/// `2025-11-20`; years beyond 9999 have a sign.
pub(super) fn date_text(date: NaiveDate) -> String {
    date.format("%Y-%m-%d").to_string()
}

/// `09:30:00.000000`.
pub(super) fn time_text(time: NaiveTime) -> String {
    time.format("%H:%M:%S%.6f").to_string()
}

/// `2025-11-20T09:30:00.000000`.
pub(super) fn naive_text(moment: NaiveDateTime) -> String {
    moment.format("%Y-%m-%dT%H:%M:%S%.6f").to_string()
}

/// `2025-11-20T09:30:00.000000+01:00`, with `Z` for UTC. A zone with seconds, which RFC 3339 cannot say, becomes UTC.
pub(super) fn zoned_text(moment: DateTime<FixedOffset>) -> String {
    let seconds = moment.offset().local_minus_utc();
    if seconds == 0 || seconds % 60 != 0 {
        format!("{}Z", naive_text(moment.naive_utc()))
    } else {
        moment.format("%Y-%m-%dT%H:%M:%S%.6f%:z").to_string()
    }
}

/// Reads a date.
pub(super) fn date(text: &str) -> Result<NaiveDate, CodecError> {
    NaiveDate::parse_from_str(text, "%Y-%m-%d").map_err(|_| CodecError::expected(DATE))
}

/// Reads a time, with or without a fraction.
pub(super) fn time(text: &str) -> Result<NaiveTime, CodecError> {
    NaiveTime::parse_from_str(text, "%H:%M:%S%.f").map_err(|_| CodecError::expected(TIME))
}

/// Reads a date and time without a zone. One with a zone is refused: whose local time it should become is not known.
pub(super) fn naive(text: &str) -> Result<NaiveDateTime, CodecError> {
    NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f").map_err(|_| CodecError::expected(NAIVE))
}

/// Reads a date and time with a zone. One without is refused: which moment it was is not known.
pub(super) fn zoned(text: &str) -> Result<DateTime<FixedOffset>, CodecError> {
    let wrong = || CodecError::expected(ZONED);
    match text.strip_suffix(['Z', 'z']) {
        Some(utc) => naive(utc).map(|moment| moment.and_utc().fixed_offset()).map_err(|_| wrong()),
        None => DateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f%:z").map_err(|_| wrong()),
    }
}

/// From the time crate's date.
pub(super) fn from_time_date(date: time::Date) -> Result<NaiveDate, CodecError> {
    NaiveDate::from_yo_opt(date.year(), u32::from(date.ordinal())).ok_or_else(|| CodecError::expected(DATE))
}

/// From the time crate's time of day.
pub(super) fn from_time_time(time: time::Time) -> Result<NaiveTime, CodecError> {
    let (hour, minute, second, nano) = time.as_hms_nano();
    NaiveTime::from_hms_nano_opt(hour.into(), minute.into(), second.into(), nano)
        .ok_or_else(|| CodecError::expected(TIME))
}

/// From the time crate's date and time.
pub(super) fn from_time_naive(moment: time::PrimitiveDateTime) -> Result<NaiveDateTime, CodecError> {
    Ok(NaiveDateTime::new(from_time_date(moment.date())?, from_time_time(moment.time())?))
}

/// From the time crate's date and time with a zone.
pub(super) fn from_time_zoned(moment: time::OffsetDateTime) -> Result<DateTime<FixedOffset>, CodecError> {
    let wrong = || CodecError::expected(ZONED);
    let offset = FixedOffset::east_opt(moment.offset().whole_seconds()).ok_or_else(wrong)?;
    let local = from_time_naive(time::PrimitiveDateTime::new(moment.date(), moment.time()))?;
    let utc = local.checked_sub_offset(offset).ok_or_else(wrong)?;
    Ok(DateTime::from_naive_utc_and_offset(utc, offset))
}

/// To the time crate's date.
pub(super) fn to_time_date(date: NaiveDate) -> Result<time::Date, CodecError> {
    let ordinal = u16::try_from(date.ordinal()).map_err(|_| CodecError::expected(DATE))?;
    time::Date::from_ordinal_date(date.year(), ordinal).map_err(|_| CodecError::expected(DATE))
}

/// To the time crate's time of day. It knows no leap seconds.
pub(super) fn to_time_time(time: NaiveTime) -> Result<time::Time, CodecError> {
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
pub(super) fn to_time_naive(moment: NaiveDateTime) -> Result<time::PrimitiveDateTime, CodecError> {
    Ok(time::PrimitiveDateTime::new(to_time_date(moment.date())?, to_time_time(moment.time())?))
}

/// To the time crate's date and time with a zone.
pub(super) fn to_time_zoned(moment: DateTime<FixedOffset>) -> Result<time::OffsetDateTime, CodecError> {
    let wrong = || CodecError::expected(ZONED);
    let offset =
        time::UtcOffset::from_whole_seconds(moment.offset().local_minus_utc()).map_err(|_| wrong())?;
    let local = moment.naive_utc().checked_add_offset(*moment.offset()).ok_or_else(wrong)?;
    Ok(to_time_naive(local)?.assume_offset(offset))
}

/// The same moment in UTC: ids must not depend on the zone they were written in.
pub(super) fn in_utc(moment: DateTime<FixedOffset>) -> DateTime<FixedOffset> {
    moment.with_timezone(&Utc.fix())
}
