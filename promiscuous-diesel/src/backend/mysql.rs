//! MySQL and MariaDB: rows are found by their keys, and some statements end the transaction around them.

use diesel::QueryResult;
use diesel::mysql::Mysql;
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::result::{DatabaseErrorKind, Error};
use promiscuous_core::database::SqlValue;

use super::glue::{Capturing, Doubt, push_value};
use crate::connection::Wrapped;
use crate::write::session::{Blocking, done};
use crate::write::{Failure, Task, Written, keyed};

/// Statements that leave the open transaction alone. All others are taken for such as commit it.
const HARMLESS: [&str; 17] = [
    "select", "insert", "update", "delete", "replace", "with", "values", "table", "do", "set", "show",
    "explain", "describe", "desc", "use", "signal", "kill",
];

impl Capturing for Mysql {
    fn instance() -> &'static Self {
        &Mysql
    }

    push_value!();

    fn run<C, T>(inner: &mut C, task: &Task<'_, Self>, source: &T) -> Result<Written<C::Kept>, Failure>
    where
        C: Wrapped<Backend = Self>,
        T: QueryFragment<Self> + QueryId,
    {
        done(keyed::run(&mut Blocking(inner), task, source))
    }

    fn doubt(error: &Error) -> Doubt {
        match error {
            // A deadlock.
            Error::DatabaseError(DatabaseErrorKind::SerializationFailure, _) => Doubt::Lost,
            // Among others: a lock was waited for in vain, the table of locks is full, another transaction was faster.
            Error::DatabaseError(DatabaseErrorKind::Unknown | DatabaseErrorKind::ClosedConnection, _) => {
                Doubt::Ask
            }
            _ => Doubt::No,
        }
    }

    fn in_transaction<C>(inner: &mut C) -> QueryResult<bool>
    where
        C: Wrapped<Backend = Self>,
    {
        // The servers do not tell. A savepoint is forgotten at once where nothing is open: releasing it then fails.
        inner.batch_execute("SAVEPOINT promiscuous_probe")?;
        Ok(inner.batch_execute("RELEASE SAVEPOINT promiscuous_probe").is_ok())
    }

    fn ends_transaction(sql: &str, script: bool) -> bool {
        let mut rest = sql;
        loop {
            rest = rest.trim_start_matches(|c: char| c.is_whitespace() || c == '(' || c == ';');
            if let Some(comment) = rest.strip_prefix("--").or_else(|| rest.strip_prefix('#')) {
                rest = comment.split_once('\n').map_or("", |(_, next)| next);
            } else if rest.starts_with("/*") && !rest.starts_with("/*!") && !rest.starts_with("/*M!") {
                rest = rest.split_once("*/").map_or("", |(_, next)| next);
            } else {
                break;
            }
        }
        let word: String = rest.chars().take_while(char::is_ascii_alphabetic).collect();
        let several = script && rest.trim_end().trim_end_matches(';').contains(';');
        several || !(rest.is_empty() || HARMLESS.contains(&word.to_ascii_lowercase().as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn definitions_of_tables_end_a_transaction_and_queries_do_not() {
        for (sql, ends) in [
            ("SELECT 1", false),
            (" /* why */ -- so\n (select 1)", false),
            ("UPDATE a SET b = 1;", false),
            ("", false),
            ("CREATE TABLE a (id INT)", true),
            ("/*! ALTER TABLE a ADD b INT */", true),
            ("/* x */ DROP TABLE a", true),
            ("UPDATE a SET b = 1; DROP TABLE c", true),
            ("ANALYZE TABLE a", true),
            ("LOCK TABLES a WRITE", true),
            ("CALL anything()", true),
            ("EXECUTE prepared", true),
        ] {
            assert_eq!(Mysql::ends_transaction(sql, true), ends, "{sql}");
        }
        assert!(!Mysql::ends_transaction("SELECT ';' FROM a", false));
    }
}
