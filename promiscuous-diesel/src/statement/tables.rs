//! The published tables, and when a name in a statement means one of them.

use promiscuous_core::database::Dialect;

use super::lexer::{Kind, Text};

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

    /// Whether nothing is published.
    pub fn is_empty(&self) -> bool {
        self.tables.is_empty()
    }

    /// The first table whose name may occur anywhere in a text, inside of longer words, strings and comments too.
    pub(super) fn spelled_in(&self, sql: &str, dialect: Dialect) -> Option<usize> {
        let folded = sql.to_lowercase();
        self.tables.iter().position(|table| {
            let name = truncated(dialect, &table.name);
            // A quote inside of a name is written twice.
            name.is_empty() || name.contains(['"', '`', '\'']) || folded.contains(&name.to_lowercase())
        })
    }

    /// The table that a name means: its parts are tokens, the table's own last. What cannot be read may be any table.
    pub(super) fn named(&self, text: &Text<'_>, parts: &[usize]) -> Option<usize> {
        let (table, qualifiers) = parts.split_last()?;
        self.tables.iter().position(|published| {
            means(text, *table, &published.name)
                && match (qualifiers.last(), &published.schema) {
                    (Some(schema), Some(own)) => means(text, *schema, own),
                    _ => true,
                }
        })
    }

    /// The published tables among a statement's tokens, whatever they stand for there.
    pub(super) fn mentioned(&self, text: &Text<'_>, tokens: std::ops::Range<usize>) -> Vec<usize> {
        let mut all: Vec<_> = tokens.filter_map(|token| self.named(text, &[token])).collect();
        all.sort_unstable();
        all.dedup();
        all
    }
}

/// Whether a token is this name.
pub(super) fn means(text: &Text<'_>, token: usize, name: &str) -> bool {
    let Some(read) = text.name(token) else {
        // A name with escapes may be any.
        return text.kind(token) == Some(Kind::Quoted);
    };
    if text.dialect != Dialect::Postgres {
        // SQLite, and MySQL on some systems, do not care for letter case.
        return match read.is_ascii() && name.is_ascii() {
            true => read.eq_ignore_ascii_case(name),
            false => read.to_lowercase() == name.to_lowercase(),
        };
    }
    let (read, name) = (truncated(Dialect::Postgres, &read), truncated(Dialect::Postgres, name));
    match text.kind(token) {
        // It is folded, the table's name is not.
        Some(Kind::Word) => {
            read.eq_ignore_ascii_case(name) && !name.contains(|c: char| c.is_ascii_uppercase())
        }
        _ => read == name,
    }
}

/// Whether two tokens are the same name.
pub(super) fn same(text: &Text<'_>, one: usize, other: usize) -> bool {
    let folded = |token| match (text.name(token), text.kind(token)) {
        (Some(name), Some(Kind::Word)) => Some(name.to_lowercase()),
        (Some(name), _) if text.dialect != Dialect::Postgres => Some(name.to_lowercase()),
        (Some(name), _) => Some(name.into_owned()),
        (None, _) => None,
    };
    folded(one).is_some() && folded(one) == folded(other)
}

/// PostgreSQL cuts names off after 63 bytes.
fn truncated(dialect: Dialect, name: &str) -> &str {
    let mut end = if dialect == Dialect::Postgres { name.len().min(63) } else { name.len() };
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    &name[..end]
}
