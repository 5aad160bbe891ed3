//! No write of a published table passes: SQLite itself is asked.

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::Text;
use promiscuous_core::database::Dialect::{self, Mysql, Postgres, Sqlite};
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use super::written::{HARMLESS, Write, mutated, mutations, writes};
use super::{statements, tables};
use crate::statement::{Plan, plan, plan_script};

/// A failure prints the seed and the smallest text that fails; `PROPTEST_CASES` asks for more.
fn runner(cases: u32) -> TestRunner {
    let usual = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
    let asked = std::env::var("PROPTEST_CASES").is_ok();
    TestRunner::new(if asked { usual } else { ProptestConfig { cases, ..usual } })
}

/// Whether a plan lets a statement run without a look at what it writes.
pub(super) fn passes(sql: &str, dialect: Dialect) -> bool {
    matches!(plan(sql, dialect, &tables()), Plan::Pass | Plan::Commit | Plan::Read(_))
}

/// A database of SQLite's with some rows.
pub(super) struct Witness {
    connection: SqliteConnection,
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Text)]
    row: String,
}

impl Witness {
    pub(super) fn new() -> Self {
        let mut connection = SqliteConnection::establish(":memory:").unwrap();
        connection
            .batch_execute(
                "CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT UNIQUE, email TEXT, secret TEXT, tags TEXT);
                 CREATE TABLE links (user_id INTEGER, team_id INTEGER, note TEXT, PRIMARY KEY (user_id, team_id));
                 CREATE TABLE posts (id INTEGER PRIMARY KEY, user_id INTEGER, title TEXT, draft TEXT);
                 CREATE TABLE teams (id INTEGER PRIMARY KEY, user_id INTEGER, name TEXT);
                 CREATE TABLE d (id INTEGER);
                 INSERT INTO users VALUES (1, 'Ann', 'a@x', 's', NULL), (2, 'Ben', 'b@x', 's', 'users');
                 INSERT INTO links VALUES (1, 1, 'x'), (2, 1, NULL);
                 INSERT INTO posts VALUES (1, 1, 'Hello', 'y');
                 INSERT INTO teams VALUES (1, 1, 'red'), (2, 2, 'blue');",
            )
            .unwrap();
        Self { connection }
    }

    /// What is published of all rows.
    fn published(&mut self) -> Option<Vec<String>> {
        diesel::sql_query(
            "SELECT 'users ' || quote(id) || quote(name) || quote(email) AS row FROM main.users
             UNION ALL SELECT 'links ' || quote(user_id) || quote(team_id) || quote(note) FROM main.links
             UNION ALL SELECT 'posts ' || quote(id) || quote(user_id) || quote(title) || quote(draft) FROM main.posts
             ORDER BY 1",
        )
        .load(&mut self.connection)
        .ok()
        .map(|rows: Vec<Row>| rows.into_iter().map(|row| row.row).collect())
    }

    /// Runs a text and takes it back. Answers whether it ran, and whether a published row was changed.
    pub(super) fn run(&mut self, sql: &str) -> (bool, bool) {
        let before = self.published();
        self.connection.batch_execute("BEGIN").unwrap();
        let ran = self.connection.batch_execute(sql).is_ok();
        let changed = self.published() != before;
        if self.connection.batch_execute("ROLLBACK").is_err() || self.published() != before {
            *self = Self::new();
        }
        (ran, changed)
    }

    /// Whether a text may be run here: one that defines tables changes what is looked at, and some leave the database.
    pub(super) fn may_run(sql: &str) -> bool {
        let folded = sql.to_ascii_lowercase();
        !["trigger", "drop", "alter", "attach", "vacuum", "pragma"].iter().any(|word| folded.contains(word))
    }
}

#[test]
fn a_write_of_a_published_table_never_passes_however_it_is_written() {
    for dialect in [Postgres, Mysql, Sqlite] {
        runner(1_500)
            .run(&writes(dialect), |Write { dialect, sql }| {
                prop_assert!(!passes(&sql, dialect), "{sql}");
                prop_assert!(plan_script(&sql, dialect, &tables()).is_err(), "{sql}");
                Ok(())
            })
            .unwrap();
    }
}

#[test]
fn the_writes_that_are_made_up_do_write() {
    let mut witness = Witness::new();
    let (mut ran, mut changed) = (0, 0);
    let mut runner = runner(500);
    for _ in 0..500 {
        let Write { sql, .. } = writes(Sqlite).new_tree(&mut runner).unwrap().current();
        let (runs, changes) = witness.run(&sql);
        ran += u32::from(runs);
        changed += u32::from(changes);
    }
    assert!(ran > 450 && changed > 430, "{ran} of 500 ran, {changed} changed rows");
}

#[test]
fn what_passes_on_sqlite_changes_no_published_row() {
    // The other dialects' statements make good pieces, but few of them run.
    let corpus: Vec<_> = statements()
        .flat_map(|(dialect, sql, _)| std::iter::repeat_n(sql, if dialect == Sqlite { 5 } else { 1 }))
        .chain(HARMLESS.into_iter().cycle().take(1_000))
        .collect();
    let made_up = writes(Sqlite).prop_map(|write| write.sql).boxed();
    let known = any::<Index>().prop_map(move |at| (*at.get::<&str>(&corpus)).to_owned()).boxed();
    let text =
        (prop_oneof![known.clone(), made_up.clone()], mutations(), prop_oneof![known, made_up], 0..6_u8);
    let witness = std::cell::RefCell::new(Witness::new());
    let counts = std::cell::Cell::new((0, 0));
    runner(6_000)
        .run(&text, |(one, changes, other, joined)| {
            let one = mutated(&one, &changes);
            let sql = match joined {
                0 => format!("{one}; {}", mutated(&other, &[])),
                1 => format!("{one} {}", mutated(&other, &[])),
                _ => one,
            };
            let script = plan_script(&sql, Sqlite, &tables()).is_ok();
            if !Witness::may_run(&sql) || !(script || passes(&sql, Sqlite)) {
                return Ok(());
            }
            let (ran, changed) = witness.borrow_mut().run(&sql);
            prop_assert!(!changed, "passed, and changed a published row: {sql}");
            let (passed, executed) = counts.get();
            counts.set((passed + 1, executed + u32::from(ran)));
            Ok(())
        })
        .unwrap();
    let (passed, executed) = counts.get();
    println!("{passed} passed, {executed} of them ran");
    assert!(executed > 200, "{passed} passed, but only {executed} ran");
}

#[test]
fn no_text_makes_it_panic() {
    let words: Vec<String> = statements().map(|(_, sql, _)| sql.to_owned()).collect();
    let pieces = proptest::collection::vec((any::<Index>(), any::<Index>(), any::<Index>()), 1..4);
    let text = prop_oneof![
        any::<String>(),
        "[a-z'\"`$/*!;()\\[\\]?@:#.,\\\\ \n-]{0,40}",
        pieces.prop_map(move |pieces| {
            // Parts of statements, cut anywhere.
            let piece = |(statement, from, to): (Index, Index, Index)| {
                let chars: Vec<char> = statement.get(&words).chars().collect();
                let (from, to) = (from.index(chars.len()), to.index(chars.len()));
                chars[from.min(to)..from.max(to)].iter().collect::<String>()
            };
            pieces.into_iter().map(piece).collect::<String>()
        })
    ];
    runner(4_000)
        .run(&text, |text| {
            for dialect in [Postgres, Mysql, Sqlite] {
                let mentioning = format!("DELETE FROM users WHERE {text}");
                for sql in [text.as_str(), mentioning.as_str()] {
                    let _ = plan_script(sql, dialect, &tables());
                    plan(sql, dialect, &tables());
                }
                prop_assert!(!passes(&mentioning, dialect), "{mentioning}");
            }
            Ok(())
        })
        .unwrap();
}
