//! On PostgreSQL.

use diesel::PgConnection;
use promiscuous_core::capture::CaptureSettings;

use super::*;

pub(crate) type Inner = PgConnection;

pub(crate) fn open(settings: CaptureSettings) -> Option<Bakery<Inner>> {
    served("TEST_POSTGRES_URL", settings)
}

#[path = "common/mod.rs"]
mod common;
#[path = "postgres_only.rs"]
mod only;
#[path = "returned.rs"]
mod returned;
