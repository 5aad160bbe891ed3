//! Makes statements: some of which it is known that they write a published table, and mutants of those in the tables.

use promiscuous_core::database::Dialect;
use promiscuous_core::database::Dialect::{Mysql, Postgres, Sqlite};
use proptest::prelude::*;
use proptest::sample::Index;

/// What stands between two tokens.
const GAPS: [&str; 6] = [" ", "\n", "\t ", " /* users; ' */ ", " -- ' users\n", "/**/ "];
/// What a mutation puts in.
const WORDS: [&str; 62] = [
    "users",
    "teams",
    "\"users\"",
    "`users`",
    "[users]",
    "'users'",
    "main",
    ".",
    ",",
    "(",
    ")",
    ";",
    "'",
    "\"",
    "`",
    "--",
    "/*",
    "*/",
    "/*!",
    "*",
    "=",
    "?",
    "$1",
    "1",
    "'x'",
    "NULL",
    "id",
    "name",
    "secret",
    "SELECT",
    "INSERT",
    "INTO",
    "UPDATE",
    "SET",
    "DELETE",
    "FROM",
    "REPLACE",
    "OR",
    "IGNORE",
    "WITH",
    "AS",
    "WHERE",
    "RETURNING",
    "ON",
    "CONFLICT",
    "DO",
    "NOTHING",
    "VALUES",
    "DEFAULT",
    "UNION",
    "LIMIT",
    "ORDER BY",
    "EXPLAIN",
    "ANALYZE",
    "END",
    "BEGIN",
    "CREATE TABLE",
    "$$",
    "\\",
    "e'",
    "EXISTS",
    "rowid",
];

/// Statements of SQLite's that write no published table, but come near it.
pub(super) const HARMLESS: [&str; 16] = [
    "SELECT id, name FROM users WHERE name = 'delete from users'",
    "SELECT count(*) FROM users AS u JOIN teams AS t ON t.user_id = u.id WHERE u.id IN (SELECT id FROM posts)",
    "INSERT INTO teams (name) SELECT name FROM users",
    "INSERT INTO teams (id, name) SELECT 1, name FROM users WHERE id = 1 ON CONFLICT (id) DO UPDATE SET name = 'users'",
    "INSERT OR REPLACE INTO teams (id, name) SELECT id, name FROM users",
    "REPLACE INTO teams (id, name) VALUES (1, (SELECT name FROM users LIMIT 1))",
    "UPDATE teams SET name = (SELECT name FROM users WHERE users.id = teams.user_id) WHERE id = 1",
    "UPDATE teams SET name = users.name FROM users WHERE users.id = teams.user_id",
    "UPDATE users SET secret = 'name' WHERE id = 1",
    "DELETE FROM teams WHERE user_id IN (SELECT id FROM users) RETURNING id",
    "WITH users AS (SELECT 1 AS id) DELETE FROM teams WHERE id IN (SELECT id FROM users)",
    "WITH x AS (SELECT id FROM users) INSERT INTO teams (user_id) SELECT id FROM x",
    "CREATE TABLE copy AS SELECT * FROM users",
    "CREATE INDEX i ON users (name, secret)",
    "EXPLAIN DELETE FROM users WHERE id = 1",
    "SELECT replace(name, 'a', 'b') FROM users UNION SELECT title FROM posts ORDER BY 1",
];

/// A statement that writes `users`, whatever else it does.
#[derive(Debug, Clone)]
pub(super) struct Write {
    pub dialect: Dialect,
    pub sql: String,
}

/// How a published table's name is written.
fn spellings(dialect: Dialect) -> &'static [&'static str] {
    match dialect {
        Postgres => {
            &["users", "USERS", "\"users\"", "public.users", "public . \"users\"", "\"public\".Users"]
        }
        Mysql => &["users", "`users`", "Users"],
        Sqlite => &[
            "users",
            "USERS",
            "\"users\"",
            "`Users`",
            "[users]",
            "main.users",
            "\"main\" . [USERS]",
            "'users'",
        ],
    }
}

/// `T` stands for the table.
fn shapes(dialect: Dialect) -> Vec<&'static str> {
    let mut shapes = vec![
        "INSERT INTO T ( name ) VALUES ( 'new' )",
        "INSERT INTO T ( name ) SELECT name FROM teams",
        "UPDATE T SET name = 'changed' WHERE id = 1",
        "UPDATE T SET secret = 'select' , name = upper ( name )",
        "DELETE FROM T WHERE id IN ( SELECT user_id FROM teams )",
        "DELETE FROM T",
    ];
    shapes.extend(match dialect {
        Postgres => &[
            "UPDATE ONLY T AS u SET name = 'changed' FROM teams WHERE teams . user_id = u . id",
            "DELETE FROM ONLY T u USING teams WHERE teams . user_id = u . id",
            "INSERT INTO T AS u ( id , name ) VALUES ( 1 , 'x' ) ON CONFLICT ( id ) DO UPDATE SET name = 'changed'",
            "MERGE INTO T AS u USING teams ON u . id = teams . user_id WHEN MATCHED THEN DELETE",
            "UPDATE T * SET ( name , secret ) = ( 'changed' , 'x' )",
        ][..],
        Mysql => &[
            "REPLACE INTO T ( id , name ) VALUES ( 1 , 'changed' )",
            "REPLACE T SET id = 1 , name = 'changed'",
            "INSERT T SET name = 'new'",
            "INSERT LOW_PRIORITY IGNORE INTO T ( name ) VALUES ( 'new' )",
            "UPDATE LOW_PRIORITY IGNORE T SET name = 'changed'",
            "DELETE LOW_PRIORITY QUICK IGNORE FROM T",
            "DELETE u FROM T u JOIN teams ON teams . user_id = u . id",
            "DELETE FROM u USING T AS u JOIN teams ON teams . user_id = u . id",
            "UPDATE teams JOIN T ON teams . user_id = T . id SET T . name = 'changed'",
            "UPDATE teams , T AS u SET u . name = 'changed'",
            "INSERT INTO T ( id , name ) VALUES ( 1 , 'x' ) ON DUPLICATE KEY UPDATE name = 'changed'",
            "TRUNCATE TABLE T",
        ][..],
        Sqlite => &[
            "REPLACE INTO T ( id , name ) VALUES ( 1 , 'changed' )",
            "INSERT OR REPLACE INTO T ( id , name ) VALUES ( 1 , 'changed' )",
            "INSERT OR IGNORE INTO T ( name ) VALUES ( 'new' )",
            "UPDATE OR REPLACE T SET id = 1 WHERE id = 2",
            "UPDATE T SET rowid = 7 WHERE id = 1",
            "UPDATE T AS u SET name = 'changed' FROM teams WHERE teams . user_id = u . id",
            "INSERT INTO T ( id , name ) VALUES ( 1 , 'x' ) ON CONFLICT ( id ) DO UPDATE SET name = 'changed'",
        ][..],
    });
    shapes
}

/// What may be put around a write; `W` stands for it.
fn wrappers(dialect: Dialect) -> &'static [&'static str] {
    match dialect {
        Postgres => &[
            "W",
            "W",
            "W ;",
            "SELECT 'users' ; W",
            "WITH a AS ( SELECT 1 ) W",
            "WITH d AS ( W RETURNING 1 ) SELECT * FROM d",
            "WITH a AS ( SELECT 1 ) , d AS MATERIALIZED ( W RETURNING 1 ) DELETE FROM teams",
            "WITH d AS ( W ) SELECT 1",
            "EXPLAIN ANALYZE W",
            "EXPLAIN ( ANALYZE , BUFFERS ) W",
            "WITH d AS ( W ) INSERT INTO teams ( name ) SELECT 'users'",
            "CREATE TABLE copy AS WITH d AS ( W RETURNING 1 ) SELECT * FROM d",
        ],
        Mysql => &[
            "W",
            "W",
            "W ;",
            "SELECT 'it\\'s' ; W",
            "/*!40000 W */",
            "/*! SELECT 1 */ ; W",
            "SET STATEMENT lock_wait_timeout = 1 FOR W",
        ],
        Sqlite => &[
            "W",
            "W",
            "W ;",
            "SELECT 'users' ; W",
            "WITH a AS ( SELECT 1 ) W",
            "WITH users AS ( SELECT 1 ) W",
        ],
    }
}

/// Joins tokens with these gaps, in turn, with upper and lower case as these bits say.
fn rendered(tokens: &str, gaps: &[Index], cases: u64, dialect: Dialect) -> String {
    let mut sql = String::new();
    for (at, token) in tokens.split(' ').enumerate() {
        let gap = gaps.get(at % gaps.len().max(1)).map_or(" ", |gap| *gap.get::<&str>(&GAPS));
        // A comment right behind an operator would be read as something else, and so would one that nests.
        let gap = if dialect == Mysql { gap.replace(" -- ", " # ") } else { gap.to_owned() };
        let quoted = token.contains(['"', '`', '[', '\'', '!']);
        let token = match quoted || dialect == Mysql && token.eq_ignore_ascii_case("users") {
            true => token.to_owned(),
            false => {
                let flip = |(place, c): (usize, char)| match cases >> ((at + place) % 64) & 1 {
                    0 => c.to_ascii_lowercase(),
                    _ => c.to_ascii_uppercase(),
                };
                token.chars().enumerate().map(flip).collect()
            }
        };
        if at > 0 {
            sql.push_str(&gap);
        }
        sql.push_str(&token);
    }
    sql
}

/// Writes of `users`.
pub(super) fn writes(dialect: Dialect) -> impl Strategy<Value = Write> {
    let parts = (any::<Index>(), any::<Index>(), any::<Index>());
    (parts, proptest::collection::vec(any::<Index>(), 1..8), any::<u64>()).prop_map(
        move |((shape, spelling, wrapper), gaps, cases)| {
            let shapes = shapes(dialect);
            let tokens = wrapper.get(wrappers(dialect)).replace('W', "\u{1}").replace("\u{1}ITH", "WITH");
            let tokens = tokens.replace('\u{1}', shape.get::<&str>(&shapes));
            let spelling = spelling.get(spellings(dialect));
            let tokens: Vec<_> =
                tokens.split(' ').map(|token| if token == "T" { spelling } else { token }).collect();
            Write { dialect, sql: rendered(&tokens.join(" "), &gaps, cases, dialect) }
        },
    )
}

/// A change of a text.
#[derive(Debug, Clone)]
pub(super) enum Mutation {
    Remove(Index),
    Repeat(Index),
    Swap(Index, Index),
    Insert(Index, Index),
    Replace(Index, Index),
}

/// A few changes.
pub(super) fn mutations() -> impl Strategy<Value = Vec<Mutation>> {
    let at = any::<Index>;
    let mutation = prop_oneof![
        at().prop_map(Mutation::Remove),
        at().prop_map(Mutation::Repeat),
        (at(), at()).prop_map(|(one, other)| Mutation::Swap(one, other)),
        (at(), at()).prop_map(|(place, word)| Mutation::Insert(place, word)),
        (at(), at()).prop_map(|(place, word)| Mutation::Replace(place, word)),
    ];
    proptest::collection::vec(mutation, 0..4)
}

/// The text, changed word by word. Binds become numbers, so that it can run.
pub(super) fn mutated(sql: &str, mutations: &[Mutation]) -> String {
    let mut words = Vec::new();
    let mut word = String::new();
    for c in sql.chars() {
        let part = c.is_alphanumeric() || c == '_';
        if !part && !word.is_empty() {
            words.push(std::mem::take(&mut word));
        }
        if part {
            word.push(c);
        } else {
            words.push(c.to_string());
        }
    }
    words.push(word);
    for mutation in mutations {
        let length = words.len();
        match mutation {
            _ if length == 0 => break,
            Mutation::Remove(at) => _ = words.remove(at.index(length)),
            Mutation::Repeat(at) => words.insert(at.index(length), words[at.index(length)].clone()),
            Mutation::Swap(one, other) => words.swap(one.index(length), other.index(length)),
            Mutation::Insert(at, word) => words.insert(at.index(length), format!(" {} ", word.get(&WORDS))),
            Mutation::Replace(at, word) => words[at.index(length)] = format!(" {} ", word.get(&WORDS)),
        }
    }
    words.concat().replace('?', "1").replace("$1", "1").replace("$2", "2").replace("$3", "3")
}
