//! Cuts out of an UPDATE or DELETE which rows it means.

use std::ops::Range;

use promiscuous_core::database::Dialect;
use sqlparser::ast::{BinaryOperator, Expr, Ident, Value};

use super::change::Named;
use super::lexer::Kind;
use super::parse::Parsed;
use super::tables::{means, same};
use super::tree::{Subject, depth};
use super::verbs::Verb;
use super::{Condition, Refusal};

/// Where the clauses of an UPDATE or DELETE are.
pub(super) struct Clauses {
    /// The keyword behind the table, where there must be one: SET.
    pub begins: Option<usize>,
    /// From the first of WHERE, ORDER BY and LIMIT to RETURNING or the end; empty and there, when it has none of them.
    pub condition: Range<usize>,
    /// ORDER BY.
    order: Option<usize>,
    has_where: bool,
    has_limit: bool,
    has_returning: bool,
}

impl Clauses {
    /// Looks for them behind a verb, outside of parentheses.
    pub(super) fn of(subject: Subject<'_>, own: &Verb, begins: &[&str]) -> Self {
        let text = subject.text;
        let outer = depth(subject, own.at);
        let mut nesting = outer;
        let mut found = Self {
            begins: None,
            condition: subject.end..subject.end,
            order: None,
            has_where: false,
            has_limit: false,
            has_returning: false,
        };
        for token in own.name.end..subject.end {
            match text.kind(token) {
                Some(Kind::Open) => nesting += 1,
                Some(Kind::Close) => nesting -= 1,
                Some(Kind::Word) if nesting == outer && text.kind(token - 1) != Some(Kind::Dot) => {
                    let opens = text.is_one(token, &["where", "limit"])
                        || (text.is(token, "order") && text.is(token + 1, "by"));
                    if found.begins.is_none() && text.is_one(token, begins) {
                        found.begins = Some(token);
                    } else if text.is(token, "returning") && !found.has_returning {
                        found.has_returning = true;
                        found.condition.end = token;
                        found.condition.start = found.condition.start.min(token);
                    } else if opens && !found.has_returning {
                        found.condition.start = found.condition.start.min(token);
                    }
                    found.has_where |= text.is(token, "where");
                    found.has_limit |= text.is(token, "limit");
                    if opens && text.is(token, "order") {
                        found.order = Some(token);
                    }
                }
                _ => {}
            }
        }
        found
    }

    /// Whether the tree has the same ones.
    pub(super) fn agree(&self, selection: bool, order: bool, limit: bool, returning: bool) -> bool {
        (self.has_where, self.order.is_some(), self.has_limit, self.has_returning)
            == (selection, order, limit, returning)
    }
}

/// Which rows are meant.
pub(super) fn plan(
    subject: Subject<'_>,
    parsed: &Parsed,
    selection: Option<&Expr>,
    clauses: &Clauses,
    named: &Named,
    own: &Verb,
    table: usize,
) -> Result<Condition, Refusal> {
    let text = subject.text;
    let verb = || text.written(own.at).to_ascii_uppercase();
    if clauses.has_limit || (clauses.order.is_some() && text.dialect != Dialect::Mysql) {
        let advice = "with a LIMIT it is not known which rows: select their primary keys first";
        return Err(Refusal::new(Some(table), format!("{} with LIMIT", verb()), advice));
    }
    if text.named_binds {
        return Err(Refusal::new(Some(table), verb(), "it has placeholders with names: use `?`"));
    }
    // What a WITH gives its name to does not exist outside of the statement.
    let behind_with = subject.first + 1..clauses.condition.start;
    let named_by_with = |token: usize| {
        text.is(subject.first, "with")
            && matches!(text.kind(token), Some(Kind::Word | Kind::Quoted))
            && behind_with.clone().any(|name| {
                // `name AS (`, `name (columns) AS (`
                depth(subject, name) == 0
                    && (text.is(name + 1, "as") || text.kind(name + 1) == Some(Kind::Open))
                    && same(text, name, token)
            })
    };
    if clauses.condition.clone().any(named_by_with) {
        let advice = "with WITH the rows cannot be selected first: select their primary keys, then write `WHERE … IN (…)`";
        return Err(Refusal::new(Some(table), format!("{} behind WITH", verb()), advice));
    }
    if clauses.order.is_some_and(|order| !binds(subject, order..clauses.condition.end).is_empty()) {
        let advice = "with a placeholder in ORDER BY the rows cannot be selected first: write the value, or leave it out";
        return Err(Refusal::new(Some(table), verb(), advice));
    }
    let pinned = match clauses.order {
        None => selection.and_then(|selection| pinned(subject, parsed, selection, named, table)),
        Some(_) => None,
    };
    Ok(Condition {
        text: rendered(subject, clauses),
        binds: binds(subject, clauses.condition.clone()),
        filter: filter(subject, clauses),
        pinned,
    })
}

/// The text, with a number for each placeholder of SQLite's.
fn rendered(subject: Subject<'_>, clauses: &Clauses) -> String {
    let text = subject.text;
    let whole = text.slice(clauses.condition.clone());
    if text.dialect != Dialect::Sqlite {
        return whole.to_owned();
    }
    let mut rendered = String::with_capacity(whole.len() + 8);
    let mut at = text.tokens.get(clauses.condition.start).map_or(0, |token| token.start);
    for token in clauses.condition.clone() {
        if let Some(Kind::Bind(bind)) = text.kind(token) {
            rendered.push_str(&text.sql[at..text.tokens[token].start]);
            rendered.push_str(&format!("?{}", bind + 1));
            at = text.tokens[token].end;
        }
    }
    if let Some(last) = clauses.condition.clone().last() {
        rendered.push_str(&text.sql[at..text.tokens[last].end]);
    }
    rendered
}

/// Where WHERE is, or would be.
fn filter(subject: Subject<'_>, clauses: &Clauses) -> Range<usize> {
    let end_of = |token: usize| subject.text.tokens.get(token).map_or(0, |token| token.end);
    let end = clauses.order.unwrap_or(clauses.condition.end);
    let behind = end_of(end.saturating_sub(1));
    match subject.text.tokens.get(clauses.condition.start) {
        Some(first) if clauses.has_where => first.start..behind,
        _ => {
            let before = end_of(clauses.condition.start.saturating_sub(1));
            before..before
        }
    }
}

fn binds(subject: Subject<'_>, tokens: Range<usize>) -> Range<usize> {
    let number = |token: usize| match subject.text.kind(token) {
        Some(Kind::Bind(bind)) => Some(bind),
        _ => None,
    };
    let inside = || tokens.clone().filter_map(number);
    match (inside().min(), inside().max()) {
        (Some(first), Some(last)) => first..last + 1,
        _ => {
            let before = (subject.first..tokens.start).filter_map(number).max();
            let none = before.map_or(0, |bind| bind + 1);
            none..none
        }
    }
}

/// The binds of a condition that is only `key = ?`, for each of the primary key's columns.
fn pinned(
    subject: Subject<'_>,
    parsed: &Parsed,
    selection: &Expr,
    named: &Named,
    table: usize,
) -> Option<Vec<usize>> {
    let key = &subject.tables.table(table)?.primary_key;
    let mut equalities = Vec::new();
    if !key_equalities(subject, parsed, selection, named, &mut equalities) || equalities.len() != key.len() {
        return None;
    }
    key.iter()
        .map(|column| {
            let (_, bind) = equalities.iter().find(|(token, _)| means(subject.text, *token, column))?;
            Some(*bind)
        })
        .collect()
}

/// Collects `column = ?`. Answers whether there is nothing else.
fn key_equalities(
    subject: Subject<'_>,
    parsed: &Parsed,
    expr: &Expr,
    named: &Named,
    equalities: &mut Vec<(usize, usize)>,
) -> bool {
    match expr {
        Expr::Nested(inner) => key_equalities(subject, parsed, inner, named, equalities),
        Expr::BinaryOp { left, op: BinaryOperator::And, right } => {
            key_equalities(subject, parsed, left, named, equalities)
                && key_equalities(subject, parsed, right, named, equalities)
        }
        Expr::BinaryOp { left, op: BinaryOperator::Eq, right } => {
            let column = |expr| column(subject, parsed, expr, named);
            let bind = |expr| bind(subject, parsed, expr);
            let equality = column(left).zip(bind(right)).or_else(|| column(right).zip(bind(left)));
            equalities.extend(equality);
            equality.is_some()
        }
        _ => false,
    }
}

fn column(subject: Subject<'_>, parsed: &Parsed, expr: &Expr, named: &Named) -> Option<usize> {
    let token = |ident: &Ident| parsed.token(ident.span);
    match expr {
        Expr::Nested(inner) => column(subject, parsed, inner, named),
        Expr::Identifier(name) => token(name),
        Expr::CompoundIdentifier(names) => match names.as_slice() {
            [.., qualifier, name] if same(subject.text, token(qualifier)?, named.token) => token(name),
            _ => None,
        },
        _ => None,
    }
}

fn bind(subject: Subject<'_>, parsed: &Parsed, expr: &Expr) -> Option<usize> {
    match expr {
        Expr::Nested(inner) => bind(subject, parsed, inner),
        Expr::Value(value) if matches!(value.value, Value::Placeholder(_)) => {
            match subject.text.kind(parsed.token(value.span)?)? {
                Kind::Bind(bind) => Some(bind),
                _ => None,
            }
        }
        _ => None,
    }
}
