//! What two apps publish: `p` with three models and `q` with two, whose contexts read, write transactions of several keys, die, and
//! are caused by what the other app wrote.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use proptest::prelude::*;
use uuid::Uuid;

use crate::context::Context;
use crate::dependency::{Dependencies, ExternalDependency, WriteDependency};
use crate::key::{Endpoint, Key};
use crate::message::Message;
use crate::operation::{Operation, OperationKind};
use crate::version_store::memory::MemoryStore;
use crate::version_store::{Bump, VersionStore};

/// Every endpoint there is.
pub(super) const ENDPOINTS: [&str; 5] = ["p/user", "p/post", "p/comment", "q/plan", "q/bill"];

/// A decision of the generated history. Contexts with even numbers belong to `p`, the others to `q`; an app has so many objects.
#[derive(Debug, Clone)]
pub(super) enum Step {
    /// Context reads object of its app.
    Read(usize, usize),
    /// Context acts on what the other app has done to this object.
    Hear(usize, usize),
    /// Context writes these objects of its app in one transaction.
    Write(usize, BTreeSet<usize>),
    /// The same, but the writer dies: its versions are consumed by a dummy.
    Die(usize, BTreeSet<usize>),
    /// The app sends these objects again; those of one endpoint at a time.
    Sync(usize, BTreeSet<usize>),
}

const CONTEXTS: usize = 6;
const OBJECTS: usize = 8;

pub(super) fn steps() -> impl Strategy<Value = Vec<Step>> {
    let context = 0..CONTEXTS;
    let objects = || prop::collection::btree_set(0..OBJECTS, 1..4);
    let step = prop_oneof![
        5 => (context.clone(), 0..OBJECTS).prop_map(|(c, o)| Step::Read(c, o)),
        1 => (context.clone(), 0..OBJECTS).prop_map(|(c, o)| Step::Hear(c, o)),
        6 => (context.clone(), objects()).prop_map(|(c, o)| Step::Write(c, o)),
        1 => (context, objects()).prop_map(|(c, o)| Step::Die(c, o)),
        1 => (0..2usize, objects()).prop_map(|(a, o)| Step::Sync(a, o)),
    ];
    prop::collection::vec(step, 1..70)
}

/// An object of `p` or `q`.
fn key(app: usize, object: usize) -> Key {
    let models = if app == 0 { &ENDPOINTS[..3] } else { &ENDPOINTS[3..] };
    Key::parse(&format!("{}/{}", models[object % models.len()], object / models.len())).unwrap()
}

/// The version that the message of this number makes: a clock that ticks once for each.
pub(super) fn version_of(number: usize) -> u64 {
    10 * (number as u64 + 1)
}

/// All messages, in the order of their versions.
pub(super) async fn publish(steps: &[Step], total_order: [bool; 2]) -> Vec<Arc<Message>> {
    let stores = [MemoryStore::new(), MemoryStore::new()];
    for store in &stores {
        store.trusted_in(1).await;
    }
    let contexts: Vec<Context> = (0..CONTEXTS).map(|n| Context::new(format!("context {n}"))).collect();
    // The stores' clocks are too coarse to tell when a subscription began.
    let mut clock = Clock::default();
    let mut messages: Vec<Arc<Message>> = Vec::new();
    for step in steps {
        let (context, objects, lives) = match step {
            Step::Read(context, object) => {
                contexts[*context].record_read(key(context % 2, *object));
                continue;
            }
            Step::Hear(context, object) => {
                let key = key((context + 1) % 2, *object);
                if let Some(&version) = clock.newest.get(&key) {
                    let heard = ExternalDependency { key, generation: 1, version };
                    contexts[*context].record_external(heard);
                }
                continue;
            }
            Step::Write(context, objects) => (*context, objects, true),
            Step::Die(context, objects) => (*context, objects, false),
            Step::Sync(app, objects) => {
                let mut by_endpoint: BTreeMap<Endpoint, Vec<Key>> = BTreeMap::new();
                for key in objects.iter().map(|object| key(*app, *object)) {
                    by_endpoint.entry(key.endpoint()).or_default().push(key);
                }
                for keys in by_endpoint.into_values() {
                    let versions = stores[*app].versions_of(1, &keys).await.unwrap();
                    let write = keys.into_iter().zip(versions).map(|(key, version)| WriteDependency {
                        version: clock.name(messages.len(), &key, version.version),
                        key,
                        previous: None,
                        readers: BTreeMap::new(),
                        unwritten: version.unwritten,
                    });
                    messages.push(sync(["p", "q"][*app], write.collect()));
                }
                continue;
            }
        };
        let (app, context) = (context % 2, &contexts[context]);
        let keys: Vec<Key> = objects.iter().map(|object| key(app, *object)).collect();
        let causes = context.causes();
        let endpoints: BTreeSet<Endpoint> = keys.iter().map(Key::endpoint).collect();
        let name = ["p", "q"][app];
        let order = total_order[app].then(|| Key::of_order(name).unwrap());
        let bump = Bump {
            op: Uuid::now_v7(),
            generation: 1,
            deadline: std::time::Duration::from_secs(30),
            endpoints: endpoints.into_iter().collect(),
            read: causes.read_keys(&keys),
            write: keys.iter().cloned().chain(order).collect(),
        };
        let bumped = stores[app].lock_and_bump(&bump).await.unwrap();
        // A dead writer's intent does not know what it was caused by.
        let external = if lives { causes.external.clone() } else { Vec::new() };
        let dependencies = Dependencies { write: bumped.write, read: bumped.read, external };
        messages.push(Arc::new(Message {
            id: bumped.op,
            app: name.into(),
            host: None,
            context: None,
            current_user_id: None,
            timestamp: 0,
            generation: 1,
            operations: keys.iter().filter(|_| lives).map(update).collect(),
            dependencies: Some(clock.tick(messages.len(), dependencies)),
            bootstrap: None,
        }));
        if lives {
            context.wrote(&causes, &keys);
        }
    }
    messages
}

fn sync(app: &str, write: Vec<WriteDependency>) -> Arc<Message> {
    Arc::new(Message {
        id: Uuid::now_v7(),
        app: app.into(),
        host: None,
        context: None,
        current_user_id: None,
        timestamp: 0,
        generation: 1,
        operations: write.iter().map(|w| operation(OperationKind::Sync, &w.key)).collect(),
        dependencies: Some(Dependencies { write, ..Dependencies::default() }),
        bootstrap: None,
    })
}

fn update(key: &Key) -> Operation {
    operation(OperationKind::Update, key)
}

fn operation(operation: OperationKind, key: &Key) -> Operation {
    Operation {
        operation,
        endpoint: key.endpoint(),
        types: vec!["Model".into()],
        id: key.as_str().rsplit('/').next().unwrap().to_owned(),
        attributes: Some(serde_json::Map::new()),
    }
}

/// Gives the stores' versions the numbers of the messages that made them.
#[derive(Default)]
struct Clock {
    /// What a store's version of a key is called.
    names: HashMap<(Key, u64), u64>,
    /// The newest version of each key.
    newest: BTreeMap<Key, u64>,
}

impl Clock {
    /// What a store's version is called; one that no message has made, by the number of the message that first tells of it.
    fn name(&mut self, number: usize, key: &Key, version: u64) -> u64 {
        *self.names.entry((key.clone(), version)).or_insert(version_of(number))
    }

    fn tick(&mut self, number: usize, mut dependencies: Dependencies) -> Dependencies {
        for read in &mut dependencies.read {
            read.version = self.names[&(read.key.clone(), read.version)];
        }
        for write in &mut dependencies.write {
            self.names.insert((write.key.clone(), write.version), version_of(number));
            self.newest.insert(write.key.clone(), version_of(number));
            write.version = version_of(number);
            write.previous = write.previous.map(|previous| self.names[&(write.key.clone(), previous)]);
        }
        dependencies
    }
}
