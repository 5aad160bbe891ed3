//! INSERT into a published table.

use promiscuous_core::database::Dialect;
use sqlparser::ast::{self, Expr, OnConflictAction, OnInsert, SetExpr, SqliteOnConflict, TableObject, Value};

use super::change::{assigned, is_key};
use super::lexer::Kind;
use super::parse::Parsed;
use super::tables::means;
use super::tree::Subject;
use super::verbs::Verb;
use super::{KeySource, OnConflict, Plan, Refusal, Verb as Done, Writing};

const REPLACES: &str = "REPLACE destroys rows that are not known: use ON CONFLICT DO UPDATE, or ON DUPLICATE KEY UPDATE on MySQL";
const KEY_CHANGES: &str = "a primary key cannot change: leave it out of what is set on a conflict, or destroy the row and create another one";

pub(super) fn plan(
    subject: Subject<'_>,
    parsed: &Parsed,
    insert: &ast::Insert,
    own: &Verb,
    table: usize,
) -> Result<Plan, Refusal> {
    let text = subject.text;
    let refuse = |statement: &str, advice: &str| Err(Refusal::new(Some(table), statement, advice));
    let unparsed = || Refusal::unparsed(Some(table), "INSERT");
    if insert.replace_into
        || matches!(insert.or, Some(SqliteOnConflict::Replace))
        || text.is(own.at, "replace")
    {
        return refuse("REPLACE", REPLACES);
    }
    if matches!(insert.or, Some(SqliteOnConflict::Fail)) {
        return refuse("INSERT OR FAIL", "on a conflict it leaves the rows before it unseen: use INSERT");
    }
    if matches!(insert.priority, Some(ast::MysqlInsertPriority::Delayed)) {
        return refuse("INSERT DELAYED", "it runs later and unseen: use INSERT");
    }
    let TableObject::TableName(name) = &insert.table else { return Err(unparsed()) };
    let odd = insert.overwrite
        || insert.has_table_keyword
        || insert.multi_table_insert_type.is_some()
        || insert.output.is_some()
        || insert.settings.is_some()
        || insert.format_clause.is_some()
        || !insert.after_columns.is_empty();
    // The parser's table has to be the one that the words name.
    let first = parsed.name(name).and_then(|parts| parts.first().copied());
    if odd || first != Some(own.name.start) {
        return Err(unparsed());
    }
    if text.named_binds {
        return refuse("INSERT", "it has placeholders with names: use `?`");
    }

    let on_conflict = on_conflict(subject, parsed, insert, table)?;
    let (rows, keys) = rows(subject, parsed, insert, table);
    let alias = insert.table_alias.as_ref().and_then(|alias| parsed.token(alias.alias.span));
    let target = own.name.start..alias.map_or(own.name.end, |alias| alias + 1);
    let qualifier = alias.map_or(own.name.clone(), |alias| alias..alias + 1);
    Ok(Plan::Write(Box::new(Writing {
        table,
        target: text.slice(target).to_owned(),
        qualifier: text.slice(qualifier).to_owned(),
        verb: Done::Insert { on_conflict, rows, keys },
        has_returning: insert.returning.is_some(),
    })))
}

fn on_conflict(
    subject: Subject<'_>,
    parsed: &Parsed,
    insert: &ast::Insert,
    table: usize,
) -> Result<OnConflict, Refusal> {
    let key_changes = || Refusal::new(Some(table), "INSERT with an update on a conflict", KEY_CHANGES);
    let ignores = insert.ignore || matches!(insert.or, Some(SqliteOnConflict::Ignore));
    match &insert.on {
        None if ignores => Ok(OnConflict::Ignore),
        None => Ok(OnConflict::Fail),
        Some(_) if insert.ignore => Err(Refusal::new(
            Some(table),
            "INSERT IGNORE … ON DUPLICATE KEY UPDATE",
            "whether a row was ignored or updated is not known: leave out IGNORE",
        )),
        Some(OnInsert::OnConflict(conflict)) => match &conflict.action {
            OnConflictAction::DoNothing => Ok(OnConflict::Ignore),
            OnConflictAction::DoUpdate(update) => {
                let sets_key = update
                    .assignments
                    .iter()
                    .any(|set| is_key(subject, parsed, &set.target, table) && !keeps(subject, parsed, set));
                if sets_key { Err(key_changes()) } else { Ok(OnConflict::Update) }
            }
        },
        Some(OnInsert::DuplicateKeyUpdate(assignments)) => {
            let of_key = |set: &&ast::Assignment| is_key(subject, parsed, &set.target, table);
            if assignments.iter().filter(of_key).any(|set| !keeps(subject, parsed, set)) {
                return Err(key_changes());
            }
            // This is how Diesel says DO NOTHING on MySQL.
            match assignments.iter().all(|set| of_key(&set) && is_column(&set.value)) {
                true => Ok(OnConflict::Ignore),
                false => Ok(OnConflict::Update),
            }
        }
        Some(_) => Err(Refusal::unparsed(Some(table), "INSERT")),
    }
}

fn is_column(value: &Expr) -> bool {
    matches!(value, Expr::Identifier(_) | Expr::CompoundIdentifier(_))
}

/// Whether it sets a column to what it is: `id = id`, `id = users.id`, `id = LAST_INSERT_ID(id)`.
fn keeps(subject: Subject<'_>, parsed: &Parsed, set: &ast::Assignment) -> bool {
    let text = subject.text;
    let [target] = assigned(&set.target)[..] else { return false };
    let Some(target) = parsed.name(target).and_then(|parts| parts.last().copied()) else { return false };
    let same = |ident: &ast::Ident| {
        parsed.token(ident.span).is_some_and(|token| super::tables::same(text, token, target))
    };
    match &set.value {
        Expr::Identifier(name) => same(name),
        Expr::CompoundIdentifier(names) => {
            let of_new_row = |name: &ast::Ident| name.value.eq_ignore_ascii_case("excluded");
            // A row alias of MySQL's is the new row as well.
            matches!(names.as_slice(), [qualifier, name] if same(name) && !of_new_row(qualifier)
                && of_written_table(subject, parsed, qualifier))
        }
        Expr::Function(call) if text.dialect == Dialect::Mysql => {
            let is_last_insert_id = matches!(call.name.0.as_slice(), [ast::ObjectNamePart::Identifier(name)]
                if name.value.eq_ignore_ascii_case("last_insert_id"));
            let ast::FunctionArguments::List(list) = &call.args else { return false };
            is_last_insert_id
                && matches!(list.args.as_slice(),
                    [ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(Expr::Identifier(name)))] if same(name))
        }
        _ => false,
    }
}

fn of_written_table(subject: Subject<'_>, parsed: &Parsed, qualifier: &ast::Ident) -> bool {
    parsed.token(qualifier.span).is_some_and(|token| subject.tables.named(subject.text, &[token]).is_some())
}

type Keys = Vec<Vec<KeySource>>;

/// How many rows, and where their keys come from.
fn rows(subject: Subject<'_>, parsed: &Parsed, insert: &ast::Insert, table: usize) -> (Option<usize>, Keys) {
    let primary_key = subject.tables.table(table).map_or(&[][..], |table| &table.primary_key);
    let place = |column: &String, columns: &[&ast::ObjectName]| {
        columns.iter().position(|named| {
            let token = parsed.name(named).and_then(|parts| parts.last().copied());
            token.is_some_and(|token| means(subject.text, token, column))
        })
    };
    let source_of = |value: &Expr| source(subject, parsed, value);
    if !insert.assignments.is_empty() {
        let columns: Vec<_> = insert.assignments.iter().flat_map(|set| assigned(&set.target)).collect();
        let keys = primary_key.iter().map(|column| match place(column, &columns) {
            Some(place) => {
                insert.assignments.get(place).map_or(KeySource::Other, |set| source_of(&set.value))
            }
            None => KeySource::Database,
        });
        return (Some(1), vec![keys.collect()]);
    }
    let Some(query) = &insert.source else {
        // DEFAULT VALUES
        return (Some(1), vec![primary_key.iter().map(|_| KeySource::Database).collect()]);
    };
    let plain = query.with.is_none()
        && query.order_by.is_none()
        && query.limit_clause.is_none()
        && query.fetch.is_none();
    let SetExpr::Values(values) = query.body.as_ref() else { return (None, Vec::new()) };
    if !plain {
        return (None, Vec::new());
    }
    let columns: Vec<_> = insert.columns.iter().collect();
    let keys = values.rows.iter().map(|row| {
        let key = primary_key.iter().map(|column| match place(column, &columns) {
            Some(place) => row.content.get(place).map_or(KeySource::Other, source_of),
            // Without a list of columns nobody knows which is which.
            None if columns.is_empty() && !row.content.is_empty() => KeySource::Other,
            None => KeySource::Database,
        });
        key.collect()
    });
    (Some(values.rows.len()), keys.collect())
}

fn source(subject: Subject<'_>, parsed: &Parsed, value: &Expr) -> KeySource {
    let text = subject.text;
    match value {
        Expr::Value(value) => match (&value.value, parsed.token(value.span)) {
            (Value::Placeholder(_), Some(token)) => match text.kind(token) {
                Some(Kind::Bind(bind)) => KeySource::Bind(bind),
                _ => KeySource::Other,
            },
            (Value::Null, _) if text.dialect != Dialect::Postgres => KeySource::Database,
            _ => KeySource::Other,
        },
        Expr::Identifier(name)
            if name.quote_style.is_none() && name.value.eq_ignore_ascii_case("default") =>
        {
            KeySource::Database
        }
        _ => KeySource::Other,
    }
}
