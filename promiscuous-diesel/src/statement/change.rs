//! UPDATE and DELETE of a published table.

use promiscuous_core::database::Dialect;
use sqlparser::ast::{
    self, AssignmentTarget, FromTable, ObjectName, SqliteOnConflict, TableFactor, TableWithJoins,
};

use super::condition::{self, Clauses};
use super::parse::Parsed;
use super::tables::means;
use super::tree::Subject;
use super::verbs::Verb;
use super::{Plan, Refusal, Verb as Done, Writing};

const SELECT_FIRST: &str =
    "the rows cannot be selected first: select their primary keys, then write `WHERE … IN (…)`";

pub(super) fn update(
    subject: Subject<'_>,
    parsed: &Parsed,
    update: &ast::Update,
    own: &Verb,
    table: usize,
) -> Result<Plan, Refusal> {
    let refuse = |statement: &str, advice: &str| Err(Refusal::new(Some(table), statement, advice));
    match update.or {
        Some(SqliteOnConflict::Replace) => {
            return refuse("UPDATE OR REPLACE", "it destroys rows that are not known: use UPDATE");
        }
        Some(SqliteOnConflict::Fail) => {
            return refuse("UPDATE OR FAIL", "on a conflict it leaves changed rows unseen: use UPDATE");
        }
        _ => {}
    }
    let sets = |column: &dyn Fn(&[usize]) -> bool| {
        update.assignments.iter().flat_map(|set| assigned(&set.target)).any(|name| {
            // What is not understood may be any column.
            parsed.name(name).is_none_or(|parts| column(&parts))
        })
    };
    let Some(published) = subject.tables.table(table) else {
        return Err(Refusal::unparsed(Some(table), "UPDATE"));
    };
    if sets(&|parts| is_key_column(subject, parts, &published.primary_key)) {
        return refuse("UPDATE", "a primary key cannot change: destroy the row and create another one");
    }
    let plain = update.from.is_none() && update.table.joins.is_empty();
    if update.table.joins.is_empty()
        && !published.has_virtual_attributes
        && !sets(&|parts| is_among(subject, parts, &published.attribute_columns))
    {
        return Ok(Plan::Pass);
    }
    if !plain {
        return Err(several_tables(Some(table), "UPDATE"));
    }
    let clauses = Clauses::of(subject, own, &["set"]);
    let agrees = clauses.agree(
        update.selection.is_some(),
        !update.order_by.is_empty(),
        update.limit.is_some(),
        update.returning.is_some(),
    );
    let set = clauses.begins.filter(|_| agrees && update.output.is_none());
    let Some(set) = set else { return Err(Refusal::unparsed(Some(table), "UPDATE")) };
    let named = Named::of(subject, parsed, &update.table, own, set, table)?;
    let condition =
        condition::plan(subject, parsed, update.selection.as_ref(), &clauses, &named, own, table)?;
    Ok(written(named, table, Done::Update { condition }, update.returning.is_some()))
}

pub(super) fn delete(
    subject: Subject<'_>,
    parsed: &Parsed,
    delete: &ast::Delete,
    own: &Verb,
    table: usize,
) -> Result<Plan, Refusal> {
    let (FromTable::WithFromKeyword(from) | FromTable::WithoutKeyword(from)) = &delete.from;
    let [from] = from.as_slice() else { return Err(several_tables(Some(table), "DELETE")) };
    if is_multi_table(delete) {
        return Err(several_tables(Some(table), "DELETE"));
    }
    let clauses = Clauses::of(subject, own, &[]);
    let agrees = clauses.agree(
        delete.selection.is_some(),
        !delete.order_by.is_empty(),
        delete.limit.is_some(),
        delete.returning.is_some(),
    );
    if !agrees || delete.output.is_some() {
        return Err(Refusal::unparsed(Some(table), "DELETE"));
    }
    let end = clauses.condition.start;
    let named = Named::of(subject, parsed, from, own, end, table)?;
    let condition =
        condition::plan(subject, parsed, delete.selection.as_ref(), &clauses, &named, own, table)?;
    Ok(written(named, table, Done::Delete { condition }, delete.returning.is_some()))
}

/// Whether it names more than the one table.
pub(super) fn is_multi_table(delete: &ast::Delete) -> bool {
    let (FromTable::WithFromKeyword(from) | FromTable::WithoutKeyword(from)) = &delete.from;
    !delete.tables.is_empty()
        || delete.using.is_some()
        || from.len() != 1
        || from.iter().any(|from| !from.joins.is_empty())
}

/// It names several tables.
pub(super) fn several_tables(table: Option<usize>, verb: &str) -> Refusal {
    Refusal::new(
        table,
        format!("{verb} of several tables"),
        format!("with FROM, USING or JOIN {SELECT_FIRST}"),
    )
}

fn written(named: Named, table: usize, verb: Done, has_returning: bool) -> Plan {
    let Named { target, qualifier, .. } = named;
    Plan::Write(Box::new(Writing { table, target, qualifier, verb, has_returning }))
}

/// How the statement names its table.
pub(super) struct Named {
    target: String,
    qualifier: String,
    /// The token that qualifies columns.
    pub token: usize,
}

impl Named {
    /// `end` is the token behind the table and its alias.
    fn of(
        subject: Subject<'_>,
        parsed: &Parsed,
        from: &TableWithJoins,
        own: &Verb,
        end: usize,
        table: usize,
    ) -> Result<Self, Refusal> {
        let text = subject.text;
        let unparsed = || Refusal::unparsed(Some(table), &text.written(own.at).to_ascii_uppercase());
        let TableFactor::Table {
            name, alias, args: None, version: None, sample: None, json_path: None, ..
        } = &from.relation
        else {
            return Err(unparsed());
        };
        if parsed.name(name).and_then(|parts| parts.first().copied()) != Some(own.name.start) {
            return Err(unparsed());
        }
        let alias = match alias {
            None => None,
            Some(alias) if alias.columns.is_empty() => {
                Some(parsed.token(alias.name.span).ok_or_else(unparsed)?)
            }
            Some(_) => return Err(unparsed()),
        };
        let only = own.name.start > 0 && text.is(own.name.start - 1, "only");
        let start = if only { own.name.start - 1 } else { own.name.start };
        let qualifier = alias.map_or(own.name.clone(), |alias| alias..alias + 1);
        Ok(Self {
            target: text.slice(start..end).to_owned(),
            token: qualifier.end - 1,
            qualifier: text.slice(qualifier).to_owned(),
        })
    }
}

/// The columns that an assignment sets.
pub(super) fn assigned(target: &AssignmentTarget) -> Vec<&ObjectName> {
    match target {
        AssignmentTarget::ColumnName(name) => vec![name],
        AssignmentTarget::Tuple(names) => names.iter().collect(),
    }
}

/// Whether an assignment sets the primary key.
pub(super) fn is_key(subject: Subject<'_>, parsed: &Parsed, target: &AssignmentTarget, table: usize) -> bool {
    let key = subject.tables.table(table).map_or(&[][..], |table| &table.primary_key);
    let is_key = |name| parsed.name(name).is_none_or(|parts| is_key_column(subject, &parts, key));
    assigned(target).into_iter().any(is_key)
}

/// SQLite has more names for an integer primary key.
fn is_key_column(subject: Subject<'_>, parts: &[usize], key: &[String]) -> bool {
    let aliases = ["rowid", "oid", "_rowid_"].map(String::from);
    is_among(subject, parts, key)
        || (subject.text.dialect == Dialect::Sqlite && is_among(subject, parts, &aliases))
}

/// Whether one of a name's parts is one of these columns: PostgreSQL's `address.street` sets `address`, MySQL's `users.name` sets
/// `name`. Letter case may not matter to the database; in doubt it is.
fn is_among(subject: Subject<'_>, parts: &[usize], columns: &[String]) -> bool {
    let text = subject.text;
    let in_any_case = |part: usize, column: &str| {
        text.name(part).is_none_or(|name| name.to_lowercase() == column.to_lowercase())
    };
    parts.iter().any(|part| {
        columns.iter().any(|column| match text.dialect {
            Dialect::Postgres => means(text, *part, column) || in_any_case(*part, column),
            Dialect::Mysql | Dialect::Sqlite => in_any_case(*part, column),
        })
    })
}
