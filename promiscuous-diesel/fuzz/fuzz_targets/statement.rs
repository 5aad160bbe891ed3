//! No text makes the planner panic, and nothing that passes changes a published row of SQLite's.

#![no_main]

use std::cell::RefCell;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::Text;
use libfuzzer_sys::fuzz_target;
use promiscuous_core::database::Dialect;
use promiscuous_diesel::statement::{Plan, Table, Tables, plan, plan_script};

thread_local! {
    static DATABASE: RefCell<SqliteConnection> = RefCell::new(database());
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Text)]
    published: String,
}

fuzz_target!(|sql: &str| {
    let tables = Tables::new(["users", "posts"].map(|name| Table {
        name: name.into(),
        schema: None,
        primary_key: vec!["id".into()],
        attribute_columns: vec!["name".into()],
        has_virtual_attributes: false,
    }));
    for dialect in [Dialect::Postgres, Dialect::Mysql] {
        plan(sql, dialect, &tables);
        let _ = plan_script(sql, dialect, &tables);
    }
    let passes = matches!(plan(sql, Dialect::Sqlite, &tables), Plan::Pass | Plan::Commit | Plan::Read(_))
        || plan_script(sql, Dialect::Sqlite, &tables).is_ok();
    // Definitions change what is looked at, some statements leave the database, and a recursive query may never end.
    let folded = sql.to_ascii_lowercase();
    let other = ["trigger", "drop", "alter", "attach", "vacuum", "pragma", "recursive", "blob", "random"];
    if !passes || other.iter().any(|word| folded.contains(word)) {
        return;
    }
    DATABASE.with_borrow_mut(|connection| {
        let before = published(connection);
        connection.batch_execute("BEGIN").expect("a transaction begins");
        let _ = connection.batch_execute(sql);
        let after = published(connection);
        if connection.batch_execute("ROLLBACK").is_err() {
            *connection = database();
        }
        assert_eq!(before, after, "passed, and changed a published row: {sql}");
    });
});

fn database() -> SqliteConnection {
    let mut connection = SqliteConnection::establish(":memory:").expect("SQLite needs no server");
    connection
        .batch_execute(
            "CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT, secret TEXT);
             CREATE TABLE posts (id INTEGER PRIMARY KEY, name TEXT, user_id INTEGER);
             CREATE TABLE teams (id INTEGER PRIMARY KEY, name TEXT, user_id INTEGER);
             INSERT INTO users VALUES (1, 'Ann', 's'), (2, 'Ben', NULL);
             INSERT INTO posts VALUES (1, 'Hello', 1);
             INSERT INTO teams VALUES (1, 'red', 1), (2, 'blue', 2);",
        )
        .expect("the tables are new");
    connection
}

fn published(connection: &mut SqliteConnection) -> Vec<String> {
    let rows: Vec<Row> = diesel::sql_query(
        "SELECT 'users ' || quote(id) || quote(name) AS published FROM main.users
         UNION ALL SELECT 'posts ' || quote(id) || quote(name) FROM main.posts ORDER BY 1",
    )
    .load(connection)
    .expect("the tables are still there");
    rows.into_iter().map(|row| row.published).collect()
}
