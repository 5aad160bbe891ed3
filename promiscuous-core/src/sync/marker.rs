//! What a subscriber that is brought up to date is told of its rows.

use uuid::Uuid;

use super::SyncError;
use super::cursor::Kind;
use super::run::steadily;
use crate::bootstrap::{Step, publication};
use crate::key::Endpoint;
use crate::publisher::Publisher;

/// Tells a subscriber that is brought up to date how far its rows are; nothing where nobody has asked for them.
pub(super) struct Marker<'a> {
    pub(super) publisher: &'a Publisher,
    pub(super) kind: Kind,
    pub(super) run: Uuid,
    pub(super) endpoint: &'a Endpoint,
    pub(super) only_to: Option<&'a str>,
}

impl Marker<'_> {
    pub(super) async fn under_way(&self, rows: u64, sent: u64) -> Result<(), SyncError> {
        self.send(Step::UnderWay { run: self.run, endpoint: self.endpoint.clone(), rows, sent }).await
    }

    pub(super) async fn done(&self, sent: u64) -> Result<(), SyncError> {
        self.send(Step::Done { run: self.run, endpoint: self.endpoint.clone(), sent }).await
    }

    async fn send(&self, step: Step) -> Result<(), SyncError> {
        if self.kind != Kind::Serve {
            return Ok(());
        }
        let message = step.message(self.publisher.app(), 0);
        let marker = publication(message, self.endpoint.clone(), self.only_to)
            .map_err(|error| SyncError::Unsendable(error.to_string()))?;
        steadily(|| async { Ok(self.publisher.send(vec![marker.clone()]).await?) }).await
    }
}
