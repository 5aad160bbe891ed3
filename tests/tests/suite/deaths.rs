//! Processes that are killed (`kill -9`) at the worst moments, and what is left of their work.

/// nextest runs one of these at a time.
mod faults {
    use std::time::{Duration, Instant};

    use promiscuous_seaorm::PromiscuousConnection;
    use promiscuous_tests::deaths::STOP_AT;
    use promiscuous_tests::entities::publishing::{counter, message, user};
    use promiscuous_tests::entities::subscribing::CHECKED;
    use sea_orm::{ActiveModelTrait, EntityTrait, Set};

    use crate::apps::{Publishing, Subscribing, create_counter, increment, request, written};

    /// Whether a write of a process that dies there counts.
    #[derive(Clone, Copy, PartialEq, Eq)]
    enum Fate {
        Committed,
        Never,
    }

    /// For each kind of write: a process that does it dies at `point`, while another process of the app lives on. The next
    /// writes of the same rows follow at once.
    async fn each_write_meets_its_fate(point: &str, fate: Fate) {
        // Given counters that have arrived.
        let publishing = Publishing::new().await;
        let subscribing = publishing.subscribing(&["counter"]).await;
        let _process = subscribing.start().await;
        let db = publishing.connect(4).await;
        for id in [1, 2, 3, 4] {
            create_counter(&db, id).await.unwrap();
        }

        // When processes die there that create, update, destroy, and change two rows at once.
        for what in ["create:5", "increment:3", "destroy:4", "both:1"] {
            publishing.die_at(point, &[what]).await;
        }
        let began = Instant::now();

        // Then their writes count or not, and the next ones of the same rows are not held up.
        let committed = fate == Fate::Committed;
        for id in [1, 2, 3] {
            increment(&db, id).await.unwrap();
            subscribing.counted(id, if committed { 2 } else { 1 }).await;
        }
        for (id, there) in [(4, !committed), (5, committed)] {
            if there {
                increment(&db, id).await.unwrap();
                subscribing.counted(id, 1).await;
            } else {
                create_counter(&db, id).await.unwrap();
                subscribing.counted(id, 0).await;
            }
        }
        println!("{point}: the next writes arrived after {:?}", began.elapsed());
        settled(&publishing).await;

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
    }

    /// Waits until nothing is left in the outbox but fences, and no message of the past can come any more.
    async fn settled(publishing: &Publishing) {
        let db = publishing.database.connect(1).await;
        promiscuous_tests::until(crate::apps::SOON, "an empty outbox", async || {
            use sea_orm::ConnectionTrait;
            let sql = "SELECT COUNT(*) AS count FROM promiscuous_outbox WHERE state < 2";
            let row = db.query_one_raw(crate::apps::statement(sql)).await.unwrap().unwrap();
            (row.try_get::<i64>("", "count").unwrap() == 0).then_some(())
        })
        .await;
    }

    #[tokio::test]
    async fn a_publisher_that_dies_after_the_bump_leaves_nothing_behind() {
        each_write_meets_its_fate("after_bump", Fate::Never).await;
    }

    #[tokio::test]
    async fn a_publisher_that_dies_after_commit_loses_nothing() {
        each_write_meets_its_fate("after_commit", Fate::Committed).await;
    }

    #[tokio::test]
    async fn a_publisher_that_dies_before_it_finishes_loses_nothing() {
        each_write_meets_its_fate("before_finish", Fate::Committed).await;
    }

    #[tokio::test]
    async fn a_publisher_that_dies_before_the_confirm_publishes_nothing_twice_in_effect() {
        each_write_meets_its_fate("before_confirm", Fate::Committed).await;
    }

    #[tokio::test]
    async fn a_publisher_that_dies_after_the_confirm_publishes_nothing_twice_in_effect() {
        each_write_meets_its_fate("after_confirm", Fate::Committed).await;
    }

    #[tokio::test]
    async fn a_write_that_takes_over_from_a_dead_writer_does_not_wait_for_its_deadline() {
        // Given a writer that died after its bump, and whose deadline is a minute away.
        let publishing = Publishing::new().await;
        let subscribing = publishing.subscribing(&["counter"]).await;
        let _process = subscribing.start().await;
        let mut dead = publishing.process(&["create:1", "increment:1"]);
        dead = dead.env(STOP_AT, "after_bump:2").env("DEADLINE_SECONDS", "60");
        let mut dead = dead.spawn();
        dead.wait_for_line("reached").await;
        dead.kill().await;
        // When another one writes the row, and then a third time.
        let db = publishing.connect(2).await;
        let began = Instant::now();
        increment(&db, 1).await.unwrap();
        increment(&db, 1).await.unwrap();
        // Then both arrive long before.
        subscribing.counted_within(Duration::from_secs(15), 1, 2).await;
        println!("both had arrived after {:?}", began.elapsed());
        assert_eq!(subscribing.values("counter", 1).await, [0, 1, 2]);
    }

    #[tokio::test]
    async fn recover_finishes_the_work_of_an_app_that_is_dead_as_a_whole() {
        // Given an app whose only process died after COMMIT, and again after a bump.
        let publishing = Publishing::new().await;
        let subscribing = publishing.subscribing(&["counter"]).await;
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

    #[tokio::test]
    async fn a_restarted_publisher_finishes_its_own_work() {
        for (point, values) in [("after_bump:2", vec![0, 1]), ("after_commit:2", vec![0, 1, 2])] {
            let publishing = Publishing::new().await;
            let subscribing = publishing.subscribing(&["counter"]).await;
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

    #[tokio::test]
    async fn a_subscriber_that_dies_inside_the_transaction_applies_it_again() {
        for nth in [1, 3] {
            a_subscriber_dies_at(&format!("before_apply_commit:{nth}")).await;
        }
    }

    #[tokio::test]
    async fn a_subscriber_that_dies_before_redis_is_advanced_applies_nothing_twice() {
        for nth in [1, 3] {
            a_subscriber_dies_at(&format!("before_advance:{nth}")).await;
        }
    }

    #[tokio::test]
    async fn a_subscriber_that_dies_before_the_ack_applies_nothing_twice() {
        for nth in [1, 3] {
            a_subscriber_dies_at(&format!("before_ack:{nth}")).await;
        }
    }

    const ROUNDS: i64 = 10;

    /// While users are changed, messages read them and counters count, a subscriber dies at `point`, and another takes over.
    async fn a_subscriber_dies_at(point: &str) {
        // Given a subscriber that will die.
        let publishing = Publishing::new().await;
        let subscribing = publishing.subscribing(&["user", "message", "counter"]).await;
        let mut dying = subscribing.process().env(STOP_AT, point).spawn();
        subscribing.bound().await;
        let db = publishing.connect(4).await;
        create_counter(&db, 1).await.unwrap();
        for round in 0..ROUNDS / 2 {
            read_and_write(&db, round).await;
        }
        // When it is killed in the middle of it,
        dying.wait_for_line("reached").await;
        dying.kill().await;
        for round in ROUNDS / 2..ROUNDS {
            read_and_write(&db, round).await;
        }
        // and started again,
        let began = Instant::now();
        let mut second = subscribing.process().spawn();
        everything_arrived_once(&subscribing).await;
        println!("{point}: everything had arrived {:?} after the restart", began.elapsed());
        // and asked to end,
        second.terminate();
        assert!(second.wait().await.success());
        // Then nothing is left in the queue that a third one would do again.
        let _third = subscribing.process().spawn();
        increment(&db, 1).await.unwrap();
        subscribing.counted(1, ROUNDS + 1).await;
        assert_eq!(subscribing.values("counter", 1).await, (0..=ROUNDS + 1).collect::<Vec<_>>());
    }

    async fn read_and_write(db: &PromiscuousConnection, round: i64) {
        request("round", async {
            let user = user::ActiveModel {
                id: Set(1),
                name: Set("joe".into()),
                revision: Set(round),
                secret: Set(String::new()),
            };
            let saved = if round == 0 { user.insert(db).await } else { user.update(db).await };
            saved.unwrap();
        })
        .await;
        request("reader", async {
            let user = user::Entity::find_by_id(1).one(db).await.unwrap().unwrap();
            let message = message::ActiveModel {
                id: Set(round),
                user_id: Set(1),
                user_revision: Set(user.revision),
                text: Set(CHECKED.into()),
            };
            message.insert(db).await.unwrap();
            increment(db, 1).await.unwrap();
            counter::Entity::find_by_id(1).one(db).await.unwrap();
        })
        .await;
    }

    async fn everything_arrived_once(subscribing: &Subscribing) {
        subscribing.counted_within(Duration::from_secs(60), 1, ROUNDS).await;
        assert_eq!(subscribing.values("counter", 1).await, (0..=ROUNDS).collect::<Vec<_>>());
        assert_eq!(subscribing.values("user", 1).await, (0..ROUNDS).collect::<Vec<_>>());
        assert_eq!(subscribing.log("message").await.len(), usize::try_from(ROUNDS).unwrap());
        assert_eq!(subscribing.violations().await, [""; 0]);
    }
}
