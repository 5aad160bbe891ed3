//! The publisher's answers.

use std::collections::HashMap;
use std::future::Future;

use super::checksum::checksum;
use super::talk::{Answer, Published, Question, Shown};
use crate::bootstrap::covers;
use crate::error::chain;
use crate::key::{Endpoint, Key};
use crate::operation::{Operation, OperationKind};
use crate::publisher::Publisher;
use crate::sync::{PublishedRows, Stretch, SyncError, SyncRow, publish_ids, settled};
use crate::version_store::KeyVersion;

/// Rows of one answer at the most.
const ROWS: usize = 10_000;

/// Rows between two looks at their versions. The more there are, the longer it takes, and the fewer are left alone meanwhile.
const TOGETHER: usize = 10;

/// Answers what subscribers ask.
pub(crate) struct Answering<'a> {
    /// Versions come from it.
    pub(crate) publisher: &'a Publisher,
    /// The rows.
    pub(crate) rows: &'a dyn PublishedRows,
}

impl Answering<'_> {
    /// The answer; none when a server is away, or when it is no question for this app: whoever wants to know asks again.
    pub(crate) async fn answer(&self, app: &str, question: Question) -> Option<Answer> {
        let answered = match question {
            Question::Models { sources } => self.models(&sources).await,
            Question::Checksums { endpoint, model, attributes, after, limit } => {
                let position = self.positions(&endpoint).find(|at| self.rows.models()[*at].name == model);
                match position {
                    Some(position) => self.checksums(position, &attributes, after.as_deref(), limit).await,
                    None => Ok(Some(unknown(&format!("{model} at {endpoint}")))),
                }
            }
            Question::Missing { endpoint, ids } => self.missing(&endpoint, ids).await,
            Question::Rows { endpoint, ids } => self.shown(&endpoint, ids).await,
            Question::Send { endpoint, ids } => self.send(app, &endpoint, ids).await,
            Question::Unknown => Ok(Some(unknown("what another version of Promiscuous asks for"))),
        };
        match answered {
            Ok(answer) => answer,
            Err(error) if error.is_transient() => {
                tracing::debug!(error = %chain(&error), app, "an app that compares its rows cannot be answered");
                None
            }
            Err(error) => {
                tracing::error!(error = %chain(&error), app, "an app cannot compare its rows");
                // The text stays in this app's log: what a database says may quote what is in a row.
                let reason = format!("{} cannot read them: see its log", self.publisher.app());
                Some(Answer::Failed { reason })
            }
        }
    }

    /// The models with this endpoint.
    fn positions(&self, endpoint: &Endpoint) -> impl Iterator<Item = usize> {
        let models = self.rows.models().iter().enumerate();
        models.filter(move |(_, model)| model.endpoint == *endpoint).map(|(position, _)| position)
    }

    async fn models(&self, sources: &[String]) -> Result<Option<Answer>, SyncError> {
        let mut models = Vec::new();
        for (position, model) in self.rows.models().iter().enumerate() {
            if sources.iter().any(|source| covers(source, &model.endpoint)) {
                let rows = self.read(position, self.rows.count(position, None)).await?;
                let (endpoint, name, types) =
                    (model.endpoint.clone(), model.name.clone(), model.types.clone());
                models.push(Published { endpoint, name, types, rows });
            }
        }
        // Another app may publish them.
        Ok((!models.is_empty()).then_some(Answer::Models { models }))
    }

    async fn checksums(
        &self,
        position: usize,
        attributes: &[String],
        after: Option<&str>,
        limit: usize,
    ) -> Result<Option<Answer>, SyncError> {
        let ids = self.rows.ids_after(position, None, after, limit.clamp(1, ROWS));
        let ids = self.read(position, ids).await?;
        let (Some(first), Some(last)) = (ids.first(), ids.last()) else {
            return Ok(Some(Answer::Checksums { objects: Vec::new() }));
        };
        let rows = self.rows.read(position, None, Stretch { first, last }, false);
        let rows = self.read(position, rows).await?;
        let mut sums: HashMap<String, String> =
            rows.into_iter().map(|row| (row.id, checksum(&row.attributes, attributes))).collect();
        // What has gone in between has none: then it is looked at by itself.
        let sum = |id: String| {
            let sum = sums.remove(&id).unwrap_or_default();
            (id, sum)
        };
        let objects = ids.into_iter().map(sum).collect();
        Ok(Some(Answer::Checksums { objects }))
    }

    async fn missing(&self, endpoint: &Endpoint, mut ids: Vec<String>) -> Result<Option<Answer>, SyncError> {
        ids.truncate(ROWS);
        for position in self.positions(endpoint) {
            if !ids.is_empty() {
                ids = self.read(position, self.rows.missing(position, &ids)).await?;
            }
        }
        Ok(Some(Answer::Missing { ids }))
    }

    /// **Versions, then rows, then versions again**: what was written in between is left out.
    async fn shown(&self, endpoint: &Endpoint, mut ids: Vec<String>) -> Result<Option<Answer>, SyncError> {
        // What can be no key has no row, and never had.
        ids.retain(|id| Key::new(endpoint, id).is_ok_and(|key| Key::parse(key.as_str()).is_ok()));
        ids.truncate(ROWS);
        let keys: Vec<Key> = ids.iter().filter_map(|id| Key::new(endpoint, id).ok()).collect();
        let (mut generation, mut shown) = (None, Vec::with_capacity(ids.len()));
        for (ids, keys) in ids.chunks(TOGETHER).zip(keys.chunks(TOGETHER)) {
            let before = self.publisher.versions_of(keys).await?;
            if *generation.get_or_insert(before.0) != before.0 {
                // Versions of two generations do not go into one answer: the next question is answered.
                return Ok(None);
            }
            let mut operations = Vec::with_capacity(ids.len());
            for id in ids {
                operations.push(self.operation(endpoint, id).await?);
            }
            let versions = settled(before, self.publisher.versions_of(keys).await?);
            let objects = versions.into_iter().zip(operations).filter(|(version, _)| !version.locked);
            shown.extend(objects.map(|(KeyVersion { version, unwritten, .. }, operation)| Shown {
                version: (!unwritten).then_some(version),
                operation,
            }));
        }
        let generation = match generation {
            Some(generation) => generation,
            None => self.publisher.versions_of(&[]).await?.0,
        };
        Ok(Some(Answer::Rows { generation, objects: shown }))
    }

    async fn operation(&self, endpoint: &Endpoint, id: &str) -> Result<Operation, SyncError> {
        let mut types = Vec::new();
        for position in self.positions(endpoint) {
            types.clone_from(&self.rows.models()[position].types);
            let rows = self.rows.read(position, None, Stretch { first: id, last: id }, false);
            let rows = self.read(position, rows).await?;
            if let Some(SyncRow { id, attributes }) = rows.into_iter().next() {
                return Ok(sync(endpoint, types, id, Some(attributes)));
            }
        }
        Ok(sync(endpoint, types, id.to_owned(), None))
    }

    async fn send(
        &self,
        app: &str,
        endpoint: &Endpoint,
        ids: Vec<String>,
    ) -> Result<Option<Answer>, SyncError> {
        let mut rows = 0;
        for position in self.positions(endpoint) {
            rows += publish_ids(self.publisher, self.rows, position, &ids, Some(app)).await?;
        }
        Ok(Some(Answer::Sent { rows }))
    }

    async fn read<T>(
        &self,
        position: usize,
        reading: impl Future<Output = Result<T, crate::database::DatabaseError>>,
    ) -> Result<T, SyncError> {
        let selection = || self.rows.models()[position].name.clone();
        reading.await.map_err(|source| SyncError::Rows { selection: selection(), source })
    }
}

fn sync(
    endpoint: &Endpoint,
    types: Vec<String>,
    id: String,
    attributes: Option<crate::operation::Attributes>,
) -> Operation {
    Operation { operation: OperationKind::Sync, endpoint: endpoint.clone(), types, id, attributes }
}

fn unknown(what: &str) -> Answer {
    Answer::Failed { reason: format!("the publisher does not know {what}: are both of one version?") }
}
