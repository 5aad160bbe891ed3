//! The subscriber's side: a cache of what was applied (section 7 of the protocol).

use std::collections::{BTreeMap, HashMap};

use async_trait::async_trait;
use redis::{Pipeline, Value};
use tokio::sync::broadcast;
use uuid::Uuid;

use super::scripts::{self, Call, number, unexpected};
use super::{CHUNK, RedisStore};
use crate::dependency::Version;
use crate::key::{Endpoint, Key};
use crate::version_store::{
    Advance, Announcement, Applied, AppliedStore, CacheId, Loaded, NOTHING, Ordinals, StoreError,
};

/// How often a cache is made anew in one load: once, unless processes do not agree which server they use.
const CACHE_TRIES: u32 = 5;

/// Ordinals beyond a gap that are loaded at the most. More than that only delay a waiting message until the gap
/// closes, which is announced.
const MAX_BEYOND: usize = 10_000;

/// Collects steps into calls of the `advance` script that are small enough.
struct Steps<'a> {
    store: &'a RedisStore,
    /// Empty for silence.
    channel: &'a str,
    /// Empty for whichever there is.
    cache: &'a str,
    calls: Vec<Call>,
    /// The last call's keys with their positions.
    positions: HashMap<Key, usize>,
    /// The last call's steps.
    steps: usize,
}

impl<'a> Steps<'a> {
    fn new(store: &'a RedisStore, channel: &'a str, cache: &'a str) -> Self {
        Self { store, channel, cache, calls: Vec::new(), positions: HashMap::new(), steps: 0 }
    }

    fn push(&mut self, kind: &str, key: &Key, version: Version, rest: impl IntoIterator<Item = String>) {
        if self.calls.is_empty() || self.steps == CHUNK {
            let call = Call::new(&scripts::ADVANCE).key(self.store.single("cache"));
            self.calls.push(call.arg(self.store.ttl_ms()).arg(self.channel).arg(self.cache));
            self.positions.clear();
            self.steps = 0;
        }
        self.steps += 1;
        let Some(call) = self.calls.last_mut() else { return };
        let position = *self.positions.entry(key.clone()).or_insert_with(|| {
            call.keys.push(self.store.sub(key));
            call.keys.len()
        });
        let (generation, version) = (version.generation.to_string(), version.version.to_string());
        call.args.extend([kind.to_owned(), position.to_string(), key.to_string(), generation, version]);
        call.args.extend(rest);
    }

    fn write(&mut self, key: &Key, version: Version, readers_unknown: bool) {
        self.push("w", key, version, [u8::from(readers_unknown).to_string()]);
    }

    fn rebuild(&mut self, key: &Key, version: Version) {
        self.push("b", key, version, [u8::from(version != NOTHING).to_string()]);
    }

    fn read(&mut self, key: &Key, version: Version, ordinals: &BTreeMap<Endpoint, u64>) {
        let each =
            ordinals.iter().flat_map(|(endpoint, ordinal)| [endpoint.to_string(), ordinal.to_string()]);
        self.push("r", key, version, std::iter::once(ordinals.len().to_string()).chain(each));
    }
}

impl RedisStore {
    /// For each `b` whether that is what is known now; none when another cache was meant.
    async fn run_steps(
        &self,
        fill: impl Fn(&mut Steps<'_>) + Send + Sync,
        channel: &str,
        cache: &str,
    ) -> Result<Option<Vec<bool>>, StoreError> {
        let calls = |_: &str| {
            let mut steps = Steps::new(self, channel, cache);
            fill(&mut steps);
            steps.calls
        };
        let mut told = Vec::new();
        for answer in self.link().eval(calls).await? {
            match answer {
                Value::Int(_) => return Ok(None),
                answer => {
                    let each: Vec<i64> = redis::from_redis_value(answer).map_err(unexpected)?;
                    told.extend(each.into_iter().map(|one| one == 1));
                }
            }
        }
        Ok(Some(told))
    }

    /// Makes the cache another one, unless that has been done.
    async fn new_cache(&self, over: &str) -> Result<(), StoreError> {
        let id = Uuid::now_v7().simple().to_string();
        // The random end: it is a field of each hash, as short as it may be.
        let id = &id[20..];
        let call = |run_id: &str| {
            let call = Call::new(&scripts::NEW_CACHE).key(self.single("cache"));
            // It is a field of each hash: as short as it may be.
            vec![call.arg(over).arg(id).arg(run_id)]
        };
        self.link().eval(call).await.map(drop)
    }
}

/// Reads a subscriber's hash.
fn applied(hash: &HashMap<String, String>, cache: &str) -> Result<Applied, StoreError> {
    let (Some(generation), Some(version)) = (hash.get("g"), hash.get("v")) else {
        return Ok(Applied::default());
    };
    if hash.contains_key("m") || hash.get("e").is_none_or(|own| own != cache) {
        return Ok(Applied::default());
    }
    let version = Some(Version::new(number(generation)?, number(version)?));
    if hash.contains_key("u") {
        return Ok(Applied { version, readers: None });
    }
    let mut readers: BTreeMap<Endpoint, Ordinals> = BTreeMap::new();
    for (field, value) in hash {
        let Some((kind, endpoint)) = field.split_once(':') else { continue };
        let ordinals = readers.entry(Endpoint::parse(endpoint).map_err(unexpected)?).or_default();
        match kind {
            "n" => ordinals.up_to = number(value)?,
            _ => ordinals.beyond.extend(ranges(value)?.into_iter().flatten().take(MAX_BEYOND)),
        }
    }
    Ok(Applied { version, readers: Some(readers) })
}

/// Reads `3-5,7-7`.
fn ranges(text: &str) -> Result<Vec<std::ops::RangeInclusive<u64>>, StoreError> {
    let range = |text: &str| {
        let (from, to) =
            text.split_once('-').ok_or_else(|| unexpected(format!("`{text}` is not a range of ordinals")))?;
        Ok(number(from)?..=number(to)?)
    };
    text.split(',').filter(|part| !part.is_empty()).map(range).collect()
}

#[async_trait]
impl AppliedStore for RedisStore {
    async fn load(&self, keys: &[Key]) -> Result<Loaded, StoreError> {
        // A pipeline and not a script: other clients get their turn in between.
        let mut pipeline = Pipeline::with_capacity(keys.len() + 1);
        pipeline.cmd("HMGET").arg(self.single("cache")).arg("id").arg("run_id");
        for key in keys {
            pipeline.cmd("HGETALL").arg(self.sub(key));
        }
        for _ in 0..CACHE_TRIES {
            let (answers, run_id): (Vec<Value>, _) = self.link().query_and_run(&pipeline).await?;
            let mut answers = answers.into_iter();
            let first = answers.next().ok_or_else(|| unexpected("no answer to HMGET"))?;
            let (id, lives_in): (Option<String>, Option<String>) =
                redis::from_redis_value(first).map_err(unexpected)?;
            let id = id.unwrap_or_default();
            // A server that has started again, or was promoted, has perhaps lost what was advanced last. What the connection
            // remembers may be outdated itself.
            let is_trusted = |run_id: &str| !id.is_empty() && lives_in.as_deref() == Some(run_id);
            if !is_trusted(&run_id) && (id.is_empty() || !is_trusted(&self.link().refresh_run_id().await?)) {
                self.new_cache(&id).await?;
                continue;
            }
            let applied = answers.map(|hash| {
                let hash: HashMap<String, String> = redis::from_redis_value(hash).map_err(unexpected)?;
                applied(&hash, &id)
            });
            let applied = applied.collect::<Result<_, _>>()?;
            return Ok(Loaded { cache: CacheId(id), applied });
        }
        Err(unexpected(
            "connections lead to different servers, whose caches take turns: use one Redis for all of an app",
        ))
    }

    async fn rebuild(
        &self,
        cache: &CacheId,
        versions: &[(Key, Version)],
    ) -> Result<Option<Vec<bool>>, StoreError> {
        if versions.is_empty() {
            return Ok(Some(Vec::new()));
        }
        let fill = |steps: &mut Steps<'_>| {
            for (key, version) in versions {
                steps.rebuild(key, *version);
            }
        };
        self.run_steps(fill, "", &cache.0).await
    }

    async fn advance(&self, advances: &[Advance]) -> Result<(), StoreError> {
        if advances.iter().all(|advance| advance.writes.is_empty() && advance.reads.is_empty()) {
            return Ok(());
        }
        let fill = |steps: &mut Steps<'_>| {
            for advance in advances {
                for (key, version) in &advance.writes {
                    steps.write(key, *version, advance.readers_unknown);
                }
                for (key, version, ordinals) in &advance.reads {
                    steps.read(key, *version, ordinals);
                }
            }
        };
        self.run_steps(fill, self.shared.announcements.channel(), "").await.map(drop)
    }

    async fn announcements(&self) -> Result<broadcast::Receiver<Announcement>, StoreError> {
        self.shared.announcements.receive().await
    }
}
