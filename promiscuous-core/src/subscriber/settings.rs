//! How a subscriber behaves, and what it tells of itself.

use std::str::FromStr;
use std::time::Duration;

use serde::Deserialize;

use crate::broker::QueueKind;
use crate::config::Config;
use crate::consistency::Consistency;

/// How a subscriber behaves; the defaults suit production.
#[derive(Clone)]
#[non_exhaustive]
pub struct SubscriberSettings {
    /// The app's name: names its queue.
    pub app: String,
    /// Transactions that are applied at the same time, each on a database connection of its own: 8.
    pub workers: usize,
    /// Unacknowledged messages at the most: 1,000; of large ones fewer. When all of them wait for causes further back in the queue, they are parked in the
    /// database.
    pub prefetch: u16,
    /// Bytes of messages that are decoded and not applied yet, at the most, but for one message that may go beyond: 4 MiB. Decoded, they take five to ten times as
    /// much. Those that were parked and are in memory again have as much for themselves. What the broker has given out besides waits as it came: four times as many bytes, as far as their number can be chosen so (see
    /// [`Prefetch`](crate::broker::Prefetch)), and no more than `prefetch` messages.
    pub window_bytes: usize,
    /// How much order subscriptions ask for that do not say so themselves. `None` goes over what any of them says.
    pub consistency: Consistency,
    /// How long to wait for a cause before a message is applied without it; none waits for ever.
    pub wait_timeout: Option<Duration>,
    /// How long a message waits for a version of a generation that is over, before it is applied without: 30 s. Such a version was
    /// perhaps lost with the publisher's Redis; the publisher has announced the loss.
    pub lost_after: Duration,
    /// How long a message waits for its cause before that is reported, and health is not ready any more: 30 s.
    pub blocked_after: Duration,
    /// How the broker keeps the queue.
    pub queue_kind: QueueKind,
    /// How far the clocks of this database's machine and the publishers' Redis may be apart: 2 s.
    pub clock_skew: Duration,
    /// Operations per database transaction, but for a message that has more: 100.
    pub batch: usize,
    /// How often a message is tried before it goes to the dead letters: 25, which takes some 16 minutes.
    pub max_attempts: u32,
    /// What becomes of those that wait for a dead letter.
    pub on_dead: OnDead,
    /// The first pause before a failed message is tried again; it doubles each time: 100 ms.
    pub retry_first: Duration,
    /// The longest such pause: 60 s.
    pub retry_longest: Duration,
    /// Whether all rows are asked for again when messages were lost, with its queue or its database: yes.
    pub bootstrap_when_lost: bool,
}

impl SubscriberSettings {
    /// The defaults, for an app.
    pub fn new(app: impl Into<String>) -> Self {
        Self {
            app: app.into(),
            workers: 8,
            prefetch: 1_000,
            window_bytes: 4 * 1024 * 1024,
            consistency: Consistency::Causal,
            wait_timeout: None,
            lost_after: Duration::from_secs(30),
            blocked_after: Duration::from_secs(30),
            queue_kind: QueueKind::Quorum,
            clock_skew: Duration::from_secs(2),
            batch: 100,
            max_attempts: 25,
            on_dead: OnDead::Skip,
            retry_first: Duration::from_millis(100),
            retry_longest: Duration::from_secs(60),
            bootstrap_when_lost: true,
        }
    }
}

impl From<&Config> for SubscriberSettings {
    fn from(config: &Config) -> Self {
        let mut settings = Self::new(&config.app);
        settings.workers = config.workers;
        settings.prefetch = config.prefetch;
        settings.wait_timeout = config.recovery;
        settings.clock_skew = config.clock_skew;
        settings.max_attempts = config.max_attempts;
        settings.on_dead = config.on_dead;
        settings.consistency = config.consistency;
        settings.bootstrap_when_lost = config.bootstrap_when_lost;
        if config.bareback {
            settings.consistency = Consistency::None;
        }
        if config.classic_queue {
            settings.queue_kind = QueueKind::Classic;
        }
        settings
    }
}

/// What becomes of the messages that wait for one that went to the dead letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnDead {
    /// They go on without it.
    #[default]
    Skip,
    /// They wait until it is retried.
    Block,
}

impl FromStr for OnDead {
    type Err = UnknownOnDead;

    fn from_str(text: &str) -> Result<Self, UnknownOnDead> {
        match text {
            "skip" => Ok(Self::Skip),
            "block" => Ok(Self::Block),
            _ => Err(UnknownOnDead),
        }
    }
}

/// Neither `skip` nor `block`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("write `skip` or `block`")]
pub struct UnknownOnDead;

/// What a running subscriber is doing, for health checks and tests.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Status {
    /// Whether it consumes from the queue.
    pub consuming: bool,
    /// Messages received and not yet acknowledged.
    pub held: usize,
    /// Those among them that wait for a cause.
    pub blocked: usize,
    /// Messages that failed and wait for their next attempt: among those, or parked. Of very many, not all are counted.
    pub failing: usize,
    /// Messages applied since the start.
    pub applied: u64,
    /// Messages that went to the dead letters since the start.
    pub dead: u64,
}
