//! On PostgreSQL.

use diesel::PgConnection;
use promiscuous_core::capture::CaptureSettings;

use super::*;

type Inner = PgConnection;

fn open(settings: CaptureSettings) -> Option<Bakery<Inner>> {
    served("TEST_POSTGRES_URL", settings)
}

#[path = "common/mod.rs"]
mod common;
#[path = "returned.rs"]
mod returned;
