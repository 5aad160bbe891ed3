//! Understands a statement's text before it runs: what it writes and reads of the published tables. Pure: no connection, no I/O.

use std::ops::Range;

/// A published table, as SQL calls its parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// Without its schema.
    pub name: String,
    /// Its schema, when the model names one. A statement that names none is meant as well.
    pub schema: Option<String>,
    /// The primary key's columns, in key order.
    pub primary_key: Vec<String>,
    /// The published columns.
    pub attribute_columns: Vec<String>,
    /// Whether virtual attributes exist, which may depend on any column. Otherwise an update that sets no published column is
    /// not published.
    pub has_virtual_attributes: bool,
}

/// The published tables, by position.
#[derive(Debug, Clone, Default)]
pub struct Tables {
    tables: Vec<Table>,
}

impl Tables {
    /// These tables, in this order.
    pub fn new(tables: impl IntoIterator<Item = Table>) -> Self {
        Self { tables: tables.into_iter().collect() }
    }

    /// The table at a position that a plan names.
    pub fn table(&self, position: usize) -> Option<&Table> {
        self.tables.get(position)
    }
}

/// What has to be done about a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Plan {
    /// Nothing: no published table is written, and none is read in a way that is remembered.
    Pass,
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
        /// For each row of VALUES, where each primary key column's value comes from, in key order. Empty when it inserts no VALUES.
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
    /// The statement's n-th bind, from 0 in the order of the text.
    Bind(usize),
    /// Left to the database: absent, or `DEFAULT`.
    Database,
    /// An expression or a literal.
    Other,
}

/// Which rows an UPDATE or DELETE means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// The statement's text from WHERE, ORDER BY or LIMIT on, without RETURNING; empty when it has none of them.
    pub text: String,
    /// The binds inside of `text`, counted from 0 in the order of the whole statement's text. With `$n` placeholders the text
    /// keeps its numbers.
    pub binds: Range<usize>,
    /// Where the condition is just `key = ?` for each primary key column: their binds, in key order.
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

mod stand_in;
pub use stand_in::Planner;
