//! Two apps on real servers, the first of which writes asynchronously, and is cancelled all the time.
#![cfg(all(feature = "async", feature = "postgres"))]

use std::task::Poll;
use std::time::Duration;

use diesel::pg::Pg;
use diesel::{Connection, ExpressionMethods, PgConnection, QueryDsl};
use diesel_async::pooled_connection::bb8::Pool;
use diesel_async::pooled_connection::{AsyncDieselConnectionManager, ManagerConfig};
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};
use promiscuous_diesel::core::config::SecretUrl;
use promiscuous_diesel::{App, AsyncPromiscuous, Config, Context, Models, Publish, Running, Subscribe};

use schema::{recipients, users};

mod schema {
    diesel::table! {
        users (id) {
            id -> BigInt,
            name -> Text,
        }
    }

    diesel::table! {
        recipients (id) {
            id -> BigInt,
            name -> Text,
        }
    }
}

#[derive(diesel::Queryable, diesel::Selectable, Publish)]
#[diesel(table_name = users)]
#[publish(attributes(name), backend(Pg))]
#[allow(dead_code)]
struct User {
    id: i64,
    name: String,
}

#[derive(diesel::Queryable, diesel::Selectable, Subscribe)]
#[diesel(table_name = recipients)]
#[subscribe(as = "User", attributes(name), backend(Pg))]
#[allow(dead_code)]
struct Recipient {
    id: i64,
    name: String,
}

type Db = AsyncPromiscuous<AsyncPgConnection>;
type Row = (i64, String);

/// An app on a database of its own, if there are servers.
fn app(name: &str, models: Models<Pg>) -> Option<(Running<Pg>, String)> {
    let server = std::env::var("TEST_POSTGRES_URL").ok()?;
    let (redis, amqp) = (std::env::var("TEST_REDIS_URL").ok()?, std::env::var("TEST_AMQP_URL").ok()?);
    let database = format!("async_{}", name.replace('-', "_"));
    let mut plain = PgConnection::establish(&server).unwrap();
    diesel::RunQueryDsl::execute(diesel::sql_query(format!("CREATE DATABASE {database}")), &mut plain)
        .unwrap();
    let url = format!("{}/{database}", server.rsplit_once('/')?.0);
    let mut plain = PgConnection::establish(&url).unwrap();
    for table in ["users", "recipients"] {
        let table = format!("CREATE TABLE {table} (id BIGINT PRIMARY KEY, name TEXT NOT NULL)");
        diesel::RunQueryDsl::execute(diesel::sql_query(table), &mut plain).unwrap();
    }
    let mut config = Config::embedded(name, name).unwrap();
    (config.redis_url, config.amqp_url) = (SecretUrl::new(redis), SecretUrl::new(amqp));
    let app = App::<Pg>::new(config).models(models);
    app.migrate(&mut plain).unwrap();
    Some((app.start(&url).unwrap(), url))
}

/// Drops a future after it was polled so many times.
async fn cancelled_after<F: Future>(polls: usize, future: F) {
    let mut future = Box::pin(future);
    let mut left = polls;
    std::future::poll_fn(|task| {
        left = left.saturating_sub(1);
        match (future.as_mut().poll(task), left) {
            (Poll::Pending, 1..) => Poll::Pending,
            _ => Poll::Ready(()),
        }
    })
    .await;
}

/// Tasks that write each a row of its own and one that they share, and are cancelled more often than not.
async fn write_and_cancel(pool: &Pool<Db>, seed: u64) {
    let tasks: Vec<_> = (1..=6_u64)
        .map(|task| {
            let pool = pool.clone();
            Context::new("task").spawn(async move {
                let mut random = seed ^ task;
                for round in 0..30 {
                    random = random
                        .wrapping_mul(6_364_136_223_846_793_005)
                        .wrapping_add(1_442_695_040_888_963_407);
                    let polls = usize::try_from(random >> 33).unwrap() % 40 + 1;
                    let mut db = pool.get().await.unwrap();
                    let id = i64::try_from(task).unwrap();
                    let name = format!("{task} {round}");
                    let work = async {
                        let own = (users::id.eq(id), users::name.eq(&name));
                        diesel::insert_into(users::table)
                            .values(own)
                            .on_conflict(users::id)
                            .do_update()
                            .set(users::name.eq(&name))
                            .execute(&mut db)
                            .await?;
                        db.transaction::<_, diesel::result::Error, _>(async |db| {
                            let shared = diesel::update(users::table.find(0)).set(users::name.eq(&name));
                            shared.execute(db).await?;
                            diesel::update(users::table.find(id))
                                .set(users::name.eq("done"))
                                .execute(db)
                                .await
                        })
                        .await
                    };
                    cancelled_after(polls, work).await;
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
}

fn rows(url: &str, table: &str) -> Vec<Row> {
    let mut plain = PgConnection::establish(url).unwrap();
    match table {
        "users" => diesel::RunQueryDsl::load(users::table.order(users::id), &mut plain).unwrap(),
        _ => diesel::RunQueryDsl::load(recipients::table.order(recipients::id), &mut plain).unwrap(),
    }
}

#[test]
fn what_is_written_asynchronously_arrives_whatever_is_cancelled() {
    // GIVEN a publisher, a subscriber at work, and a pool of wrapped connections.
    let unique = uuid::Uuid::now_v7().simple().to_string();
    let Some((publisher, url)) = app(&format!("shop-{unique}"), Models::new().publish::<User>()) else {
        return;
    };
    let (subscriber, copy) = app(
        &format!("mailer-{unique}"),
        Models::new().subscribe_from::<Recipient>(format!("shop-{unique}/user")),
    )
    .unwrap();
    let runtime =
        || tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let subscribing = runtime();
    let work = subscriber.subscriber().unwrap();
    let mut status = work.status();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let ended = subscribing.spawn(work.run(async move { drop(stopped.await) }));
    subscribing.block_on(status.wait_for(|status| status.consuming)).unwrap();
    publisher.make_default();
    let seed = u64::from(std::process::id()) * 7919;
    println!("seed {seed}");

    // WHEN tasks write and are cancelled; on one runtime, and after that has ended, on another.
    for seed in [seed, seed + 1] {
        let running = publisher.clone();
        runtime().block_on(async {
            let mut first = Db::establish(&url).await.unwrap();
            let shared = (users::id.eq(0), users::name.eq("nobody"));
            let shared = diesel::insert_into(users::table).values(shared).on_conflict_do_nothing();
            shared.execute(&mut first).await.unwrap();
            let mut config = ManagerConfig::<Db>::default();
            config.custom_setup = Box::new(move |url| {
                let (running, url) = (running.clone(), url.to_owned());
                Box::pin(async move { Ok(running.wrap_async(AsyncPgConnection::establish(&url).await?)) })
            });
            let manager = AsyncDieselConnectionManager::new_with_config(&url, config);
            let pool = Pool::builder().max_size(4).build(manager).await.unwrap();
            write_and_cancel(&pool, seed).await;
            // Whoever was cancelled last may not have been the last to write.
            let mut db = pool.get().await.unwrap();
            for id in 0..=6_i64 {
                let end = diesel::update(users::table.find(id)).set(users::name.eq(format!("end of {seed}")));
                end.execute(&mut db).await.unwrap();
            }
        });
    }

    // THEN the subscriber has the rows that were committed.
    let mut left = 600;
    while rows(&url, "users") != rows(&copy, "recipients") {
        left -= 1;
        assert!(left > 0, "{:?} {:?} {:?}", rows(&url, "users"), rows(&copy, "recipients"), status.borrow());
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(!rows(&url, "users").is_empty());
    drop(stop);
    subscribing.block_on(ended).unwrap().unwrap();
    publisher.shut_down(Duration::from_secs(10));
}
