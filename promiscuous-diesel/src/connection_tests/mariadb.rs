//! On MariaDB.

use diesel::MysqlConnection;
use promiscuous_core::capture::CaptureSettings;

use super::*;

pub(crate) type Inner = MysqlConnection;

pub(crate) fn open(settings: CaptureSettings) -> Option<Bakery<Inner>> {
    served("TEST_MARIADB_URL", settings)
}

#[path = "common/mod.rs"]
mod common;
#[path = "mariadb_narrowed.rs"]
mod narrowed;
#[path = "mariadb_only.rs"]
mod only;
