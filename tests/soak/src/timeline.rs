//! What happened when: enough to see what a run met, and together with the seed to run it again.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// Written as it happens, so that it survives what it tells of.
pub struct Timeline {
    began: Instant,
    file: Mutex<File>,
    events: Mutex<usize>,
}

impl Timeline {
    /// In this folder.
    pub fn new(folder: &Path) -> Self {
        let file = File::create(folder.join("timeline.txt")).expect("The soak's folder can be written.");
        Self { began: Instant::now(), file: Mutex::new(file), events: Mutex::default() }
    }

    /// Something happens.
    pub fn note(&self, what: impl AsRef<str>) {
        let mut line = String::new();
        let _ = write!(line, "{:>9.3} s  {}", self.began.elapsed().as_secs_f64(), what.as_ref());
        *self.events.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        let written = writeln!(self.file.lock().unwrap_or_else(PoisonError::into_inner), "{line}");
        written.expect("The timeline can be written.");
    }

    /// How much has happened.
    pub fn len(&self) -> usize {
        *self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether nothing has.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
