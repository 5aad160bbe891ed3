//! Every way to pool connections: what is written through them is published.

use deadpool_diesel::{Manager as DeadpoolManager, Pool as DeadpoolPool, Runtime as DeadpoolRuntime};
use diesel::r2d2::{ConnectionManager, Pool};
use promiscuous_diesel::{Context, Promiscuous};

use super::replication::number;
use super::shop::{user, users};
use super::*;

/// What the outbox has seen: every op that was ever written there.
struct Watched {
    shop: TestApp,
    running: Running<Sqlite>,
    mailer: Subscribing,
    _mailer: (TestApp, Running<Sqlite>),
}

fn watched() -> Watched {
    let network = network();
    let shop = TestApp::shop(&network);
    let mailer = TestApp::new("mailer", &network, Models::new().subscribe::<mailer::Recipient>());
    let (running, mailer_app) = (shop.start(), mailer.start());
    Watched { shop, running, mailer: Subscribing::start(&mailer_app), _mailer: (mailer, mailer_app) }
}

fn insert(connection: &mut Promiscuous<impl WrappedSqlite>, id: i64) {
    diesel::insert_into(users::table).values(user(id, "Joe")).execute(connection).unwrap();
}

/// What can be wrapped, here.
trait WrappedSqlite: promiscuous_diesel::Wrapped<Backend = Sqlite> {}
impl<C: promiscuous_diesel::Wrapped<Backend = Sqlite>> WrappedSqlite for C {}

#[test]
fn its_own_pool_publishes() {
    let mut watched = watched();
    let pool = watched.running.pool(3).unwrap();
    let threads: Vec<_> = (0..6)
        .map(|id| {
            let pool = pool.clone();
            std::thread::spawn(move || {
                let mut connection = pool.get().unwrap();
                insert(&mut connection, id);
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    watched.mailer.applied(6);
    // One with settings of its own.
    let pool = Pool::builder().max_size(1).build(watched.running.manager()).unwrap();
    insert(&mut pool.get().unwrap(), 7);
    watched.mailer.applied(7);
    assert!(!format!("{:?}", watched.running.manager()).contains("secret"));
}

#[test]
fn a_wrapped_connection_of_a_plain_pool_publishes() {
    let mut watched = watched();
    let manager = ConnectionManager::<SqliteConnection>::new(&watched.shop.url);
    let pool = Pool::builder().max_size(2).build(manager).unwrap();
    for id in 0..3 {
        insert(&mut watched.running.wrap(pool.get().unwrap()), id);
    }
    watched.mailer.applied(3);
}

#[test]
fn a_context_does_not_stay_with_a_pooled_connection() {
    let watched = watched();
    let pool = watched.running.pool(1).unwrap();
    {
        let mut connection = pool.get().unwrap();
        connection.set_context(Some(Context::new("users/list")));
        let _: Vec<shop::User> = users::table.load(&mut connection).unwrap();
    }
    insert(&mut pool.get().unwrap(), 1);
    let context = "SELECT COUNT(*) AS number FROM promiscuous_outbox WHERE message LIKE '%users/list%'";
    assert_eq!(number(&mut watched.shop.plain(), context), 0);
}

/// One test, because there is one default in a process.
#[test]
fn pools_that_establish_connections_themselves_publish_for_the_default_app() {
    // Given an app that is not the default
    let mut watched = watched();
    let url = watched.shop.url.clone();
    watched.running.make_default();
    // When an r2d2 pool, a deadpool and plain code establish connections
    let manager = ConnectionManager::<Promiscuous<SqliteConnection>>::new(&url);
    let pool = Pool::builder().max_size(2).build(manager).unwrap();
    insert_pooled(&mut pool.get().unwrap(), 1);
    insert(&mut Promiscuous::<SqliteConnection>::establish(&url).unwrap(), 2);

    for runtime in [current_thread(), multi_thread()] {
        let (context, url) = (Context::new("users/create"), url.clone());
        runtime.block_on(async move {
            let manager = DeadpoolManager::new(url, DeadpoolRuntime::Tokio1);
            let pool: DeadpoolPool<DeadpoolManager<Promiscuous<SqliteConnection>>> =
                DeadpoolPool::builder(manager).max_size(2).build().unwrap();
            let connection = pool.get().await.unwrap();
            let inserted = connection.interact(move |connection| {
                context.sync_scope(|| {
                    let taken: i64 = users::table.count().get_result(connection).unwrap();
                    insert(connection, 10 + taken);
                });
            });
            inserted.await.unwrap();
        });
    }
    // Then all of it is published
    watched.mailer.applied(4);

    // And a connection to another database is refused: nobody would look after its outbox.
    let other = TestApp::shop(&super::network());
    let refused = Promiscuous::<SqliteConnection>::establish(&other.url).map(|_| ()).unwrap_err();
    assert!(refused.to_string().contains("another database URL"), "{refused}");
    // What the app itself wraps may lead there.
    drop(watched.running.wrap(other.plain()));
    assert!(promiscuous_diesel::default_app::<Sqlite>().is_some());
}

fn insert_pooled(connection: &mut impl diesel::connection::LoadConnection<Backend = Sqlite>, id: i64) {
    diesel::insert_into(users::table).values(user(id, "Joe")).execute(connection).unwrap();
}

fn current_thread() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn multi_thread() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

#[test]
fn blocking_code_publishes_wherever_it_runs() {
    let mut watched = watched();
    let mut db = watched.running.wrap(watched.shop.plain());
    for (id, runtime) in (0..).zip([current_thread(), multi_thread()]) {
        db = runtime.block_on(async move {
            // In an async function, in `spawn_blocking` with the context, and in a local task.
            insert(&mut db, id * 10);
            let mut db = Context::new("users/create")
                .spawn_blocking(move || {
                    insert(&mut db, id * 10 + 1);
                    db
                })
                .await
                .unwrap();
            let local = tokio::task::LocalSet::new();
            let task = async move {
                tokio::task::spawn_local(async move {
                    insert(&mut db, id * 10 + 2);
                    db
                })
                .await
                .unwrap()
            };
            local.run_until(task).await
        });
    }
    watched.mailer.applied(6);
    // The last handles go inside of a runtime.
    multi_thread().block_on(async move {
        drop(db);
        drop(watched.running);
    });
}
