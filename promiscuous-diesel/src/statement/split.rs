//! Where the statements of a script end. In doubt a statement ends too early, so that what follows is judged by itself.

use std::ops::Range;

use promiscuous_core::database::Dialect;

use super::lexer::{Kind, Text, Unreadable};

/// The tokens of each statement, without the semicolons between them.
pub(super) fn statements(text: &Text<'_>) -> Result<Vec<Range<usize>>, Unreadable> {
    let mut all = Vec::new();
    let mut start = 0;
    while start < text.tokens.len() {
        let end = end(text, start)?;
        if end > start {
            all.push(start..end);
        }
        start = end + 1;
    }
    Ok(all)
}

/// The semicolon that ends the statement, or the end of the text.
fn end(text: &Text<'_>, start: usize) -> Result<usize, Unreadable> {
    let semicolon = |from: usize| {
        (from..text.tokens.len())
            .find(|token| text.kind(*token) == Some(Kind::Semicolon))
            .unwrap_or(text.tokens.len())
    };
    if !defines_routine(text, start) {
        return Ok(semicolon(start));
    }
    match text.dialect {
        Dialect::Sqlite => {
            let mut at = semicolon(start);
            while at < text.tokens.len() {
                let next = semicolon(at + 1);
                if text.is(at + 1, "end") && next == at + 2 {
                    return Ok(next);
                }
                at = next;
            }
            Err(Unreadable("the body of a trigger has no end"))
        }
        Dialect::Postgres | Dialect::Mysql => body_end(text, start),
    }
}

/// Whether a statement creates something with a body of statements. (PostgreSQL's bodies in quotes are strings like others.)
pub(super) fn defines_routine(text: &Text<'_>, start: usize) -> bool {
    if !text.is_one(start, &["create", "alter"]) {
        return false;
    }
    let replaces = text.is(start + 1, "or") && text.is(start + 2, "replace");
    let kind = if replaces { start + 3 } else { start + 1 };
    match text.dialect {
        Dialect::Sqlite => {
            text.is(kind, "trigger")
                || (text.is_one(kind, &["temp", "temporary"]) && text.is(kind + 1, "trigger"))
        }
        Dialect::Postgres => text.is_one(kind, &["function", "procedure"]),
        Dialect::Mysql => {
            let routine = |token| {
                text.is_one(token, &["trigger", "function", "procedure", "event", "package", "aggregate"])
            };
            // DEFINER = 'name'@'host', or CURRENT_USER()
            let behind_definer = || text.is(kind, "definer") && (kind + 3..kind + 7).any(routine);
            routine(kind) || behind_definer()
        }
    }
}

/// The end of `BEGIN … END`, by counting.
fn body_end(text: &Text<'_>, start: usize) -> Result<usize, Unreadable> {
    let mut depth = 0_usize;
    for token in start + 1..text.tokens.len() {
        let kind = text.kind(token);
        // A name or a value: not what begins a block.
        let inside =
            matches!(text.kind(token - 1), Some(Kind::Dot | Kind::Comma | Kind::Open | Kind::Symbol));
        let begins = text.is(token, "begin")
            && match text.dialect {
                Dialect::Postgres => text.is(token + 1, "atomic"),
                _ => !inside,
            };
        let begins_case = text.is(token, "case") && depth > 0 && !text.is(token - 1, "end");
        let ends_other = text.is_one(token + 1, &["if", "loop", "while", "repeat", "for"]);
        if kind == Some(Kind::Semicolon) && depth == 0 {
            return Ok(token);
        } else if begins || begins_case {
            depth += 1;
        } else if text.is(token, "end") && !ends_other {
            depth = depth.saturating_sub(1);
        }
    }
    match depth {
        0 => Ok(text.tokens.len()),
        _ => Err(Unreadable("the body of a routine has no end")),
    }
}
