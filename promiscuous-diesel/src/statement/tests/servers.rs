//! The same question to PostgreSQL and MariaDB: does what passes leave the published rows alone? Runs where `TEST_POSTGRES_URL` or
//! `TEST_MARIADB_URL` names a server, with a user who may create databases.

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::Text;
use promiscuous_core::database::Dialect::{self, Mysql, Postgres};
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use super::properties::passes;
use super::written::{HARMLESS, mutated, mutations, writes};
use super::{statements, tables};
use crate::statement::{Plan, Verb, plan};

const SCHEMA: &str =
    "CREATE TABLE users (id BIGINT KEY, name VARCHAR(40) UNIQUE, email VARCHAR(40), secret VARCHAR(40));
     CREATE TABLE links (user_id BIGINT, team_id BIGINT, note VARCHAR(40), PRIMARY KEY (user_id, team_id));
     CREATE TABLE posts (id BIGINT PRIMARY KEY, user_id BIGINT, title VARCHAR(40), draft VARCHAR(40));
     CREATE TABLE teams (id BIGINT KEY, user_id BIGINT, name VARCHAR(40));
     INSERT INTO users (id, name, email, secret) VALUES (1, 'Ann', 'a@x', 's'), (2, 'Ben', 'b@x', 's');
     INSERT INTO links (user_id, team_id, note) VALUES (1, 1, 'x'), (2, 1, NULL);
     INSERT INTO posts (id, user_id, title, draft) VALUES (1, 1, 'Hello', 'y');
     INSERT INTO teams (id, user_id, name) VALUES (11, 1, 'red'), (12, 2, 'blue');";

/// What is published, in one text for each row.
const ROWS: &str =
    "SELECT CONCAT_WS('|', 'users', id, COALESCE(name, '-'), COALESCE(email, '-')) AS published FROM users
     UNION ALL SELECT CONCAT_WS('|', 'links', user_id, team_id, COALESCE(note, '-')) FROM links
     UNION ALL SELECT CONCAT_WS('|', 'posts', id, user_id, COALESCE(title, '-'), COALESCE(draft, '-')) FROM posts
     ORDER BY 1";

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Text)]
    published: String,
}

/// A database of its own.
enum Witness {
    Postgres(PgConnection),
    Mysql(MysqlConnection),
}

impl Witness {
    /// If there is a server.
    fn on(dialect: Dialect) -> Option<Self> {
        let name = format!("planner_{}", uuid::Uuid::now_v7().simple());
        let create = format!("CREATE DATABASE {name}");
        let beside = |url: &str| format!("{}/{name}", url.rsplit_once('/').map_or(url, |(server, _)| server));
        let mut witness = match dialect {
            Postgres => {
                let url = std::env::var("TEST_POSTGRES_URL").ok()?;
                PgConnection::establish(&url).unwrap().batch_execute(&create).unwrap();
                Self::Postgres(PgConnection::establish(&beside(&url)).unwrap())
            }
            _ => {
                let url = std::env::var("TEST_MARIADB_URL").ok()?;
                MysqlConnection::establish(&url).unwrap().batch_execute(&create).unwrap();
                Self::Mysql(MysqlConnection::establish(&beside(&url)).unwrap())
            }
        };
        let key =
            if dialect == Postgres { "BIGSERIAL PRIMARY KEY" } else { "BIGINT AUTO_INCREMENT PRIMARY KEY" };
        witness.execute(&SCHEMA.replace("BIGINT KEY", key)).unwrap();
        Some(witness)
    }

    fn execute(&mut self, sql: &str) -> QueryResult<()> {
        match self {
            Self::Postgres(connection) => connection.batch_execute(sql),
            Self::Mysql(connection) => connection.batch_execute(sql),
        }
    }

    fn published(&mut self) -> QueryResult<Vec<String>> {
        let rows: QueryResult<Vec<Row>> = match self {
            Self::Postgres(connection) => diesel::sql_query(ROWS).load(connection),
            Self::Mysql(connection) => diesel::sql_query(ROWS).load(connection),
        };
        rows.map(|rows| rows.into_iter().map(|row| row.published).collect())
    }

    /// Runs a text and takes it back. Answers whether it ran.
    fn leaves_alone(&mut self, sql: &str) -> bool {
        let before = self.published().unwrap();
        self.execute("BEGIN").unwrap();
        let ran = self.execute(sql).is_ok();
        // After an error PostgreSQL answers nothing, and has changed nothing.
        if let Ok(after) = self.published() {
            assert_eq!(after, before, "passed, and changed a published row: {sql}");
        }
        self.execute("ROLLBACK").unwrap();
        assert_eq!(self.published().unwrap(), before, "passed, and changed a published row for good: {sql}");
        ran
    }

    /// Whether the server can prepare a statement.
    fn prepares(&mut self, sql: &str) -> bool {
        let prepare = match self {
            // The type of a bind that is not used cannot be told; Diesel tells the types of all.
            Self::Postgres(_) => {
                let value = |sql: String, bind| sql.replace(&format!("${bind}"), "'1'");
                format!("PREPARE asked AS {}", (1..9).fold(sql.to_owned(), value))
            }
            Self::Mysql(_) => {
                format!("PREPARE asked FROM '{}'", sql.replace('\\', "\\\\").replace('\'', "''"))
            }
        };
        let prepared = self.execute(&prepare).is_ok();
        if prepared {
            self.execute("DEALLOCATE PREPARE asked").unwrap();
        }
        prepared
    }
}

/// Whether a text may be run here: some change what is looked at, the session or the server, and some wait.
fn may_run(sql: &str) -> bool {
    let folded = sql.to_ascii_lowercase();
    let words = [
        "alter", "change", "comment", "copy", "create", "drop", "flush", "grant", "handler", "import",
        "kill", "load", "lock", "outfile", "purge", "rename", "reset", "revoke", "set ", "shutdown", "sleep",
        "stop", "truncate", "use ", "vacuum",
    ];
    // UPDATE … SET is none of these. (Diesel's `batch_execute("")` crashes in libmariadb.)
    !sql.is_empty()
        && !words.iter().any(|word| folded.starts_with(word) || (*word != "set " && folded.contains(word)))
}

fn ask(dialect: Dialect, least: usize) {
    let Some(mut witness) = Witness::on(dialect) else { return };
    let own: Vec<_> = statements().filter(|(of, ..)| *of == dialect).map(|(_, sql, _)| sql).collect();
    let known: Vec<_> = own.iter().copied().chain(HARMLESS.into_iter().cycle().take(400)).collect();
    let text = prop_oneof![
        3 => any::<Index>().prop_map(move |at| (*at.get::<&str>(&known)).to_owned()),
        1 => writes(dialect).prop_map(|write| write.sql),
    ];
    let made_up = (text, mutations()).prop_map(|(text, changes)| mutated(&text, &changes));
    let mut runner =
        TestRunner::new(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() });
    let made_up: Vec<_> = (0..3_000).map(|_| made_up.new_tree(&mut runner).unwrap().current()).collect();
    let own = own.iter().map(|sql| mutated(sql, &[]));
    let passing = own.chain(made_up).filter(|sql| may_run(sql) && passes(sql, dialect));
    let (mut asked, mut ran) = (0, 0);
    for sql in passing {
        asked += 1;
        ran += usize::from(witness.leaves_alone(&sql));
    }
    println!("{dialect:?}: {asked} passed, {ran} of them ran");
    assert!(ran >= least, "{asked} passed, but only {ran} ran");
}

#[test]
fn what_passes_on_postgres_changes_no_published_row() {
    ask(Postgres, 100);
}

#[test]
fn what_passes_on_mariadb_changes_no_published_row() {
    ask(Mysql, 100);
}

#[test]
fn the_server_can_select_what_a_write_means() {
    for dialect in [Postgres, Mysql] {
        let Some(mut witness) = Witness::on(dialect) else { continue };
        let mut selected = 0;
        for (_, sql, _) in statements().filter(|(of, ..)| *of == dialect) {
            let Plan::Write(writing) = plan(sql, dialect, &tables()) else { continue };
            let (Verb::Update { condition } | Verb::Delete { condition }) = &writing.verb else { continue };
            if !witness.prepares(sql) {
                continue;
            }
            let tables = tables();
            let key = tables.table(writing.table).unwrap().primary_key.iter();
            let key: Vec<_> = key.map(|column| format!("{}.{column}", writing.qualifier)).collect();
            let select =
                format!("SELECT {} FROM {} {} FOR UPDATE", key.join(", "), writing.target, condition.text);
            assert!(witness.prepares(&select), "{sql}\n{select}");
            selected += 1;
        }
        assert!(selected >= 12, "{dialect:?}: only {selected}");
    }
}
