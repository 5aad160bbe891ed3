//! Judges a statement by its first words. What is not known here is refused.

use std::ops::Range;

use promiscuous_core::database::Dialect;

use super::lexer::{Kind, Text};
use super::split::defines_routine;
use super::tables::Tables;
use super::tree::{Subject, understand};
use super::verbs::{begins_write, verbs};
use super::{Plan, Refusal};

/// Ends or begins a transaction.
const TRANSACTION: &[&str] = &["begin", "commit", "end", "rollback", "abort", "savepoint", "release", "xa"];
/// Runs what its text does not show.
const OPAQUE: &[&str] = &["call", "execute", "exec", "prepare", "binlog", "import"];
/// Defines something, and changes no row.
const DEFINITION: &[&str] = &[
    "create",
    "alter",
    "drop",
    "rename",
    "comment",
    "grant",
    "revoke",
    "reassign",
    "security",
    "install",
    "uninstall",
    "reindex",
    "refresh",
    "cluster",
];
/// Looks after tables; on MySQL it commits as well.
const MAINTENANCE: &[&str] = &[
    "analyze", "optimize", "repair", "check", "checksum", "vacuum", "flush", "cache", "lock", "unlock",
    "reset", "purge", "change", "start", "stop",
];
/// Reads, or concerns the session only.
const HARMLESS: &[&str] = &[
    "show",
    "use",
    "pragma",
    "attach",
    "detach",
    "listen",
    "unlisten",
    "notify",
    "discard",
    "deallocate",
    "fetch",
    "move",
    "close",
    "kill",
    "help",
    "checkpoint",
    "handler",
    "signal",
    "resignal",
    "get",
    "shutdown",
    "analyse",
];
/// What changes rows, wherever it stands.
const CHANGES: &[&str] =
    &["insert", "update", "delete", "merge", "replace", "truncate", "copy", "load", "upsert"];
/// What runs something else, or ends a transaction, wherever it stands in a block of code.
const RUNS: &[&str] = &["execute", "call", "commit", "rollback", "exec"];

/// Plans one statement.
pub(super) fn plan(text: &Text<'_>, tokens: Range<usize>, tables: &Tables) -> Plan {
    let first = tokens.start;
    let subject = Subject { text, tables, first, end: tokens.end };
    let judge = Judge { subject };
    let is = |word| text.is(first, word);
    let is_one = |words: &[&str]| text.is_one(first, words);
    if text.kind(first) == Some(Kind::Open)
        || is_one(&["select", "with", "values", "table"])
        || begins_write(text, first)
    {
        judge.query_or_write()
    } else if is("set") {
        judge.set()
    } else if is_one(&["start", "prepare"]) && text.is(first + 1, "transaction") {
        Plan::Refuse(Refusal::transaction(format!("{} TRANSACTION", subject.verb())))
    } else if is_one(TRANSACTION) {
        Plan::Refuse(Refusal::transaction(subject.verb()))
    } else if is("import") && text.is(first + 1, "foreign") {
        Plan::Pass
    } else if is_one(OPAQUE) {
        Plan::Refuse(Refusal::opaque(subject.verb()))
    } else if is("do") {
        judge.block()
    } else if is("truncate") {
        judge.truncate()
    } else if is_one(&["copy", "load"]) {
        judge.bulk()
    } else if is_one(DEFINITION) {
        judge.definition()
    } else if is_one(&["explain", "describe", "desc"])
        || (is_one(&["analyze", "analyse"]) && text.dialect == Dialect::Mysql)
    {
        judge.explain()
    } else if is("declare") && text.dialect == Dialect::Postgres {
        judge.unless_it(CHANGES)
    } else if is("pragma") && judge.has(&["writable_schema"]) {
        Plan::Refuse(Refusal::opaque("PRAGMA writable_schema"))
    } else if is_one(MAINTENANCE) {
        if text.dialect == Dialect::Mysql { Plan::Commit } else { Plan::Pass }
    } else if is_one(HARMLESS) {
        Plan::Pass
    } else {
        Plan::Refuse(Refusal::opaque("a statement of an unknown kind"))
    }
}

struct Judge<'a> {
    subject: Subject<'a>,
}

impl Judge<'_> {
    /// Whether one of these keywords is among the tokens.
    fn has(&self, words: &[&str]) -> bool {
        self.subject.tokens().any(|token| self.subject.text.is_one(token, words))
    }

    fn mentioned(&self) -> Option<usize> {
        self.subject.tables.mentioned(self.subject.text, self.subject.tokens()).first().copied()
    }

    /// Passes a statement that does not have one of these words and a published table.
    fn unless_it(&self, words: &[&str]) -> Plan {
        match self.mentioned() {
            Some(table) if self.has(words) => Plan::Refuse(Refusal::unseen(Some(table), self.subject.verb())),
            _ => Plan::Pass,
        }
    }

    fn query_or_write(&self) -> Plan {
        let Subject { text, tables, .. } = self.subject;
        if text.dialect == Dialect::Sqlite {
            // On a conflict it takes the transaction back, with all that was written before.
            let rolls_back = |verb: usize| text.is(verb + 1, "or") && text.is(verb + 2, "rollback");
            let verbs = verbs(text, self.subject.tokens(), tables);
            if let Some(verb) = verbs.iter().find(|verb| rolls_back(verb.at)) {
                let verb = text.written(verb.at).to_ascii_uppercase();
                return Plan::Refuse(Refusal::transaction(format!("{verb} OR ROLLBACK")));
            }
        }
        match self.mentioned() {
            Some(_) => understand(self.subject),
            None => Plan::Pass,
        }
    }

    fn set(&self) -> Plan {
        let text = self.subject.text;
        // `@@autocommit` and `@@session.autocommit` are variables.
        let sets = |name: &str| {
            self.subject.tokens().any(|token| {
                matches!(text.kind(token), Some(Kind::Word | Kind::Quoted | Kind::Variable))
                    && text.written(token).to_ascii_lowercase().contains(name)
            })
        };
        if sets("autocommit") || sets("completion_type") {
            return Plan::Refuse(Refusal::transaction("SET autocommit"));
        }
        if sets("standard_conforming_strings") || self.spells("no_backslash_escapes") {
            // The end of a string would be elsewhere than where it is looked for.
            return Plan::Refuse(Refusal::opaque("a SET that changes how strings are read"));
        }
        if text.is(self.subject.first + 1, "password") && text.dialect == Dialect::Mysql {
            return Plan::Commit;
        }
        if text.is(self.subject.first + 1, "statement") {
            // SET STATEMENT … FOR statement
            let mut runs = CHANGES.to_vec();
            runs.extend(RUNS);
            return match self.has(&runs) {
                true => Plan::Refuse(Refusal::opaque("SET STATEMENT")),
                false => Plan::Pass,
            };
        }
        Plan::Pass
    }

    /// Whether this is written anywhere, in strings as well.
    fn spells(&self, word: &str) -> bool {
        self.subject.text.slice(self.subject.tokens()).to_ascii_lowercase().contains(word)
    }

    /// `DO`: an expression on MySQL, a block of code on PostgreSQL.
    fn block(&self) -> Plan {
        let Subject { text, tables, .. } = self.subject;
        if text.dialect == Dialect::Mysql {
            return self.query_or_write();
        }
        let refuse = || Plan::Refuse(Refusal::opaque("DO"));
        let code: Vec<_> =
            self.subject.tokens().filter(|token| text.kind(*token) == Some(Kind::Text)).collect();
        let language = self.subject.tokens().find(|token| text.is(*token, "language"));
        let is_plain = language.is_none_or(|language| text.is_one(language + 1, &["plpgsql", "sql"]));
        let ([code], true) = (code.as_slice(), is_plain) else { return refuse() };
        let code = text.written(*code);
        if !code.starts_with(['$', '\'']) {
            return refuse();
        }
        let words = |wanted: &[&str]| {
            code.split(|c: char| !super::lexer::is_part(c) || c == '$')
                .any(|word| wanted.iter().any(|wanted| word.eq_ignore_ascii_case(wanted)))
        };
        let mentioned = tables.spelled_in(code, text.dialect);
        match mentioned {
            _ if words(RUNS) || code.to_ascii_lowercase().contains("u&\"") => refuse(),
            Some(table) if words(CHANGES) => Plan::Refuse(Refusal::unseen(Some(table), "DO")),
            _ => Plan::Pass,
        }
    }

    fn truncate(&self) -> Plan {
        let Subject { text, .. } = self.subject;
        if let Some(table) = self.mentioned() {
            return Plan::Refuse(Refusal::unseen(Some(table), "TRUNCATE"));
        }
        match text.dialect {
            // The tables that refer to these are emptied as well.
            Dialect::Postgres if self.has(&["cascade"]) => {
                Plan::Refuse(Refusal::opaque("TRUNCATE … CASCADE"))
            }
            Dialect::Postgres | Dialect::Sqlite => Plan::Pass,
            Dialect::Mysql => Plan::Commit,
        }
    }

    /// `COPY` and `LOAD DATA`.
    fn bulk(&self) -> Plan {
        let Subject { text, .. } = self.subject;
        let Some(table) = self.mentioned() else { return Plan::Pass };
        let mut nesting = 0_isize;
        let reads_only = text.is(self.subject.first, "copy")
            && !self.subject.tokens().skip(1).any(|token| {
                nesting += match text.kind(token) {
                    Some(Kind::Open) => 1,
                    Some(Kind::Close) => -1,
                    _ => 0,
                };
                (nesting == 0 && text.is(token, "from")) || text.is_one(token, CHANGES)
            });
        match reads_only {
            true => Plan::Pass,
            false => Plan::Refuse(Refusal::unseen(Some(table), self.subject.verb())),
        }
    }

    fn definition(&self) -> Plan {
        let Subject { text, first, .. } = self.subject;
        let mysql = text.dialect == Dialect::Mysql;
        let passed = match mysql && !self.has_early(&["temporary"]) {
            true => Plan::Commit,
            false => Plan::Pass,
        };
        let Some(table) = self.mentioned() else {
            return match self.makes_table() && self.has(&["execute"]) {
                true => Plan::Refuse(Refusal::opaque("CREATE TABLE … AS EXECUTE")),
                false => passed,
            };
        };
        if mysql && self.has_early(&["event"]) && self.has(CHANGES) {
            return Plan::Refuse(Refusal::unseen(Some(table), "EVENT"));
        }
        if defines_routine(text, first) {
            return passed;
        }
        if text.is(first, "create") && self.makes_table() {
            return self.create_table(table, passed);
        }
        let destroys_rows = ["truncate", "exchange", "drop", "import"]
            .iter()
            .zip(["partition", "partition", "partition", "tablespace"])
            .any(|(word, what)| {
                self.subject.tokens().any(|token| text.is(token, word) && text.is(token + 1, what))
            });
        match text.is(first, "alter") && mysql && destroys_rows {
            true => Plan::Refuse(Refusal::unseen(Some(table), "ALTER TABLE … PARTITION or TABLESPACE")),
            false => passed,
        }
    }

    /// Whether one of these keywords is among the first tokens.
    fn has_early(&self, words: &[&str]) -> bool {
        self.subject.tokens().take(10).any(|token| self.subject.text.is_one(token, words))
    }

    fn makes_table(&self) -> bool {
        let Subject { text, first, .. } = self.subject;
        let kind = self.subject.tokens().skip(1).find(|token| {
            !text.is_one(
                *token,
                &[
                    "or",
                    "replace",
                    "global",
                    "local",
                    "temp",
                    "temporary",
                    "unlogged",
                    "foreign",
                    "materialized",
                ],
            )
        });
        text.is(first, "create") && kind.is_some_and(|kind| text.is_one(kind, &["table", "view"]))
    }

    /// `CREATE TABLE … AS SELECT` may fill a published table, or write one in a WITH.
    fn create_table(&self, table: usize, passed: Plan) -> Plan {
        let Subject { text, tables, .. } = self.subject;
        let mut tokens = self.subject.tokens().skip(1);
        let name = tokens.find(|token| text.is_one(*token, &["table", "view"])).map(|kind| {
            let name = if text.is(kind + 1, "if") { kind + 4 } else { kind + 1 };
            match text.kind(name + 1) {
                Some(Kind::Dot) => vec![name, name + 2],
                _ => vec![name],
            }
        });
        let makes = name.and_then(|name| tables.named(text, &name));
        let filled = self.subject.tokens().any(|token| {
            text.is_one(token, &["select", "execute"])
                || (text.is(token, "as") && {
                    let source =
                        (token + 1..self.subject.end).find(|next| text.kind(*next) != Some(Kind::Open));
                    source.is_some_and(|source| text.is_one(source, &["table", "values", "with"]))
                })
                || (text.dialect == Dialect::Mysql
                    && token > self.subject.first + 3
                    && (text.is(token, "table")
                        || (text.is(token, "values") && !text.is_one(token + 1, &["less", "in"]))))
        });
        let writes = !verbs(text, self.subject.tokens(), tables).is_empty() || self.has(&["execute"]);
        match (makes, filled) {
            (Some(table), true) => Plan::Refuse(Refusal::unseen(Some(table), "CREATE TABLE … AS")),
            _ if writes && filled => Plan::Refuse(Refusal::unseen(Some(table), "CREATE TABLE … AS")),
            _ => passed,
        }
    }

    /// EXPLAIN ANALYZE runs what it explains, and so does MariaDB's ANALYZE.
    fn explain(&self) -> Plan {
        let runs = self.has(&["analyze", "analyse"]);
        let mut hidden = RUNS.to_vec();
        hidden.push("do");
        match (runs, self.mentioned()) {
            (true, _) if self.has(&hidden) => Plan::Refuse(Refusal::opaque("EXPLAIN ANALYZE")),
            (true, Some(table)) if self.has(CHANGES) => {
                Plan::Refuse(Refusal::unseen(Some(table), "EXPLAIN ANALYZE"))
            }
            _ if self.subject.text.is_one(self.subject.first, &["analyze"]) && self.has(&["table"]) => {
                Plan::Commit
            }
            _ => Plan::Pass,
        }
    }
}
