//! Processes that doze at the worst moments and go on, answers that are lost, and a broker that refuses for a while.

/// nextest runs one of these at a time.
mod faults {
    use std::collections::BTreeMap;
    use std::time::{Duration, Instant};

    use futures_util::FutureExt;
    use lapin::options::{BasicGetOptions, QueueBindOptions, QueueDeclareOptions};
    use lapin::types::{AMQPValue, FieldTable};
    use promiscuous_tests::conformance::step::{create_counter, increment};
    use promiscuous_tests::conformance::{Model, Stack};
    use promiscuous_tests::deaths::{DOZE_MILLIS, STOP_AT};
    use promiscuous_tests::proxy::Proxy;
    use promiscuous_tests::servers::{self, PrivateServers, Server};
    use promiscuous_tests::{unique_app, until};

    use crate::apps::{Publishing, SOON, written};

    mod whoever_wakes_up_after_its_deadline_fails_cleanly_or_has_been_counted {
        crate::conformance::pairs! { whoever_wakes_up_after_its_deadline_fails_cleanly_or_has_been_counted:
            seaorm_postgres_to_diesel_mariadb: SEAORM_POSTGRES DIESEL_MARIADB,
            diesel_mariadb_to_seaorm_postgres: DIESEL_MARIADB SEAORM_POSTGRES,
        }
    }

    // Not from Diesel on MariaDB: it asks the server for something before it says COMMIT, and waits for that answer.
    mod a_commit_whose_answer_is_lost_counts_once {
        crate::conformance::pairs! { a_commit_whose_answer_is_lost_counts_once:
            seaorm_postgres_to_diesel_mariadb: SEAORM_POSTGRES DIESEL_MARIADB,
            seaorm_mariadb_to_diesel_postgres: SEAORM_MARIADB DIESEL_POSTGRES,
            diesel_postgres_to_seaorm_mariadb: DIESEL_POSTGRES SEAORM_MARIADB,
        }
    }

    /// In the order in which a write passes them.
    const MOMENTS: [&str; 8] = [
        "before_bump",
        "after_bump",
        "after_outbox_insert",
        "after_commit",
        "before_finish",
        "after_finish",
        "before_confirm",
        "after_confirm",
    ];

    async fn whoever_wakes_up_after_its_deadline_fails_cleanly_or_has_been_counted(from: Stack, to: Stack) {
        // Given a counter for each moment, and a process that recovers the work of others.
        let publishing = Publishing::new(from).await;
        let subscribing = publishing.subscribing(to, &["counter"]).await;
        let _process = subscribing.start().await;
        let mut tap = publishing.tap().await;
        let shop = publishing.connect(4).await;
        let counters = || (1_i64..).zip(MOMENTS);
        for (id, _) in counters() {
            shop.write(create_counter(id)).await.unwrap();
        }
        // When at each moment a process dozes past its deadline of a second, and goes on.
        let mut dozing = Vec::new();
        for (id, moment) in counters() {
            let process = publishing.process(&[&format!("increment:{id}")]);
            dozing.push(process.env(STOP_AT, moment).env(DOZE_MILLIS, "4000").spawn());
        }
        let mut told = BTreeMap::new();
        for ((id, moment), process) in counters().zip(&mut dozing) {
            process.wait_for_line("idle").await;
            // What is published in the background may doze after that.
            if !process.said().iter().any(|line| line.starts_with("awake")) {
                process.wait_for_line("awake").await;
            }
            let counted = process.said().iter().any(|line| line == &format!("done increment:{id}"));
            println!("{moment}: {}", if counted { "counted" } else { "failed" });
            told.insert(id, counted);
        }
        // Then its write is there if it was told so, and not if not,
        for (&id, &counted) in &told {
            assert_eq!(
                publishing.eyes.counter(id).await,
                Some(i64::from(counted)),
                "{}",
                MOMENTS[id as usize - 1]
            );
            shop.write(increment(id)).await.unwrap();
            let n = i64::from(counted) + 1;
            subscribing.counted(id, n).await;
            assert_eq!(subscribing.values("counter", id).await, (0..=n).collect::<Vec<_>>());
        }
        publishing.eyes.outbox_is_empty().await;
        // and no op was published with two contents.
        let mut contents: BTreeMap<_, String> = BTreeMap::new();
        while let Some(message) = tap.message().now_or_never() {
            let content = format!("{:?} {:?}", message.operations, written(&message));
            let known = contents.entry(message.id).or_insert_with(|| content.clone());
            assert_eq!(*known, content);
        }
    }

    async fn a_commit_whose_answer_is_lost_counts_once(from: Stack, to: Stack) {
        // Given a writer that is about to commit,
        let publishing = Publishing::new(from).await;
        let subscribing = publishing.subscribing(to, &["counter"]).await;
        let _process = subscribing.start().await;
        let shop = publishing.connect(2).await;
        shop.write(create_counter(1)).await.unwrap();
        let (wire, url) = Proxy::to_url(publishing.database.url()).await;
        let process = publishing.process(&["increment:1"]).env("DATABASE_URL", url);
        let mut process = process.env(STOP_AT, "after_outbox_insert").env(DOZE_MILLIS, "500").spawn();
        process.wait_for_line("reached").await;
        // When it does, and the answer does not arrive, because the connection is lost,
        wire.hold_answers();
        until(SOON, "the commit", async || (publishing.eyes.counter(1).await == Some(1)).then_some(())).await;
        wire.cut().await;
        wire.resume().await;
        // Then its writer is told that it failed, and it counts, once.
        process.wait_for_line("failed increment:1").await;
        subscribing.counted(1, 1).await;
        shop.write(increment(1)).await.unwrap();
        subscribing.counted(1, 2).await;
        assert_eq!(subscribing.values("counter", 1).await, [0, 1, 2]);
        subscribing.assert_equals(&publishing.eyes, Model::Counter).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_broker_that_is_short_of_memory_holds_up_no_writer_and_loses_nothing() {
        // Given a broker that raises its alarm,
        let servers = PrivateServers::new(&[Server::RabbitMq]).await;
        let amqp_url = servers.url(Server::RabbitMq);
        let publishing = Publishing::on(Stack::SEAORM_POSTGRES, &amqp_url, &servers::redis_url()).await;
        let subscribing = publishing.subscribing(Stack::DIESEL_POSTGRES, &["counter"]).await;
        let _process = subscribing.start().await;
        let shop = publishing.connect(4).await;
        shop.write(create_counter(1)).await.unwrap();
        subscribing.counted(1, 0).await;
        servers.rabbitmqctl(&["set_vm_memory_high_watermark", "absolute", "1"]).await;
        // When somebody writes on,
        let began = Instant::now();
        for _ in 0..50 {
            shop.write(increment(1)).await.unwrap();
        }
        println!("50 writes under the alarm took {:?}", began.elapsed());
        // Then it is all there once the alarm is over, in order.
        servers.rabbitmqctl(&["set_vm_memory_high_watermark", "0.6"]).await;
        subscribing.counted_within(Duration::from_secs(90), 1, 50).await;
        assert_eq!(subscribing.values("counter", 1).await, (0..=50).collect::<Vec<_>>());
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_message_that_the_broker_refuses_to_take_is_published_again() {
        // Given a queue that takes one message, and refuses the next one.
        let publishing = Publishing::new(Stack::SEAORM_POSTGRES).await;
        let subscribing = publishing.subscribing(Stack::SEAORM_POSTGRES, &["counter"]).await;
        let _process = subscribing.start().await;
        let connection = lapin::Connection::connect(&servers::amqp_url(), Default::default()).await.unwrap();
        let channel = connection.create_channel().await.unwrap();
        let full = unique_app("full");
        let mut limits = FieldTable::default();
        limits.insert("x-max-length".into(), AMQPValue::LongInt(1));
        limits.insert("x-overflow".into(), AMQPValue::LongString("reject-publish".into()));
        let exclusive = QueueDeclareOptions { exclusive: true, ..QueueDeclareOptions::default() };
        channel.queue_declare(full.as_str().into(), exclusive, limits).await.unwrap();
        let pattern = format!("{}.*", publishing.app);
        let (options, arguments) = (QueueBindOptions::default(), FieldTable::default());
        let shop = publishing.connect(2).await;
        channel
            .queue_bind(
                full.as_str().into(),
                "promiscuous".into(),
                pattern.as_str().into(),
                options,
                arguments,
            )
            .await
            .unwrap();
        // When somebody writes more,
        shop.write(create_counter(1)).await.unwrap();
        for _ in 0..5 {
            shop.write(increment(1)).await.unwrap();
        }
        // Then whoever has room has all of it, once, though it comes again and again,
        subscribing.counted(1, 5).await;
        // and what was refused waits in the outbox until there is room.
        assert!(publishing.eyes.count("promiscuous_outbox WHERE state < 2").await > 0);
        until(SOON, "an outbox with nothing left to publish", async || {
            let options = BasicGetOptions { no_ack: true };
            channel.basic_get(full.as_str().into(), options).await.unwrap();
            (publishing.eyes.count("promiscuous_outbox WHERE state < 2").await == 0).then_some(())
        })
        .await;
        assert_eq!(subscribing.values("counter", 1).await, (0..=5).collect::<Vec<_>>());
    }
}
