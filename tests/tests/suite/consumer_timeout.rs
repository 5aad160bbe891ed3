//! RabbitMQ takes back what was delivered and not acknowledged for too long, half an hour as a rule, and closes the channel.

mod faults {
    use promiscuous_tests::conformance::Stack;
    use promiscuous_tests::conformance::step::{create_counter, increment};
    use promiscuous_tests::servers::{self, PrivateServers, Server};

    use crate::apps::Publishing;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn what_the_broker_takes_back_because_it_was_held_for_too_long_is_applied_in_the_end() {
        // given a broker without patience
        let servers = PrivateServers::new(&[Server::RabbitMq]).await;
        for setting in ["consumer_timeout, 2000", "channel_tick_interval, 500"] {
            let set = format!("application:set_env(rabbit, {setting}).");
            servers.rabbitmqctl(&["eval", &set]).await;
        }
        let amqp_url = servers.url(Server::RabbitMq);
        let publishing = Publishing::on(Stack::SEAORM_POSTGRES, &amqp_url, &servers::redis_url()).await;
        let subscribing = publishing.subscribing(Stack::DIESEL_POSTGRES, &["counter"]).await;
        let mut process = subscribing.process().with_log().spawn();
        subscribing.bound().await;
        let shop = publishing.connect(2).await;
        shop.write(create_counter(1)).await.unwrap();
        subscribing.counted(1, 0).await;
        // when messages fail for longer than that
        subscribing.execute("ALTER TABLE counters RENAME TO hidden").await;
        for step in [increment(1), increment(1), create_counter(2)] {
            shop.write(step).await.unwrap();
        }
        for _ in 0..2 {
            process.wait_for_line("the broker is gone").await;
        }
        subscribing.execute("ALTER TABLE hidden RENAME TO counters").await;
        // then the subscriber goes on consuming, and nothing is lost, or dead
        subscribing.counted(1, 2).await;
        subscribing.counted(2, 0).await;
        assert_eq!(subscribing.values("counter", 1).await, [0, 1, 2]);
        let dead = subscribing.told(&["dead", "list"]).await;
        assert!(!dead.iter().any(|line| line.contains("counter")), "{dead:?}");
    }
}
