//! Servers that are killed and started again, or fail over; nextest runs one of these at a time.

use std::time::Instant;

use promiscuous_core::context::Context;
use promiscuous_tests::redis_servers::{follow, host, redis};
use promiscuous_tests::servers::{PrivateServers, Server};
use tokio::sync::watch;

use super::*;

over_adapters! {
    the_subscriber_s_redis_keys_may_vanish_under_load
    the_publisher_s_redis_keys_may_vanish_under_load
    a_redis_that_is_killed_and_comes_back_empty_loses_no_write
    a_replica_that_lags_and_takes_over_from_redis_loses_no_write
}

const COUNTERS: i64 = 4;

/// Writes until told to stop; answers with how often each counter was incremented.
async fn load(shop: &Arc<dyn App>, stop: watch::Receiver<bool>, may_fail: bool) -> (Vec<i64>, usize) {
    let mut writers = Vec::new();
    for id in 1..=COUNTERS {
        let (shop, mut stop) = (Arc::clone(shop), stop.clone());
        writers.push(tokio::spawn(async move {
            let context = Context::new("load");
            let (mut written, mut failed) = (0, 0);
            while !*stop.borrow_and_update() {
                match shop.run(Some(&context), vec![increment(id)]).await {
                    Ok(()) => written += 1,
                    Err(error) if may_fail => {
                        println!("refused: {error}");
                        failed += 1;
                    }
                    Err(error) => panic!("a write failed: {error}"),
                }
                // A reader makes causes between the counters.
                shop.run(Some(&context), vec![Step::Find(Model::User, 1)]).await.unwrap();
            }
            (written, failed)
        }));
    }
    let (mut all, mut failures) = (Vec::new(), 0);
    for writer in writers {
        let (written, failed) = writer.await.unwrap();
        all.push(written);
        failures += failed;
    }
    (all, failures)
}

/// A publisher and a subscriber on these servers, four counters and a user.
async fn given(
    stack: Stack,
    amqp_url: &str,
    redis_url: &str,
) -> (Publishing, Arc<dyn App>, Subscribing, Process) {
    let publishing = Publishing::on(stack, amqp_url, redis_url).await;
    let subscribing = publishing.subscribing(stack, &["counter", "user"]).await;
    let process = subscribing.process().spawn();
    subscribing.bound().await;
    let shop = publishing.connect(8).await;
    for id in 1..=COUNTERS {
        shop.write(create_counter(id)).await.unwrap();
    }
    shop.write(save_user(1, "joe", 0)).await.unwrap();
    for id in 1..=COUNTERS {
        subscribing.counted(id, 0).await;
    }
    (publishing, shop, subscribing, process)
}

/// Waits until a counter has gone on by at least ten since it was looked at first.
async fn goes_on(subscribing: &Subscribing) {
    let before = subscribing.values("counter", 1).await.len();
    until(SOON, "the counters to go on", async || {
        (subscribing.values("counter", 1).await.len() >= before + 10).then_some(())
    })
    .await;
}

/// How many rows of the publisher's table were counted.
async fn truth(publishing: &Publishing, id: i64) -> i64 {
    publishing.eyes.counter(id).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_write_fails_while_rabbitmq_restarts_and_everything_arrives_when_it_is_back() {
    let servers = PrivateServers::new(&[Server::RabbitMq]).await;
    rabbitmq_goes_and_comes(&servers, async || servers.shut_down(Server::RabbitMq).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_write_fails_while_rabbitmq_is_dead_and_everything_arrives_when_it_is_back() {
    let servers = PrivateServers::new(&[Server::RabbitMq]).await;
    rabbitmq_goes_and_comes(&servers, async || {
        // RabbitMQ 3.10 registers a new quorum queue in a file that it caches for about three seconds. A node that is killed
        // within them forgets the registration, and its queue never finds a leader. Nothing tells when it is written.
        tokio::time::sleep(Duration::from_secs(6)).await;
        servers.kill(&[Server::RabbitMq]).await;
    })
    .await;
}

async fn rabbitmq_goes_and_comes(servers: &PrivateServers, go: impl AsyncFnOnce()) {
    let amqp_url = servers.url(Server::RabbitMq);
    let (publishing, shop, subscribing, _process) =
        given(Stack::SEAORM_POSTGRES, &amqp_url, &servers::redis_url()).await;
    let (stop, stopped) = watch::channel(false);
    let (written, ()) = tokio::join!(load(&shop, stopped, false), async {
        goes_on(&subscribing).await;
        go().await;
        let before = truth(&publishing, 1).await;
        until(SOON, "writes to go on", async || (truth(&publishing, 1).await > before + 20).then_some(()))
            .await;
        servers.start(&[Server::RabbitMq]).await;
        let back = Instant::now();
        goes_on(&subscribing).await;
        println!("it goes on {:?} after RabbitMQ is back", back.elapsed());
        stop.send_replace(true);
    });
    arrived(&publishing, &subscribing, &written.0).await;
}

/// Where what has not come is: for whoever reads the failure.
async fn explain(publishing: &Publishing, subscribing: &Subscribing) {
    for mut process in [
        publishing.command(&["status"]).spawn(),
        subscribing.command(&["status"]).spawn(),
        subscribing.command(&["blocked"]).spawn(),
    ] {
        process.wait().await;
        println!("{}", process.said().join("\n"));
    }
}

/// Everything, each once, in order.
async fn arrived(publishing: &Publishing, subscribing: &Subscribing, written: &[i64]) {
    println!("written: {written:?}");
    for (id, &count) in (1..).zip(written) {
        assert_eq!(truth(publishing, id).await, count);
        let arrives = subscribing.counted_within(Duration::from_secs(60), id, count);
        let explains = async {
            tokio::time::sleep(Duration::from_secs(55)).await;
            explain(publishing, subscribing).await;
        };
        tokio::select! {
            () = arrives => {}
            () = async { explains.await; std::future::pending().await } => {}
        }
        assert_eq!(subscribing.values("counter", id).await, (0..=count).collect::<Vec<_>>(), "{id}");
    }
}

async fn the_subscriber_s_redis_keys_may_vanish_under_load(stack: Stack) {
    let (publishing, shop, subscribing, _process) =
        given(stack, &servers::amqp_url(), &servers::redis_url()).await;
    let (stop, stopped) = watch::channel(false);
    let (written, ()) = tokio::join!(load(&shop, stopped, false), async {
        for _ in 0..5 {
            goes_on(&subscribing).await;
            println!("{} keys vanish", forget(&subscribing.app).await);
        }
        goes_on(&subscribing).await;
        stop.send_replace(true);
    });
    arrived(&publishing, &subscribing, &written.0).await;
}

async fn the_publisher_s_redis_keys_may_vanish_under_load(stack: Stack) {
    let (publishing, shop, subscribing, _process) =
        given(stack, &servers::amqp_url(), &servers::redis_url()).await;
    let (stop, stopped) = watch::channel(false);
    let ((written, failed), ()) = tokio::join!(load(&shop, stopped, true), async {
        for _ in 0..5 {
            goes_on(&subscribing).await;
            println!("{} keys vanish", forget(&publishing.app).await);
        }
        goes_on(&subscribing).await;
        stop.send_replace(true);
    });
    println!("written: {written:?}, {failed} refused");
    // A new generation is newer than everything before it: a step may be skipped, never undone or done twice.
    for (id, &count) in (1..).zip(&written) {
        let truth = truth(&publishing, id).await;
        assert_eq!(truth, count);
        subscribing.counted_within(Duration::from_secs(60), id, truth).await;
        let values = subscribing.values("counter", id).await;
        assert!(values.windows(2).all(|pair| pair[0] < pair[1]), "{values:?}");
        println!("counter {id}: {} of {} steps were applied", values.len(), count + 1);
    }
    // And nothing is held up afterwards.
    shop.write(increment(1)).await.unwrap();
    subscribing.counted_within(Duration::from_secs(5), 1, written[0] + 1).await;
}

async fn a_redis_that_is_killed_and_comes_back_empty_loses_no_write(stack: Stack) {
    let servers = PrivateServers::new(&[Server::Redis]).await;
    let (publishing, shop, subscribing, _process) =
        given(stack, &servers::amqp_url(), &servers.url(Server::Redis)).await;
    let (stop, stopped) = watch::channel(false);
    let ((written, failed), ()) = tokio::join!(load(&shop, stopped, true), async {
        goes_on(&subscribing).await;
        servers.kill(&[Server::Redis]).await;
        servers.start(&[Server::Redis]).await;
        goes_on(&subscribing).await;
        stop.send_replace(true);
    });
    println!("{failed} refused");
    everything_counts(&publishing, &subscribing, &written).await;
}

async fn a_replica_that_lags_and_takes_over_from_redis_loses_no_write(stack: Stack) {
    // given the Redis of both sides, and a replica of it
    let [first, replica] =
        [PrivateServers::new(&[Server::Redis]).await, PrivateServers::new(&[Server::Redis]).await];
    let (wire, url) = Proxy::to_url(&first.url(Server::Redis)).await;
    let (publishing, shop, subscribing, _process) = given(stack, &servers::amqp_url(), &url).await;
    follow(&replica, &first).await;
    let (stop, stopped) = watch::channel(false);
    let ((written, failed), ()) = tokio::join!(load(&shop, stopped, true), async {
        goes_on(&subscribing).await;
        // when it hears no more, and takes over later
        redis(&replica, &["REPLICAOF", "NO", "ONE"]).await;
        goes_on(&subscribing).await;
        wire.lead_to(&host(&replica.url(Server::Redis))).await;
        first.kill(&[Server::Redis]).await;
        // then
        goes_on(&subscribing).await;
        stop.send_replace(true);
    });
    println!("{failed} refused");
    everything_counts(&publishing, &subscribing, &written).await;
}

/// Nothing that was acknowledged is missing, and all that is in the publisher's database has arrived in order.
async fn everything_counts(publishing: &Publishing, subscribing: &Subscribing, written: &[i64]) {
    println!("written: {written:?}");
    for (id, &count) in (1..).zip(written) {
        let truth = truth(publishing, id).await;
        assert!(truth >= count, "acknowledged writes are in the database");
        subscribing.counted_within(Duration::from_secs(60), id, truth).await;
        let values = subscribing.values("counter", id).await;
        assert!(values.windows(2).all(|pair| pair[0] < pair[1]), "{values:?}");
    }
}
