//! On PostgreSQL.

use diesel::PgConnection;
use promiscuous_core::capture::CaptureSettings;

use super::*;

pub(super) type Inner = PgConnection;

pub(super) fn open(settings: CaptureSettings) -> Option<Bakery<Inner>> {
    served("TEST_POSTGRES_URL", settings)
}

#[path = "common/mod.rs"]
mod common;
#[path = "postgres_only.rs"]
mod only;
#[path = "returned.rs"]
mod returned;
