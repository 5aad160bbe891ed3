//! Some rows of a model, by their ids.

use super::chunk::Chunks;
use super::messages::Sender;
use super::{PublishedRows, Selection, SyncError};
use crate::publisher::Publisher;

/// Publishes the rows of these ids again, as they are now, to one app or to every one; answers with how many there were. What has no row is
/// passed over.
///
/// # Errors
/// See [`SyncError`]. What was sent before is sent.
pub async fn publish_ids(
    publisher: &Publisher,
    rows: &dyn PublishedRows,
    model: usize,
    ids: &[String],
    only_to: Option<&str>,
) -> Result<u64, SyncError> {
    let Some(described) = rows.models().get(model) else { return Ok(0) };
    let selection = Selection { model, name: described.name.clone(), condition: None };
    let sender = Sender {
        app: publisher.app().to_owned(),
        host: publisher.host().map(str::to_owned),
        only_to: only_to.map(str::to_owned),
    };
    let chunks = Chunks { publisher, rows, selection: &selection, sender: &sender };
    let mut sent = 0;
    for id in ids {
        // They need not stand one after the other in the table.
        sent += chunks.publish(vec![id.clone()]).await?;
    }
    Ok(sent)
}
