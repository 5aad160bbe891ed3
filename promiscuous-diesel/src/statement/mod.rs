//! Understands a statement's text before it runs: what it writes and reads of the published tables. Pure: no connection, no I/O.
//!
//! It fails closed: what is not understood, and may write a published table, is refused. A query is not refused, unless not even
//! its words can be told.
//!
//! # Layout
//!
//! * `lexer`: cuts a text into tokens, as strictly as the database does;
//! * `split`: where the statements of a script end;
//! * `verdict`: judges a statement by its first words;
//! * `verbs`: the words that write, and what they write, by the tokens alone;
//! * `parse`: from tokens to a tree, through sqlparser; `tree`: plans by the tree, which must agree with the words;
//! * `insertion`, `change`, `condition`: what a write means; `reading`: what a query tells;
//! * `tables`: the published tables; `refusal`: what people are told;
//! * `cache`: [`Planner`], which remembers.
//!
//! # What a text does not show
//!
//! Triggers, rules, cascades, functions that write, views and partitions through which a published table is written under another
//! name, and a table's own `ON CONFLICT` clauses. Strings are read by the databases' own defaults: `standard_conforming_strings` is
//! on, `NO_BACKSLASH_ESCAPES` is off.

mod cache;
mod change;
mod condition;
mod insertion;
mod lexer;
mod parse;
mod reading;
mod refusal;
mod split;
mod tables;
#[cfg(test)]
mod tests;
mod tree;
mod verbs;
mod verdict;

use std::ops::Range;

use promiscuous_core::database::Dialect;

pub use cache::Planner;
pub use tables::{Table, Tables};

use lexer::{Text, Unreadable};

/// Plans a statement's text.
pub fn plan(sql: &str, dialect: Dialect, tables: &Tables) -> Plan {
    if tables.is_empty() || plainly_passes(sql, dialect, tables) {
        return Plan::Pass;
    }
    let unreadable = |why| {
        let table = tables.spelled_in(sql, dialect);
        Plan::Refuse(Refusal::unreadable(table, "a statement", why))
    };
    let planned = |text: &Text<'_>| match split::statements(text).as_deref() {
        Ok([]) => Plan::Pass,
        Ok([only]) => match verdict::plan(text, only.clone(), tables) {
            // The RETURNING list is made longer at the end of the text.
            Plan::Write(writing) if !ends(text, only) => {
                let advice =
                    "something follows the statement: leave out the semicolon or the comment at its end";
                let verb = text.written(only.start).to_ascii_uppercase();
                Plan::Refuse(Refusal::new(Some(writing.table), verb, advice))
            }
            planned => planned,
        },
        Ok(several) => match script(text, several, tables) {
            Ok(Script { commits: false }) => Plan::Pass,
            Ok(Script { commits: true }) => Plan::Commit,
            Err(refusal) => Plan::Refuse(refusal),
        },
        Err(why) => unreadable(*why),
    };
    match readings(sql, dialect) {
        Ok((text, None)) => planned(&text),
        // It must be harmless in both.
        Ok((text, Some(other))) => match (planned(&text), planned(&other)) {
            (Plan::Refuse(refusal), _) | (_, Plan::Refuse(refusal)) => Plan::Refuse(refusal),
            (Plan::Write(writing), _) | (_, Plan::Write(writing)) => {
                let why = Unreadable("a part of it runs on some versions of MySQL only");
                Plan::Refuse(Refusal::unreadable(Some(writing.table), "a write", why))
            }
            (Plan::Commit, _) | (_, Plan::Commit) => Plan::Commit,
            (text, _) => text,
        },
        Err(why) => unreadable(why),
    }
}

/// Judges a text of several statements that run without any capture.
///
/// # Errors
/// When one of them writes a published table, runs what cannot be seen, begins or ends a transaction, or cannot be read.
pub fn plan_script(sql: &str, dialect: Dialect, tables: &Tables) -> Result<Script, Refusal> {
    if tables.is_empty() {
        return Ok(Script { commits: false });
    }
    let unreadable = |why| Refusal::unreadable(tables.spelled_in(sql, dialect), "a script", why);
    let judged = |text: &Text<'_>| script(text, &split::statements(text).map_err(unreadable)?, tables);
    let (text, other) = readings(sql, dialect).map_err(unreadable)?;
    let own = judged(&text)?;
    let other = other.as_ref().map(judged).transpose()?;
    Ok(Script { commits: own.commits || other.is_some_and(|other| other.commits) })
}

/// Whether a text has no statement at all: nothing but white space, comments and semicolons.
pub fn is_empty(sql: &str, dialect: Dialect) -> bool {
    let none = |text: &Text<'_>| split::statements(text).is_ok_and(|statements| statements.is_empty());
    readings(sql, dialect).is_ok_and(|(text, other)| none(&text) && other.as_ref().is_none_or(none))
}

/// Whether nothing but white space follows a statement.
fn ends(text: &Text<'_>, statement: &Range<usize>) -> bool {
    let last = statement.end.checked_sub(1).and_then(|last| text.tokens.get(last));
    last.is_some_and(|last| text.sql[last.end..].bytes().all(|c| c.is_ascii_whitespace()))
}

/// A text cut into tokens, and where MySQL may take a part of it for code or for a comment, the other way to cut it.
fn readings(sql: &str, dialect: Dialect) -> Result<(Text<'_>, Option<Text<'_>>), Unreadable> {
    let text = Text::cut(sql, dialect)?;
    let other = match text.conditional {
        true => Some(Text::cut_without_conditional(sql, dialect)?),
        false => None,
    };
    Ok((text, other))
}

fn script(text: &Text<'_>, statements: &[Range<usize>], tables: &Tables) -> Result<Script, Refusal> {
    let mut commits = false;
    for statement in statements {
        match verdict::plan(text, statement.clone(), tables) {
            Plan::Pass | Plan::Read(_) => {}
            Plan::Commit => commits = true,
            Plan::Write(writing) => {
                let verb = text.written(statement.start).to_ascii_uppercase();
                return Err(Refusal::in_script(Some(writing.table), &verb));
            }
            Plan::Refuse(refusal) => return Err(refusal),
        }
    }
    Ok(Script { commits })
}

/// Whether a text needs no closer look: one statement of the most common kinds, in which no published table's name occurs.
fn plainly_passes(sql: &str, dialect: Dialect, tables: &Tables) -> bool {
    let verb = sql.split(' ').next().unwrap_or("");
    let common =
        ["SELECT", "INSERT", "UPDATE", "DELETE"].iter().any(|common| verb.eq_ignore_ascii_case(common));
    if !common || sql.contains(';') {
        return false;
    }
    let suspicious: &[&str] = match dialect {
        // An identifier with escapes.
        Dialect::Postgres => &["u&\""],
        // Code in comments, and tables by the names of their files.
        Dialect::Mysql => &["/*!", "/*m!", "#mysql50#"],
        // INSERT OR ROLLBACK
        Dialect::Sqlite => &["rollback"],
    };
    let folded = sql.to_ascii_lowercase();
    suspicious.iter().all(|suspicious| !folded.contains(suspicious))
        && tables.spelled_in(sql, dialect).is_none()
}

/// What has to be done about a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Plan {
    /// Nothing: no published table is written, and none is read in a way that is remembered.
    Pass,
    /// Nothing, but the database commits before it runs it, as MySQL does for definitions, locks and maintenance: it must not run in
    /// a transaction that has written published rows.
    Commit,
    /// The rows of its result are causes.
    Read(Reading),
    /// The rows that it writes must be published.
    Write(Box<Writing>),
    /// It must not run.
    Refuse(Refusal),
}

/// Which published rows a query's result holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reading {
    /// For each published table (or alias of one) whose whole primary key is among the result's columns: which table, and which
    /// result columns hold the key, in key order.
    pub keys: Vec<(usize, Vec<usize>)>,
    /// The published table whose columns, all of them and nothing else, the result is (`SELECT *`): its key is in the result columns
    /// that are called so.
    pub by_name: Option<usize>,
    /// Published tables that are read in a way that does not tell which rows: an aggregate, a partial select, a subselect.
    pub unresolved: Vec<usize>,
}

/// A write whose rows can be known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Writing {
    /// The written table.
    pub table: usize,
    /// The table as the statement writes it, with its quotes, schema and alias: what a `SELECT … FROM` of the same rows names.
    pub target: String,
    /// The name that qualifies its columns: the alias, else the table, as the statement writes it.
    pub qualifier: String,
    /// What is done to it.
    pub verb: Verb,
    /// Whether the statement has a RETURNING list already, which can then be made longer at its end.
    pub has_returning: bool,
}

/// What a write does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verb {
    /// `INSERT`.
    Insert {
        /// What happens on a conflict.
        on_conflict: OnConflict,
        /// How many rows it inserts, when VALUES tell.
        rows: Option<usize>,
        /// For each row of VALUES (also DEFAULT VALUES, and SET of MySQL), where each primary key column's value comes from, in key
        /// order. Empty when the rows come from elsewhere.
        keys: Vec<Vec<KeySource>>,
    },
    /// `UPDATE`.
    Update {
        /// Which rows.
        condition: Condition,
    },
    /// `DELETE`.
    Delete {
        /// Which rows.
        condition: Condition,
    },
}

/// What an INSERT does about a conflict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnConflict {
    /// It fails.
    Fail,
    /// The row stays as it is: `DO NOTHING`, `INSERT IGNORE`, `INSERT OR IGNORE`.
    Ignore,
    /// The row is updated: `DO UPDATE`, `ON DUPLICATE KEY UPDATE`.
    Update,
}

/// Where the value of an inserted key column comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeySource {
    /// The statement's n-th bind, from 0.
    Bind(usize),
    /// Left to the database: absent, or `DEFAULT`, or NULL on MySQL and SQLite.
    Database,
    /// An expression or a literal.
    Other,
}

/// Which rows an UPDATE or DELETE means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// The statement's text from WHERE or ORDER BY on, without RETURNING; empty when it has none of them. Placeholders keep the
    /// numbers of the whole statement, and get them on SQLite (`?2`): there and on PostgreSQL all of its binds can be passed.
    pub text: String,
    /// The binds inside of `text`, counted from 0 in the order of the whole statement's binds.
    pub binds: Range<usize>,
    /// The bytes of the statement that are WHERE and what it asks for; empty, and where it would stand, when there is none. A
    /// statement whose rows were selected before has to be narrowed to them here: until it runs, the same question may get another
    /// answer (a subselect reads rows that nobody locks, `RAND()` differs each time). Its binds are those of `text`, which has none
    /// behind WHERE.
    pub filter: Range<usize>,
    /// Where the condition is just `key = ?` for each primary key column: their binds, in key order. What compares equal to a bind
    /// may still be another text: letter case, padding, casts.
    pub pinned: Option<Vec<usize>>,
}

/// Why a statement must not run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The published table, when one is known.
    pub table: Option<usize>,
    /// What kind of statement it is, for people: `REPLACE`, `UPDATE … FROM`.
    pub statement: String,
    /// What to do instead, as a sentence.
    pub advice: String,
}

/// What running a script does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Script {
    /// Whether the database commits in it, as MySQL does for definitions: it must not run in a transaction that has written
    /// published rows.
    pub commits: bool,
}
