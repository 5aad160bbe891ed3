//! Looks for causes, in one pass over each place where they can be.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use super::PAGE;
use super::cause::{Cause, Place};
use crate::broker::{Broker, BrokerError, Queue};
use crate::cli::dead::graveyard::queue_of;
use crate::config::Config;
use crate::database::{Database, DatabaseError};
use crate::dependency::{ReadDependency, Version, WriteDependency};
use crate::error::Error;
use crate::key::Key;
use crate::links::Links;
use crate::message::Message;
use crate::publisher::outbox::Outbox;
use crate::subscriber::parked::{self, Until};
use crate::subscriber::versions;
use crate::version_store::{StoreError, VersionStore};

/// Intents of one publisher that are looked at. More are in flight only where nothing is settled for long.
const INTENTS: usize = 10_000;

/// Causes that are looked for, and what was found of them.
pub(super) struct Search {
    /// The first place that was found of each.
    found: HashMap<Cause, Option<Place>>,
    /// Apps whose Redis could be looked at.
    seen_apps: BTreeSet<String>,
    /// Messages in this app's queue.
    queued: u64,
    /// Servers that are away, with what they said.
    away: Vec<String>,
}

impl Search {
    pub(super) fn new<'c>(causes: impl Iterator<Item = &'c Cause>) -> Self {
        let found = causes.map(|cause| (cause.clone(), None)).collect();
        Self { found, seen_apps: BTreeSet::new(), queued: 0, away: Vec::new() }
    }

    /// Servers that could not be looked at.
    pub(super) fn away(&self) -> &[String] {
        &self.away
    }

    /// Where a cause is, as far as it was looked for.
    pub(super) fn place_of(&self, cause: &Cause) -> Place {
        match self.found.get(cause) {
            Some(Some(place)) => place.clone(),
            _ if self.queued > 0 => Place::Nowhere { queued: self.queued },
            _ if self.away.is_empty() && self.seen_apps.contains(app_of(&cause.waits_for)) => {
                Place::Nowhere { queued: 0 }
            }
            _ => Place::Unknown,
        }
    }

    /// Looks at every place.
    ///
    /// # Errors
    /// When this app's database fails. Other servers that are away are noted.
    pub(super) async fn look_everywhere(
        &mut self,
        config: &Config,
        database: Arc<dyn Database>,
    ) -> Result<(), Error> {
        self.look_at_versions(database.as_ref()).await?;
        // What is committed is not in its writer's hands any more, though its intent may still be there.
        if self.missing().any(|cause| app_of(&cause.waits_for) == config.app) {
            self.look_at_outbox(Arc::clone(&database)).await?;
        }
        let links = Links::new(config)?;
        let apps: BTreeSet<String> =
            self.missing().map(|cause| app_of(&cause.waits_for).to_owned()).collect();
        for app in apps {
            let theirs = Links::new(&Config { app: app.clone(), ..config.clone() })?.versions;
            if let Err(error) = self.look_at_intents(theirs.as_ref(), app).await {
                self.away.push(format!("Redis: {error}"));
                break;
            }
        }
        self.look_at_parked(database.as_ref()).await?;
        if let Err(error) = self.look_at_dead_letters(links.broker.as_ref(), &queue_of(config)).await {
            self.away.push(format!("RabbitMQ: {error}"));
        }
        Ok(())
    }

    fn missing(&self) -> impl Iterator<Item = &Cause> {
        self.found.iter().filter(|(_, place)| place.is_none()).map(|(cause, _)| cause)
    }

    fn is_done(&self) -> bool {
        self.missing().next().is_none()
    }

    /// Notes what is known of a cause, if it is looked for and not found yet.
    fn note(&mut self, cause: &Cause, place: &Place) {
        if let Some(found @ None) = self.found.get_mut(cause) {
            *found = Some(place.clone());
        }
    }

    /// Notes what somebody writes and has read.
    fn see(&mut self, generation: u64, write: &[WriteDependency], read: &[ReadDependency], place: &Place) {
        let written = write.iter().map(|write| (&write.key, write.version, false));
        for (key, version, readers) in written.chain(read.iter().map(|read| (&read.key, read.version, true)))
        {
            let version = Version::new(generation, version);
            self.note(&Cause { waits_for: key.clone(), version, readers }, place);
        }
    }

    fn see_message(&mut self, body: &[u8], place: impl FnOnce(&Message) -> Place) {
        // What is no message is no cause.
        let Ok(message) = Message::decode(body) else { return };
        if let Some(dependencies) = &message.dependencies {
            self.see(message.generation, &dependencies.write, &dependencies.read, &place(&message));
        }
    }

    /// What was applied by now, and what is of a generation that is over.
    async fn look_at_versions(&mut self, database: &dyn Database) -> Result<(), DatabaseError> {
        let own_key = |key: &Key| Key::of_endpoint(&key.endpoint()).ok();
        let mut keys: BTreeSet<Key> = self.found.keys().map(|cause| cause.waits_for.clone()).collect();
        keys.extend(keys.iter().filter_map(own_key).collect::<Vec<_>>());
        let keys: Vec<Key> = keys.into_iter().collect();
        let applied: HashMap<Key, Version> = versions::read(database, &keys).await?.into_iter().collect();
        for (cause, place) in &mut self.found {
            let own = own_key(&cause.waits_for).and_then(|key| applied.get(&key));
            if !cause.readers && applied.get(&cause.waits_for).is_some_and(|known| *known >= cause.version) {
                *place = Some(Place::Applied);
            } else if own.is_some_and(|own| own.generation > cause.version.generation)
                && cause.version.version > 0
            {
                *place = Some(Place::Over);
            }
        }
        Ok(())
    }

    /// What a publisher's writers are about to do. Apps normally share one Redis; where this one knows nothing of the
    /// publisher, it has another.
    async fn look_at_intents(&mut self, theirs: &dyn VersionStore, app: String) -> Result<(), StoreError> {
        if theirs.survey().await?.generation.is_none() {
            return Ok(());
        }
        for intent in theirs.intents(INTENTS).await? {
            self.see(intent.generation, &intent.write, &intent.read, &Place::InFlight);
        }
        self.seen_apps.insert(app);
        Ok(())
    }

    async fn look_at_outbox(&mut self, database: Arc<dyn Database>) -> Result<(), DatabaseError> {
        let outbox = Outbox::new(database);
        let mut after = None;
        while !self.is_done() {
            let rows = outbox.unpublished(Duration::ZERO, after).await?;
            let Some(last) = rows.last() else { return Ok(()) };
            after = Some(last.op);
            for row in &rows {
                self.see_message(row.message.as_bytes(), |_| Place::Outbox);
            }
        }
        Ok(())
    }

    async fn look_at_parked(&mut self, database: &dyn Database) -> Result<(), DatabaseError> {
        let mut after = None;
        while !self.is_done() {
            let page = parked::page(database, after.as_ref(), PAGE).await?;
            for waiting in &page {
                self.see_message(waiting.body.as_bytes(), |message| match waiting.until {
                    Until::Cause(..) => Place::Parked { cause_id: message.id },
                    Until::Attempt(_) => Place::Failing { cause_id: message.id },
                    Until::Taken(_) => Place::Left { cause_id: message.id },
                });
            }
            match page.into_iter().last() {
                Some(last) => after = Some(last),
                None => return Ok(()),
            }
        }
        Ok(())
    }

    async fn look_at_dead_letters(&mut self, broker: &dyn Broker, queue: &Queue) -> Result<(), BrokerError> {
        if self.is_done() {
            return Ok(());
        }
        let Some(depth) = broker.depth(queue).await? else { return Ok(()) };
        self.queued = depth.ready;
        if depth.dead == 0 {
            return Ok(());
        }
        let mut letters = broker.open_dead_letters(queue).await?;
        while !self.is_done()
            && let Some(taken) = letters.next().await?
        {
            self.see_message(&taken.letter.body, |message| Place::Dead { cause_id: message.id });
        }
        letters.put_back().await
    }
}

fn app_of(key: &Key) -> &str {
    key.as_str().split('/').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cause(version: u64, readers: bool) -> Cause {
        Cause { waits_for: Key::parse("shop/user/5").unwrap(), version: Version::new(1, version), readers }
    }

    const MESSAGE: &str = r#"{"id": "0199f3c2-7d1e-7c55-9a34-0b6a3f5f6a10", "app": "shop", "timestamp": 1, "generation": 1,
        "operations": [], "dependencies": {
            "write": [{"key": "shop/user/5", "version": 7, "previous": 6, "readers": {}}],
            "read": [{"key": "shop/user/5", "version": 3, "ordinals": {}}]}}"#;

    #[test]
    fn a_cause_is_the_message_that_writes_the_version_or_one_that_has_read_it() {
        let causes = [cause(7, false), cause(3, true), cause(3, false), cause(7, true)];
        let mut search = Search::new(causes.iter());
        search.seen_apps.insert("shop".into());
        search.see_message(MESSAGE.as_bytes(), |_| Place::Outbox);
        // What is found first counts.
        search.see_message(MESSAGE.as_bytes(), |_| Place::InFlight);
        let nowhere = Place::Nowhere { queued: 0 };
        let places = causes.each_ref().map(|cause| search.place_of(cause));
        assert_eq!(places, [Place::Outbox, Place::Outbox, nowhere.clone(), nowhere]);
    }

    #[test]
    fn what_could_not_be_looked_at_is_unknown_unless_the_queue_explains_it() {
        let wanted = cause(7, false);
        let mut search = Search::new([&wanted].into_iter());
        assert_eq!(search.place_of(&wanted), Place::Unknown);
        search.seen_apps.insert("shop".into());
        search.away.push("RabbitMQ".into());
        assert_eq!(search.place_of(&wanted), Place::Unknown);
        search.queued = 4;
        assert_eq!(search.place_of(&wanted), Place::Nowhere { queued: 4 });
    }
}
