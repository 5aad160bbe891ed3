//! Core's own tables (section 10 of the protocol), for every dialect.

use crate::database::Dialect;

/// The tables' names.
pub const TABLES: [&str; 6] = [
    "promiscuous_meta",
    "promiscuous_outbox",
    "promiscuous_versions",
    "promiscuous_subscriptions",
    "promiscuous_parked",
    "promiscuous_sync",
];

/// The statements that create the tables, in order. Running them again changes nothing.
pub fn create_tables(dialect: Dialect) -> Vec<String> {
    // Keys and ids are ASCII; MariaDB must compare them byte by byte. Messages may hold any text.
    let (ascii, long_text, engine) = match dialect {
        Dialect::Postgres => (r#" COLLATE "C""#, "TEXT", ""),
        Dialect::Sqlite => ("", "TEXT", ""),
        Dialect::Mysql => (
            " CHARACTER SET ascii COLLATE ascii_bin",
            "LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin",
            " ENGINE=InnoDB",
        ),
    };
    // What is written in the app's own transactions. In an ordinary table of SQLite a new row changes what
    // `last_insert_rowid()` says, which an app may ask after its own INSERT.
    let unnoticed = if dialect == Dialect::Sqlite { " WITHOUT ROWID" } else { "" };
    // MySQL has no CREATE INDEX IF NOT EXISTS.
    let parked_index = if dialect == Dialect::Mysql {
        ", INDEX promiscuous_parked_waits_for (waits_for), INDEX promiscuous_parked_arrived_at (arrived_at), \
         INDEX promiscuous_parked_retry_at (retry_at)"
    } else {
        ""
    };
    let mut statements = vec![
        format!(
            "CREATE TABLE IF NOT EXISTS promiscuous_meta (\
             name VARCHAR(64){ascii} NOT NULL PRIMARY KEY, \
             value BIGINT NOT NULL){engine}"
        ),
        format!(
            "CREATE TABLE IF NOT EXISTS promiscuous_outbox (\
             op CHAR(36){ascii} NOT NULL PRIMARY KEY, \
             state SMALLINT NOT NULL, \
             created_at BIGINT NOT NULL, \
             message {long_text} NOT NULL){engine}{unnoticed}"
        ),
        format!(
            "CREATE TABLE IF NOT EXISTS promiscuous_versions (\
             object VARCHAR(500){ascii} NOT NULL PRIMARY KEY, \
             generation BIGINT NOT NULL, \
             version BIGINT NOT NULL, \
             content_generation BIGINT NOT NULL, \
             content_version BIGINT NOT NULL){engine}{unnoticed}"
        ),
        format!(
            "CREATE TABLE IF NOT EXISTS promiscuous_subscriptions (\
             endpoint VARCHAR(250){ascii} NOT NULL PRIMARY KEY, \
             state VARCHAR(16){ascii} NOT NULL, \
             bound_since BIGINT NOT NULL){engine}"
        ),
        format!(
            "CREATE TABLE IF NOT EXISTS promiscuous_parked (\
             id CHAR(36){ascii} NOT NULL PRIMARY KEY, \
             arrived_at BIGINT NOT NULL, \
             parked_at BIGINT NOT NULL, \
             waits_for VARCHAR(500){ascii} NOT NULL, \
             endpoint VARCHAR(500){ascii} NOT NULL, \
             generation BIGINT NOT NULL, \
             version BIGINT NOT NULL, \
             attempts BIGINT NOT NULL DEFAULT 0, \
             retry_at BIGINT NOT NULL DEFAULT 0, \
             message {long_text} NOT NULL{parked_index}){engine}"
        ),
        format!(
            "CREATE TABLE IF NOT EXISTS promiscuous_sync (\
             name VARCHAR(250){ascii} NOT NULL PRIMARY KEY, \
             state VARCHAR(16){ascii} NOT NULL, \
             position {long_text} NOT NULL, \
             updated_at BIGINT NOT NULL){engine}"
        ),
    ];
    if dialect != Dialect::Mysql {
        statements.push(
            "CREATE INDEX IF NOT EXISTS promiscuous_parked_waits_for ON promiscuous_parked (waits_for)"
                .to_owned(),
        );
        statements.push(
            "CREATE INDEX IF NOT EXISTS promiscuous_parked_arrived_at ON promiscuous_parked (arrived_at)"
                .to_owned(),
        );
        statements.push(
            "CREATE INDEX IF NOT EXISTS promiscuous_parked_retry_at ON promiscuous_parked (retry_at) WHERE retry_at > 0"
                .to_owned(),
        );
    }
    statements
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_that_is_created_is_named() {
        for dialect in [Dialect::Postgres, Dialect::Mysql, Dialect::Sqlite] {
            let statements = create_tables(dialect);
            let created = statements.iter().filter_map(|sql| sql.strip_prefix("CREATE TABLE IF NOT EXISTS "));
            let created: Vec<_> = created.filter_map(|rest| rest.split(' ').next()).collect();
            assert_eq!(created, TABLES);
        }
    }
}
