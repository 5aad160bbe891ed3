//! Finds the words that write, and what they write, by the tokens alone: what the parser says must agree with it.

use std::ops::Range;

use promiscuous_core::database::Dialect;

use super::lexer::{Kind, Text};
use super::tables::Tables;

/// What a verb writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    /// This published table.
    Published(usize),
    /// Another table.
    Other,
    /// Nobody knows.
    Unknown,
}

/// A word that writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Verb {
    /// Its token.
    pub at: usize,
    /// The tokens of the written table's name; empty when there is no name.
    pub name: Range<usize>,
    /// What that is.
    pub target: Target,
}

/// The verbs in a statement that begins with one, or is a query with more of them inside or at its end.
pub(super) fn verbs(text: &Text<'_>, tokens: Range<usize>, tables: &Tables) -> Vec<Verb> {
    tokens
        .clone()
        .filter(|token| {
            is_verb(text, *token, tokens.end) || (*token == tokens.start && begins_write(text, *token))
        })
        .map(|at| {
            let name = target_name(text, at, tokens.end);
            let parts: Vec<_> = name.clone().filter(|token| text.kind(*token) != Some(Kind::Dot)).collect();
            let target = match tables.named(text, &parts) {
                _ if parts.is_empty() => Target::Unknown,
                Some(table) => Target::Published(table),
                None => Target::Other,
            };
            Verb { at, name, target }
        })
        .collect()
}

/// Whether a statement that begins with this token writes.
pub(super) fn begins_write(text: &Text<'_>, token: usize) -> bool {
    text.is_one(token, &["insert", "update", "delete", "replace", "merge"])
}

fn is_verb(text: &Text<'_>, token: usize, end: usize) -> bool {
    if text.kind(token) != Some(Kind::Word) || !begins_write(text, token) {
        return false;
    }
    let next = if token + 1 < end { text.kind(token + 1) } else { None };
    let before = |words: &[&str]| token > 0 && text.is_one(token - 1, words);
    if token > 0 && text.kind(token - 1) == Some(Kind::Dot) {
        return false;
    }
    if text.is(token, "update") && before(&["for", "key", "do"]) {
        // FOR UPDATE, FOR NO KEY UPDATE, ON DUPLICATE KEY UPDATE, ON CONFLICT DO UPDATE
        return false;
    }
    match text.dialect {
        // Not reserved: such a word may be a column.
        Dialect::Postgres if text.is(token, "update") => {
            matches!(next, Some(Kind::Word | Kind::Quoted))
                && !text.is(token + 1, "set")
                && sets_something(text, token + 1..end)
        }
        Dialect::Postgres if text.is(token, "delete") => text.is(token + 1, "from"),
        Dialect::Postgres if text.is(token, "replace") => false,
        Dialect::Postgres => text.is(token + 1, "into"),
        // INSERT OR REPLACE INTO
        Dialect::Sqlite if text.is(token, "replace") => text.is(token + 1, "into") && !before(&["or"]),
        // INSERT and REPLACE are functions as well.
        Dialect::Mysql | Dialect::Sqlite => match text.is_one(token, &["insert", "replace"]) {
            true => next != Some(Kind::Open),
            false => !text.is(token, "merge"),
        },
    }
}

/// Whether SET follows before the parentheses around it are closed.
fn sets_something(text: &Text<'_>, tokens: Range<usize>) -> bool {
    let mut depth = 0_usize;
    for token in tokens {
        match text.kind(token) {
            Some(Kind::Open) => depth += 1,
            Some(Kind::Close) if depth == 0 => return false,
            Some(Kind::Close) => depth -= 1,
            _ if depth == 0 && text.is(token, "set") => return true,
            _ => {}
        }
    }
    false
}

/// What may stand behind a verb of MySQL's.
pub(super) fn is_modifier(text: &Text<'_>, token: usize) -> bool {
    text.dialect == Dialect::Mysql
        && text.is_one(token, &["low_priority", "high_priority", "delayed", "quick", "ignore"])
}

fn target_name(text: &Text<'_>, verb: usize, end: usize) -> Range<usize> {
    let mut at = verb + 1;
    if text.is(at, "or") && text.dialect == Dialect::Sqlite {
        at += 2;
    }
    let skip = |at: &mut usize, noise: &dyn Fn(usize) -> bool| {
        while *at < end && noise(*at) {
            *at += 1;
        }
    };
    skip(&mut at, &|token| is_modifier(text, token));
    skip(&mut at, &|token| text.is_one(token, &["into", "from"]));
    skip(&mut at, &|token| text.dialect == Dialect::Postgres && text.is(token, "only"));
    let is_name =
        |token| token < end && matches!(text.kind(token), Some(Kind::Word | Kind::Quoted | Kind::Text));
    let start = at;
    if !is_name(at) {
        return start..start;
    }
    at += 1;
    while text.kind(at) == Some(Kind::Dot) && is_name(at + 1) {
        at += 2;
    }
    start..at
}
