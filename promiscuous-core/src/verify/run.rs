//! A comparison of an app's rows with those of its publishers, model by model.
//!
//! First the publisher's rows, by their checksums; then, of this app's rows, whether the publisher has them. What is not explained by that is looked at
//! row by row, as often as it takes (`settling`).

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::SubscribedRows;
use super::asking::Link;
use super::checksum::checksum;
use super::error::VerifyError;
use super::talk::{Answer, Published, Question};
use super::verdict::{Candidate, Kind};
use crate::bootstrap::{Follower, Step};
use crate::broker::Broker;
use crate::database::Database;
use crate::dependency::Version;
use crate::key::{Endpoint, Key};
use crate::operation::{Operation, OperationKind};
use crate::registry::{From, Subscriptions};
use crate::subscriber::versions;
use crate::version_store::NOTHING;

/// Rows that one question is about.
const CHUNK: usize = 1_000;

/// Rows in doubt, before they are looked at.
const DOUBTS: usize = 1_000;

/// How rows are compared.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct VerifySettings {
    /// How long a write may be on its way, and a publisher's answer. What has not come by then counts as lost.
    pub patience: Duration,
    /// Whether rows that are missing or different are sent again by their publisher.
    pub repair: bool,
}

impl Default for VerifySettings {
    fn default() -> Self {
        Self { patience: Duration::from_secs(60), repair: false }
    }
}

impl VerifySettings {
    /// How long a write may be on its way.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Whether rows that are missing or different are sent again.
    #[must_use]
    pub fn repair(mut self, repair: bool) -> Self {
        self.repair = repair;
        self
    }
}

/// A row that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Difference {
    /// Where it is published.
    pub endpoint: Endpoint,
    /// Its id.
    pub id: String,
    /// How it differs.
    pub kind: Kind,
    /// Whether the subscriber has not got the publisher's last write of it either, within its patience: that was lost, or is very slow.
    pub late: bool,
}

/// What a comparison tells while it goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A model begins.
    Begun {
        /// Where it is published.
        endpoint: Endpoint,
        /// The publisher's name of it.
        model: String,
        /// How many rows there are to compare: the publisher's.
        rows: u64,
    },
    /// So many of the publisher's rows have been compared.
    Compared {
        /// How many, from the model's first one on.
        rows: u64,
    },
    /// A row differs.
    Found(Difference),
    /// A row is written again and again, and could not be compared.
    Busy {
        /// Where it is published.
        endpoint: Endpoint,
        /// Its id.
        id: String,
    },
}

/// See the module.
pub struct Verification {
    app: String,
    subscriptions: Subscriptions,
    database: Arc<dyn Database>,
    pub(super) rows: Arc<dyn SubscribedRows>,
    pub(super) link: Link,
    pub(super) settings: VerifySettings,
}

/// A model of a publisher, and what subscribes to it.
pub(super) struct Pair {
    /// The publisher.
    pub(super) app: String,
    /// Its model.
    pub(super) published: Published,
    /// The subscribed model, by its position.
    pub(super) position: usize,
}

impl Verification {
    /// Prepares a comparison.
    ///
    /// # Errors
    /// [`VerifyError::Running`], and what the broker says.
    pub async fn new(
        app: &str,
        subscriptions: Subscriptions,
        database: Arc<dyn Database>,
        rows: Arc<dyn SubscribedRows>,
        broker: Arc<dyn Broker>,
        settings: VerifySettings,
    ) -> Result<Self, VerifyError> {
        let link = Link::open(app, broker, settings.patience).await?;
        Ok(Self { app: app.to_owned(), subscriptions, database, rows, link, settings })
    }

    /// Compares all rows of these sources. Nothing is written, but for what is sent again where that is wanted.
    ///
    /// # Errors
    /// See [`VerifyError`].
    pub async fn run(
        &mut self,
        sources: &[From],
        tell: &mut (dyn FnMut(Event) + Send),
    ) -> Result<(), VerifyError> {
        let sources: Vec<String> = sources.iter().map(ToString::to_string).collect();
        let joining = Follower { database: Arc::clone(&self.database) }.progress().await?.waiting;
        let joining: Vec<String> = joining.into_iter().filter(|source| sources.contains(source)).collect();
        if !joining.is_empty() {
            return Err(VerifyError::Joining { sources: joining });
        }
        let pairs = self.pairs(&sources).await?;
        for pair in &pairs {
            let Published { endpoint, name, rows, .. } = &pair.published;
            tell(Event::Begun { endpoint: endpoint.clone(), model: name.clone(), rows: *rows });
            self.compare_theirs(pair, tell).await?;
        }
        let positions: BTreeSet<usize> = pairs.iter().map(|pair| pair.position).collect();
        for position in positions {
            self.compare_ours(position, &publishers_of(position, &pairs), tell).await?;
        }
        Ok(())
    }

    /// The models that are published, and subscribed to.
    async fn pairs(&mut self, sources: &[String]) -> Result<Vec<Pair>, VerifyError> {
        let mut pairs = Vec::new();
        for (app, published) in self.link.models(sources).await? {
            let sample = gone(&published.endpoint, published.types.clone(), "");
            match self.subscriptions.resolve(&sample) {
                Ok(Some(position)) => pairs.push(Pair { app, published, position }),
                Ok(None) => {}
                Err(_) => tracing::warn!(
                    "{} of `{app}` ({}) is none of the types that this app subscribes to, and is passed over",
                    published.name,
                    published.endpoint
                ),
            }
        }
        Ok(pairs)
    }

    async fn compare_theirs(
        &mut self,
        pair: &Pair,
        tell: &mut (dyn FnMut(Event) + Send),
    ) -> Result<(), VerifyError> {
        let attributes = self.rows.attributes(pair.position);
        let (mut after, mut compared, mut doubts) = (None, 0, Vec::new());
        loop {
            let question = Question::Checksums {
                endpoint: pair.published.endpoint.clone(),
                model: pair.published.name.clone(),
                attributes: attributes.clone(),
                after: after.take(),
                limit: CHUNK,
            };
            let Answer::Checksums { objects } = self.link.ask(&pair.app, question).await? else {
                return Err(misunderstood(&pair.app));
            };
            let (is_last, count) = (objects.len() < CHUNK, objects.len() as u64);
            after = objects.last().map(|(id, _)| id.clone());
            let ids: Vec<String> = objects.iter().map(|(id, _)| id.clone()).collect();
            let ours = self.rows.read(pair.position, &ids).await?;
            let ours: HashMap<String, String> =
                ours.into_iter().map(|row| (row.id, checksum(&row.attributes, &attributes))).collect();
            let differs = objects.into_iter().filter(|(id, sum)| ours.get(id) != Some(sum));
            doubts.extend(candidates(differs.map(|(id, _)| id).collect()));
            if is_last || doubts.len() >= DOUBTS {
                self.settle(pair, std::mem::take(&mut doubts), tell).await?;
            }
            compared += count;
            tell(Event::Compared { rows: compared });
            if is_last {
                return Ok(());
            }
        }
    }

    /// Looks which rows of a subscribed model none of its publishers has.
    async fn compare_ours(
        &mut self,
        position: usize,
        pairs: &[&Pair],
        tell: &mut (dyn FnMut(Event) + Send),
    ) -> Result<(), VerifyError> {
        let mut after: Option<String> = None;
        loop {
            let mut ids = self.rows.ids_after(position, after.as_deref(), CHUNK).await?;
            let is_last = ids.len() < CHUNK;
            after = ids.last().cloned();
            for pair in pairs {
                if ids.is_empty() {
                    break;
                }
                let endpoint = pair.published.endpoint.clone();
                let Answer::Missing { ids: missing } =
                    self.link.ask(&pair.app, Question::Missing { endpoint, ids }).await?
                else {
                    return Err(misunderstood(&pair.app));
                };
                ids = missing;
            }
            for pair in pairs {
                // Whose it was is known by its version.
                let versions = self.versions_of(&pair.published.endpoint, ids.iter()).await?;
                let (theirs, others) = ids.into_iter().partition(|id| versions.contains_key(id));
                ids = others;
                self.settle(pair, candidates(theirs), tell).await?;
            }
            if let (false, [pair]) = (ids.is_empty(), pairs) {
                let ids = self.of_nobody_else(position, &pair.published.endpoint, ids).await?;
                self.settle(pair, candidates(ids), tell).await?;
            }
            if is_last {
                return Ok(());
            }
        }
    }

    /// Of rows that no publisher who answers has ever sent, those that cannot be another one's: of one that does not answer (where a model takes what
    /// any app publishes), or of one whose rows are kept in the same table.
    async fn of_nobody_else(
        &self,
        position: usize,
        endpoint: &Endpoint,
        mut ids: Vec<String>,
    ) -> Result<Vec<String>, VerifyError> {
        if self.subscriptions.takes_any_app(position) {
            return Ok(Vec::new());
        }
        for source in self.subscriptions.sources() {
            // A source of any app is no endpoint.
            let Ok(other) = Endpoint::parse(&source.to_string()) else { continue };
            if other != *endpoint {
                let versions = self.versions_of(&other, ids.iter()).await?;
                ids.retain(|id| !versions.contains_key(id));
            }
        }
        Ok(ids)
    }

    /// The versions of this app's objects, by their ids.
    pub(super) async fn versions_of(
        &self,
        endpoint: &Endpoint,
        ids: impl Iterator<Item = &String>,
    ) -> Result<HashMap<String, Version>, VerifyError> {
        let keys: Vec<Key> = ids.filter_map(|id| Key::new(endpoint, id).ok()).collect();
        let known = versions::contents_of(self.database.as_ref(), &keys).await?;
        let id = |key: &Key| key.as_str()[endpoint.as_str().len() + 1..].to_owned();
        Ok(known.into_iter().map(|(key, version)| (id(&key), version)).collect())
    }

    /// Has objects removed here that their publishers do not have: they are told through this app's own queue, in order with everything else.
    ///
    /// # Errors
    /// See [`VerifyError`].
    pub async fn remove(&mut self, extra: &[Difference]) -> Result<(), VerifyError> {
        let mut by_endpoint: HashMap<&Endpoint, Vec<&String>> = HashMap::new();
        for Difference { endpoint, id, .. } in extra {
            by_endpoint.entry(endpoint).or_default().push(id);
        }
        for (endpoint, ids) in by_endpoint {
            for ids in ids.chunks(CHUNK) {
                self.remove_some(endpoint, ids).await?;
            }
        }
        Ok(())
    }

    async fn remove_some(&mut self, endpoint: &Endpoint, ids: &[&String]) -> Result<(), VerifyError> {
        let versions = self.versions_of(endpoint, ids.iter().copied()).await?;
        let mut by_generation: HashMap<u64, Vec<(String, u64)>> = HashMap::new();
        for &id in ids {
            // What was never applied here is older than everything.
            let Version { generation, version } = versions.get(id).copied().unwrap_or(NOTHING);
            by_generation.entry(generation).or_default().push((id.clone(), version));
        }
        for (generation, objects) in by_generation {
            // The publisher looks whether they are gone once more.
            let run = uuid::Uuid::now_v7();
            let known = Step::Known { run, endpoint: endpoint.clone(), objects, last: false };
            self.link.send(Some(endpoint.app()), known, generation).await?;
        }
        Ok(())
    }

    /// This app.
    pub fn app(&self) -> &str {
        &self.app
    }
}

/// Who publishes rows of a subscribed model, each endpoint once: a publisher is asked for all models of it together.
fn publishers_of(position: usize, pairs: &[Pair]) -> Vec<&Pair> {
    let mut found: Vec<&Pair> = Vec::new();
    for pair in pairs.iter().filter(|pair| pair.position == position) {
        if !found.iter().any(|other| other.published.endpoint == pair.published.endpoint) {
            found.push(pair);
        }
    }
    found
}

fn candidates(ids: Vec<String>) -> Vec<Candidate> {
    let now = Instant::now();
    ids.into_iter().map(|id| Candidate::new(id, now)).collect()
}

fn gone(endpoint: &Endpoint, types: Vec<String>, id: &str) -> Operation {
    let (endpoint, id) = (endpoint.clone(), id.to_owned());
    Operation { operation: OperationKind::Sync, endpoint, types, id, attributes: None }
}

pub(super) fn misunderstood(app: &str) -> VerifyError {
    let reason = "it answers something else than it was asked, as another version of Promiscuous may do";
    VerifyError::Failed { app: app.to_owned(), reason: reason.to_owned() }
}
