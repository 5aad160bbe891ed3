//! Existing Diesel code runs unchanged, but for the type alias of its connection: an app that follows Diesel's guides is compiled
//! with Diesel's own connection and with the wrapped one, and must do and say the same. Each runs as a process of its own, with a
//! database of its own: it is configured by the environment, and prints.

// The same app for each kind of connection.
#![allow(clippy::duplicate_mod)]

mod mysql;
mod postgres;
mod replication;
mod sqlite;

use std::env;
use std::io::Write;
use std::process::{Command, Output, Stdio};

use diesel::{Connection, MysqlConnection, PgConnection};

/// What is typed into the blog's first post.
const TYPED: &str = "Diesel and causality\nFirst line,\nsecond line.\n";
/// Between what the test's own process prints and what the blog does.
const EDGE: &str = "\n-- the blog --\n";

/// The blog on one kind of database.
struct Guide {
    /// The test of it.
    test: &'static str,
    /// Runs it as it was.
    plain: fn(),
    /// Runs it with the one line changed.
    promiscuous: fn(),
    /// Creates its tables in another database.
    create: fn(&str),
    /// All its rows, with or without what depends on the clock.
    rows: fn(&str, bool) -> Vec<String>,
}

impl Guide {
    /// Runs one of the two, so that what it says can be told from what else is printed.
    fn tell(&self, run: fn()) {
        print!("{EDGE}");
        run();
        print!("{EDGE}");
    }

    /// Given the blog, as it was and with the wrapped connection, when both run on databases of their own, then they say the same
    /// and leave the same rows, and what the second one has published makes these rows again elsewhere.
    fn compare(&self, database: impl Fn(&str) -> String) {
        let (plain, promiscuous, replica) = (database("plain"), database("promiscuous"), database("replica"));
        (self.create)(&replica);

        let before = self.again("plain", &plain, &replica);
        let after = self.again("promiscuous", &promiscuous, &replica);

        assert_eq!(after, before);
        assert!(before.contains("Published post Diesel and causality"), "{before}");
        assert_eq!((self.rows)(&promiscuous, false), (self.rows)(&plain, false));
        let rows = (self.rows)(&promiscuous, true);
        assert!(rows.len() > 10, "{rows:?}");
        assert_eq!((self.rows)(&replica, true), rows);
    }

    /// Runs the test in another process, which plays this role. Answers with what the blog said.
    fn again(&self, role: &str, url: &str, replica: &str) -> String {
        let mut process = Command::new(env::current_exe().unwrap())
            .args([self.test, "--exact", "--nocapture"])
            .env("GUIDES_ROLE", role)
            .env("DATABASE_URL", url)
            .env("REPLICA_URL", replica)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        process.stdin.take().unwrap().write_all(TYPED.as_bytes()).unwrap();
        let Output { stdout, stderr, status } = process.wait_with_output().unwrap();
        let (stdout, stderr) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
        assert!(status.success(), "{role}:\n{stdout}\n{stderr}");
        stdout.split(EDGE).nth(1).unwrap_or_else(|| panic!("{role}:\n{stdout}")).to_owned()
    }
}

fn role() -> Option<String> {
    env::var("GUIDES_ROLE").ok()
}

/// A database of its own on the server that a variable names.
fn served<C: Connection>(server: &str, name: &str) -> String {
    let name = format!("guides_{}_{name}", std::process::id());
    let script = format!("DROP DATABASE IF EXISTS {name}; CREATE DATABASE {name}");
    for statement in script.split("; ") {
        C::establish(server).unwrap().batch_execute(statement).unwrap();
    }
    format!("{}/{name}", server.rsplit_once('/').map_or(server, |(base, _)| base))
}

/// A test of the blog on one kind of database.
macro_rules! guide {
    ($test:ident, $module:ident, $backend:ty, |$guide:ident| $compare:expr) => {
        #[test]
        fn $test() {
            let $guide = Guide {
                test: stringify!($test),
                plain: $module::plain::blog::run,
                promiscuous: $module::promiscuous::blog::run,
                create: $module::plain::tables::create,
                rows: $module::plain::tables::rows,
            };
            match role().as_deref() {
                Some("plain") => $guide.tell($guide.plain),
                Some(_) => replication::run::<$backend>(&$guide),
                None => $compare,
            }
        }
    };
}

guide!(the_guides_do_and_say_the_same_on_sqlite, sqlite, diesel::sqlite::Sqlite, |guide| {
    let folder = tempfile::tempdir().unwrap();
    guide.compare(|name| folder.path().join(name).display().to_string());
});

guide!(the_guides_do_and_say_the_same_on_postgresql, postgres, diesel::pg::Pg, |guide| {
    let Ok(server) = env::var("TEST_POSTGRES_URL") else { return };
    guide.compare(|name| served::<PgConnection>(&server, name));
});

guide!(the_guides_do_and_say_the_same_on_mariadb, mysql, diesel::mysql::Mysql, |guide| {
    let Ok(server) = env::var("TEST_MARIADB_URL") else { return };
    guide.compare(|name| served::<MysqlConnection>(&server, name));
});
