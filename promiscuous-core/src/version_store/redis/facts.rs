//! What a server says of itself, for those who look whether it fits.

use std::time::Instant;

use redis::Pipeline;

use super::RedisStore;
use crate::clock;
use crate::version_store::StoreError;

/// What matters of a Redis server.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RedisFacts {
    /// Host and port.
    pub at: String,
    /// Its version: `7.0.15`.
    pub version: String,
    /// `master`, or `slave` for a replica, which takes no writes.
    pub role: String,
    /// What it does when memory is short.
    pub policy: String,
    /// Bytes that it may use; 0 for all there are.
    pub max_memory: u64,
    /// Whether it keeps a log of all writes on disk.
    pub keeps_a_log: bool,
    /// By how many milliseconds its clock is ahead of this machine's; less than the time that asking took means nothing.
    pub ahead_millis: i64,
}

impl RedisStore {
    /// Asks the server about itself.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when it is away, or does not allow INFO and TIME.
    pub async fn facts(&self) -> Result<RedisFacts, StoreError> {
        let mut pipeline = Pipeline::new();
        pipeline.cmd("INFO").cmd("TIME");
        // A connection that has to be made first would count as part of the answer's time.
        let _: String =
            self.link().query(Pipeline::new().cmd("INFO").arg("server")).await.map(|(text,)| text)?;
        let (before, began) = (clock::millis(), Instant::now());
        let (info, (seconds, micros)): (String, (i64, i64)) = self.link().query(&pipeline).await?;
        let half = clock::duration_millis(began.elapsed()) / 2;
        let here = i64::try_from(before + half).unwrap_or(i64::MAX);
        let field = |name: &str| {
            let found = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            found.unwrap_or_default().trim().to_owned()
        };
        Ok(RedisFacts {
            at: self.link().at().to_owned(),
            version: field("redis_version"),
            role: field("role"),
            policy: field("maxmemory_policy"),
            max_memory: field("maxmemory").parse().unwrap_or(0),
            keeps_a_log: field("aof_enabled") == "1",
            ahead_millis: seconds * 1_000 + micros / 1_000 - here,
        })
    }
}
