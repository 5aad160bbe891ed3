//! Acknowledges parked messages.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use uuid::Uuid;

use super::{Parked, delete};
use crate::broker::{Acknowledger, Delivery};
use crate::database::Database;
use crate::error::chain;

/// Where parked messages are delivered from.
pub(in crate::subscriber) struct Lot {
    database: Arc<dyn Database>,
    state: Mutex<LotState>,
}

#[derive(Default)]
struct LotState {
    /// The last tag that was given out.
    last: u64,
    /// What the tags in use stand for.
    ids: HashMap<u64, Uuid>,
}

impl Lot {
    pub(in crate::subscriber) fn new(database: Arc<dyn Database>) -> Arc<Self> {
        Arc::new(Self { database, state: Mutex::default() })
    }

    /// A parked message as a delivery.
    pub(in crate::subscriber) fn deliver(self: &Arc<Self>, parked: Parked) -> Delivery {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.last += 1;
        let tag = state.last;
        state.ids.insert(tag, parked.id);
        let acknowledger: Arc<dyn Acknowledger> = self.clone();
        Delivery { body: parked.body, redelivered: true, tag, acknowledger }
    }

    /// The tags are not used any more.
    fn forget(&self, tags: &[u64]) -> Vec<Uuid> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        tags.iter().filter_map(|tag| state.ids.remove(tag)).collect()
    }
}

#[async_trait]
impl Acknowledger for Lot {
    async fn ack(&self, tags: &[u64]) {
        let ids = self.forget(tags);
        if let Err(error) = delete(self.database.as_ref(), &ids).await {
            // They are applied, so they are skipped then.
            tracing::debug!(error = %chain(&error), "parked messages stay, and are looked at again");
        }
    }

    async fn requeue(&self, tags: &[u64]) {
        self.forget(tags);
    }
}
