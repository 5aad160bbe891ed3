//! On SQLite.

use diesel::SqliteConnection;
use diesel::connection::SimpleConnection;
use promiscuous_core::capture::CaptureSettings;

use super::*;

pub(crate) type Inner = SqliteConnection;

pub(crate) fn open(settings: CaptureSettings) -> Option<Bakery<Inner>> {
    let folder = tempfile::tempdir().unwrap();
    let url = folder.path().join("bakery.sqlite").display().to_string();
    let mut bakery = Bakery::<Inner>::at(url, settings);
    bakery.folder = Some(folder);
    // For the tests of failing commits.
    bakery.db.inner().batch_execute("PRAGMA journal_mode = WAL; PRAGMA foreign_keys = ON").unwrap();
    Some(bakery)
}

#[path = "common/mod.rs"]
mod common;
#[path = "sqlite_only.rs"]
mod only;
#[path = "returned.rs"]
mod returned;
