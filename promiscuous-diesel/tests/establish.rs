//! Existing Diesel code, unchanged but for the type of its connection: the app is started by the first connection, as the environment
//! says. The environment is a process's, so this test runs itself again as another one.

use std::process::{Command, Output};
use std::time::Duration;

use diesel::prelude::*;
use promiscuous_diesel::core::schema::create_tables;
use promiscuous_diesel::{Promiscuous, Publish};

use schema::{posts, promiscuous_outbox};

mod schema {
    diesel::table! {
        posts (id) {
            id -> Integer,
            title -> Text,
            published -> Bool,
        }
    }

    diesel::table! {
        promiscuous_outbox (op) {
            op -> Text,
        }
    }
}

type DbConnection = Promiscuous<SqliteConnection>;

#[derive(Queryable, Selectable, Publish)]
#[diesel(table_name = posts)]
#[publish(attributes(title, published))]
struct Post {
    id: i32,
    title: String,
    published: bool,
}

fn establish_connection() -> ConnectionResult<DbConnection> {
    let database_url = std::env::var("DATABASE_URL").expect("DATABASE_URL must be set");
    DbConnection::establish(&database_url)
}

#[derive(QueryableByName)]
struct Patience {
    #[diesel(sql_type = diesel::sql_types::Integer)]
    timeout: i32,
}

/// What the other process does.
fn getting_started() {
    let connection = &mut match establish_connection() {
        Ok(connection) => connection,
        Err(error) => return println!("refused: {error}"),
    };
    let post: Post = diesel::insert_into(posts::table)
        .values((posts::title.eq("Hello"), posts::published.eq(false)))
        .returning(Post::as_returning())
        .get_result(connection)
        .unwrap();
    let post = diesel::update(posts::table.find(post.id))
        .set(posts::published.eq(true))
        .returning(Post::as_returning())
        .get_result(connection)
        .unwrap();
    // Others at the same time, and another one of the same thread, are of the same app.
    let others: Vec<_> = (0..4).map(|_| std::thread::spawn(|| establish_connection().map(|_| ()))).collect();
    others.into_iter().for_each(|other| other.join().unwrap().unwrap());
    let app = promiscuous_diesel::default_app::<diesel::sqlite::Sqlite>().unwrap();
    println!("{} {} is published by {}", post.title, post.published, app.config().app);
    // What publishes writes to the same database.
    let patience = diesel::sql_query("PRAGMA busy_timeout").get_result::<Patience>(connection).unwrap();
    println!("waits for {} ms", patience.timeout);
    let waiting: i64 = outbox().count().get_result(&mut plain()).unwrap();
    app.shut_down(Duration::from_secs(10));
    let left: i64 = outbox().count().get_result(&mut plain()).unwrap();
    println!("{} left in the outbox of {}", left, if waiting <= 2 { "two" } else { "more" });
}

fn outbox() -> promiscuous_outbox::table {
    promiscuous_outbox::table
}

/// Diesel's own connection.
fn plain() -> SqliteConnection {
    SqliteConnection::establish(&std::env::var("DATABASE_URL").unwrap()).unwrap()
}

#[test]
fn existing_code_publishes_with_nothing_but_the_environment() {
    if std::env::var_os("GETTING_STARTED").is_some() {
        return getting_started();
    }
    let folder = tempfile::tempdir().unwrap();
    let url = folder.path().join("blog.sqlite").display().to_string();
    let mut connection = SqliteConnection::establish(&url).unwrap();
    let tables = "CREATE TABLE posts (id INTEGER NOT NULL PRIMARY KEY, title TEXT NOT NULL, published BOOLEAN NOT NULL)";
    diesel::sql_query(tables).execute(&mut connection).unwrap();

    // Not configured: the error says by what.
    let said = again(&url, &[]);
    assert!(said.contains("refused: ") && said.contains("PROMISCUOUS_APP"), "{said}");

    // No promiscuous tables yet.
    let configured =
        [("PROMISCUOUS_APP", "blog"), ("AMQP_URL", "memory://blog"), ("REDIS_URL", "memory://blog")];
    let said = again(&url, &configured);
    assert!(said.contains("refused: ") && said.contains("promiscuous migrate"), "{said}");

    for table in create_tables(promiscuous_diesel::core::database::Dialect::Sqlite) {
        diesel::sql_query(table).execute(&mut connection).unwrap();
    }
    let said = again(&url, &configured);
    assert!(said.contains("Hello true is published by blog"), "{said}");
    assert!(said.contains("waits for 5000 ms"), "{said}");
    assert!(said.contains("0 left in the outbox of two"), "{said}");
}

/// Runs this test in another process.
fn again(url: &str, environment: &[(&str, &str)]) -> String {
    let Output { stdout, stderr, status } = Command::new(std::env::current_exe().unwrap())
        .args(["existing_code_publishes_with_nothing_but_the_environment", "--exact", "--nocapture"])
        .env_remove("PROMISCUOUS_APP")
        .env("GETTING_STARTED", "1")
        .env("DATABASE_URL", url)
        .envs(environment.iter().copied())
        .output()
        .unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(status.success(), "{text}");
    text
}
