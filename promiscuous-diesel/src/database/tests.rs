use std::future::Future;
use std::pin::Pin;
use std::task::{Context as TaskContext, Poll};
use std::time::{Duration, Instant};

use promiscuous_core::config::SecretUrl;
use promiscuous_core::database::SqlValue;
use promiscuous_core::key::Endpoint;
use promiscuous_core::operation::OperationKind;

use super::*;
use crate::pool::open;
use crate::test_databases::{TestDatabase, on_each};

on_each! {
    values_and_types_of_core_s_tables_come_back = values;
    errors_are_understood = errors;
    a_transaction_is_whole_or_nothing = transactions;
    whoever_goes_away_at_any_await_leaves_nothing_behind = cancelled;
    the_database_s_thread_survives_a_panic = panics;
    the_callers_context_reaches_the_models_code = contexts;
}

fn nothing<C>(_: &mut C, _: &Operation) -> Result<(), ApplyError> {
    Ok(())
}

fn insert(dialect: Dialect, name: &str, value: i64) -> Sql {
    let mut sql = Sql::new(dialect, "INSERT INTO promiscuous_meta (name, value) VALUES ");
    sql.bind_list([SqlValue::from(name), value.into()]);
    sql
}

async fn names(database: &dyn Database) -> Vec<String> {
    let sql = Sql::new(database.dialect(), "SELECT name FROM promiscuous_meta ORDER BY name");
    let rows = database.query(sql, &[SqlType::Text]).await.unwrap();
    rows.into_iter()
        .map(|row| if let SqlValue::Text(name) = &row[0] { name.clone() } else { panic!() })
        .collect()
}

async fn values<DB: PromiscuousBackend>(test: TestDatabase) {
    test.create::<DB>("");
    let database = test.database::<DB>(1, nothing);
    let dialect = database.dialect();
    // Integers of two widths, any text, and more values than are prepared for good.
    let mut sql =
        Sql::new(dialect, "INSERT INTO promiscuous_outbox (op, state, created_at, message) VALUES ");
    for number in 0..30_i64 {
        if number > 0 {
            sql.push(", ");
        }
        let op = format!("{number:036}");
        let message = format!("?$1 'it''s' ☃ \\ {number}");
        sql.bind_list([SqlValue::from(op), number.into(), (i64::MAX - number).into(), message.into()]);
    }
    assert_eq!(database.execute(sql).await.unwrap(), 30);
    let mut sql =
        Sql::new(dialect, "SELECT op, state, created_at, message FROM promiscuous_outbox WHERE op IN ");
    sql.bind_in((7..12_i64).map(|number| format!("{number:036}"))).push(" ORDER BY op");
    let types = [SqlType::Text, SqlType::Int, SqlType::Int, SqlType::Text];
    let rows = database.query(sql, &types).await.unwrap();
    assert_eq!(rows.len(), 5);
    let expected: SqlRow = vec![
        format!("{:036}", 11).into(),
        11_i64.into(),
        (i64::MAX - 11).into(),
        "?$1 'it''s' ☃ \\ 11".into(),
    ];
    assert_eq!(rows[4], expected);
    let mut sql = Sql::new(dialect, "UPDATE promiscuous_outbox SET state = 3 WHERE state < ");
    sql.bind(2_i64);
    assert_eq!(database.execute(sql).await.unwrap(), 2);
    // NULL, both ways.
    let mut sql = Sql::new(dialect, "SELECT MAX(value), MAX(name) FROM promiscuous_meta WHERE name = ");
    sql.bind(SqlValue::Null);
    let rows = database.query(sql, &[SqlType::Int, SqlType::Text]).await.unwrap();
    assert_eq!(rows, [[SqlValue::Null, SqlValue::Null]]);
}

async fn errors<DB: PromiscuousBackend>(test: TestDatabase) {
    test.create::<DB>("");
    let database = test.database::<DB>(2, nothing);
    let dialect = database.dialect();
    database.execute(insert(dialect, "a", 1)).await.unwrap();
    let kind = |error: DatabaseError| error.kind;
    let twice = database.execute(insert(dialect, "a", 2)).await.map_err(kind);
    assert_eq!(twice, Err(DatabaseErrorKind::UniqueViolation));
    let wrong = database.execute(Sql::new(dialect, "INSERT INTO nowhere VALUES (1)")).await.map_err(kind);
    assert_eq!(wrong, Err(DatabaseErrorKind::Other));

    // Two who want the same row.
    let mut one = database.begin().await.unwrap();
    one.execute(update(dialect, "a")).await.unwrap();
    let waiting = async {
        let mut two = database.begin().await?;
        let timeout = match dialect {
            Dialect::Postgres => "SET LOCAL lock_timeout = 100",
            Dialect::Mysql => "SET innodb_lock_wait_timeout = 1",
            Dialect::Sqlite => "SELECT 1",
        };
        two.execute(Sql::new(dialect, timeout)).await?;
        two.execute(update(dialect, "a")).await
    };
    assert_eq!(waiting.await.map_err(kind), Err(DatabaseErrorKind::Contention));
    one.commit().await.unwrap();

    if dialect != Dialect::Sqlite {
        deadlock(database.as_ref()).await;
        lost_connections(&test, database.as_ref()).await;
    }
}

fn update(dialect: Dialect, name: &str) -> Sql {
    let mut sql = Sql::new(dialect, "UPDATE promiscuous_meta SET value = value + 1 WHERE name = ");
    sql.bind(name);
    sql
}

async fn deadlock(database: &dyn Database) {
    let dialect = database.dialect();
    database.execute(insert(dialect, "b", 1)).await.unwrap();
    let (mut one, mut two) = (database.begin().await.unwrap(), database.begin().await.unwrap());
    one.execute(update(dialect, "a")).await.unwrap();
    two.execute(update(dialect, "b")).await.unwrap();
    let crossing = |transaction: Box<dyn Transaction>, name: &'static str| async move {
        let mut transaction = transaction;
        transaction.execute(update(dialect, name)).await.map_err(|error| error.kind)
        // Dropped here, so that the other one can go on.
    };
    let both: [_; 2] = tokio::join!(crossing(one, "b"), crossing(two, "a")).into();
    assert!(both.contains(&Err(DatabaseErrorKind::Contention)), "{both:?}");
    assert!(both.contains(&Ok(1)), "{both:?}");
}

/// A server that closes connections: the error says so, and the pool recovers by itself.
async fn lost_connections(test: &TestDatabase, database: &dyn Database) {
    let dialect = database.dialect();
    let name = test.url.rsplit_once('/').unwrap().1.to_owned();
    let mut open = database.begin().await.unwrap();
    let killer = test.database_of_server(dialect);
    let (find, kill) = match dialect {
        Dialect::Postgres => {
            ("SELECT pid FROM pg_stat_activity WHERE datname = ", ["SELECT pg_terminate_backend(", ")"])
        }
        _ => ("SELECT id FROM information_schema.processlist WHERE db = ", ["KILL ", ""]),
    };
    let mut sql = Sql::new(dialect, find);
    sql.bind(name);
    for row in killer.query(sql, &[SqlType::Int]).await.unwrap() {
        let SqlValue::Int(id) = row[0] else { panic!() };
        killer.execute(Sql::new(dialect, &kill.join(&id.to_string()))).await.unwrap();
    }
    let lost = open.execute(update(dialect, "a")).await.map_err(|error| error.kind);
    assert_eq!(lost, Err(DatabaseErrorKind::Connection));
    assert!(open.commit().await.is_err());
    database.execute(update(dialect, "a")).await.unwrap();
}

async fn transactions<DB: PromiscuousBackend>(test: TestDatabase) {
    test.create::<DB>("");
    let database = test.database::<DB>(2, nothing);
    let dialect = database.dialect();
    let mut transaction = database.begin().await.unwrap();
    transaction.execute(insert(dialect, "committed", 1)).await.unwrap();
    let rows =
        transaction.query(Sql::new(dialect, "SELECT value FROM promiscuous_meta"), &[SqlType::Int]).await;
    assert_eq!(rows.unwrap(), [[SqlValue::Int(1)]]);
    assert!(names(database.as_ref()).await.is_empty(), "not before it is committed");
    transaction.commit().await.unwrap();

    let mut transaction = database.begin().await.unwrap();
    transaction.execute(insert(dialect, "rolled back", 1)).await.unwrap();
    transaction.rollback().await.unwrap();
    let mut transaction = database.begin().await.unwrap();
    transaction.execute(insert(dialect, "dropped", 1)).await.unwrap();
    drop(transaction);
    // More often than there are connections: each one comes back.
    for number in 0..5 {
        let mut transaction = database.begin().await.unwrap();
        transaction.execute(insert(dialect, &format!("n{number}"), 1)).await.unwrap();
        transaction.commit().await.unwrap();
    }
    assert_eq!(names(database.as_ref()).await, ["committed", "n0", "n1", "n2", "n3", "n4"]);
}

/// A future that is given up after so many polls that made no end of it.
struct GivenUp<F> {
    future: Pin<Box<F>>,
    polls: usize,
}

impl<F: Future> Future for GivenUp<F> {
    type Output = Option<F::Output>;
    fn poll(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Self::Output> {
        if self.polls == 0 {
            return Poll::Ready(None);
        }
        self.polls -= 1;
        match self.future.as_mut().poll(cx) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            // The last poll was the last one: what was begun there goes on while nobody waits for it.
            Poll::Pending if self.polls == 0 => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    }
}

async fn cancelled<DB: PromiscuousBackend>(test: TestDatabase) {
    test.create::<DB>("");
    // One connection only: if one came back with an open transaction, the next would fail in it.
    let database = test.database::<DB>(1, nothing);
    let dialect = database.dialect();
    let mut attempts = Vec::new();
    for _ in 0..10 {
        // How far a future gets in so many polls depends on how fast the other thread is: so again and again.
        for polls in 1.. {
            let attempt = format!("{:03}", attempts.len());
            let work = async {
                let mut transaction = database.begin().await.unwrap();
                transaction.execute(insert(dialect, &format!("{attempt} first"), 1)).await.unwrap();
                transaction.execute(insert(dialect, &format!("{attempt} second"), 1)).await.unwrap();
                transaction.commit().await.unwrap();
            };
            let committed = GivenUp { future: Box::pin(work), polls }.await.is_some();
            // The next one gets the connection when the last one's thread has let go of it, and can use it.
            database.execute(insert(dialect, &format!("{attempt} next"), 1)).await.unwrap();
            attempts.push((attempt, committed));
            assert!(polls < 100, "it never ends");
            if committed {
                break;
            }
        }
    }
    let names = names(database.as_ref()).await;
    for (attempt, committed) in &attempts {
        let is_there = |what: &str| names.contains(&format!("{attempt} {what}"));
        assert!(is_there("next"));
        assert_eq!(is_there("first"), is_there("second"), "whole or nothing: {attempts:?} {names:?}");
        assert!(is_there("first") || !committed, "what was answered is there: {attempts:?} {names:?}");
    }
    assert!(attempts.iter().any(|(_, committed)| !committed), "none was given up: {attempts:?}");
}

async fn panics<DB: PromiscuousBackend>(test: TestDatabase) {
    test.create::<DB>("");
    let database = test.database::<DB>(1, |_: &mut Connection<DB>, _: &Operation| panic!("on purpose"));
    let mut transaction = database.begin().await.unwrap();
    transaction.execute(insert(database.dialect(), "a", 1)).await.unwrap();
    assert!(transaction.apply(&operation()).await.is_err());
    assert!(transaction.commit().await.is_err());
    assert!(names(database.as_ref()).await.is_empty());
}

async fn contexts<DB: PromiscuousBackend>(test: TestDatabase) {
    test.create::<DB>("");
    let database = test.database::<DB>(1, |_: &mut Connection<DB>, operation: &Operation| {
        let name = Context::current().map(|context| context.name().to_owned());
        assert_eq!(name.as_deref(), Some(operation.id.as_str()));
        Ok(())
    });
    let applied = Context::new("5").scope(async {
        let mut transaction = database.begin().await.unwrap();
        transaction.apply(&operation()).await
    });
    applied.await.unwrap();
}

fn operation() -> Operation {
    Operation {
        operation: OperationKind::Create,
        endpoint: Endpoint::parse("a/b").unwrap(),
        types: vec!["B".into()],
        id: "5".into(),
        attributes: None,
    }
}

impl TestDatabase {
    /// Another database of the same server.
    fn database_of_server(&self, dialect: Dialect) -> Arc<dyn Database> {
        let variable = if dialect == Dialect::Postgres { "TEST_POSTGRES_URL" } else { "TEST_MARIADB_URL" };
        let url = SecretUrl::new(std::env::var(variable).unwrap());
        match dialect {
            Dialect::Postgres => Arc::new(DieselDatabase::new(
                open(Manager::<diesel::pg::Pg>::plain(url).unwrap(), 1).unwrap(),
                |_, _| Ok(()),
            )),
            _ => Arc::new(DieselDatabase::new(
                open(Manager::<diesel::mysql::Mysql>::plain(url).unwrap(), 1).unwrap(),
                |_, _| Ok(()),
            )),
        }
    }
}

/// What a transaction's hop between threads costs: `cargo test --release … -- --ignored --nocapture hops`.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
#[ignore = "measures"]
async fn hops() {
    let test = TestDatabase::sqlite();
    test.create::<diesel::sqlite::Sqlite>("");
    let database = test.database::<diesel::sqlite::Sqlite>(1, nothing);
    let transactions = 200;
    let (began, mut applying) = (Instant::now(), Duration::ZERO);
    for _ in 0..transactions {
        let mut transaction = database.begin().await.unwrap();
        let before = Instant::now();
        for _ in 0..100 {
            transaction.apply(&operation()).await.unwrap();
        }
        applying += before.elapsed();
        transaction.rollback().await.unwrap();
    }
    let whole = (began.elapsed() - applying) / transactions;
    println!("a hop: {:?}; begin and rollback: {whole:?}", applying / (transactions * 100));
}
