//! Cuts a text into tokens in the way its database does, strictly: what one of them might read differently is no token.
//!
//! The parser has a lexer of its own, which is laxer and knows each dialect less well. It never sees the text itself: see `parse`.
//! The databases' own defaults are supposed for strings: `standard_conforming_strings` is on, `NO_BACKSLASH_ESCAPES` is off.

use std::borrow::Cow;
use std::ops::Range;

use promiscuous_core::database::Dialect;

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A keyword or a name without quotes.
    Word,
    /// A name in quotes.
    Quoted,
    /// A string, with its prefix.
    Text,
    Number,
    /// A placeholder: the number of its bind, from 0.
    Bind(usize),
    /// `@name` and `@@name` of MySQL.
    Variable,
    Open,
    Close,
    Comma,
    Dot,
    Semicolon,
    /// One character of anything else.
    Symbol,
}

/// A token and where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Token {
    pub kind: Kind,
    /// Its first byte.
    pub start: usize,
    /// The byte behind it.
    pub end: usize,
    /// Whether white space or a comment stands before it.
    pub gap: bool,
}

/// A text, cut into tokens.
#[derive(Debug)]
pub(super) struct Text<'s> {
    pub sql: &'s str,
    pub dialect: Dialect,
    pub tokens: Vec<Token>,
    /// Whether it has a `/*! … */`, which runs on some versions of MySQL and is a comment on others.
    pub conditional: bool,
    /// Whether a placeholder has a name, so that the number of its bind is not known.
    pub named_binds: bool,
}

/// Why a text cannot be cut: an end that is missing, or a form that databases or their versions read differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unreadable(pub &'static str);

impl<'s> Text<'s> {
    /// Cuts a text, taking `/*! … */` for code.
    pub(super) fn cut(sql: &'s str, dialect: Dialect) -> Result<Self, Unreadable> {
        Self::cut_as(sql, dialect, true)
    }

    /// Cuts a text, taking `/*! … */` for a comment.
    pub(super) fn cut_without_conditional(sql: &'s str, dialect: Dialect) -> Result<Self, Unreadable> {
        Self::cut_as(sql, dialect, false)
    }

    fn cut_as(sql: &'s str, dialect: Dialect, runs_conditional: bool) -> Result<Self, Unreadable> {
        let text = Self { sql, dialect, tokens: Vec::new(), conditional: false, named_binds: false };
        Lexer { text, at: 0, binds: 0, runs_conditional, in_conditional: false }.run()
    }

    pub(super) fn kind(&self, token: usize) -> Option<Kind> {
        self.tokens.get(token).map(|token| token.kind)
    }

    /// How a token is written.
    pub(super) fn written(&self, token: usize) -> &'s str {
        self.tokens.get(token).map_or("", |token| &self.sql[token.start..token.end])
    }

    /// Whether a token is this keyword (in lower case).
    pub(super) fn is(&self, token: usize, word: &str) -> bool {
        self.kind(token) == Some(Kind::Word) && self.written(token).eq_ignore_ascii_case(word)
    }

    /// Whether a token is one of these keywords.
    pub(super) fn is_one(&self, token: usize, words: &[&str]) -> bool {
        words.iter().any(|word| self.is(token, word))
    }

    /// The tokens' text, from the first one to the last, with all that is between them.
    pub(super) fn slice(&self, tokens: Range<usize>) -> &'s str {
        match (
            self.tokens.get(tokens.start),
            tokens.end.checked_sub(1).and_then(|last| self.tokens.get(last)),
        ) {
            (Some(first), Some(last)) if first.start <= last.end => &self.sql[first.start..last.end],
            _ => "",
        }
    }

    /// What a token names, where it can be a name: SQLite takes strings for names where a name must stand, and MySQL does so with
    /// double quotes in the mode ANSI_QUOTES.
    pub(super) fn name(&self, token: usize) -> Option<Cow<'s, str>> {
        let written = self.written(token);
        let quote = written.chars().next()?;
        match self.kind(token)? {
            Kind::Word => return Some(Cow::Borrowed(written)),
            Kind::Quoted => {}
            Kind::Text if self.dialect == Dialect::Sqlite && quote == '\'' => {}
            Kind::Text if self.dialect == Dialect::Mysql && quote == '"' => {}
            _ => return None,
        }
        let inside = written.get(1..written.len().checked_sub(1)?)?;
        if self.dialect == Dialect::Mysql && inside.to_ascii_lowercase().starts_with("#mysql50#") {
            // A table by its file's name, which has escapes.
            return None;
        }
        match quote {
            '[' => Some(Cow::Borrowed(inside)),
            '"' | '`' | '\'' if inside.contains(quote) => {
                Some(Cow::Owned(inside.replace(&format!("{quote}{quote}"), &quote.to_string())))
            }
            '"' | '`' | '\'' => Some(Cow::Borrowed(inside)),
            _ => None,
        }
    }
}

struct Lexer<'s> {
    text: Text<'s>,
    /// The next byte.
    at: usize,
    /// The highest number of a bind so far.
    binds: usize,
    /// Whether `/*! … */` is code.
    runs_conditional: bool,
    /// Whether we are in `/*! … */`.
    in_conditional: bool,
}

impl<'s> Lexer<'s> {
    fn run(mut self) -> Result<Text<'s>, Unreadable> {
        loop {
            let gap = self.skip()?;
            let start = self.at;
            let Some(first) = self.rest().chars().next() else { break };
            let kind = self.token(first)?;
            self.text.tokens.push(Token { kind, start, end: self.at, gap });
        }
        if self.in_conditional {
            return Err(Unreadable("a comment has no end"));
        }
        Ok(self.text)
    }

    fn rest(&self) -> &'s str {
        &self.text.sql[self.at..]
    }

    fn is(&self, dialect: Dialect) -> bool {
        self.text.dialect == dialect
    }

    /// Skips white space and comments.
    fn skip(&mut self) -> Result<bool, Unreadable> {
        let begin = self.at;
        loop {
            let rest = self.rest();
            let mysql = self.is(Dialect::Mysql);
            let white = rest.len() - rest.trim_start_matches([' ', '\t', '\n', '\r', '\x0b', '\x0c']).len();
            let dashes = rest.strip_prefix("--").is_some_and(|after| {
                // Only MySQL has `1--1`.
                !mysql || after.chars().next().is_none_or(|c| c.is_ascii_whitespace() || c.is_ascii_control())
            });
            if white > 0 {
                self.at += white;
            } else if dashes || (mysql && rest.starts_with('#')) {
                self.at += match self.is(Dialect::Postgres) {
                    true => rest.find(['\n', '\r']).unwrap_or(rest.len()),
                    false => rest.find('\n').unwrap_or(rest.len()),
                };
            } else if mysql && (rest.starts_with("/*!") || rest.starts_with("/*M!")) {
                self.text.conditional = true;
                if !self.runs_conditional {
                    self.at += self.comment(rest)?;
                    continue;
                }
                if std::mem::replace(&mut self.in_conditional, true) {
                    return Err(Unreadable("a comment is inside of another one"));
                }
                let opened = if rest.starts_with("/*!") { 3 } else { 4 };
                let digits = rest[opened..].bytes().take_while(u8::is_ascii_digit).count();
                self.at += opened + digits;
            } else if self.in_conditional && rest.starts_with("*/") {
                self.in_conditional = false;
                self.at += 2;
            } else if rest.starts_with("/*") {
                self.at += self.comment(rest)?;
            } else if self.is(Dialect::Sqlite) && rest.starts_with('\u{feff}') {
                self.at += '\u{feff}'.len_utf8();
            } else {
                return Ok(self.at > begin);
            }
        }
    }

    /// The length of a comment.
    fn comment(&self, rest: &str) -> Result<usize, Unreadable> {
        let mut depth = 1_usize;
        let mut at = 2;
        while depth > 0 {
            let Some(next) = rest[at..].find('*').map(|found| at + found) else {
                // SQLite takes the end of the text for the end of the comment.
                return if self.is(Dialect::Sqlite) {
                    Ok(rest.len())
                } else {
                    Err(Unreadable("a comment has no end"))
                };
            };
            if self.is(Dialect::Postgres) && next > at && rest[..next].ends_with('/') {
                // Comments nest.
                depth += 1;
                at = next + 1;
            } else if rest[next..].starts_with("*/") {
                depth -= 1;
                at = next + 2;
            } else {
                at = next + 1;
            }
        }
        Ok(at)
    }

    fn token(&mut self, first: char) -> Result<Kind, Unreadable> {
        let rest = self.rest();
        let single = match first {
            '(' => Some(Kind::Open),
            ')' => Some(Kind::Close),
            ',' => Some(Kind::Comma),
            ';' => Some(Kind::Semicolon),
            _ => None,
        };
        if let Some(kind) = single {
            self.at += 1;
            return Ok(kind);
        }
        match (first, self.text.dialect) {
            ('\0', _) => Err(Unreadable("it has a NUL character")),
            ('\'', Dialect::Mysql) => self.quoted('\'', true, Kind::Text),
            ('\'', _) => self.quoted('\'', false, Kind::Text),
            ('"', Dialect::Mysql) => self.quoted('"', true, Kind::Text),
            ('"', _) => self.quoted('"', false, Kind::Quoted),
            ('`', Dialect::Mysql | Dialect::Sqlite) => self.quoted('`', false, Kind::Quoted),
            ('[', Dialect::Sqlite) => {
                self.at += rest.find(']').ok_or(Unreadable("a name has no end"))? + 1;
                Ok(Kind::Quoted)
            }
            ('$', Dialect::Postgres) => self.dollar(rest),
            ('?', Dialect::Mysql | Dialect::Sqlite) => self.question(rest),
            (':' | '@' | '$' | '#', Dialect::Sqlite) => {
                self.text.named_binds = true;
                let name = rest[1..].find(|c| !is_part(c)).unwrap_or(rest.len() - 1);
                self.at += 1 + name;
                Ok(Kind::Bind(self.binds))
            }
            ('@', Dialect::Mysql) => self.variable(rest),
            ('.', _) if rest[1..].starts_with(|c: char| c.is_ascii_digit()) && !self.follows_name() => {
                self.number(rest)
            }
            ('.', _) => {
                self.at += 1;
                Ok(Kind::Dot)
            }
            ('0'..='9', _) => self.number(rest),
            (c, _) if is_part(c) => self.word(rest),
            (c, _) => {
                self.at += c.len_utf8();
                Ok(Kind::Symbol)
            }
        }
    }

    /// Whether the token before touches this place and can be a name.
    fn follows_name(&self) -> bool {
        self.text.tokens.last().is_some_and(|token| {
            token.end == self.at && matches!(token.kind, Kind::Word | Kind::Quoted | Kind::Text)
        })
    }

    /// A text from its opening quote on; a doubled quote is one of its characters.
    fn quoted(&mut self, quote: char, escapes: bool, kind: Kind) -> Result<Kind, Unreadable> {
        let mut chars = self.rest().char_indices().skip(1).peekable();
        while let Some((at, c)) = chars.next() {
            match c {
                '\0' => return Err(Unreadable("it has a NUL character")),
                '\\' if escapes => _ = chars.next(),
                c if c == quote && chars.next_if(|(_, next)| *next == quote).is_none() => {
                    self.at += at + quote.len_utf8();
                    return Ok(kind);
                }
                _ => {}
            }
        }
        Err(Unreadable("a string or a name has no end"))
    }

    /// `$1` or `$tag$ … $tag$`.
    fn dollar(&mut self, rest: &str) -> Result<Kind, Unreadable> {
        let digits = rest[1..].bytes().take_while(u8::is_ascii_digit).count();
        if digits > 0 {
            if rest[1 + digits..].starts_with(is_part) {
                return Err(Unreadable("a number runs into a word"));
            }
            self.at += 1 + digits;
            let number: usize = rest[1..=digits].parse().map_err(|_| Unreadable("a placeholder's number"))?;
            return Ok(Kind::Bind(number.checked_sub(1).ok_or(Unreadable("a placeholder's number"))?));
        }
        let tag = rest[1..].find(|c| c == '$' || !is_part(c)).map_or(rest.len(), |end| end + 2);
        let opening = rest.get(..tag).filter(|opening| opening.ends_with('$') && opening.len() > 1);
        let Some(opening) = opening else {
            self.at += 1;
            return Ok(Kind::Symbol);
        };
        let body = rest[tag..].find(opening).ok_or(Unreadable("a string has no end"))?;
        self.at += tag + body + tag;
        Ok(Kind::Text)
    }

    /// `?` or `?7`.
    fn question(&mut self, rest: &str) -> Result<Kind, Unreadable> {
        let digits = match self.text.dialect {
            Dialect::Sqlite => rest[1..].bytes().take_while(u8::is_ascii_digit).count(),
            _ => 0,
        };
        self.at += 1 + digits;
        // As SQLite numbers them: a bare one gets the next number after the highest.
        let number = match digits {
            0 => self.binds + 1,
            _ => rest[1..=digits].parse().map_err(|_| Unreadable("a placeholder's number"))?,
        };
        self.binds = self.binds.max(number);
        Ok(Kind::Bind(number.checked_sub(1).ok_or(Unreadable("a placeholder's number"))?))
    }

    /// `@name`, `@@name`, `@'name'`.
    fn variable(&mut self, rest: &str) -> Result<Kind, Unreadable> {
        let at_signs = if rest.starts_with("@@") { 2 } else { 1 };
        self.at += at_signs;
        match rest[at_signs..].chars().next() {
            Some(quote @ ('\'' | '"')) => self.quoted(quote, true, Kind::Variable),
            Some('`') => self.quoted('`', false, Kind::Variable),
            _ => {
                let name = &rest[at_signs..];
                self.at += name.find(|c| !is_part(c) && c != '.').unwrap_or(name.len());
                Ok(Kind::Variable)
            }
        }
    }

    fn number(&mut self, rest: &str) -> Result<Kind, Unreadable> {
        let mysql = self.is(Dialect::Mysql);
        // `users.1st`
        let behind_dot = self.text.tokens.last().is_some_and(|token| token.kind == Kind::Dot);
        let run = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
        let (run_text, after) = rest.split_at(run);
        let plain = run_text.bytes().all(|c| c.is_ascii_digit());
        if mysql && run > 0 && (behind_dot || !is_number(run_text)) {
            self.at += run;
            return Ok(Kind::Word);
        }
        if !is_number(run_text) && run > 0 {
            return Err(Unreadable("a number runs into a word"));
        }
        self.at += run;
        let mut rest = after;
        if let Some(after) = rest.strip_prefix('.').filter(|_| plain) {
            let run = after.find(|c| !is_part(c)).unwrap_or(after.len());
            let fraction = &after[..run];
            if !(fraction.is_empty() || fraction.starts_with(['e', 'E']) || is_number(fraction)) {
                return Err(Unreadable("a number runs into a word"));
            }
            self.at += 1 + run;
            rest = &after[run..];
        }
        let exponent = self.text.sql[..self.at].ends_with(['e', 'E'])
            && !run_text.starts_with("0x")
            && !run_text.starts_with("0X");
        if exponent && let Some(after) = rest.strip_prefix(['+', '-']) {
            let digits = after.bytes().take_while(u8::is_ascii_digit).count();
            if after[digits..].starts_with(is_part) {
                return Err(Unreadable("a number runs into a word"));
            }
            self.at += 1 + digits;
        }
        Ok(Kind::Number)
    }

    /// A word, or a string with a prefix.
    fn word(&mut self, rest: &str) -> Result<Kind, Unreadable> {
        let length = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(length);
        let word = word.to_ascii_lowercase();
        let quote = after.chars().next().unwrap_or(' ');
        self.at += length;
        match (word.as_str(), quote, self.text.dialect) {
            ("u", '&', Dialect::Postgres) if after[1..].starts_with(['"', '\'']) => {
                self.at += 1;
                match after[1..].starts_with('"') {
                    true => self.quoted('"', false, Kind::Quoted),
                    false => self.quoted('\'', false, Kind::Text),
                }
            }
            ("e", '\'', Dialect::Postgres) => self.quoted('\'', true, Kind::Text),
            ("b" | "x" | "n", '\'', Dialect::Postgres) => self.quoted('\'', false, Kind::Text),
            ("x", '\'', Dialect::Sqlite) => self.quoted('\'', false, Kind::Text),
            ("b" | "x", '\'', Dialect::Mysql) => self.quoted('\'', false, Kind::Text),
            ("n", '\'', Dialect::Mysql) => self.quoted('\'', true, Kind::Text),
            (charset, '\'' | '"', Dialect::Mysql) if charset.starts_with('_') => {
                self.quoted(quote, true, Kind::Text)
            }
            _ => Ok(Kind::Word),
        }
    }
}

/// Whether a word may go on with this. All databases take what is not ASCII for letters.
pub(super) fn is_part(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '$' || !c.is_ascii()
}

/// Whether this is a whole number, in any notation, or one with an exponent (perhaps without the exponent's digits).
fn is_number(run: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|c| c.is_ascii_digit() || c == b'_');
    let lower = run.to_ascii_lowercase();
    if let Some(hex) = lower.strip_prefix("0x") {
        return !hex.is_empty() && hex.bytes().all(|c| c.is_ascii_hexdigit() || c == b'_');
    }
    if let Some(other) = lower.strip_prefix("0o").or(lower.strip_prefix("0b")) {
        return digits(other);
    }
    match lower.split_once('e') {
        Some((whole, exponent)) => digits(whole) && (exponent.is_empty() || digits(exponent)),
        None => digits(&lower),
    }
}
