//! Rows with their versions become messages. Pure.

use std::collections::BTreeMap;

use bytes::Bytes;
use uuid::Uuid;

use super::{SyncModel, SyncRow};
use crate::broker::Publication;
use crate::clock;
use crate::dependency::{Dependencies, WriteDependency};
use crate::key::Key;
use crate::message::{MAX_DEPTH, MAX_MESSAGE_BYTES, Message, depth};
use crate::operation::{Operation, OperationKind};

/// Rows of one message at the most: a subscriber applies a message in one transaction.
const ROWS: usize = 100;

/// A message above this many bytes is cut in two, if it has more than one row: what the broker has given out to a subscriber, a thousand messages, is
/// in its memory.
const BYTES: usize = 24 * 1024;

/// A row with the version that it has at the least.
#[derive(Debug)]
pub(super) struct Versioned {
    /// Its key.
    pub(super) key: Key,
    /// In the generation of all of them.
    pub(super) version: u64,
    /// Whether nothing was written with that version.
    pub(super) unwritten: bool,
    /// As it was read after its version.
    pub(super) row: SyncRow,
}

/// What all messages of a run have in common.
#[derive(Debug, Clone)]
pub(super) struct Sender {
    /// The publishing app.
    pub(super) app: String,
    /// The machine that publishes.
    pub(super) host: Option<String>,
    /// The only app that gets them; none is every one that is bound.
    pub(super) only_to: Option<String>,
}

/// The messages that bring these rows, in order.
///
/// # Errors
/// A sentence, when a row does not fit into a message.
pub(super) fn messages(
    sender: &Sender,
    model: &SyncModel,
    generation: u64,
    rows: Vec<Versioned>,
) -> Result<Vec<Publication>, String> {
    let mut publications = Vec::with_capacity(rows.len().div_ceil(ROWS));
    let mut rows = rows.into_iter();
    let mut at_once = ROWS;
    loop {
        let some: Vec<Versioned> = rows.by_ref().take(at_once).collect();
        if some.is_empty() {
            return Ok(publications);
        }
        let (count, before) = (some.len(), publications.len());
        add(&mut publications, sender, model, generation, some)?;
        // As many as are likely to fit: what is cut was encoded in vain.
        let bytes: usize = publications[before..].iter().map(|publication| publication.body.len()).sum();
        at_once = (BYTES * count / bytes.max(1)).clamp(1, ROWS);
    }
}

fn add(
    publications: &mut Vec<Publication>,
    sender: &Sender,
    model: &SyncModel,
    generation: u64,
    rows: Vec<Versioned>,
) -> Result<(), String> {
    let message = message(sender, model, generation, rows);
    let endpoint = &model.endpoint;
    let body = message.encode().map_err(|error| format!("a row of {endpoint} is no JSON: {error}"))?;
    if body.len() > BYTES && message.operations.len() > 1 {
        let mut halves = take_apart(message);
        let second = halves.split_off(halves.len() / 2);
        drop(body);
        add(publications, sender, model, generation, halves)?;
        return add(publications, sender, model, generation, second);
    }
    if body.len() > MAX_MESSAGE_BYTES {
        return Err(format!(
            "a row of {endpoint} has {} bytes as JSON, and at most {MAX_MESSAGE_BYTES} can be sent: publish fewer attributes of it",
            body.len()
        ));
    }
    if depth(&body) > MAX_DEPTH {
        return Err(format!(
            "a row of {endpoint} nests JSON deeper than {MAX_DEPTH} levels, which no subscriber reads: publish a flatter value"
        ));
    }
    publications.push(Publication {
        id: message.id,
        app: message.app,
        timestamp: message.timestamp,
        endpoints: vec![endpoint.clone()],
        only_to: sender.only_to.clone(),
        body: Bytes::from(body),
        traceparent: None,
    });
    Ok(())
}

fn message(sender: &Sender, model: &SyncModel, generation: u64, rows: Vec<Versioned>) -> Message {
    let (operations, write) = rows
        .into_iter()
        .map(|Versioned { key, version, unwritten, row }| {
            let operation = Operation {
                operation: OperationKind::Sync,
                endpoint: model.endpoint.clone(),
                types: model.types.clone(),
                id: row.id,
                attributes: Some(row.attributes),
            };
            // No predecessor and no readers: it takes the place of whatever is not newer.
            let readers = BTreeMap::new();
            (operation, WriteDependency { key, version, previous: None, readers, unwritten })
        })
        .unzip();
    Message {
        id: Uuid::now_v7(),
        app: sender.app.clone(),
        host: sender.host.clone(),
        context: Some("promiscuous/publish".into()),
        current_user_id: None,
        timestamp: clock::millis(),
        generation,
        operations,
        dependencies: Some(Dependencies { write, read: Vec::new(), external: Vec::new() }),
        bootstrap: None,
    }
}

/// The rows of a message that was too large.
fn take_apart(message: Message) -> Vec<Versioned> {
    let writes = message.dependencies.into_iter().flat_map(|dependencies| dependencies.write);
    let rows = message.operations.into_iter().zip(writes);
    rows.map(|(operation, write)| Versioned {
        key: write.key,
        version: write.version,
        unwritten: write.unwritten,
        row: SyncRow { id: operation.id, attributes: operation.attributes.unwrap_or_default() },
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::Endpoint;

    fn row(id: usize, bytes: usize) -> Versioned {
        let endpoint = Endpoint::parse("shop/user").unwrap();
        let attributes = [("name".to_owned(), "x".repeat(bytes).into())].into_iter().collect();
        let row = SyncRow { id: id.to_string(), attributes };
        Versioned { key: Key::new(&endpoint, &row.id).unwrap(), version: 7, unwritten: false, row }
    }

    /// How many rows each message has, and the ids of all of them.
    fn sent(rows: Vec<Versioned>) -> Result<(Vec<usize>, Vec<String>), String> {
        let endpoint = Endpoint::parse("shop/user").unwrap();
        let model = SyncModel { name: "User".into(), endpoint, types: vec!["User".into()] };
        let sender = Sender { app: "shop".into(), host: None, only_to: Some("mailer".into()) };
        let decoded = messages(&sender, &model, 3, rows)?.into_iter().map(|publication| {
            assert_eq!(publication.only_to.as_deref(), Some("mailer"));
            Message::decode(&publication.body).unwrap()
        });
        let decoded: Vec<Message> = decoded.collect();
        assert!(decoded.iter().all(|message| message.is_sync() && message.generation == 3));
        let ids = decoded.iter().flat_map(|message| &message.operations).map(|o| o.id.clone()).collect();
        Ok((decoded.iter().map(|message| message.operations.len()).collect(), ids))
    }

    #[test]
    fn a_message_has_a_hundred_rows_or_few_bytes_and_every_row_is_in_one() {
        let ids = |count: usize| (0..count).map(|id| id.to_string()).collect::<Vec<_>>();
        let small = (0..250).map(|id| row(id, 10)).collect();
        assert_eq!(sent(small).unwrap(), (vec![100, 100, 50], ids(250)));
        let large = (0..6).map(|id| row(id, 9_000)).collect();
        assert_eq!(sent(large).unwrap(), (vec![1, 2, 1, 2], ids(6)));
        // What the first rows have shown of their size is used for those that follow, in both directions.
        let mixed = (0..100).map(|id| row(id, 700)).chain((100..300).map(|id| row(id, 10)));
        let (counts, all) = sent(mixed.collect()).unwrap();
        assert_eq!((&counts[..5], all), (&[25, 25, 25, 25, 28][..], ids(300)));
        assert_eq!(counts.iter().max(), Some(&100));
        assert_eq!(sent(vec![row(0, 2 * BYTES)]).unwrap(), (vec![1], ids(1)));
        assert_eq!(sent(Vec::new()).unwrap(), (vec![], ids(0)));
    }

    #[test]
    fn a_row_that_no_subscriber_would_read_is_refused() {
        let refused = sent(vec![row(0, MAX_MESSAGE_BYTES)]).unwrap_err();
        assert!(refused.contains("publish fewer attributes"), "{refused}");
        let mut deep = row(0, 1);
        let mut value = serde_json::json!(1);
        (0..MAX_DEPTH).for_each(|_| value = serde_json::json!([value]));
        deep.row.attributes.insert("deep".into(), value);
        assert!(sent(vec![deep]).unwrap_err().contains("flatter"));
    }
}
