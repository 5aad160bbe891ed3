//! Decides, before a statement runs, what has to be done about it.

use std::sync::Arc;

use promiscuous_core::error::Error;
use sea_orm::sea_query::{
    ColumnName, ColumnRef, ConditionHolder, DeleteStatement, Expr, InsertStatement, ReturningClause,
    TableName, TableRef, UpdateStatement, Value,
};
use sea_orm::{DbBackend, StatementBuilder};

use super::condition::{can_be_narrowed, pinned};
use super::downcast::{Known, known};
use super::insertion::{FoundBy, found_by, rows};
use super::raw::{self, Verdict, judge};
use super::selection::{Selection, selection};
use super::visitor::{Anatomy, Part, Verb, dissect};
use crate::model::{PublishedModel, PublishedModels};

/// What the caller wants back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Route {
    /// A number of rows: `execute`.
    Execute,
    /// Rows: `query_one` and `query_all`. `returning` says whether the database gives rows of a write.
    Query {
        /// Whether it does.
        returning: bool,
    },
    /// Rows one by one.
    Stream,
}

/// What has to be done.
pub(crate) enum Plan<'s> {
    /// Nothing.
    Pass,
    /// Nothing, as far as this text tells.
    Text(String),
    /// The rows of the result are causes.
    Read(Selection),
    /// The rows must be published.
    Write(Box<Write<'s>>),
    /// The rows could not be known.
    Refuse(Error),
}

/// A write whose rows can be known.
pub(crate) struct Write<'s> {
    /// The model that is written.
    pub model: Arc<PublishedModel>,
    /// The statement's kind, for people.
    pub kind: &'static str,
    /// How its rows are known.
    pub rows: Rows<'s>,
    /// How many rows it writes, when that is known.
    pub count: Option<usize>,
}

/// How the rows of a write are known.
pub(crate) enum Rows<'s> {
    /// The database returns them.
    Returned(Returned<'s>),
    /// They are searched before and read back.
    Updated {
        statement: &'s UpdateStatement,
        condition: ConditionHolder,
        /// The primary key, when the condition names exactly one row.
        key: Option<Vec<Value>>,
    },
    /// They are searched before.
    Deleted {
        statement: &'s DeleteStatement,
        condition: ConditionHolder,
        /// The primary key, when the condition names exactly one row.
        key: Option<Vec<Value>>,
    },
    /// They are found again.
    Inserted { statement: &'s InsertStatement, found_by: FoundBy },
}

/// A statement whose RETURNING can be widened to `returning`.
pub(crate) enum Returned<'s> {
    Created(&'s InsertStatement, ReturningClause),
    Upserted(&'s InsertStatement, ReturningClause),
    Updated(&'s UpdateStatement, ReturningClause),
    Deleted(&'s DeleteStatement, ReturningClause),
}

/// Decides about a statement.
pub(crate) fn plan<'s, S: StatementBuilder>(
    statement: &'s S,
    models: &PublishedModels,
    backend: DbBackend,
    route: Route,
) -> Plan<'s> {
    if models.is_empty() {
        return Plan::Pass;
    }
    let Some(known) = known(statement) else {
        let sql = statement.build(&backend).sql;
        return match plan_raw(&sql, models, backend) {
            Ok(()) => Plan::Text(sql),
            Err(error) => Plan::Refuse(error),
        };
    };
    let anatomy = dissect(known);
    let hidden = anatomy.nested.iter().find_map(|part| {
        let kind = kind(part.verb?)?;
        Some((written(part, models, backend)?, kind))
    });
    if let Some((model, kind)) = hidden {
        let statement = format!("{kind} inside of another statement");
        return refuse(model, &statement, "run it as a statement of its own, in the same transaction");
    }
    match anatomy.root.verb {
        Some(Verb::Select | Verb::With) => selection(&anatomy, models).map_or(Plan::Pass, Plan::Read),
        _ => match written(&anatomy.root, models, backend) {
            Some(model) => write(known, &anatomy, &Arc::clone(model), backend, route),
            None => Plan::Pass,
        },
    }
}

/// Whether the database would commit an open transaction because of this text.
pub(crate) fn commits(sql: &str, backend: DbBackend) -> bool {
    raw::commits(sql, backend)
}

/// Decides about SQL that exists as text only.
///
/// # Errors
/// When it writes a published table, or begins or ends a transaction.
pub(crate) fn plan_raw(sql: &str, models: &PublishedModels, backend: DbBackend) -> Result<(), Error> {
    let model = |table: &str| models.iter().find(|model| model.table.to_lowercase() == table);
    match judge(sql, backend, |table| model(table).is_some()) {
        Verdict::Harmless => Ok(()),
        Verdict::TransactionControl(what) => Err(Error::Configuration(format!(
            "refused before it ran: {what} as raw SQL would begin or end a transaction unseen: use `begin`, `commit` and \
             `rollback` of the connection"
        ))),
        Verdict::Writes(keyword, table) => Err(Error::UnsupportedWrite {
            model: model(&table).map_or(table.clone(), |model| model.name.clone()),
            statement: format!("{keyword} as raw SQL"),
            advice: "use the entity's methods or SeaQuery's statements, or `without_promiscuous()` to write without \
                     publishing"
                .into(),
        }),
    }
}

fn write<'s>(
    known: Known<'s>,
    anatomy: &Anatomy,
    model: &Arc<PublishedModel>,
    backend: DbBackend,
    route: Route,
) -> Plan<'s> {
    let root = &anatomy.root;
    let kind = root.verb.and_then(kind).unwrap_or("statement");
    let refuse = |advice| refuse(model, kind, advice);
    if root.verb == Some(Verb::Update) && !changes_attributes(model, &root.columns) {
        return Plan::Pass;
    }
    let sets_key = |columns: &[String]| columns.iter().any(|column| among(&model.primary_key, column));
    let upsert_sets_key = root.conflict.as_ref().is_some_and(|conflict| sets_key(&conflict.computes));
    if (root.verb == Some(Verb::Update) && sets_key(&root.columns)) || upsert_sets_key {
        return refuse("a primary key cannot change: destroy the row and create another one");
    }
    if root.limited {
        return refuse("with a LIMIT it is not known which rows: select their primary keys first");
    }
    if root.replaces {
        return refuse("REPLACE destroys rows that are not known: use ON CONFLICT DO UPDATE");
    }
    if route == Route::Stream {
        return refuse("a write cannot be streamed: use `exec_with_returning`");
    }
    if let Route::Query { returning } = route {
        if !returning || backend == DbBackend::MySql {
            return refuse("this database returns no rows: use `execute`");
        }
        let Some(returning) = widened(root.returning.as_ref(), (model.returning)(backend)) else {
            return refuse("RETURNING may name plain columns only");
        };
        let (count, returned) = match known {
            Known::Insert(s) => {
                let count = (!root.from_select).then(|| rows(root));
                match root.conflict.as_ref().is_some_and(|conflict| conflict.updates) {
                    true => (count, Returned::Upserted(s, returning)),
                    false => (count, Returned::Created(s, returning)),
                }
            }
            Known::Update(s) => (one_row(root, model), Returned::Updated(s, returning)),
            Known::Delete(s) => (one_row(root, model), Returned::Deleted(s, returning)),
            Known::Select(_) | Known::With(_) => return Plan::Pass,
        };
        return write_plan(model, kind, Rows::Returned(returned), count);
    }
    if let Known::Insert(statement) = known {
        return match found_by(root, model, backend) {
            Ok(found_by) => write_plan(model, kind, Rows::Inserted { statement, found_by }, Some(rows(root))),
            Err(advice) => refuse(advice),
        };
    }
    if root.with || !root.tables.is_empty() || !can_be_narrowed(&root.condition) {
        return refuse(
            "with WITH, FROM, JOIN or a chain of ORs the rows cannot be selected first: select their primary keys, \
             then write `WHERE … IN (…)`",
        );
    }
    if matches!(root.target, Some(TableRef::Table(_, Some(_)))) {
        return refuse("the table has an alias: leave it out");
    }
    let key = pinned_key(root, model).filter(|key| {
        // What compares equal may still be another text: letter case, padding, casts.
        key.iter().all(is_exact) && (model.id_of_values)(key).is_some()
    });
    let count = one_row(root, model);
    let condition = root.condition.clone();
    match known {
        Known::Update(statement) => {
            write_plan(model, kind, Rows::Updated { statement, condition, key }, count)
        }
        Known::Delete(statement) => {
            write_plan(model, kind, Rows::Deleted { statement, condition, key }, count)
        }
        _ => Plan::Pass,
    }
}

fn write_plan<'s>(
    model: &Arc<PublishedModel>,
    kind: &'static str,
    rows: Rows<'s>,
    count: Option<usize>,
) -> Plan<'s> {
    Plan::Write(Box::new(Write { model: Arc::clone(model), kind, rows, count }))
}

fn refuse<'s>(model: &PublishedModel, statement: &str, advice: &str) -> Plan<'s> {
    Plan::Refuse(Error::UnsupportedWrite {
        model: model.name.clone(),
        statement: statement.to_owned(),
        advice: advice.to_owned(),
    })
}

fn kind(verb: Verb) -> Option<&'static str> {
    match verb {
        Verb::Insert => Some("INSERT"),
        Verb::Update => Some("UPDATE"),
        Verb::Delete => Some("DELETE"),
        Verb::Select | Verb::With => None,
    }
}

/// The published model that a part writes.
fn written<'m>(
    part: &Part,
    models: &'m PublishedModels,
    backend: DbBackend,
) -> Option<&'m Arc<PublishedModel>> {
    let TableRef::Table(TableName(schema, table), _) = part.target.as_ref()? else { return None };
    let schema = schema.as_ref().map(|schema| schema.1.to_string());
    let table = table.to_string();
    let in_other_case = || match backend {
        DbBackend::Postgres => None,
        // SQLite, and MySQL on some systems, do not care for letter case.
        _ => models.iter().find(|model| model.table.eq_ignore_ascii_case(&table)),
    };
    models.by_table(schema.as_deref(), &table).or_else(in_other_case)
}

/// Whether a column is one of these. Letter case may not matter to the database; in doubt it is.
fn among(columns: &[String], column: &str) -> bool {
    columns.iter().any(|known| known.eq_ignore_ascii_case(column))
}

fn changes_attributes(model: &PublishedModel, columns: &[String]) -> bool {
    model.has_virtual_attributes
        || columns
            .iter()
            .any(|column| among(&model.attribute_columns, column) || among(&model.primary_key, column))
}

fn pinned_key(root: &Part, model: &PublishedModel) -> Option<Vec<Value>> {
    let Some(TableRef::Table(TableName(_, table), alias)) = &root.target else { return None };
    let name = alias.as_ref().unwrap_or(table).to_string();
    pinned(&root.condition, &model.primary_key, &[&name], root.tables.is_empty())
}

fn one_row(root: &Part, model: &PublishedModel) -> Option<usize> {
    pinned_key(root, model).map(|_| 1)
}

/// Whether only the very same value compares equal.
fn is_exact(value: &Value) -> bool {
    matches!(
        value,
        Value::TinyInt(_)
            | Value::SmallInt(_)
            | Value::Int(_)
            | Value::BigInt(_)
            | Value::TinyUnsigned(_)
            | Value::SmallUnsigned(_)
            | Value::Unsigned(_)
            | Value::BigUnsigned(_)
            | Value::Uuid(_)
    )
}

/// All columns of the model, those that the caller asked for first and in the caller's order.
fn widened(asked: Option<&ReturningClause>, all: ReturningClause) -> Option<ReturningClause> {
    let ReturningClause::Exprs(all_exprs) = &all else { return Some(all) };
    let asked: Vec<Expr> = match asked {
        None | Some(ReturningClause::All) => return Some(all),
        Some(ReturningClause::Columns(columns)) => columns.iter().cloned().map(Expr::Column).collect(),
        Some(ReturningClause::Exprs(exprs)) => exprs.clone(),
    };
    let mut widened = Vec::with_capacity(all_exprs.len());
    for expr in &asked {
        let same = all_exprs.iter().find(|own| *own == expr).or_else(|| {
            let name = column_name(expr)?;
            all_exprs.iter().find(|own| column_name(own).as_ref() == Some(&name))
        });
        widened.push(same?.clone());
    }
    for own in all_exprs {
        if !widened.contains(own) {
            widened.push(own.clone());
        }
    }
    Some(ReturningClause::Exprs(widened))
}

fn column_name(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Column(ColumnRef::Column(ColumnName(_, name))) => Some(name.to_string()),
        Expr::AsEnum(_, inner) => column_name(inner),
        _ => None,
    }
}
