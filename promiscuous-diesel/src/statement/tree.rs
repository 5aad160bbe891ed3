//! Plans one statement that mentions a published table, by its tree.

use std::ops::{ControlFlow, Range};

use promiscuous_core::database::Dialect;
use sqlparser::ast::{self, ObjectName, SetExpr, Statement, Visit, Visitor};

use super::lexer::{Kind, Text};
use super::parse::{Parsed, Unparsed, parse};
use super::tables::{Tables, same};
use super::verbs::{Target, Verb, verbs};
use super::{Plan, Reading, Refusal, change, insertion, reading};

/// How many levels are parsed on the caller's stack: a few hundred kilobytes at most, in a debug build over one megabyte.
const SHALLOW: usize = 14;
/// How many levels are parsed at all.
const DEEP: usize = 500;
/// Words and symbols that may make a chain (`a AND b AND …`), whose tree is as deep as it is long.
const SHORT_CHAIN: usize = 400;
/// A longer one is not parsed.
const LONGEST_CHAIN: usize = 100_000;

/// A statement to be planned.
#[derive(Clone, Copy)]
pub(super) struct Subject<'a> {
    pub text: &'a Text<'a>,
    pub tables: &'a Tables,
    /// Its first token and the one behind its last.
    pub first: usize,
    pub end: usize,
}

impl Subject<'_> {
    pub(super) fn tokens(&self) -> Range<usize> {
        self.first..self.end
    }

    /// The statement's first word, for people.
    pub(super) fn verb(&self) -> String {
        self.text.written(self.first).to_ascii_uppercase()
    }
}

/// Plans it.
pub(super) fn understand(subject: Subject<'_>) -> Plan {
    let is_link = |token: &usize| matches!(subject.text.kind(*token), Some(Kind::Word | Kind::Symbol));
    let chain = subject.tokens().filter(is_link).count();
    let shallow = match chain {
        0..=SHORT_CHAIN => parse(subject.text, subject.tokens(), SHALLOW),
        _ => Err(Unparsed::TooDeep),
    };
    match shallow {
        Ok(parsed) => plan(subject, Ok(&parsed)),
        Err(Unparsed::Unknown) => plan(subject, Err(Unparsed::Unknown)),
        Err(Unparsed::TooDeep) if chain <= LONGEST_CHAIN => on_large_stack(chain, || {
            let parsed = parse(subject.text, subject.tokens(), DEEP);
            plan(subject, parsed.as_ref().map_err(|why| *why))
        })
        .unwrap_or_else(|| plan(subject, Err(Unparsed::TooDeep))),
        Err(Unparsed::TooDeep) => plan(subject, Err(Unparsed::TooDeep)),
    }
}

/// Runs this on a thread whose stack is large enough for a deep tree. None when there is no such thread to be had.
fn on_large_stack<T: Send>(chain: usize, work: impl FnOnce() -> T + Send) -> Option<T> {
    // Measured in a debug build: 95 KB for each level, and 0.9 KB for each link of a chain. What is not used costs nothing.
    let size = DEEP * 128 * 1024 + chain * 2 * 1024;
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new()
            .name("promiscuous-planner".into())
            .stack_size(size)
            .spawn_scoped(scope, work)
            .ok()?;
        thread.join().ok()
    })
}

fn plan(subject: Subject<'_>, parsed: Result<&Parsed, Unparsed>) -> Plan {
    let Subject { text, tables, .. } = subject;
    let verbs = verbs(text, subject.tokens(), tables);
    let nested = |verb: &Verb| {
        let table = match verb.target {
            Target::Published(table) => Some(table),
            Target::Other | Target::Unknown => None,
        };
        Plan::Refuse(Refusal::nested(table, &text.written(verb.at).to_ascii_uppercase()))
    };
    let Ok(parsed) = parsed else { return without_tree(subject, &verbs) };
    let root = root(&parsed.tree);
    let census = Census::of(&parsed.tree);
    if census.writes != verbs.len() {
        // The words and the tree disagree.
        let verb =
            verbs.last().map_or_else(|| subject.verb(), |verb| text.written(verb.at).to_ascii_uppercase());
        let table = tables.mentioned(text, subject.tokens()).first().copied();
        return Plan::Refuse(Refusal::nested(table, &verb));
    }
    let own = match root {
        Root::Query(_) => None,
        // The others are in parentheses: of a WITH before it, or of what it selects.
        _ => verbs.iter().rfind(|verb| depth(subject, verb.at) == 0),
    };
    let is_other = |verb: &&Verb| own.is_none_or(|own| own.at != verb.at);
    if let Some(verb) = verbs.iter().filter(is_other).find(|verb| verb.target != Target::Other) {
        return nested(verb);
    }
    if let Some(refusal) = selects_into(subject) {
        return Plan::Refuse(refusal);
    }
    match (root, own) {
        (Root::Query(query), _) => reading::plan(subject, parsed, query, &census),
        (root, Some(own)) => write(subject, parsed, root, own),
        (_, None) => Plan::Refuse(Refusal::unparsed(None, &subject.verb())),
    }
}

/// Only the words are known.
fn without_tree(subject: Subject<'_>, verbs: &[Verb]) -> Plan {
    let Subject { text, tables, .. } = subject;
    let mentioned = tables.mentioned(text, subject.tokens());
    if let Some(refusal) = selects_into(subject) {
        return Plan::Refuse(refusal);
    }
    match verbs {
        [] => Plan::Read(Reading { unresolved: mentioned, ..Reading::default() }),
        // One verb writes one table, but for MySQL.
        [verb] if verb.target == Target::Other && text.dialect != Dialect::Mysql => Plan::Pass,
        [verb, ..] => {
            let verb = text.written(verb.at).to_ascii_uppercase();
            Plan::Refuse(Refusal::unparsed(mentioned.first().copied(), &verb))
        }
    }
}

/// `SELECT … INTO users` makes a table.
fn selects_into(subject: Subject<'_>) -> Option<Refusal> {
    let Subject { text, tables, .. } = subject;
    subject.tokens().find_map(|token| {
        let noise = ["temporary", "temp", "unlogged", "local", "global", "table"];
        let behind_verb = token > subject.first
            && text.is_one(
                token - 1,
                &["insert", "replace", "merge", "ignore", "low_priority", "delayed", "high_priority"],
            );
        let conflict_clause = token > subject.first + 1 && text.is(token - 2, "or");
        if !text.is(token, "into") || behind_verb || conflict_clause {
            return None;
        }
        let name = (token + 1..subject.end).find(|token| !text.is_one(*token, &noise))?;
        let qualified = text.kind(name + 1) == Some(Kind::Dot);
        let parts = if qualified { vec![name, name + 2] } else { vec![name] };
        let table = tables.named(text, &parts)?;
        Some(Refusal::unseen(Some(table), "SELECT … INTO"))
    })
}

/// How many parentheses are open at a token.
pub(super) fn depth(subject: Subject<'_>, token: usize) -> isize {
    (subject.first..token)
        .map(|token| match subject.text.kind(token) {
            Some(Kind::Open) => 1,
            Some(Kind::Close) => -1,
            _ => 0,
        })
        .sum()
}

fn write(subject: Subject<'_>, parsed: &Parsed, root: Root<'_>, own: &Verb) -> Plan {
    let Subject { text, .. } = subject;
    let table = match own.target {
        // A name with escapes may be any table's.
        Target::Published(table) if own.name.clone().last().is_none_or(|name| text.name(name).is_none()) => {
            return Plan::Refuse(Refusal::unparsed(Some(table), &subject.verb()));
        }
        Target::Published(table) => table,
        // Another table: what it writes besides, the tree has to deny.
        Target::Other => {
            let several = match &root {
                Root::Update(update) => !update.table.joins.is_empty(),
                Root::Delete(delete) => change::is_multi_table(delete),
                _ => false,
            };
            return match several && text.dialect == Dialect::Mysql {
                true => Plan::Refuse(change::several_tables(
                    subject.tables.mentioned(text, subject.tokens()).first().copied(),
                    &text.written(own.at).to_ascii_uppercase(),
                )),
                false => Plan::Pass,
            };
        }
        Target::Unknown => return Plan::Refuse(Refusal::unparsed(None, &subject.verb())),
    };
    let planned = match root {
        Root::Insert(insert) => insertion::plan(subject, parsed, insert, own, table),
        Root::Update(update) => change::update(subject, parsed, update, own, table),
        Root::Delete(delete) => change::delete(subject, parsed, delete, own, table),
        Root::Merge => Err(Refusal::unseen(Some(table), "MERGE")),
        Root::Query(_) | Root::Other => Err(Refusal::unparsed(Some(table), &subject.verb())),
    };
    planned.unwrap_or_else(Plan::Refuse)
}

/// What a statement is.
pub(super) enum Root<'t> {
    Query(&'t ast::Query),
    Insert(&'t ast::Insert),
    Update(&'t ast::Update),
    Delete(&'t ast::Delete),
    Merge,
    Other,
}

/// Through a WITH, which makes a query of everything.
fn root(statement: &Statement) -> Root<'_> {
    match statement {
        Statement::Insert(insert) => Root::Insert(insert),
        Statement::Update(update) => Root::Update(update),
        Statement::Delete(delete) => Root::Delete(delete),
        Statement::Merge(_) => Root::Merge,
        Statement::Query(query) => match query.body.as_ref() {
            SetExpr::Insert(statement)
            | SetExpr::Update(statement)
            | SetExpr::Delete(statement)
            | SetExpr::Merge(statement) => root(statement),
            _ => Root::Query(query),
        },
        _ => Root::Other,
    }
}

/// What is in a tree, at any depth.
#[derive(Default)]
pub(super) struct Census {
    /// How many statements write.
    pub writes: usize,
    /// The names of tables that are read or written.
    pub relations: Vec<ObjectName>,
    /// The names that WITH gives.
    pub ctes: Vec<ast::Ident>,
}

impl Census {
    fn of(statement: &Statement) -> Self {
        let mut census = Self::default();
        // It never breaks off.
        let _ = statement.visit(&mut census);
        census
    }

    /// The published table that is read under a name, unless WITH gives that name to something else.
    pub(super) fn published(
        &self,
        subject: Subject<'_>,
        parsed: &Parsed,
        relation: &ObjectName,
    ) -> Option<usize> {
        let parts = parsed.name(relation)?;
        let hides = |cte: &ast::Ident| {
            parts.len() == 1 && parsed.token(cte.span).is_some_and(|cte| same(subject.text, cte, parts[0]))
        };
        if self.ctes.iter().any(hides) {
            return None;
        }
        subject.tables.named(subject.text, &parts)
    }
}

impl Visitor for Census {
    type Break = std::convert::Infallible;

    fn pre_visit_statement(&mut self, statement: &Statement) -> ControlFlow<Self::Break> {
        let writes = matches!(
            statement,
            Statement::Insert(_) | Statement::Update(_) | Statement::Delete(_) | Statement::Merge(_)
        );
        self.writes += usize::from(writes);
        ControlFlow::Continue(())
    }

    fn pre_visit_query(&mut self, query: &ast::Query) -> ControlFlow<Self::Break> {
        let ctes = query.with.iter().flat_map(|with| &with.cte_tables);
        self.ctes.extend(ctes.map(|cte| cte.alias.name.clone()));
        ControlFlow::Continue(())
    }

    fn pre_visit_relation(&mut self, relation: &ObjectName) -> ControlFlow<Self::Break> {
        self.relations.push(relation.clone());
        ControlFlow::Continue(())
    }
}
