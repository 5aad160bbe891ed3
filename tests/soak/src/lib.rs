//! A soak: an app writes under random faults, two others subscribe, and in the end every write is accounted for.
//!
//! Everything is real: processes that are killed with SIGKILL, servers that crash, wires that are cut. The seed decides what is
//! written and what goes wrong; when exactly, the machine decides.
//!
//! # Layout, in the order of a soak
//!
//! * [`world`]: servers, databases, apps, and the wires between them
//! * [`slot`]: a process that is started again whenever it ends
//! * [`writing`], [`journal`]: what writers do, and what they tell of it
//! * [`faults`]: what goes wrong
//! * [`noise`]: copies of messages, late and shuffled, and garbage
//! * [`timeline`]: what happened when
//! * [`truth`]: what is in the databases in the end
//! * [`accounts`]: compares it all

pub mod accounts;
pub mod faults;
pub mod journal;
pub mod noise;
pub mod slot;
pub mod timeline;
pub mod truth;
pub mod world;
pub mod writing;

use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use fastrand::Rng;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;

use accounts::{Applied, Losses, Published};
use noise::Sent;
use promiscuous_tests::conformance::Blueprint;
use promiscuous_tests::conformance::step::create_counter;
use slot::Slot;
use timeline::Timeline;
use world::{COUNTERS, Programs, World};

/// A quorum queue must have settled before its broker may be killed: RabbitMQ 3.10 keeps the registration of a new one in memory for
/// about three seconds (see `docs/operations.md`).
const SETTLED: Duration = Duration::from_secs(6);

/// What is to be done.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Decides what is written and what goes wrong.
    pub seed: u64,
    /// How long things go wrong.
    pub lasts: Duration,
    /// Writes a second, of each of the two writing processes.
    pub rate: u32,
    /// For logs, journals and the timeline.
    pub folder: PathBuf,
    /// What was built.
    pub programs: Programs,
    /// How long everything may take to arrive, once nothing goes wrong any more.
    pub patience: Duration,
}

/// The account of a soak.
#[derive(Debug)]
pub struct Report {
    /// What was asked for.
    pub plan: Plan,
    /// Adapters and databases: the publisher's, then the subscribers'.
    pub stacks: Vec<String>,
    /// How much happened.
    pub events: usize,
    /// Fail points at which a process died or dozed, and how often.
    pub reached: Vec<(String, usize)>,
    /// What order was lost with.
    pub losses: Losses,
    /// Copies and garbage that were sent.
    pub sent: [usize; 3],
    /// The writers' side.
    pub published: Published,
    /// Why writes failed, and how often.
    pub reasons: Vec<(usize, String)>,
    /// Each subscriber's side.
    pub applied: Vec<(String, Applied)>,
    /// Tables that differ in the end.
    pub different: Vec<String>,
    /// Dead letters, and those of them that are messages: there must be none. A worker that dies while it buries garbage buries it twice.
    pub dead: [usize; 2],
    /// How long it took until everything had arrived.
    pub drained: Option<Duration>,
}

/// Runs a soak. The folder must exist.
pub async fn run(plan: Plan) -> Report {
    println!("soak: seed {}, {:?}, logs in {}", plan.seed, plan.lasts, plan.folder.display());
    let world = World::new(plan.seed, plan.rate, &plan.folder, plan.programs.clone()).await;
    let (world, timeline) = (Arc::new(world), Arc::new(Timeline::new(&plan.folder)));
    let mut random = Rng::with_seed(plan.seed);

    // Subscribers first: what is published before a queue exists does not arrive.
    let mut tasks = JoinSet::new();
    let mut start = |name: &str, describe| {
        let (slot, running) = Slot::start(name, plan.folder.clone(), Arc::clone(&world.said), 1, describe);
        tasks.spawn(async move { drop(running.await) });
        slot
    };
    let subscribing = vec![
        start("everything-1", world.subscribe(0, 1_000)),
        start("everything-2", world.subscribe(0, 200)),
        start("some", world.subscribe(1, 10)),
    ];
    ready(&world).await;
    let writing = vec![start("writer-1", world.load())];
    // Their incarnations never share a number.
    let (second, running) =
        Slot::start("writer-2", plan.folder.clone(), Arc::clone(&world.said), 100_001, world.load());
    tasks.spawn(async move { drop(running.await) });
    let writing: Vec<_> = writing.into_iter().chain([second]).collect();

    // Things go wrong.
    let (end, ended) = watch::channel(false);
    let sent = Arc::new(Sent::default());
    let all: Vec<_> = writing.iter().chain(&subscribing).cloned().collect();
    let mut going_wrong = JoinSet::new();
    let (about, at) = (Arc::clone(&world), Arc::clone(&timeline));
    going_wrong.spawn(faults::strike_processes(about, at, all, writing.len(), random.fork(), ended.clone()));
    let (about, at) = (Arc::clone(&world), Arc::clone(&timeline));
    going_wrong.spawn(faults::strike_servers(about, at, random.fork(), ended.clone()));
    going_wrong.spawn(noise::make(Arc::clone(&world), Arc::clone(&sent), random.fork(), ended));
    sleep(plan.lasts).await;
    end.send_replace(true);
    while let Some(over) = going_wrong.join_next().await {
        over.expect("What makes things go wrong does not go wrong itself.");
    }

    // And then nothing does any more, and nobody writes.
    timeline.note("nothing goes wrong any more");
    for slot in &writing {
        slot.stop();
    }
    let (recovering, running) =
        Slot::start("recovering", plan.folder.clone(), Arc::clone(&world.said), 1, world.recover());
    tasks.spawn(async move { drop(running.await) });
    let began = Instant::now();
    let drained = truth::everything_has_arrived(&world, &subscribing, plan.patience).await;
    let drained = drained.then(|| began.elapsed());
    timeline.note(format!("everything has arrived: {drained:?}"));
    for slot in subscribing.iter().chain([&recovering]) {
        slot.stop();
    }
    while tasks.join_next().await.is_some() {}
    let report = account(plan, &world, &timeline, &sent, drained).await;
    std::fs::write(report.plan.folder.join("report.txt"), report.to_string())
        .expect("The report can be written.");
    report
}

/// Waits until the subscribers' queues are there and have settled, and creates what the writers need.
pub async fn ready(world: &World) {
    for subscriber in &world.subscribers {
        promiscuous_tests::until(Duration::from_secs(60), "the bindings of every queue", async || {
            let bound = subscriber.eyes.count("promiscuous_subscriptions WHERE state <> 'binding'").await;
            (bound == subscriber.models.len()).then_some(())
        })
        .await;
    }
    prepare(world).await;
    sleep(SETTLED).await;
}

/// What became of every write so far, at the publisher and at each subscriber. All writers must have ended.
pub async fn account_of(world: &World) -> (Published, Vec<(String, Applied)>) {
    let truth = truth::of(&world.publisher.eyes).await;
    let entries = world.said.entries.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let (published, history) = accounts::publisher(&entries, &truth);
    let losses = world.losses.lock().await.clone();
    let mut applied = Vec::new();
    for subscriber in &world.subscribers {
        let log = truth::log(&subscriber.eyes).await;
        let account = history.subscriber(&subscriber.models, &log, &losses);
        applied.push((subscriber.stack.to_string(), account));
    }
    (published, applied)
}

/// Creates the counters that all writers know.
async fn prepare(world: &World) {
    let publisher = &world.publisher;
    let blueprint = Blueprint::new(world.publisher_config(), publisher.database.url());
    let app = publisher.stack.start(&blueprint.publishing(&publisher.models)).await;
    let app = app.expect("The publisher starts.");
    for counter in 1..=COUNTERS {
        app.write(create_counter(counter)).await.expect("Nothing goes wrong yet.");
    }
    app.shut_down().await;
}

async fn account(
    plan: Plan,
    world: &World,
    timeline: &Timeline,
    sent: &Sent,
    drained: Option<Duration>,
) -> Report {
    let (published, applied) = account_of(world).await;
    let losses = world.losses.lock().await.clone();
    let (mut different, mut dead) = (Vec::new(), [0, 0]);
    for subscriber in &world.subscribers {
        different.extend(truth::differences(world, subscriber).await);
        let letters = format!("{}.dead", subscriber.queue());
        let [all, messages] =
            noise::read_dead_letters(world, &letters).await.expect("Dead letters can be read.");
        dead[0] += all;
        dead[1] += messages;
    }
    let sorted = |counts: &std::collections::BTreeMap<String, usize>| {
        counts.iter().map(|(point, times)| (point.clone(), *times)).collect()
    };
    let reasons = world.said.reasons.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let mut reasons: Vec<_> = reasons.into_iter().map(|(reason, count)| (count, reason)).collect();
    reasons.sort_unstable_by(|one, other| other.cmp(one));
    let reached = sorted(&world.said.reached.lock().unwrap_or_else(PoisonError::into_inner));
    let stacks = std::iter::once(&world.publisher).chain(&world.subscribers);
    Report {
        stacks: stacks.map(|service| service.stack.to_string()).collect(),
        events: timeline.len(),
        reached,
        losses,
        sent: [&sent.copies, &sent.garbage, &sent.garbage_at_most].map(|count| count.load(Ordering::SeqCst)),
        published,
        reasons,
        applied,
        different,
        dead,
        drained,
        plan,
    }
}

impl Report {
    /// What is wrong; nothing where all is well.
    pub fn wrong(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        let [_, garbage, _] = self.sent;
        if self.drained.is_none() {
            wrong.push("not everything has arrived: it stalls".to_owned());
        }
        if !self.published.lost.is_empty() || !self.published.unexpected.is_empty() {
            wrong.push(format!("the publisher: {:?} {:?}", self.published.lost, self.published.unexpected));
        }
        for (name, account) in self.applied.iter().filter(|(_, account)| !account.is_clean()) {
            let Applied { lost, duplicated, unexpected, violations, .. } = account;
            for (what, found) in [
                ("lost", lost),
                ("duplicated", duplicated),
                ("unexpected", unexpected),
                ("violated", violations),
            ] {
                if !found.is_empty() {
                    let some: Vec<_> = found.iter().take(20).collect();
                    wrong.push(format!("{name}: {what}: {} {some:?}", found.len()));
                }
            }
        }
        wrong.extend(self.different.iter().cloned());
        if self.dead[0] < garbage || self.dead[1] > 0 {
            wrong.push(format!(
                "{:?} dead letters and messages among them, where {garbage} were sent",
                self.dead
            ));
        }
        wrong
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Plan { seed, lasts, rate, .. } = &self.plan;
        writeln!(f, "seed {seed}, {lasts:?}, {rate} writes/s of each of two processes")?;
        writeln!(f, "{} to {}", self.stacks[0], self.stacks[1..].join(" and "))?;
        writeln!(f, "{} events; moments reached: {:?}", self.events, self.reached)?;
        let (versions, caches) = (self.losses.versions.len(), self.losses.caches.len());
        writeln!(f, "losses of the publisher's versions {versions}, of the subscribers' caches {caches}")?;
        let [copies, garbage, at_most] = self.sent;
        writeln!(
            f,
            "{copies} copies and {garbage} to {at_most} bodies of garbage sent, {} dead letters",
            self.dead[0]
        )?;
        writeln!(f, "publisher: {}", self.published)?;
        for (name, account) in &self.applied {
            writeln!(f, "{name}: {account}")?;
        }
        writeln!(f, "tables that differ: {}", self.different.len())?;
        match self.drained {
            Some(drained) => writeln!(f, "everything had arrived {drained:.1?} after the last fault")?,
            None => writeln!(f, "NOT everything has arrived")?,
        }
        for (count, reason) in self.reasons.iter().take(12) {
            writeln!(f, "  {count} writes failed: {reason}")?;
        }
        for wrong in self.wrong() {
            writeln!(f, "WRONG: {wrong}")?;
        }
        Ok(())
    }
}
