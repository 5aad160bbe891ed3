//! On MariaDB.

use diesel::MysqlConnection;
use promiscuous_core::capture::CaptureSettings;

use super::*;

type Inner = MysqlConnection;

fn open(settings: CaptureSettings) -> Option<Bakery<Inner>> {
    served("TEST_MARIADB_URL", settings)
}

#[path = "common/mod.rs"]
mod common;
