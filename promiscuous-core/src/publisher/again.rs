//! What publishing rows again needs of a publisher (section 8 of the protocol).

use std::time::Duration;

use super::Publisher;
use crate::broker::{BrokerError, Publication};
use crate::error::Error;
use crate::key::Key;
use crate::version_store::{KeyVersion, StoreError};

/// How often the generation is looked up anew before its refusal is an error.
const TRIES: u32 = 3;

impl Publisher {
    /// The machine's name, for people who read messages.
    pub(crate) fn host(&self) -> Option<&str> {
        self.inner.settings.host.as_deref()
    }

    /// Step (a): the versions of keys and whether they are locked, with the generation of all of them. Nothing is bumped.
    ///
    /// # Errors
    /// When the version store is away.
    pub(crate) async fn versions_of(&self, keys: &[Key]) -> Result<(u64, Vec<KeyVersion>), Error> {
        let mut generation = self.inner.generation().await?;
        let mut tries = 0;
        loop {
            tries += 1;
            match self.inner.store.versions_of(generation, keys).await {
                Err(refusal @ (StoreError::StaleGeneration { .. } | StoreError::LostWrites))
                    if tries <= TRIES =>
                {
                    generation = self.inner.renew_generation(generation, refusal).await?;
                }
                other => return Ok((generation, other?)),
            }
        }
    }

    /// Publishes past the outbox, and waits for the confirms.
    ///
    /// # Errors
    /// The first one. Then some may have arrived.
    pub(crate) async fn send(&self, publications: Vec<Publication>) -> Result<(), BrokerError> {
        self.inner.broker.publish(publications).await.into_iter().collect()
    }

    /// How much is in an app's queue; none when it has none.
    ///
    /// # Errors
    /// When the broker is away.
    pub(crate) async fn depth_of(&self, app: &str) -> Result<Option<crate::broker::QueueDepth>, BrokerError> {
        self.inner.broker.depth(&crate::broker::Queue::of(app)).await
    }

    /// Takes or renews a lease for what one process of this app should do at a time; true when held.
    ///
    /// # Errors
    /// When the version store is away.
    pub(crate) async fn lease(&self, name: &str, for_how_long: Duration) -> Result<bool, StoreError> {
        self.inner.store.lease(name, self.inner.process, for_how_long).await
    }
}
