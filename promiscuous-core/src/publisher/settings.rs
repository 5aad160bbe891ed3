//! How a publisher behaves.

use std::time::Duration;

use crate::config::Config;
use crate::consistency::Consistency;

/// How a publisher behaves; the defaults suit production.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct PublisherSettings {
    /// The app's name, the first part of its endpoints.
    pub app: String,
    /// The machine's name, for people who read messages.
    pub host: Option<String>,
    /// How long an op may take from bump to COMMIT before the recoverer settles it: 30 s.
    pub deadline: Duration,
    /// How old an outbox row must be before the sweeper takes it from its writer: 5 s.
    pub sweep_after: Duration,
    /// How often outbox and intents are looked at: 1 s.
    pub look_every: Duration,
    /// How long published dummies fence their op: 7 days.
    pub fences_kept: Duration,
    /// Committed messages that wait in memory at the most; beyond, the outbox sweeper takes them: 1,024.
    pub in_hands: usize,
    /// How long one batch may wait for its confirms before it is left to the sweeper: 30 s.
    pub confirm_timeout: Duration,
    /// Whether every message takes its place in one total order, for subscribers that ask for it (`consistency = "global"`): false. All
    /// processes of the app must agree; and a writer that dies holds up those subscribers until its `deadline`.
    pub total_order: bool,
    /// How long the start waits for the broker before it goes on without: 5 s.
    pub start_timeout: Duration,
}

impl PublisherSettings {
    /// The defaults, for an app.
    pub fn new(app: impl Into<String>) -> Self {
        Self {
            app: app.into(),
            host: None,
            deadline: Duration::from_secs(30),
            sweep_after: Duration::from_secs(5),
            look_every: Duration::from_secs(1),
            fences_kept: Duration::from_secs(7 * 24 * 3600),
            in_hands: 1_024,
            confirm_timeout: Duration::from_secs(30),
            total_order: false,
            start_timeout: Duration::from_secs(5),
        }
    }
}

impl From<&Config> for PublisherSettings {
    fn from(config: &Config) -> Self {
        let mut settings = Self::new(&config.app);
        settings.total_order = config.consistency == Consistency::Global;
        settings
    }
}
