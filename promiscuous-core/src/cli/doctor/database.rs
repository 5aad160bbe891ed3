//! Whether the app's database is there and fits.

use std::time::Instant;

use super::Finding;
use crate::cli::App;
use crate::clock as local;
use crate::config::Config;
use crate::database::{Database, DatabaseError, Dialect, Sql, SqlType, SqlValue};
use crate::error::chain;
use crate::schema::TABLES;
use crate::unseen::unseen_writers;

const CHECK: &str = "database";

pub(super) async fn look(app: &dyn App, config: &Config) -> Vec<Finding> {
    let Some(url) = &config.database_url else {
        return vec![Finding::error(
            CHECK,
            "no database is named",
            "set DATABASE_URL, or pass --database-url",
        )];
    };
    let database = match app.connect_plain(url).await {
        Ok(database) => database,
        Err(error) => {
            let says = format!("{} cannot be used: {}", url.host_and_port(), chain(&error));
            return vec![Finding::error(
                CHECK,
                says,
                "check DATABASE_URL, user and password, and that the server is up",
            )];
        }
    };
    let database = database.as_ref();
    let mut findings = Vec::new();
    let unreadable =
        |error: DatabaseError| Finding::error(CHECK, chain(&error), "check the server's own log");
    findings.push(version(database).await.unwrap_or_else(unreadable));
    findings.push(tables(database).await);
    match app.published_tables(&config.app) {
        Ok(tables) => match unseen_writers(database, &tables).await {
            Ok(unseen) if unseen.is_empty() => {
                let says =
                    format!("nothing writes the {} published tables behind the program's back", tables.len());
                findings.push(Finding::ok(CHECK, says));
            }
            Ok(unseen) => findings.extend(unseen.into_iter().map(|says| {
                Finding::warning(CHECK, says, "see docs/guarantees.md, *What cannot be captured*")
            })),
            Err(error) => findings.push(Finding::warning(
                CHECK,
                format!("triggers and cascades cannot be looked for: {}", chain(&error)),
                "let the user read the database's catalog",
            )),
        },
        Err(error) => findings.push(Finding::error(CHECK, chain(&error), "correct what the app publishes")),
    }
    if database.dialect() != Dialect::Sqlite {
        match ahead(database).await {
            Ok(ahead) => findings.push(super::clock(CHECK, ahead, config)),
            Err(error) => findings.push(unreadable(error)),
        }
    }
    findings
}

async fn version(database: &dyn Database) -> Result<Finding, DatabaseError> {
    let sql = match database.dialect() {
        Dialect::Postgres => "SELECT split_part(current_setting('server_version'), ' ', 1)",
        Dialect::Mysql => "SELECT VERSION()",
        Dialect::Sqlite => "SELECT sqlite_version()",
    };
    let said = one(database, sql, SqlType::Text).await?;
    let SqlValue::Text(version) = said else {
        return Ok(Finding::warning(CHECK, "it does not tell its version", "make sure that it is supported"));
    };
    let (name, wanted) = match (database.dialect(), version.contains("MariaDB")) {
        (Dialect::Postgres, _) => ("PostgreSQL", (13, 0)),
        (Dialect::Mysql, true) => ("MariaDB", (10, 5)),
        (Dialect::Mysql, false) => ("MySQL", (8, 0)),
        (Dialect::Sqlite, _) => ("SQLite", (3, 35)),
    };
    let mut numbers = version.split(['.', '-']).map(|part| part.parse::<u32>().unwrap_or(0));
    let found = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    Ok(if found >= wanted {
        Finding::ok(CHECK, format!("{name} {version}"))
    } else {
        Finding::error(
            CHECK,
            format!("{name} {version}"),
            format!("update it: {}.{} or later is needed", wanted.0, wanted.1),
        )
    })
}

/// Whether each of the protocol's own tables answers.
async fn tables(database: &dyn Database) -> Finding {
    let mut missing = Vec::new();
    for table in TABLES {
        if one(database, &format!("SELECT COUNT(*) FROM {table} WHERE 1 = 0"), SqlType::Int).await.is_err() {
            missing.push(table);
        }
    }
    if missing.is_empty() {
        Finding::ok(CHECK, format!("the {} promiscuous tables are there", TABLES.len()))
    } else {
        let says = format!("these tables are missing, or may not be read: {}", missing.join(", "));
        Finding::error(CHECK, says, "run `promiscuous migrate`, and let the user read and write them")
    }
}

/// By how many milliseconds its clock is ahead of this machine's.
async fn ahead(database: &dyn Database) -> Result<i64, DatabaseError> {
    let sql = match database.dialect() {
        Dialect::Postgres => "SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)",
        _ => "SELECT CAST(UNIX_TIMESTAMP(SYSDATE(3)) * 1000 AS SIGNED)",
    };
    let (before, began) = (local::millis(), Instant::now());
    let there = one(database, sql, SqlType::Int).await?;
    let here = before + local::duration_millis(began.elapsed()) / 2;
    Ok(match there {
        SqlValue::Int(there) => there.saturating_sub(i64::try_from(here).unwrap_or(i64::MAX)),
        _ => 0,
    })
}

async fn one(database: &dyn Database, sql: &str, column: SqlType) -> Result<SqlValue, DatabaseError> {
    let rows = database.query(Sql::new(database.dialect(), sql), &[column]).await?;
    Ok(rows.into_iter().flatten().next().unwrap_or(SqlValue::Null))
}
