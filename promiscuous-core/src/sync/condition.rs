//! The operator's own SQL condition, which chooses rows to publish again.

use std::fmt;

use sqlparser::dialect::{Dialect as Grammar, MySqlDialect, PostgreSqlDialect, SQLiteDialect};
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Token, Tokenizer, Whitespace};

use crate::database::Dialect;

/// A condition in the database's own dialect, which is one condition and nothing more: no second statement, no comment that could hide what comes
/// after it, no placeholder.
///
/// That guards against slips, not against attacks: whoever may run `promiscuous publish` has the database's password.
/// ```
/// use promiscuous_core::{database::Dialect, sync::Condition};
///
/// let condition = Condition::parse("updated_at > now() - interval '1 day'", Dialect::Postgres)?;
/// assert_eq!(condition.as_sql(), "updated_at > now() - interval '1 day'");
/// assert!(Condition::parse("true; DROP TABLE users", Dialect::Postgres).is_err());
/// # Ok::<(), promiscuous_core::sync::ConditionError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition(String);

/// Why a text is no condition.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{condition}` is not one SQL condition: {reason}")]
pub struct ConditionError {
    /// What was given.
    pub condition: String,
    /// What is wrong with it.
    pub reason: String,
}

impl Condition {
    /// Reads what could stand after `WHERE`.
    ///
    /// # Errors
    /// [`ConditionError`] when it is something else, or more.
    pub fn parse(text: &str, dialect: Dialect) -> Result<Self, ConditionError> {
        let text = text.trim();
        let refused = |reason: String| ConditionError { condition: text.to_owned(), reason };
        if dialect == Dialect::Mysql && text.contains("/*!") {
            return Err(refused("it has a comment that the server would read as SQL".to_owned()));
        }
        let grammar: &dyn Grammar = match dialect {
            Dialect::Postgres => &PostgreSqlDialect {},
            Dialect::Mysql => &MySqlDialect {},
            Dialect::Sqlite => &SQLiteDialect {},
        };
        let tokens = Tokenizer::new(grammar, text).tokenize().map_err(|error| refused(error.to_string()))?;
        if let Some(reason) = tokens.iter().find_map(|token| unwelcome(token, dialect)) {
            return Err(refused(reason.to_owned()));
        }
        let mut parser = Parser::new(grammar).with_recursion_limit(DEPTH).with_tokens(tokens);
        let parsed = parser.parse_expr().and_then(|_| parser.expect_token(&Token::EOF));
        parsed.map(|_| Self(text.to_owned())).map_err(|error| refused(plain(error)))
    }

    /// As it was given.
    pub fn as_sql(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How deep parentheses may nest. Each costs the parser tens of kilobytes of stack.
const DEPTH: usize = 25;

/// What no condition needs, and what would make it more than one.
fn unwelcome(token: &Token, dialect: Dialect) -> Option<&'static str> {
    match token {
        Token::Whitespace(Whitespace::SingleLineComment { .. } | Whitespace::MultiLineComment(_)) => {
            Some("it has a comment, which could hide what follows it")
        }
        Token::SemiColon => Some("it has a semicolon"),
        // An operator of PostgreSQL's JSON.
        Token::Question if dialect == Dialect::Postgres => None,
        Token::Placeholder(_) | Token::Question => Some("it has a placeholder, for which there is no value"),
        _ => None,
    }
}

fn plain(error: ParserError) -> String {
    match error {
        ParserError::TokenizerError(reason) | ParserError::ParserError(reason) => reason,
        ParserError::RecursionLimitExceeded => "its parentheses nest too deep".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Dialect; 3] = [Dialect::Postgres, Dialect::Mysql, Dialect::Sqlite];

    #[test]
    fn what_could_stand_after_where_is_a_condition() {
        for dialect in ALL {
            for text in [
                "id = 5",
                " name LIKE 'a;--b' ",
                "(a, b) IN (SELECT a, b FROM others WHERE c IS NULL)",
                "a > 1 AND NOT (b < 2 OR c BETWEEN 1 AND 2)",
            ] {
                assert_eq!(Condition::parse(text, dialect).unwrap().as_sql(), text.trim(), "{dialect:?}");
            }
        }
        let json = Condition::parse("tags ? 'new'", Dialect::Postgres);
        assert!(json.is_ok(), "{json:?}");
        assert!(Condition::parse("at > now() - interval 1 day", Dialect::Mysql).is_ok());
    }

    #[test]
    fn what_is_more_than_a_condition_is_refused() {
        for dialect in ALL {
            for text in [
                "",
                "1=1; DROP TABLE users",
                "1=1 LIMIT 5",
                "1=1 ORDER BY id",
                "1=1) OR (1=1",
                "1=1 -- the rest",
                "1=1 /* the rest",
                "1=1 /*! OR 1=1 */",
                "name = 'open",
                "UPDATE users SET name = 'x'",
                "a = 1, b = 2",
            ] {
                assert!(Condition::parse(text, dialect).is_err(), "{dialect:?} {text}");
            }
        }
        assert!(Condition::parse("id = ?", Dialect::Sqlite).is_err());
        assert!(Condition::parse("id = $1", Dialect::Postgres).is_err());
        assert!(Condition::parse("1=1 # rest", Dialect::Mysql).is_err());
        assert!(Condition::parse(&"(".repeat(100_000), Dialect::Postgres).is_err());
    }
}
