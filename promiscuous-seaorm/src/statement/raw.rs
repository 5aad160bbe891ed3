//! Judges SQL that exists as text only. In doubt it says that the text writes.

use sea_orm::DbBackend;

/// What a text does that matters here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing.
    Harmless,
    /// It begins or ends transactions.
    TransactionControl(String),
    /// It has a keyword that writes (first), and names a table that `is_published` knows (second).
    Writes(String, String),
}

/// What has a body of statements.
const ROUTINES: [&str; 5] = ["trigger", "function", "procedure", "event", "package"];

/// The words that open and close a body of statements.
const BLOCKS: [&str; 3] = ["begin", "case", "end"];

/// What MySQL and MariaDB do not commit an open transaction for. Transaction control is judged elsewhere.
const KEEP_TRANSACTIONS: [&str; 24] = [
    "select",
    "insert",
    "update",
    "delete",
    "replace",
    "with",
    "values",
    "table",
    "show",
    "set",
    "explain",
    "describe",
    "desc",
    "call",
    "do",
    "use",
    "handler",
    "prepare",
    "execute",
    "deallocate",
    "load",
    "kill",
    "signal",
    "get",
];

/// Whether a text would end an open transaction by committing it, as MySQL does before it defines a table. In doubt it would.
pub(super) fn commits(sql: &str, backend: DbBackend) -> bool {
    let commits = |words: &Vec<String>| {
        let is_temporary = words.iter().take(4).any(|word| word == "temporary");
        words.first().is_some_and(|first| !is_temporary && !KEEP_TRANSACTIONS.contains(&first.as_str()))
    };
    backend == DbBackend::MySql && statements(sql, backend).iter().any(commits)
}

/// Judges each of the statements in a text.
pub(super) fn judge(sql: &str, backend: DbBackend, is_published: impl Fn(&str) -> bool) -> Verdict {
    let statements = statements(sql, backend);
    let mut left = statements.iter();
    while let Some(words) = left.next() {
        let Some(first) = words.first() else { continue };
        match first.as_str() {
            // Definitions may name any table and hold any keyword (ON DELETE CASCADE).
            "create" | "alter" | "drop" | "comment" | "grant" | "revoke" => {
                // The bodies of routines also hold semicolons. What follows them is judged again.
                let mut open = if words.iter().any(|word| ROUTINES.contains(&word.as_str())) {
                    blocks(words)
                } else {
                    0
                };
                while open > 0 {
                    let Some(inside) = left.next() else { break };
                    open += blocks(inside);
                }
                continue;
            }
            "begin" | "commit" | "end" | "rollback" | "abort" | "savepoint" | "release" => {
                return Verdict::TransactionControl(first.to_uppercase());
            }
            "start" if words.get(1).is_some_and(|word| word == "transaction") => {
                return Verdict::TransactionControl("START TRANSACTION".into());
            }
            "set" if words.iter().any(|word| word == "autocommit") => {
                return Verdict::TransactionControl("SET autocommit".into());
            }
            "prepare" if words.get(1).is_some_and(|word| word == "transaction") => {
                return Verdict::TransactionControl("PREPARE TRANSACTION".into());
            }
            _ => {}
        }
        let writes = words.iter().enumerate().find(|(at, word)| {
            let before = at.checked_sub(1).and_then(|before| words.get(before)).map(String::as_str);
            match word.as_str() {
                "insert" | "merge" | "replace" | "truncate" | "copy" | "load" | "upsert" => true,
                // SELECT … FOR UPDATE, FOR NO KEY UPDATE
                "update" => !matches!(before, Some("for" | "key" | "on")),
                "delete" => before != Some("on"),
                _ => false,
            }
        });
        if let Some((_, keyword)) = writes
            && let Some(table) =
                words.iter().map(|word| word.trim_matches('"')).find(|word| is_published(word))
        {
            return Verdict::Writes(keyword.to_uppercase(), table.to_owned());
        }
    }
    Verdict::Harmless
}

/// How many blocks of statements the words open, less those that they close.
fn blocks(words: &[String]) -> i32 {
    let mut open = 0;
    let mut words = words.iter().map(String::as_str).peekable();
    while let Some(word) = words.next() {
        match word {
            "begin" | "case" => open += 1,
            // What these close is not counted when it opens: `if` is a function, too.
            "end" if words.next_if(|word| ["if", "loop", "while", "repeat"].contains(word)).is_some() => {}
            "end" => {
                words.next_if_eq(&"case");
                open -= 1;
            }
            _ => {}
        }
    }
    open
}

/// The words of each statement in lower case, without literals and comments. Quoted names are words.
fn statements(sql: &str, backend: DbBackend) -> Vec<Vec<String>> {
    let mut all = Vec::new();
    let mut words = Vec::new();
    let mut rest = sql;
    while let Some(c) = rest.chars().next() {
        let after = &rest[c.len_utf8()..];
        if c == '\'' {
            let escapes = backend == DbBackend::MySql || words.last().is_some_and(|word| word == "e");
            rest = after_literal(after, escapes);
        } else if c == '"' || c == '`' || (c == '[' && backend == DbBackend::Sqlite) {
            let close = if c == '[' { ']' } else { c };
            let (name, next) = after.split_once(close).unwrap_or((after, ""));
            let name = name.to_lowercase();
            // A name in quotes opens and closes nothing.
            words.push(if BLOCKS.contains(&name.as_str()) { format!("\"{name}\"") } else { name });
            rest = next;
        } else if rest.starts_with("--") || (c == '#' && backend == DbBackend::MySql) {
            rest = rest.split_once('\n').map_or("", |(_, next)| next);
        } else if rest.starts_with("/*!") || rest.starts_with("/*+") {
            // MySQL runs what is in /*! … */.
            rest = &rest[3..];
        } else if rest.starts_with("/*") {
            rest = rest.split_once("*/").map_or("", |(_, next)| next);
        } else if let Some((body, next)) = dollar_quoted(rest).filter(|_| backend == DbBackend::Postgres) {
            // The body of DO $$ … $$ runs; it belongs to the statement around it.
            words.extend(statements(body, backend).into_iter().flatten());
            rest = next;
        } else if is_word(c) {
            let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
            words.push(rest[..end].to_lowercase());
            rest = &rest[end..];
        } else {
            if c == ';' {
                all.push(std::mem::take(&mut words));
            }
            rest = after;
        }
    }
    all.push(words);
    all
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '$'
}

fn after_literal(text: &str, escapes: bool) -> &str {
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        if c == '\\' && escapes {
            chars.next();
        } else if c == '\'' {
            // A doubled quote begins the next literal, which is skipped in the same way.
            return &text[at + 1..];
        }
    }
    ""
}

/// The body of a dollar-quoted text and what follows it.
fn dollar_quoted(text: &str) -> Option<(&str, &str)> {
    let tag_end = text.strip_prefix('$')?.find('$')? + 2;
    let (tag, rest) = text.split_at(tag_end);
    if !tag[1..tag_end - 1].chars().all(|c| c.is_alphanumeric() || c == '_') {
        return None;
    }
    rest.split_once(tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(backend: DbBackend, sql: &str) -> String {
        match judge(sql, backend, |table| table == "cake") {
            Verdict::Harmless => "harmless".into(),
            Verdict::TransactionControl(what) => format!("transaction {what}"),
            Verdict::Writes(keyword, table) => format!("{keyword} {table}"),
        }
    }

    #[test]
    fn text_that_writes_a_published_table_is_found() {
        use sea_orm::DatabaseBackend::{MySql, Postgres, Sqlite};
        for (backend, sql, expected) in [
            (Sqlite, "UPDATE cake SET name = 'x'", "UPDATE cake"),
            (Sqlite, "update \"CAKE\" set name = 'x'", "UPDATE cake"),
            (Sqlite, "DELETE FROM [cake]", "DELETE cake"),
            (MySql, "INSERT INTO `shop`.`cake` VALUES (1)", "INSERT cake"),
            (MySql, "/*!50000 DELETE */ FROM cake", "DELETE cake"),
            (MySql, "SELECT 'it\\'s'; DELETE FROM cake", "DELETE cake"),
            (MySql, "# nothing\nREPLACE INTO cake VALUES (1)", "REPLACE cake"),
            (MySql, "SELECT 'cake'; DELETE FROM pan", "harmless"),
            (Postgres, "WITH d AS (DELETE FROM shop.cake RETURNING *) SELECT * FROM d", "DELETE cake"),
            (Postgres, "DO $body$ BEGIN UPDATE cake SET name = 'x'; END $body$", "UPDATE cake"),
            (Postgres, "DO $$ BEGIN PERFORM 1; END $$", "harmless"),
            (Postgres, "TRUNCATE TABLE pan, cake", "TRUNCATE cake"),
            (Postgres, "COPY cake FROM STDIN", "COPY cake"),
            (Postgres, "SELECT 'a\\'; DELETE FROM cake; --'", "DELETE cake"),
            (Postgres, "SELECT * FROM cake FOR NO KEY UPDATE", "harmless"),
            (Postgres, "SELECT $1 FROM cake", "harmless"),
            (Sqlite, "SELECT * FROM cake FOR UPDATE", "harmless"),
            (Sqlite, "SELECT 'delete from cake'", "harmless"),
            (Sqlite, "DELETE FROM pan -- cake", "harmless"),
            (Sqlite, "DELETE FROM pan WHERE x = 'cake' /* cake */", "harmless"),
            (Sqlite, "DELETE FROM cakes", "harmless"),
            (Sqlite, "CREATE TABLE pan (cake_id INT REFERENCES cake ON DELETE CASCADE)", "harmless"),
            (Sqlite, "CREATE TRIGGER t AFTER UPDATE ON cake BEGIN DELETE FROM pan; END", "harmless"),
            (
                Sqlite,
                "CREATE TRIGGER t AFTER UPDATE ON cake BEGIN DELETE FROM pan; SELECT CASE 1 WHEN 1 THEN 2 END; END; DELETE FROM cake",
                "DELETE cake",
            ),
            (
                Sqlite,
                "CREATE TRIGGER t AFTER UPDATE ON \"begin\" BEGIN SELECT 1; END; DELETE FROM cake",
                "DELETE cake",
            ),
            (Sqlite, "DROP TRIGGER t; DELETE FROM cake", "DELETE cake"),
            (
                MySql,
                "CREATE TRIGGER t BEFORE INSERT ON pan FOR EACH ROW SET NEW.x = 1; DELETE FROM cake",
                "DELETE cake",
            ),
            (
                MySql,
                "CREATE PROCEDURE p() BEGIN IF 1 THEN BEGIN DELETE FROM cake; END; END IF; CASE 1 WHEN 1 THEN SELECT 1; END CASE; \
                 DELETE FROM cake; END; SELECT 1",
                "harmless",
            ),
            (
                MySql,
                "CREATE PROCEDURE p() BEGIN IF 1 THEN SELECT 1; END IF; END; DELETE FROM cake",
                "DELETE cake",
            ),
            (
                Postgres,
                "CREATE FUNCTION f() RETURNS int AS $$ SELECT 1 $$ LANGUAGE sql; DELETE FROM cake",
                "DELETE cake",
            ),
            (
                Postgres,
                "CREATE FUNCTION f() RETURNS void BEGIN ATOMIC DELETE FROM cake; END; DELETE FROM cake",
                "DELETE cake",
            ),
            (Sqlite, "CREATE INDEX i ON pan (x); UPDATE cake SET name = 'x'", "UPDATE cake"),
            (Sqlite, "ALTER TABLE cake ADD x INT; DELETE FROM pan", "harmless"),
            (Sqlite, "PRAGMA foreign_keys = ON", "harmless"),
            (Sqlite, "BEGIN IMMEDIATE", "transaction BEGIN"),
            (Sqlite, "select 1; commit", "transaction COMMIT"),
            (Sqlite, "ROLLBACK TO x", "transaction ROLLBACK"),
            (Sqlite, "SAVEPOINT x", "transaction SAVEPOINT"),
            (MySql, "START TRANSACTION", "transaction START TRANSACTION"),
            (MySql, "SET autocommit = 0", "transaction SET autocommit"),
        ] {
            assert_eq!(verdict(backend, sql), expected, "{sql}");
        }
    }

    #[test]
    fn definitions_commit_on_mysql_unless_they_are_temporary() {
        use sea_orm::DatabaseBackend::{MySql, Postgres};
        for (backend, sql, expected) in [
            (MySql, "CREATE TABLE pan (id INT)", true),
            (MySql, "alter table pan add x int", true),
            (MySql, "/* a note */ DROP TABLE pan", true),
            (MySql, "TRUNCATE pan", true),
            (MySql, "SELECT 1; RENAME TABLE pan TO pot", true),
            (MySql, "ANALYZE TABLE pan", true),
            (MySql, "LOCK TABLES pan READ", true),
            (MySql, "CREATE TEMPORARY TABLE pan (id INT)", false),
            (MySql, "CREATE OR REPLACE TEMPORARY TABLE pan (id INT)", false),
            (MySql, "DROP TEMPORARY TABLE pan", false),
            (MySql, "(SELECT 1) UNION (SELECT 2)", false),
            (MySql, "INSERT INTO pan VALUES (1);", false),
            (MySql, "", false),
            (Postgres, "CREATE TABLE pan (id INT)", false),
        ] {
            assert_eq!(commits(sql, backend), expected, "{sql}");
        }
    }
}
