//! From tokens to a syntax tree, through a parser that never sees the text itself.
//!
//! It is given the tokens in a plain form: one line, no comments, empty strings, all names quoted alike. So it cannot read where
//! strings, names and comments end in another way than `lexer` does; and no value of a row gets into it. What it does not know and
//! what changes nothing here is left out.

use std::ops::Range;

use promiscuous_core::database::Dialect;
use sqlparser::ast;
use sqlparser::dialect::{MySqlDialect, PostgreSqlDialect, SQLiteDialect};
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::Span;

use super::lexer::{Kind, Text};
use super::verbs::is_modifier;

/// A statement's tree, and where its names are in the text.
pub(super) struct Parsed {
    pub tree: ast::Statement,
    columns: Vec<(u64, usize)>,
}

impl Parsed {
    /// The token that begins at this place of the tree's text.
    pub(super) fn token(&self, span: Span) -> Option<usize> {
        let found = self.columns.binary_search_by_key(&span.start.column, |(column, _)| *column).ok()?;
        (span.start.line == 1).then_some(self.columns[found].1)
    }

    /// The tokens of a name's parts.
    pub(super) fn name(&self, name: &ast::ObjectName) -> Option<Vec<usize>> {
        name.0
            .iter()
            .map(|part| match part {
                ast::ObjectNamePart::Identifier(ident) => self.token(ident.span),
                ast::ObjectNamePart::Function(_) => None,
            })
            .collect()
    }
}

/// Why there is no tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unparsed {
    /// The parser does not know the statement's form.
    Unknown,
    /// It would need more levels.
    TooDeep,
}

/// Parses one statement, which may nest so many levels.
pub(super) fn parse(text: &Text<'_>, tokens: Range<usize>, levels: usize) -> Result<Parsed, Unparsed> {
    let (plain, columns) = plain(text, tokens);
    let dialect: &dyn sqlparser::dialect::Dialect = match text.dialect {
        Dialect::Postgres => &PostgreSqlDialect {},
        Dialect::Mysql => &MySqlDialect {},
        Dialect::Sqlite => &SQLiteDialect {},
    };
    let parsed = Parser::new(dialect)
        .with_recursion_limit(levels)
        .try_with_sql(&plain)
        .and_then(|mut parser| parser.parse_statements());
    match parsed {
        Ok(mut statements) if statements.len() == 1 => match statements.pop() {
            Some(tree) => Ok(Parsed { tree, columns }),
            None => Err(Unparsed::Unknown),
        },
        Err(ParserError::RecursionLimitExceeded) => Err(Unparsed::TooDeep),
        Ok(_) | Err(_) => Err(Unparsed::Unknown),
    }
}

/// The plain form, and in which of its columns which token begins.
fn plain(text: &Text<'_>, tokens: Range<usize>) -> (String, Vec<(u64, usize)>) {
    let mut plain = String::new();
    let mut columns = Vec::with_capacity(tokens.len());
    let mut column = 1;
    let mut token = tokens.start;
    while token < tokens.end {
        if let Some(next) = left_out(text, token, tokens.clone()).filter(|next| *next <= tokens.end) {
            token = next;
            continue;
        }
        let symbols = text.kind(token) == Some(Kind::Symbol)
            && !text.tokens[token].gap
            && token > tokens.start
            && text.kind(token - 1) == Some(Kind::Symbol)
            // MySQL has `1--1`.
            && !(text.written(token) == "-" && text.written(token - 1) == "-");
        if !symbols && !plain.is_empty() {
            plain.push(' ');
            column += 1;
        }
        columns.push((column, token));
        let before = plain.len();
        push(text, token, &mut plain);
        column += plain[before..].chars().count() as u64;
        token += 1;
    }
    (plain, columns)
}

fn push(text: &Text<'_>, token: usize, plain: &mut String) {
    let written = text.written(token);
    let is_plain = |name: &str| name.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_');
    match text.tokens[token].kind {
        Kind::Word if is_plain(written) && !written.starts_with(|c: char| c.is_ascii_digit()) => {
            plain.push_str(written);
        }
        Kind::Word | Kind::Quoted => {
            let quote = if text.dialect == Dialect::Mysql { '`' } else { '"' };
            let name = text.name(token);
            plain.push(quote);
            plain.extend(name.iter().flat_map(|name| name.chars()).map(|c| match is_part_of_plain(c) {
                true => c,
                false => '_',
            }));
            if name.is_none_or(|name| name.is_empty()) {
                plain.push('_');
            }
            plain.push(quote);
        }
        // It may stand for a name.
        Kind::Text => match text.name(token).filter(|name| is_plain(name)) {
            Some(_) => plain.push_str(written),
            None => plain.push_str("''"),
        },
        Kind::Number if written.bytes().all(|c| c.is_ascii_digit()) => plain.push_str(written),
        Kind::Number => plain.push('1'),
        Kind::Bind(_) if text.dialect == Dialect::Postgres => plain.push_str(written),
        Kind::Bind(_) => plain.push('?'),
        Kind::Variable => plain.push_str("@v"),
        Kind::Open | Kind::Close | Kind::Comma | Kind::Dot | Kind::Semicolon | Kind::Symbol => {
            plain.push_str(written);
        }
    }
}

fn is_bind(kind: Kind) -> bool {
    matches!(kind, Kind::Bind(_))
}

fn is_part_of_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// What the parser does not know, or takes for something else: the token to go on with.
fn left_out(text: &Text<'_>, token: usize, tokens: Range<usize>) -> Option<usize> {
    let follows = |words: &[&str]| token > tokens.start && text.is_one(token - 1, words);
    // UPDATE IGNORE users, FROM ONLY users: IGNORE and ONLY would be the table, and users its alias.
    if is_modifier(text, token) {
        let verb = (tokens.start..token).rev().find(|before| !is_modifier(text, *before));
        if verb.is_some_and(|verb| text.is_one(verb, &["update", "delete"])) {
            return Some(token + 1);
        }
    }
    if text.dialect == Dialect::Postgres
        && text.is(token, "only")
        && matches!(text.kind(token + 1), Some(Kind::Word | Kind::Quoted))
        && (follows(&["update", "from", "join", "into"])
            || (token > tokens.start && text.kind(token - 1) == Some(Kind::Comma)))
    {
        return Some(token + 1);
    }
    // FOR NO KEY UPDATE, FOR KEY SHARE; OVERRIDING SYSTEM VALUE; LOCK IN SHARE MODE
    let is_phrase = |phrase: &[&str]| phrase.iter().enumerate().all(|(at, word)| text.is(token + at, word));
    if follows(&["for"]) && is_phrase(&["no", "key", "update"]) {
        return Some(token + 2);
    }
    if follows(&["for"]) && is_phrase(&["key", "share"]) {
        return Some(token + 1);
    }
    let phrases: &[&[&str]] = match text.dialect {
        Dialect::Postgres => &[&["overriding", "system", "value"], &["overriding", "user", "value"]],
        Dialect::Mysql => &[&["lock", "in", "share", "mode"]],
        Dialect::Sqlite => &[],
    };
    if let Some(phrase) = phrases.iter().find(|phrase| is_phrase(phrase)) {
        return Some(token + phrase.len());
    }
    // IN ($1, $2, …): one bind says as much as a thousand, and many a list is long.
    if token > tokens.start + 2
        && text.kind(token - 1).is_some_and(is_bind)
        && text.kind(token - 2) == Some(Kind::Open)
        && text.is(token - 3, "in")
    {
        let mut next = token;
        while text.kind(next) == Some(Kind::Comma) && text.kind(next + 1).is_some_and(is_bind) {
            next += 2;
        }
        if next > token && text.kind(next) == Some(Kind::Close) {
            return Some(next);
        }
    }
    // 'one' 'string'
    if text.kind(token) == Some(Kind::Text)
        && text.dialect != Dialect::Sqlite
        && token > tokens.start
        && text.kind(token - 1) == Some(Kind::Text)
    {
        return Some(token + 1);
    }
    // ON CONFLICT (lower(name)) WHERE deleted IS NULL DO …: what the conflict is about.
    let target = follows(&["conflict"]) && text.kind(token) == Some(Kind::Open);
    if target {
        let close = closing(text, token, tokens.end)?;
        let action = (close..tokens.end).find(|token| text.is(*token, "do"))?;
        return Some(action);
    }
    None
}

/// The parenthesis that closes this one.
fn closing(text: &Text<'_>, open: usize, end: usize) -> Option<usize> {
    let mut depth = 0_usize;
    (open..end).find(|token| {
        match text.kind(*token) {
            Some(Kind::Open) => depth += 1,
            Some(Kind::Close) => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth == 0
    })
}
