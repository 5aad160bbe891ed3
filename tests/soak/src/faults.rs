//! What goes wrong in a soak, chosen by its seed. Two lanes strike at the same time: one the processes, one the servers and wires.

use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use nix::sys::signal::Signal;
use tokio::sync::watch;
use tokio::time::sleep;

use super::slot::{Fatality, Slot};
use super::timeline::Timeline;
use super::world::World;
use promiscuous_tests::proxy::Proxy;
use promiscuous_tests::redis_servers::{follow, host, redis};
use promiscuous_tests::servers::{PrivateServers, Server};

/// Moments of a publisher, in order.
const PUBLISHING: [&str; 8] = [
    "before_bump",
    "after_bump",
    "after_outbox_insert",
    "after_commit",
    "before_finish",
    "after_finish",
    "before_confirm",
    "after_confirm",
];

/// Moments of a subscriber, in order.
const APPLYING: [&str; 3] = ["before_apply_commit", "before_advance", "before_ack"];

/// What happens to a process.
#[derive(Clone, Copy, Debug)]
enum Stroke {
    Killed,
    Paused,
    Terminated,
    DiesAtAMoment,
    DozesAtAMoment,
    HelpedForAWhile,
}

/// What happens to a server or a wire.
#[derive(Clone, Copy, Debug)]
enum Outage {
    VersionsFlushed,
    VersionsRestartedEmpty,
    VersionsRestartedFromAnOldSnapshot,
    VersionsFailOver,
    ScriptsFlushed,
    CachesFlushed,
    CachesRestartedEmpty,
    BrokerRestarted,
    PublishersDatabaseRestarted,
    SubscribersDatabaseRestarted,
    WireCut(Wire),
    WireStalled(Wire),
}

#[derive(Clone, Copy, Debug)]
enum Wire {
    PublisherToBroker,
    PublisherToVersions,
    PublisherToDatabase,
    SubscribersToBroker,
    SubscribersToCaches,
    SubscriberToDatabase,
}

const STROKES: [Stroke; 9] = [
    Stroke::Killed,
    Stroke::Paused,
    Stroke::Terminated,
    Stroke::DiesAtAMoment,
    Stroke::DiesAtAMoment,
    Stroke::DiesAtAMoment,
    Stroke::DozesAtAMoment,
    Stroke::DozesAtAMoment,
    Stroke::HelpedForAWhile,
];

const WIRES: [Wire; 6] = [
    Wire::PublisherToBroker,
    Wire::PublisherToVersions,
    Wire::PublisherToDatabase,
    Wire::SubscribersToBroker,
    Wire::SubscribersToCaches,
    Wire::SubscriberToDatabase,
];

/// Strikes processes until it is told to end: `slots` are the publisher's and then, from `subscribing` on, the subscribers'.
pub async fn strike_processes(
    world: Arc<World>,
    timeline: Arc<Timeline>,
    slots: Vec<Arc<Slot>>,
    subscribing: usize,
    mut random: Rng,
    ended: watch::Receiver<bool>,
) {
    let mut helpers = 0;
    while !*ended.borrow() {
        let place = random.usize(..slots.len());
        let slot = &slots[place];
        let stroke = STROKES[random.usize(..STROKES.len())];
        let pause = Duration::from_millis(random.u64(2_500..6_000));
        match stroke {
            Stroke::Killed => {
                timeline.note(format!("{} is killed", slot.name));
                slot.signal(Signal::SIGKILL);
            }
            Stroke::Terminated => {
                timeline.note(format!("{} is asked to end", slot.name));
                slot.signal(Signal::SIGTERM);
            }
            Stroke::Paused => {
                timeline.note(format!("{} pauses for {pause:?}", slot.name));
                slot.signal(Signal::SIGSTOP);
                sleep(pause).await;
                slot.signal(Signal::SIGCONT);
            }
            Stroke::DiesAtAMoment | Stroke::DozesAtAMoment => {
                let moments: &[&str] = if place < subscribing { &PUBLISHING } else { &APPLYING };
                let at = format!("{}:{}", moments[random.usize(..moments.len())], random.u32(5..60));
                let doze = matches!(stroke, Stroke::DozesAtAMoment).then_some(pause);
                timeline.note(format!("{} is killed, and its next life meets {at} {doze:?}", slot.name));
                slot.is_fated(Fatality { at, doze });
                slot.signal(Signal::SIGKILL);
            }
            Stroke::HelpedForAWhile => {
                helpers += 1;
                // Every other one is of an older version, which does not know all models.
                let mut models = world.subscribers[0].models.clone();
                if random.bool() {
                    random.shuffle(&mut models);
                    models.truncate(random.usize(1..models.len()));
                }
                timeline.note(format!("helper {helpers} joins for {pause:?} and takes {models:?}"));
                let describe = world.subscribe_to(0, models, 10);
                let name = format!("helper-{helpers}");
                let (helper, running) =
                    Slot::start(&name, world.folder.clone(), Arc::clone(&world.said), 1, describe);
                sleep(pause).await;
                helper.stop();
                let _ = running.await;
            }
        }
        sleep(Duration::from_millis(random.u64(500..4_000))).await;
    }
}

/// Strikes servers and wires until it is told to end.
pub async fn strike_servers(
    world: Arc<World>,
    timeline: Arc<Timeline>,
    mut random: Rng,
    ended: watch::Receiver<bool>,
) {
    while !*ended.borrow() {
        let outage = choose(&mut random);
        let long = Duration::from_millis(random.u64(200..4_000));
        timeline.note(format!("{outage:?} for {long:?}"));
        suffer(&world, outage, long).await;
        timeline.note(format!("{outage:?} is over"));
        sleep(Duration::from_millis(random.u64(1_000..5_000))).await;
    }
}

fn choose(random: &mut Rng) -> Outage {
    let wire = WIRES[random.usize(..WIRES.len())];
    match random.u8(..24) {
        0 => Outage::VersionsFlushed,
        1 => Outage::VersionsRestartedEmpty,
        2 => Outage::VersionsRestartedFromAnOldSnapshot,
        3 => Outage::VersionsFailOver,
        4 => Outage::ScriptsFlushed,
        5 => Outage::CachesFlushed,
        6 => Outage::CachesRestartedEmpty,
        7 | 8 => Outage::BrokerRestarted,
        9 => Outage::PublishersDatabaseRestarted,
        10 => Outage::SubscribersDatabaseRestarted,
        11..18 => Outage::WireCut(wire),
        _ => Outage::WireStalled(wire),
    }
}

async fn suffer(world: &World, outage: Outage, long: Duration) {
    match outage {
        Outage::VersionsFlushed => {
            world.versions_are_lost().await;
            redis(&*world.versions.read().await, &["FLUSHALL"]).await;
        }
        Outage::VersionsRestartedEmpty => {
            let versions = world.versions.read().await;
            world.versions_are_lost().await;
            // What an earlier snapshot left behind.
            forget_snapshot(&versions).await;
            restart(&versions, Server::Redis, long).await;
            world.versions_are_lost().await;
        }
        Outage::VersionsRestartedFromAnOldSnapshot => {
            let versions = world.versions.read().await;
            redis(&versions, &["SAVE"]).await;
            sleep(long).await;
            world.versions_are_lost().await;
            restart(&versions, Server::Redis, long / 4).await;
            world.versions_are_lost().await;
        }
        Outage::VersionsFailOver => {
            // The replica stops listening a while before it takes over: what was written meanwhile is lost.
            let replica = PrivateServers::new(&[Server::Redis]).await;
            let mut versions = world.versions.write().await;
            follow(&replica, &versions).await;
            redis(&replica, &["REPLICAOF", "NO", "ONE"]).await;
            sleep(long).await;
            world.versions_are_lost().await;
            world.publisher_wires[1].0.lead_to(&host(&replica.url(Server::Redis))).await;
            world.versions_are_lost().await;
            *versions = replica;
        }
        Outage::ScriptsFlushed => {
            redis(&*world.versions.read().await, &["SCRIPT", "FLUSH"]).await;
            redis(&world.caches, &["SCRIPT", "FLUSH"]).await;
        }
        Outage::CachesFlushed => {
            world.caches_are_lost().await;
            redis(&world.caches, &["FLUSHALL"]).await;
        }
        Outage::CachesRestartedEmpty => {
            world.caches_are_lost().await;
            restart(&world.caches, Server::Redis, long).await;
            world.caches_are_lost().await;
        }
        Outage::BrokerRestarted => restart(&world.servers, Server::RabbitMq, long * 2).await,
        Outage::PublishersDatabaseRestarted => {
            if let Some(server) = world.publisher.server() {
                restart(&world.servers, server, long / 2).await;
            }
        }
        Outage::SubscribersDatabaseRestarted => {
            if let Some(server) = world.subscribers[0].server() {
                restart(&world.servers, server, long).await;
            }
        }
        Outage::WireCut(wire) => {
            let Some(wire) = wire_of(world, wire) else { return };
            wire.cut().await;
            sleep(long / 2).await;
            wire.resume().await;
        }
        Outage::WireStalled(wire) => {
            let Some(wire) = wire_of(world, wire) else { return };
            wire.stall();
            sleep(long).await;
            wire.resume().await;
        }
    }
}

fn wire_of(world: &World, wire: Wire) -> Option<&Proxy> {
    match wire {
        Wire::PublisherToBroker => Some(&world.publisher_wires[0].0),
        Wire::PublisherToVersions => Some(&world.publisher_wires[1].0),
        Wire::PublisherToDatabase => world.publisher.wire.as_ref(),
        Wire::SubscribersToBroker => Some(&world.subscriber_wires[0].0),
        Wire::SubscribersToCaches => Some(&world.subscriber_wires[1].0),
        Wire::SubscriberToDatabase => world.subscribers[0].wire.as_ref(),
    }
}

async fn restart(servers: &PrivateServers, server: Server, down: Duration) {
    servers.kill(&[server]).await;
    sleep(down).await;
    servers.start(&[server]).await;
}

async fn forget_snapshot(servers: &PrivateServers) {
    let folder = redis(servers, &["CONFIG", "GET", "dir"]).await;
    // The answer shows the name and the value; the folder is the one that is absolute.
    if let Some(folder) = folder.split(['"', '\'', ' ', ',']).find(|part| part.starts_with('/')) {
        let _ = std::fs::remove_file(std::path::Path::new(folder).join("dump.rdb"));
    }
}
