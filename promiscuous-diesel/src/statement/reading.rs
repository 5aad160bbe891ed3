//! Which rows of published tables a query's result holds. What is not understood is unresolved, and never refused: a missed cause
//! weakens the order of messages, and loses none.

use sqlparser::ast::{
    self, Expr, ObjectName, Query, Select, SelectItem, SelectItemQualifiedWildcardKind, SetExpr, TableFactor,
};

use super::parse::Parsed;
use super::tables::{means, same};
use super::tree::{Census, Subject};
use super::{Plan, Reading};

pub(super) fn plan(subject: Subject<'_>, parsed: &Parsed, query: &Query, census: &Census) -> Plan {
    let reader = Reader { subject, parsed, census };
    let mut unresolved: Vec<usize> =
        census.relations.iter().filter_map(|relation| census.published(subject, parsed, relation)).collect();
    if unresolved.is_empty() {
        return Plan::Pass;
    }
    let mut found = reader.body(&query.body);
    found.keys.sort();
    found.keys.dedup();
    for table in &found.resolved {
        if let Some(position) = unresolved.iter().position(|other| other == table) {
            unresolved.swap_remove(position);
        }
    }
    unresolved.sort_unstable();
    unresolved.dedup();
    Plan::Read(Reading { keys: found.keys, by_name: found.by_name, unresolved })
}

/// What a part of a query tells.
#[derive(Default)]
struct Found {
    keys: Vec<(usize, Vec<usize>)>,
    by_name: Option<usize>,
    /// A table for each of its occurrences whose rows are known.
    resolved: Vec<usize>,
}

/// A table or something like it in FROM.
struct Source<'t> {
    /// Its name, when it is a plain table.
    name: Option<&'t ObjectName>,
    alias: Option<&'t ast::Ident>,
}

struct Reader<'a> {
    subject: Subject<'a>,
    parsed: &'a Parsed,
    census: &'a Census,
}

impl Reader<'_> {
    fn body(&self, body: &SetExpr) -> Found {
        match body {
            SetExpr::Select(select) => self.select(select),
            SetExpr::Query(query) => self.body(&query.body),
            SetExpr::SetOperation { left, right, .. } => {
                let (left, right) = (self.body(left), self.body(right));
                // One column may hold the rows of two tables: only what is the same in both halves is known.
                let keys: Vec<_> = left.keys.into_iter().filter(|key| right.keys.contains(key)).collect();
                let known = |table: &usize| keys.iter().any(|(of, _)| of == table);
                let resolved = left.resolved.into_iter().chain(right.resolved).filter(known).collect();
                Found { keys, by_name: None, resolved }
            }
            _ => Found::default(),
        }
    }

    fn select(&self, select: &Select) -> Found {
        let mut sources = Vec::new();
        for from in &select.from {
            sources_of(from, &mut sources);
        }
        let alone = sources.len() == 1;
        let mut found = Found::default();
        for source in &sources {
            let published = source
                .name
                .and_then(|name| Some((name, self.census.published(self.subject, self.parsed, name)?)));
            let Some((name, table)) = published else { continue };
            let Some(published) = self.subject.tables.table(table) else { continue };
            let columns: Option<Vec<usize>> = published
                .primary_key
                .iter()
                .map(|column| self.result_column(select, column, name, source.alias, alone))
                .collect();
            if let Some(columns) = columns.filter(|columns| !columns.is_empty()) {
                found.keys.push((table, columns));
                found.resolved.push(table);
            } else if alone && self.is_all_columns(select, name, source.alias) {
                found.by_name = Some(table);
                found.resolved.push(table);
            }
        }
        found
    }

    /// The result column that holds a table's column.
    fn result_column(
        &self,
        select: &Select,
        column: &str,
        table: &ObjectName,
        alias: Option<&ast::Ident>,
        alone: bool,
    ) -> Option<usize> {
        select
            .projection
            .iter()
            // Behind a `*` nobody knows the positions.
            .take_while(|item| matches!(item, SelectItem::UnnamedExpr(_) | SelectItem::ExprWithAlias { .. }))
            .position(|item| match item {
                SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => match expr {
                    Expr::Identifier(name) => alone && self.is(name, column),
                    Expr::CompoundIdentifier(names) => match names.as_slice() {
                        [.., qualifier, name] => {
                            self.is(name, column) && self.qualifies(qualifier, table, alias)
                        }
                        _ => false,
                    },
                    _ => false,
                },
                _ => false,
            })
    }

    /// Whether the result is just the columns of this table.
    fn is_all_columns(&self, select: &Select, table: &ObjectName, alias: Option<&ast::Ident>) -> bool {
        match select.projection.as_slice() {
            [SelectItem::Wildcard(_)] => true,
            [SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), _)] => name
                .0
                .last()
                .and_then(|part| part.as_ident())
                .is_some_and(|name| self.qualifies(name, table, alias)),
            _ => false,
        }
    }

    fn is(&self, name: &ast::Ident, column: &str) -> bool {
        self.parsed.token(name.span).is_some_and(|token| means(self.subject.text, token, column))
    }

    /// Whether this name before a column means that table.
    fn qualifies(&self, qualifier: &ast::Ident, table: &ObjectName, alias: Option<&ast::Ident>) -> bool {
        let own = match alias {
            Some(alias) => self.parsed.token(alias.span),
            None => self.parsed.name(table).and_then(|parts| parts.last().copied()),
        };
        match (self.parsed.token(qualifier.span), own) {
            (Some(qualifier), Some(own)) => same(self.subject.text, qualifier, own),
            _ => false,
        }
    }
}

fn sources_of<'t>(from: &'t ast::TableWithJoins, sources: &mut Vec<Source<'t>>) {
    let factors = std::iter::once(&from.relation).chain(from.joins.iter().map(|join| &join.relation));
    for factor in factors {
        match factor {
            TableFactor::Table { name, alias, args: None, .. } => {
                // An alias with columns renames them.
                let renamed = alias.as_ref().is_some_and(|alias| !alias.columns.is_empty());
                let alias = alias.as_ref().map(|alias| &alias.name);
                sources.push(Source { name: (!renamed).then_some(name), alias });
            }
            TableFactor::NestedJoin { table_with_joins, alias: None } => {
                sources_of(table_with_joins, sources)
            }
            _ => sources.push(Source { name: None, alias: None }),
        }
    }
}
