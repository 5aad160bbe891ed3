//! Processes that are killed (`kill -9`) at the worst moments, and what is left of their work.

/// nextest runs one of these at a time.
mod faults {
    use std::time::{Duration, Instant};

    use promiscuous_tests::conformance::step::{create_counter, increment, save_user};
    use promiscuous_tests::conformance::{App, Model, Stack, Step};
    use promiscuous_tests::deaths::STOP_AT;
    use promiscuous_tests::entities::subscribing::CHECKED;

    use crate::apps::{Publishing, Subscribing, written};

    over_pairs! {
        a_publisher_that_dies_after_the_bump_leaves_nothing_behind
        a_publisher_that_dies_after_commit_loses_nothing
        a_publisher_that_dies_before_it_finishes_loses_nothing
        a_publisher_that_dies_before_the_confirm_publishes_nothing_twice_in_effect
        a_publisher_that_dies_after_the_confirm_publishes_nothing_twice_in_effect
        a_write_that_takes_over_from_a_dead_writer_does_not_wait_for_its_deadline
        recover_finishes_the_work_of_an_app_that_is_dead_as_a_whole
        a_restarted_publisher_finishes_its_own_work
        a_subscriber_that_dies_inside_the_transaction_applies_it_again
        a_subscriber_that_dies_before_redis_is_advanced_applies_nothing_twice
        a_subscriber_that_dies_before_the_ack_applies_nothing_twice
    }

    /// Moments between those above: two pairs will do, for what lies before and after is the same for each.
    macro_rules! moments {
        ($($scenario:ident)*) => {
            $(mod $scenario {
                crate::conformance::pairs! { $scenario:
                    seaorm_postgres_to_diesel_mariadb: SEAORM_POSTGRES DIESEL_MARIADB,
                    diesel_mariadb_to_seaorm_postgres: DIESEL_MARIADB SEAORM_POSTGRES,
                }
            })*
        };
    }

    moments! {
        a_publisher_that_dies_before_the_bump_leaves_nothing_behind
        a_publisher_that_dies_after_the_outbox_insert_leaves_nothing_behind
        a_publisher_that_dies_after_it_has_finished_loses_nothing
    }

    /// Whether a write of a process that dies there counts.
    #[derive(Clone, Copy, PartialEq, Eq)]
    enum Fate {
        Committed,
        Never,
    }

    /// For each kind of write: a process that does it dies at `point`, while another process of the app lives on. The next
    /// writes of the same rows follow at once.
    async fn each_write_meets_its_fate(from: Stack, to: Stack, point: &str, fate: Fate) {
        // Given counters that have arrived.
        let publishing = Publishing::new(from).await;
        let subscribing = publishing.subscribing(to, &["counter"]).await;
        let _process = subscribing.start().await;
        let shop = publishing.connect(4).await;
        for id in [1, 2, 3, 4] {
            shop.write(create_counter(id)).await.unwrap();
        }

        // When processes die there that create, update, destroy, and change two rows at once.
        for what in ["create:5", "increment:3", "destroy:4", "both:1"] {
            publishing.die_at(point, &[what]).await;
        }
        let began = Instant::now();

        // Then their writes count or not, and the next ones of the same rows are not held up.
        let committed = fate == Fate::Committed;
        for id in [1, 2, 3] {
            shop.write(increment(id)).await.unwrap();
            subscribing.counted(id, if committed { 2 } else { 1 }).await;
        }
        for (id, there) in [(4, !committed), (5, committed)] {
            if there {
                shop.write(increment(id)).await.unwrap();
                subscribing.counted(id, 1).await;
            } else {
                shop.write(create_counter(id)).await.unwrap();
                subscribing.counted(id, 0).await;
            }
        }
        println!("{point}: the next writes arrived after {:?}", began.elapsed());
        // No message of the past can come any more when nothing is left in the outbox but fences.
        publishing.eyes.outbox_is_empty().await;

        // And what was applied was applied once, in order.
        for (id, with, without) in [
            (1, vec![0, 1, 2], vec![0, 1]),
            (2, vec![0, 1, 2], vec![0, 1]),
            (3, vec![0, 1, 2], vec![0, 1]),
            (4, vec![0, -1, 0], vec![0, 1]),
            (5, vec![0, 1], vec![0]),
        ] {
            assert_eq!(subscribing.values("counter", id).await, if committed { with } else { without });
        }
        subscribing.assert_equals(&publishing.eyes, Model::Counter).await;
    }

    async fn a_publisher_that_dies_after_the_bump_leaves_nothing_behind(from: Stack, to: Stack) {
        each_write_meets_its_fate(from, to, "after_bump", Fate::Never).await;
    }

    async fn a_publisher_that_dies_before_the_bump_leaves_nothing_behind(from: Stack, to: Stack) {
        each_write_meets_its_fate(from, to, "before_bump", Fate::Never).await;
    }

    async fn a_publisher_that_dies_after_the_outbox_insert_leaves_nothing_behind(from: Stack, to: Stack) {
        each_write_meets_its_fate(from, to, "after_outbox_insert", Fate::Never).await;
    }

    async fn a_publisher_that_dies_after_it_has_finished_loses_nothing(from: Stack, to: Stack) {
        each_write_meets_its_fate(from, to, "after_finish", Fate::Committed).await;
    }

    async fn a_publisher_that_dies_after_commit_loses_nothing(from: Stack, to: Stack) {
        each_write_meets_its_fate(from, to, "after_commit", Fate::Committed).await;
    }

    async fn a_publisher_that_dies_before_it_finishes_loses_nothing(from: Stack, to: Stack) {
        each_write_meets_its_fate(from, to, "before_finish", Fate::Committed).await;
    }

    async fn a_publisher_that_dies_before_the_confirm_publishes_nothing_twice_in_effect(
        from: Stack,
        to: Stack,
    ) {
        each_write_meets_its_fate(from, to, "before_confirm", Fate::Committed).await;
    }

    async fn a_publisher_that_dies_after_the_confirm_publishes_nothing_twice_in_effect(
        from: Stack,
        to: Stack,
    ) {
        each_write_meets_its_fate(from, to, "after_confirm", Fate::Committed).await;
    }

    async fn a_write_that_takes_over_from_a_dead_writer_does_not_wait_for_its_deadline(
        from: Stack,
        to: Stack,
    ) {
        // Given a writer that died after its bump, and whose deadline is a minute away.
        let publishing = Publishing::new(from).await;
        let subscribing = publishing.subscribing(to, &["counter"]).await;
        let _process = subscribing.start().await;
        let mut dead = publishing.process(&["create:1", "increment:1"]);
        dead = dead.env(STOP_AT, "after_bump:2").env("DEADLINE_SECONDS", "60");
        let mut dead = dead.spawn();
        dead.wait_for_line("reached").await;
        dead.kill().await;
        // When another one writes the row, and then a third time.
        let shop = publishing.connect(2).await;
        let began = Instant::now();
        shop.write(increment(1)).await.unwrap();
        shop.write(increment(1)).await.unwrap();
        println!("both were written after {:?}", began.elapsed());
        // Then both arrive long before.
        subscribing.counted_within(Duration::from_secs(15), 1, 2).await;
        println!("both had arrived after {:?}", began.elapsed());
        assert_eq!(subscribing.values("counter", 1).await, [0, 1, 2]);
    }

    async fn recover_finishes_the_work_of_an_app_that_is_dead_as_a_whole(from: Stack, to: Stack) {
        // Given an app whose only process died after COMMIT, and again after a bump.
        let publishing = Publishing::new(from).await;
        let subscribing = publishing.subscribing(to, &["counter"]).await;
        let _process = subscribing.start().await;
        let mut tap = publishing.tap().await;
        publishing.die_at("after_commit:2", &["create:1", "increment:1"]).await;
        // When its outbox is swept once,
        let swept = publishing.command(&["recover", "--once"]).spawn().wait().await;
        assert!(swept.success());
        // Then what was committed is there;
        subscribing.counted(1, 1).await;
        tap.until("counter/1").await;

        publishing.die_at("after_bump", &["increment:1"]).await;
        let mut recovering = publishing.command(&["recover"]).spawn();
        // and the versions of what was not are consumed by a dummy,
        let dummy = loop {
            let message = tap.message().await;
            if message.operations.is_empty() {
                break message;
            }
        };
        assert_eq!(written(&dummy), ["counter/1"]);
        recovering.terminate();
        assert!(recovering.wait().await.success());
        // so that later writes arrive, by a process that knows nothing of it.
        let mut later = publishing.process(&["increment:1", "increment:1"]).spawn();
        later.wait_for_line("idle").await;
        subscribing.counted(1, 3).await;
        later.terminate();
        assert!(later.wait().await.success());
        assert_eq!(subscribing.values("counter", 1).await, [0, 1, 2, 3]);
    }

    async fn a_restarted_publisher_finishes_its_own_work(from: Stack, to: Stack) {
        for (point, values) in [("after_bump:2", vec![0, 1]), ("after_commit:2", vec![0, 1, 2])] {
            let publishing = Publishing::new(from).await;
            let subscribing = publishing.subscribing(to, &["counter"]).await;
            let _process = subscribing.start().await;
            publishing.die_at(point, &["create:1", "increment:1"]).await;
            let mut restarted = publishing.process(&["increment:1"]).spawn();
            restarted.wait_for_line("idle").await;
            subscribing.counted(1, *values.last().unwrap()).await;
            restarted.terminate();
            assert!(restarted.wait().await.success());
            assert_eq!(subscribing.values("counter", 1).await, values, "{point}");
        }
    }

    async fn a_subscriber_that_dies_inside_the_transaction_applies_it_again(from: Stack, to: Stack) {
        for nth in [1, 3] {
            a_subscriber_dies_at(from, to, &format!("before_apply_commit:{nth}")).await;
        }
    }

    async fn a_subscriber_that_dies_before_redis_is_advanced_applies_nothing_twice(from: Stack, to: Stack) {
        for nth in [1, 3] {
            a_subscriber_dies_at(from, to, &format!("before_advance:{nth}")).await;
        }
    }

    async fn a_subscriber_that_dies_before_the_ack_applies_nothing_twice(from: Stack, to: Stack) {
        for nth in [1, 3] {
            a_subscriber_dies_at(from, to, &format!("before_ack:{nth}")).await;
        }
    }

    const ROUNDS: i64 = 10;

    /// While users are changed, messages read them and counters count, a subscriber dies at `point`, and another takes over.
    async fn a_subscriber_dies_at(from: Stack, to: Stack, point: &str) {
        // Given a subscriber that will die.
        let publishing = Publishing::new(from).await;
        let subscribing = publishing.subscribing(to, &["user", "message", "counter"]).await;
        let mut dying = subscribing.process().env(STOP_AT, point).spawn();
        subscribing.bound().await;
        let shop = publishing.connect(4).await;
        shop.write(create_counter(1)).await.unwrap();
        for round in 0..ROUNDS / 2 {
            read_and_write(shop.as_ref(), round).await;
        }
        // When it is killed in the middle of it,
        dying.wait_for_line("reached").await;
        dying.kill().await;
        for round in ROUNDS / 2..ROUNDS {
            read_and_write(shop.as_ref(), round).await;
        }
        // and started again,
        let began = Instant::now();
        let mut second = subscribing.process().spawn();
        everything_arrived_once(&publishing, &subscribing).await;
        println!("{point}: everything had arrived {:?} after the restart", began.elapsed());
        // and asked to end,
        second.terminate();
        assert!(second.wait().await.success());
        // Then nothing is left in the queue that a third one would do again.
        let _third = subscribing.process().spawn();
        shop.write(increment(1)).await.unwrap();
        subscribing.counted(1, ROUNDS + 1).await;
        assert_eq!(subscribing.values("counter", 1).await, (0..=ROUNDS + 1).collect::<Vec<_>>());
    }

    async fn read_and_write(shop: &dyn App, round: i64) {
        shop.request("round", [save_user(1, "joe", round)]).await.unwrap();
        let message = Step::MessageOf { id: round, user: 1, text: CHECKED.into() };
        shop.request("reader", [message, increment(1), Step::Find(Model::Counter, 1)]).await.unwrap();
    }

    async fn everything_arrived_once(publishing: &Publishing, subscribing: &Subscribing) {
        subscribing.counted_within(Duration::from_secs(60), 1, ROUNDS).await;
        assert_eq!(subscribing.values("counter", 1).await, (0..=ROUNDS).collect::<Vec<_>>());
        assert_eq!(subscribing.values("user", 1).await, (0..ROUNDS).collect::<Vec<_>>());
        assert_eq!(subscribing.log("message").await.len(), usize::try_from(ROUNDS).unwrap());
        assert_eq!(subscribing.violations().await, [""; 0]);
        for model in [Model::User, Model::Message, Model::Counter] {
            subscribing.assert_equals(&publishing.eyes, model).await;
        }
    }
}
