//! Dates and times as text: always to the microsecond, the finest that every supported database keeps.

use chrono::{DateTime, FixedOffset, NaiveDate, NaiveDateTime, NaiveTime, Offset, Utc};

use super::CodecError;

/// What a date column expects.
pub const DATE: &str = "a date such as \"2025-11-20\"";
/// What a time column expects.
pub const TIME: &str = "a time such as \"09:30:00.000000\"";
/// What a column without a time zone expects.
pub const NAIVE: &str = "a date and time without a zone, such as \"2025-11-20T09:30:00.000000\"";
/// What a column with a time zone expects.
pub const ZONED: &str = "a date and time with a zone, such as \"2025-11-20T09:30:00.000000Z\"";

/// `2025-11-20`; years beyond 9999 have a sign.
pub fn date_text(date: NaiveDate) -> String {
    date.format("%Y-%m-%d").to_string()
}

/// `09:30:00.000000`.
pub fn time_text(time: NaiveTime) -> String {
    time.format("%H:%M:%S%.6f").to_string()
}

/// `2025-11-20T09:30:00.000000`.
pub fn naive_text(moment: NaiveDateTime) -> String {
    moment.format("%Y-%m-%dT%H:%M:%S%.6f").to_string()
}

/// `2025-11-20T09:30:00.000000+01:00`, with `Z` for UTC. A zone with seconds, which RFC 3339 cannot say, becomes UTC.
pub fn zoned_text(moment: DateTime<FixedOffset>) -> String {
    let seconds = moment.offset().local_minus_utc();
    if seconds == 0 || seconds % 60 != 0 {
        format!("{}Z", naive_text(moment.naive_utc()))
    } else {
        moment.format("%Y-%m-%dT%H:%M:%S%.6f%:z").to_string()
    }
}

/// Reads a date.
///
/// # Errors
/// When there is none.
pub fn date(text: &str) -> Result<NaiveDate, CodecError> {
    NaiveDate::parse_from_str(text, "%Y-%m-%d").map_err(|_| CodecError::expected(DATE))
}

/// Reads a time, with or without a fraction.
///
/// # Errors
/// When there is none.
pub fn time(text: &str) -> Result<NaiveTime, CodecError> {
    NaiveTime::parse_from_str(text, "%H:%M:%S%.f").map_err(|_| CodecError::expected(TIME))
}

/// Reads a date and time without a zone. One with a zone is refused: whose local time it should become is not known.
///
/// # Errors
/// When there is none.
pub fn naive(text: &str) -> Result<NaiveDateTime, CodecError> {
    NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f").map_err(|_| CodecError::expected(NAIVE))
}

/// Reads a date and time with a zone. One without is refused: which moment it was is not known.
///
/// # Errors
/// When there is none.
pub fn zoned(text: &str) -> Result<DateTime<FixedOffset>, CodecError> {
    let wrong = || CodecError::expected(ZONED);
    match text.strip_suffix(['Z', 'z']) {
        Some(utc) => naive(utc).map(|moment| moment.and_utc().fixed_offset()).map_err(|_| wrong()),
        None => DateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f%:z").map_err(|_| wrong()),
    }
}

/// The same moment in UTC: ids must not depend on the zone they were written in.
pub fn in_utc(moment: DateTime<FixedOffset>) -> DateTime<FixedOffset> {
    moment.with_timezone(&Utc.fix())
}
