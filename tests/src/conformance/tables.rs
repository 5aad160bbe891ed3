//! The tables of every model, and of the log of what was applied.

use sea_orm::ConnectionTrait;

use crate::databases::{Kind, connect};

/// Whose tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The owner's: users have a secret, and there are notes.
    Publishing,
    /// The copy's.
    Subscribing,
}

/// The statements that create the tables of the models with numbers as keys.
pub fn numbered(kind: Kind, side: Side) -> Vec<String> {
    let text = match kind {
        Kind::MariaDb => "LONGTEXT",
        Kind::Postgres | Kind::Sqlite => "TEXT",
    };
    let serial = match kind {
        Kind::Postgres => "BIGSERIAL PRIMARY KEY",
        Kind::MariaDb => "BIGINT AUTO_INCREMENT PRIMARY KEY",
        Kind::Sqlite => "INTEGER PRIMARY KEY AUTOINCREMENT",
    };
    let id = "id BIGINT NOT NULL PRIMARY KEY";
    let number = "BIGINT NOT NULL";
    let secret = if side == Side::Publishing { format!(", secret {text} NOT NULL") } else { String::new() };
    // MariaDB's constraints are all checked at once.
    let later =
        if kind == Kind::MariaDb { "" } else { "REFERENCES notes (id) DEFERRABLE INITIALLY DEFERRED" };
    let mut tables = vec![
        format!("users ({id}, name {text} NOT NULL, revision {number}{secret})"),
        format!("messages ({id}, user_id {number}, user_revision {number}, text {text} NOT NULL)"),
        format!("comments ({id}, message_id {number}, text {text} NOT NULL)"),
        format!("counters ({id}, n {number})"),
        format!("friendships ({id}, friend {text} NOT NULL)"),
        format!("photos ({id}, friendship_id {number})"),
        format!(
            "applied (position {serial}, kind VARCHAR(20) NOT NULL, object {number}, value {number}, process {number}, applied_at {number})"
        ),
    ];
    if side == Side::Publishing {
        tables.push(format!("notes ({id}, text {text} NOT NULL, about BIGINT {later})"));
    }
    tables.into_iter().map(|table| format!("CREATE TABLE {table}")).collect()
}

/// The statements that create the tables of the models with other keys.
///
/// On MariaDB texts are compared byte by byte and without ignoring spaces at the end, unless `loosely`: what two keys are
/// elsewhere are two there.
pub fn keyed(kind: Kind, loosely: bool) -> Vec<String> {
    let text = match kind {
        Kind::MariaDb if !loosely => "VARCHAR(150) COLLATE utf8mb4_nopad_bin",
        Kind::MariaDb | Kind::Postgres | Kind::Sqlite => "VARCHAR(150)",
    };
    let (guid, moment, serial) = match kind {
        Kind::Postgres => ("UUID", "TIMESTAMPTZ", "SERIAL PRIMARY KEY"),
        Kind::MariaDb => ("BINARY(16)", "DATETIME(6)", "INTEGER AUTO_INCREMENT PRIMARY KEY"),
        Kind::Sqlite => ("BLOB", "TEXT", "INTEGER PRIMARY KEY"),
    };
    [
        format!("words (id {text} PRIMARY KEY, note {text} NOT NULL)"),
        format!("things (id {guid} PRIMARY KEY, note {text} NOT NULL)"),
        format!(
            "pairs (left_id INTEGER NOT NULL, right_id {text} NOT NULL, note {text} NOT NULL, \
             PRIMARY KEY (left_id, right_id))"
        ),
        format!("days (id DATE NOT NULL, at {moment} NOT NULL, note {text} NOT NULL, PRIMARY KEY (id, at))"),
        format!("word_copies (id {serial}, word_id {text} NOT NULL UNIQUE, note {text} NOT NULL)"),
        format!("pair_copies (id {serial}, pair_id {text} NOT NULL UNIQUE, note {text} NOT NULL)"),
    ]
    .map(|table| format!("CREATE TABLE {table}"))
    .into()
}

/// Creates tables.
pub async fn create(url: &str, statements: &[String]) {
    let db = connect(url, 1).await;
    for statement in statements {
        let created = db.execute_unprepared(statement).await;
        created.unwrap_or_else(|error| panic!("{:?} refuses {statement}: {error}", Kind::of(url)));
    }
    db.close().await.expect("A connection that has just worked closes.");
}
