//! The machine's clock, in the units of the protocol.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Microseconds since 1970.
pub(crate) fn micros() -> u64 {
    since_1970().as_micros().try_into().unwrap_or(u64::MAX)
}

/// Milliseconds since 1970.
pub(crate) fn millis() -> u64 {
    duration_millis(since_1970())
}

/// Whole milliseconds.
pub(crate) fn duration_millis(duration: Duration) -> u64 {
    duration.as_millis().try_into().unwrap_or(u64::MAX)
}

fn since_1970() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
