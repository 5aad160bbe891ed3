//! Texts of several statements: migrations.

use promiscuous_core::database::Dialect;
use promiscuous_core::database::Dialect::{Mysql, Postgres, Sqlite};

use super::tables;
use crate::statement::{Refusal, Script, is_empty, plan_script};

fn judged(sql: &str, dialect: Dialect) -> String {
    match plan_script(sql, dialect, &tables()) {
        Ok(Script { commits: false }) => "pass".into(),
        Ok(Script { commits: true }) => "commit".into(),
        Err(Refusal { statement, .. }) => format!("no: {statement}"),
    }
}

#[test]
fn migrations_pass_and_unseen_writes_do_not() {
    let rows: &[(Dialect, &str, &str)] = &[
        (Postgres, "CREATE TABLE users (id BIGSERIAL PRIMARY KEY); CREATE INDEX i ON users (id);", "pass"),
        (Postgres, "ALTER TABLE users ADD COLUMN name TEXT; INSERT INTO teams (name) VALUES ('users');", "pass"),
        (Postgres, "CREATE TABLE a (); -- users; delete\nDELETE FROM users;", "no: DELETE in a script"),
        (Postgres, "UPDATE users SET secret = 'x'; SELECT * FROM users", "pass"),
        (Postgres, "UPDATE users SET name = 'x'", "no: UPDATE in a script"),
        (Postgres, "INSERT INTO users (name) VALUES ('x');", "no: INSERT in a script"),
        (Postgres, "BEGIN; ALTER TABLE users ADD x INT; COMMIT;", "no: BEGIN"),
        (Postgres, "ALTER TABLE users ADD x INT; COMMIT", "no: COMMIT"),
        (Postgres, "SELECT setval('users_id_seq', 1);", "pass"),
        (
            Postgres,
            "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $f$ BEGIN DELETE FROM users; RETURN NEW; END $f$;
             CREATE TRIGGER t AFTER INSERT ON teams FOR EACH ROW EXECUTE PROCEDURE f();",
            "pass",
        ),
        (
            Postgres,
            "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $f$ BEGIN RETURN NEW; END $f$; DELETE FROM users;",
            "no: DELETE in a script",
        ),
        (
            Postgres,
            "CREATE OR REPLACE FUNCTION f() RETURNS int BEGIN ATOMIC
               DELETE FROM users; SELECT CASE WHEN true THEN 1 END;
             END; TRUNCATE users",
            "no: TRUNCATE",
        ),
        (Postgres, "CREATE FUNCTION begin() RETURNS int LANGUAGE sql AS 'x'; DELETE FROM users", "no: DELETE in a script"),
        (
            Postgres,
            "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; DELETE FROM users",
            "no: a script that cannot be read (the body of a routine has no end)",
        ),
        (Mysql, "CREATE TABLE a (x INT); ALTER TABLE users ADD y INT", "commit"),
        (Mysql, "INSERT INTO teams (name) VALUES ('it\\'s; DELETE FROM users;')", "pass"),
        (
            Mysql,
            "CREATE TRIGGER t BEFORE INSERT ON teams FOR EACH ROW BEGIN
               IF NEW.id > 1 THEN DELETE FROM users; END IF;
               CASE NEW.id WHEN 1 THEN SET NEW.id = 2; END CASE;
             END; DELETE FROM users",
            "no: DELETE in a script",
        ),
        (
            Mysql,
            "CREATE DEFINER = 'a'@'b' PROCEDURE p() BEGIN DELETE FROM users; END; CREATE TABLE x (y INT)",
            "commit",
        ),
        (Mysql, "CREATE TRIGGER t BEFORE INSERT ON teams FOR EACH ROW DELETE FROM users; SELECT 1", "commit"),
        (
            Mysql,
            "CREATE TABLE procedure_log (begin INT); DELETE FROM users; CREATE TABLE x (end INT)",
            "no: DELETE in a script",
        ),
        (Mysql, "SELECT 1; /*!50000 DELETE FROM users */;", "no: DELETE in a script"),
        (Mysql, "/*!40101 SET NAMES utf8 */; /*!40000 ALTER TABLE users DISABLE KEYS */;", "commit"),
        (
            Sqlite,
            "CREATE TABLE users_new (id INTEGER PRIMARY KEY); INSERT INTO users_new SELECT id FROM users;
             DROP TABLE users; ALTER TABLE users_new RENAME TO users;",
            "pass",
        ),
        (
            Sqlite,
            "CREATE TRIGGER t AFTER INSERT ON teams BEGIN UPDATE users SET name = 'x'; SELECT CASE 1 WHEN 1 THEN 2 END; END;
             CREATE TABLE y (x);",
            "pass",
        ),
        (
            Sqlite,
            "CREATE TRIGGER t AFTER INSERT ON teams BEGIN SELECT 1; END; UPDATE users SET name = 'x';",
            "no: UPDATE in a script",
        ),
        (
            Sqlite,
            "CREATE TRIGGER t AFTER INSERT ON teams BEGIN SELECT 1; UPDATE users SET name = 'x';",
            "no: a script that cannot be read (the body of a trigger has no end)",
        ),
        (
            Sqlite,
            "CREATE TABLE a (x); DELETE FROM users; CREATE TRIGGER t AFTER INSERT ON a BEGIN SELECT 1; END",
            "no: DELETE in a script",
        ),
        (Sqlite, "PRAGMA foreign_keys = OFF; REPLACE INTO users VALUES (1)", "no: REPLACE"),
        (Sqlite, "", "pass"),
        (Sqlite, ";;-- nothing", "pass"),
    ];
    for (dialect, sql, expected) in rows {
        assert_eq!(judged(sql, *dialect), *expected, "{dialect:?}: {sql}");
    }
}

#[test]
fn a_text_without_a_statement_is_told_from_one_that_may_have_some() {
    for blank in ["", " \n", ";", " ; ;", "-- x\n;", "# x", "/* ; */", "/*! */"] {
        assert!(is_empty(blank, Mysql), "{blank}");
    }
    for other in ["SELECT 1", ";;DO 1", "/*! DO 1 */", "/*!99999 DO 1 */", "/* x", "'"] {
        assert!(!is_empty(other, Mysql), "{other}");
    }
    assert!(!is_empty("# x", Postgres));
}
