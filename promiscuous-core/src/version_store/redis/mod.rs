//! On a Redis server, 6.2 or later.
//!
//! * `link`: one connection that comes back by itself, and knows which server run it leads to
//! * `scripts`: the Lua scripts, one call each
//! * `publisher`: versions, locks and intents ([`VersionStore`](super::VersionStore))
//! * `subscriber`: the cache of what was applied ([`AppliedStore`](super::AppliedStore))
//! * `facts`: what the server says of itself
//! * `announcements`: the pub/sub connection that wakes waiting processes
//!
//! Every key of an app carries the hash tag `{app}`, so that one app lives on one node of a cluster.

use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::StoreError;
use crate::key::Key;
use crate::tls::Authorities;
use announcements::Announcements;
use link::Link;

pub use facts::RedisFacts;

mod announcements;
mod facts;
mod link;
mod publisher;
mod scripts;
mod subscriber;

/// How long an idle key keeps its version, 7 days. Losing one is harmless: an absent key starts a new chain.
pub const DEFAULT_TTL: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// Keys that one script call handles at the most, so that no call keeps the server from others for longer than a few
/// milliseconds. (*Lock-and-bump* is never cut: it is atomic.)
const CHUNK: usize = 250;

/// Both version stores of one app on a Redis server. A cheap handle: clones share one connection.
#[derive(Clone)]
pub struct RedisStore {
    shared: Arc<Shared>,
    /// How long an idle key keeps its version.
    ttl: Duration,
}

struct Shared {
    /// Carries every command but the subscription.
    link: Link,
    /// `promiscuous:{app}`, the beginning of every key.
    prefix: String,
    /// Opened by the first who listens: a publisher never does.
    announcements: Announcements,
}

impl RedisStore {
    /// A store for this app. Connects when it is first used, and again whenever the connection was lost; so this
    /// succeeds while the server is away.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when the text is not a `redis://` (or, with the `tls` feature, `rediss://`) URL.
    pub fn connect(url: &str, app: &str) -> Result<Self, StoreError> {
        Self::connect_trusting(url, app, &Authorities::default())
    }

    /// The same, where certificates must come from these authorities.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when the text is not such a URL.
    pub fn connect_trusting(url: &str, app: &str, authorities: &Authorities) -> Result<Self, StoreError> {
        let link = Link::new(url, authorities)?;
        let prefix = format!("promiscuous:{{{app}}}");
        let announcements =
            Announcements::new(link.client(), link.at().to_owned(), format!("{prefix}:advanced"));
        Ok(Self { shared: Arc::new(Shared { link, prefix, announcements }), ttl: DEFAULT_TTL })
    }

    /// Keeps the versions of idle keys for another time than [`DEFAULT_TTL`]. All processes of an app should agree.
    #[must_use]
    pub fn with_ttl(self, ttl: Duration) -> Self {
        Self { ttl, ..self }
    }

    fn link(&self) -> &Link {
        &self.shared.link
    }

    /// A key that the app has once: `generation`, `intents`, `deadlines`.
    fn single(&self, name: &str) -> String {
        format!("{}:{name}", self.shared.prefix)
    }

    /// The version of a key, on the publisher's side.
    fn dep(&self, key: &Key) -> String {
        format!("{}:dep:{key}", self.shared.prefix)
    }

    /// Who writes a key.
    fn lock(&self, key: &Key) -> String {
        format!("{}:lock:{key}", self.shared.prefix)
    }

    /// What was applied of a key, on the subscriber's side.
    fn sub(&self, key: &Key) -> String {
        format!("{}:sub:{key}", self.shared.prefix)
    }

    fn ttl_ms(&self) -> String {
        millis(self.ttl)
    }
}

/// Whole milliseconds, as text for a script; at least 1, because Redis refuses to keep a key for no time.
fn millis(duration: Duration) -> String {
    duration.as_millis().max(1).to_string()
}

fn parse_op(text: &str) -> Result<Uuid, StoreError> {
    Uuid::parse_str(text).map_err(|_| StoreError::Protocol(format!("`{text}` is not an operation's id")))
}
