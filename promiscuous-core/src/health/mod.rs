//! Whether the loops of a process do what they should: for `healthy()`, and for whoever starts and stops processes.
//!
//! Each loop has a pulse. It beats it as it goes round, and says what it cannot do; a loop that ends without saying so, because it
//! panicked, or that has not beaten for long, because something in it hangs, is told apart from one that merely waits for a server.
//! Nothing is asked when somebody looks: a look costs a lock.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;

#[cfg(feature = "http")]
pub mod http;
#[cfg(test)]
mod tests;

/// How well something does its work. The later, the worse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Level {
    /// As it should.
    Works,
    /// Something waits or is tried again, and nothing is lost: RabbitMQ is away, say. Starting the process again does not help.
    Degraded,
    /// It does not do its work now: nothing is consumed, or a message has waited for its cause for over 30 s.
    NotReady,
    /// It has died or hangs, and only a new process helps.
    Dead,
}

/// What is to be said of one part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Finding {
    /// Which part: `sweeper`, say.
    pub part: &'static str,
    /// How well it does.
    pub level: Level,
    /// For people: what is wrong, and what to do. Empty when all is well.
    pub says: String,
}

/// How a process does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// The worst of all.
    pub level: Level,
    /// One for each part.
    pub findings: Vec<Finding>,
}

impl Report {
    /// Whether all is as it should be.
    pub fn is_healthy(&self) -> bool {
        self.level == Level::Works
    }

    /// Whether it does its work, be it with delays.
    pub fn is_ready(&self) -> bool {
        self.level <= Level::Degraded
    }

    /// Whether it may yet recover by itself.
    pub fn is_alive(&self) -> bool {
        self.level < Level::Dead
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, finding) in self.findings.iter().enumerate() {
            let Finding { part, level, says } = finding;
            let end = if position + 1 < self.findings.len() { "\n" } else { "" };
            match level {
                Level::Works => write!(f, "{part}: works{end}")?,
                Level::Degraded => write!(f, "{part}: degraded: {says}{end}")?,
                Level::NotReady => write!(f, "{part}: not ready: {says}{end}")?,
                Level::Dead => write!(f, "{part}: dead: {says}{end}")?,
            }
        }
        Ok(())
    }
}

/// Tells how the parts of a publisher, a subscriber or both do. A cheap handle, which may outlive what it tells of.
#[derive(Clone, Default)]
pub struct Health {
    sources: Vec<Arc<Parts>>,
}

type Parts = Mutex<BTreeMap<&'static str, Part>>;

/// What is known of a loop.
struct Part {
    beaten: Instant,
    /// A loop that has not beaten for longer hangs.
    patience: Duration,
    level: Level,
    says: String,
}

impl Health {
    /// Of nothing yet.
    pub(crate) fn new() -> Self {
        Self { sources: vec![Arc::default()] }
    }

    /// Of both.
    #[must_use]
    pub fn and(mut self, other: &Self) -> Self {
        self.sources.extend(other.sources.iter().cloned());
        self
    }

    /// Whether all is as it should be: [`Report::is_healthy`] of now.
    pub fn healthy(&self) -> bool {
        self.report().is_healthy()
    }

    /// How it does now.
    pub fn report(&self) -> Report {
        let mut findings = Vec::new();
        for source in &self.sources {
            for (&part, known) in source.lock().unwrap_or_else(PoisonError::into_inner).iter() {
                let silent = known.beaten.elapsed();
                let finding = if known.level < Level::Dead && silent > known.patience {
                    let says = format!("it has hung for {} s: start the process again", silent.as_secs());
                    Finding { part, level: Level::Dead, says }
                } else {
                    Finding { part, level: known.level, says: known.says.clone() }
                };
                findings.push(finding);
            }
        }
        let level = findings.iter().map(|finding| finding.level).max().unwrap_or(Level::Works);
        Report { level, findings }
    }

    /// A loop begins, which beats at least this often, if it is well.
    pub(crate) fn part(&self, part: &'static str, patience: Duration) -> Pulse {
        let source = self.sources.first().map(Arc::clone).unwrap_or_default();
        let known = Part { beaten: Instant::now(), patience, level: Level::Works, says: String::new() };
        source.lock().unwrap_or_else(PoisonError::into_inner).insert(part, known);
        Pulse { source, part, ended: false }
    }
}

impl fmt::Debug for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.report().fmt(f)
    }
}

/// What a loop says of itself. Dropped without [`Pulse::end`], it has died.
pub(crate) struct Pulse {
    source: Arc<Parts>,
    part: &'static str,
    ended: bool,
}

impl Pulse {
    /// It goes round, whatever it can do.
    pub(crate) fn beat(&self) {
        self.change(|_| {});
    }

    /// It does what it should.
    pub(crate) fn works(&self) {
        self.change(|part| {
            if part.level != Level::Works {
                part.level = Level::Works;
                part.says.clear();
            }
        });
    }

    /// It cannot.
    pub(crate) fn fails(&self, level: Level, says: impl Into<String>) {
        let says = says.into();
        self.change(|part| {
            part.level = level;
            part.says = says;
        });
    }

    /// It ends because it was told to: from now on nobody asks how it does.
    pub(crate) fn end(mut self) {
        self.ended = true;
        self.source.lock().unwrap_or_else(PoisonError::into_inner).remove(self.part);
    }

    fn change(&self, change: impl FnOnce(&mut Part)) {
        let mut parts = self.source.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(part) = parts.get_mut(self.part) {
            part.beaten = Instant::now();
            change(part);
        }
    }
}

impl Drop for Pulse {
    fn drop(&mut self) {
        if !self.ended {
            self.fails(
                Level::Dead,
                "it has ended by itself: start the process again, and look for a panic in its log",
            );
        }
    }
}
