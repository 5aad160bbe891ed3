//! Which objects that a subscriber has are gone, and with which version: **versions first, then the rows**, as for rows that are sent.
//!
//! A version is bumped only together with its lock, which is released after COMMIT. So an object that is missing after its version was
//! read, and was not locked then, is gone since that version or an earlier one: whatever is created with its id has a newer one.
//!
//! Where the version store has no version of it, because it expired or was lost, nothing tells whether a writer of a lost generation is about
//! to commit it again. Such an object is destroyed **with the version that the subscriber has**: whatever anybody creates is newer than that.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::{Duration, Instant};

use uuid::Uuid;

use crate::clock;
use crate::dependency::{Dependencies, Version, WriteDependency};
use crate::key::Key;
use crate::message::Message;
use crate::operation::{Operation, OperationKind};
use crate::publisher::Publisher;
use crate::sync::{PublishedRows, SyncError, SyncModel, steadily};
use crate::version_store::KeyVersion;

/// Objects of one message at the most: a subscriber applies a message in one transaction.
const OBJECTS: usize = 100;

/// How long an object may be in the hands of writers. Whatever they do to it, they tell.
const PATIENCE: Duration = Duration::from_secs(120);

/// The pause before it is looked at again.
const PAUSE: Duration = Duration::from_millis(200);

/// An object that is gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Gone {
    /// Its id.
    pub(super) id: String,
    /// Whatever is not newer than this is gone.
    pub(super) version: Version,
    /// Whether the version is only the subscriber's own: nobody waits for it.
    pub(super) unwritten: bool,
}

/// Looks at one model's rows.
pub(super) struct Look<'a> {
    /// Versions come from it.
    pub(super) publisher: &'a Publisher,
    /// The rows.
    pub(super) rows: &'a dyn PublishedRows,
    /// The model, by its place.
    pub(super) position: usize,
}

impl Look<'_> {
    /// Those of a subscriber's objects that are gone, which it knows with versions of this generation.
    pub(super) async fn gone(
        &self,
        generation: u64,
        objects: &[(String, u64)],
    ) -> Result<Vec<Gone>, SyncError> {
        let known: HashMap<&str, Version> =
            objects.iter().map(|(id, version)| (id.as_str(), Version::new(generation, *version))).collect();
        let ids: Vec<String> = objects.iter().map(|(id, _)| id.clone()).collect();
        let (begun, mut gone) = (Instant::now(), Vec::new());
        // Most of them are there, and have no need of a version.
        let mut candidates = self.missing(&ids).await?;
        while !candidates.is_empty() && begun.elapsed() < PATIENCE {
            let endpoint = &self.rows.models()[self.position].endpoint;
            // Who named what can be no key has no such object.
            candidates.retain(|id| Key::new(endpoint, id).is_ok_and(|key| Key::parse(key.as_str()).is_ok()));
            let keys = candidates.iter().filter_map(|id| Key::new(endpoint, id).ok()).collect::<Vec<_>>();
            let (current, versions) =
                steadily(|| async { Ok(self.publisher.versions_of(&keys).await?) }).await?;
            let missing: HashSet<String> = self.missing(&candidates).await?.into_iter().collect();
            let seen = candidates.into_iter().zip(versions).filter(|(id, _)| missing.contains(id));
            let (now_gone, locked) = sort(seen, current, &known);
            gone.extend(now_gone);
            candidates = locked;
            if !candidates.is_empty() {
                tokio::time::sleep(PAUSE).await;
            }
        }
        Ok(gone)
    }

    async fn missing(&self, ids: &[String]) -> Result<Vec<String>, SyncError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        steadily(|| async {
            let missing = self.rows.missing(self.position, ids).await;
            let selection = || self.rows.models()[self.position].name.clone();
            missing.map_err(|source| SyncError::Rows { selection: selection(), source })
        })
        .await
    }
}

/// What is gone, and the ids of what somebody is writing, of objects that are missing and the versions that they had before. Pure.
fn sort(
    seen: impl Iterator<Item = (String, KeyVersion)>,
    current: u64,
    known: &HashMap<&str, Version>,
) -> (Vec<Gone>, Vec<String>) {
    let (mut gone, mut locked) = (Vec::new(), Vec::new());
    for (id, version) in seen {
        let Some(own) = known.get(id.as_str()) else { continue };
        let theirs = Version::new(current, version.version);
        match version {
            KeyVersion { locked: true, .. } => locked.push(id),
            KeyVersion { unwritten: true, .. } => gone.push(Gone { id, version: *own, unwritten: true }),
            KeyVersion { .. } => gone.push(Gone { id, version: theirs.max(*own), unwritten: theirs < *own }),
        }
    }
    (gone, locked)
}

/// The messages that say so. Pure but for their names and times.
pub(super) fn messages(app: &str, model: &SyncModel, gone: Vec<Gone>) -> Vec<Message> {
    let mut by_generation: BTreeMap<u64, Vec<Gone>> = BTreeMap::new();
    for one in gone {
        by_generation.entry(one.version.generation).or_default().push(one);
    }
    let mut messages = Vec::new();
    for (generation, gone) in by_generation {
        messages.extend(gone.chunks(OBJECTS).map(|gone| message(app, model, generation, gone)));
    }
    messages
}

fn message(app: &str, model: &SyncModel, generation: u64, gone: &[Gone]) -> Message {
    let (mut operations, mut write) = (Vec::with_capacity(gone.len()), Vec::with_capacity(gone.len()));
    for Gone { id, version, unwritten } in gone {
        let Ok(key) = Key::new(&model.endpoint, id) else { continue };
        operations.push(Operation {
            operation: OperationKind::Sync,
            endpoint: model.endpoint.clone(),
            types: model.types.clone(),
            id: id.clone(),
            attributes: None,
        });
        let (version, unwritten) = (version.version, *unwritten);
        write.push(WriteDependency { key, version, previous: None, readers: BTreeMap::new(), unwritten });
    }
    Message {
        id: Uuid::now_v7(),
        app: app.to_owned(),
        host: None,
        context: Some("promiscuous/bootstrap".into()),
        current_user_id: None,
        timestamp: clock::millis(),
        generation,
        operations,
        dependencies: Some(Dependencies { write, read: Vec::new(), external: Vec::new() }),
        bootstrap: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::Endpoint;

    #[test]
    fn what_somebody_writes_is_looked_at_again_and_what_has_no_version_gets_the_subscriber_s() {
        let known: HashMap<&str, Version> =
            ["1", "2", "3", "4"].into_iter().map(|id| (id, Version::new(2, 50))).collect();
        let seen = [
            ("1", 70, false, false),
            ("2", 70, true, false),
            ("3", 90, false, true),
            ("4", 40, false, false),
        ];
        let seen = seen.map(|(id, version, locked, unwritten)| {
            (id.to_owned(), KeyVersion { version, locked, unwritten })
        });
        let (gone, locked) = sort(seen.clone().into_iter(), 2, &known);
        let own = Version::new(2, 50);
        let one = |id: &str, version, unwritten| Gone { id: id.into(), version, unwritten };
        assert_eq!(gone, [one("1", Version::new(2, 70), false), one("3", own, true), one("4", own, true)]);
        assert_eq!(locked, ["2"]);
        let (later, _) = sort(seen.into_iter().take(1), 3, &known);
        assert_eq!(later, [one("1", Version::new(3, 70), false)]);
    }

    #[test]
    fn a_message_has_one_generation_and_few_objects_and_survives_the_wire() {
        let endpoint = Endpoint::parse("shop/user").unwrap();
        let model = SyncModel { name: "User".into(), endpoint, types: vec!["User".into()] };
        let gone = (0..150).map(|id| Gone {
            id: id.to_string(),
            version: Version::new(1 + id / 149, id),
            unwritten: false,
        });
        let messages = messages("shop", &model, gone.collect());
        let told: Vec<_> = messages.iter().map(|m| (m.generation, m.operations.len())).collect();
        assert_eq!(told, [(1, 100), (1, 49), (2, 1)]);
        let again = Message::decode(messages[0].encode().unwrap().as_bytes()).unwrap();
        assert!(again.is_sync());
        assert_eq!(again, messages[0]);
    }
}
