//! What is planned for which statement: a row for each, over three dialects.

mod limits;
mod mysql;
mod postgres;
mod properties;
mod scripts;
mod servers;
mod sqlite;
mod written;

use promiscuous_core::database::Dialect;

use super::{Condition, KeySource, OnConflict, Plan, Refusal, Table, Tables, Verb, plan};

/// The published tables: one with a plain key, one with a key of two columns, one with virtual attributes, one with a schema.
pub(super) fn tables() -> Tables {
    let table = |name: &str, primary_key: &[&str], attributes: &[&str]| Table {
        name: name.into(),
        schema: None,
        primary_key: primary_key.iter().map(ToString::to_string).collect(),
        attribute_columns: attributes.iter().map(ToString::to_string).collect(),
        has_virtual_attributes: false,
    };
    Tables::new([
        table("users", &["id"], &["name", "email"]),
        table("links", &["user_id", "team_id"], &["note"]),
        Table { has_virtual_attributes: true, ..table("posts", &["id"], &["title"]) },
        Table { schema: Some("app".into()), ..table("accounts", &["id"], &["owner"]) },
    ])
}

/// The plan of a statement in a line.
pub(super) fn line(sql: &str, dialect: Dialect) -> String {
    written(&plan(sql, dialect, &tables()))
}

fn name(table: usize) -> &'static str {
    ["users", "links", "posts", "accounts"].get(table).copied().unwrap_or("?")
}

fn written(plan: &Plan) -> String {
    match plan {
        Plan::Pass => "pass".into(),
        Plan::Commit => "commit".into(),
        Plan::Refuse(Refusal { table, statement, .. }) => {
            format!("no {}: {statement}", table.map_or("table", name))
        }
        Plan::Read(reading) => {
            let keys = reading.keys.iter().map(|(table, columns)| {
                let columns: Vec<_> = columns.iter().map(ToString::to_string).collect();
                format!("{}@{}", name(*table), columns.join("+"))
            });
            let by_name = reading.by_name.iter().map(|table| format!("{}@*", name(*table)));
            let unresolved = reading.unresolved.iter().map(|table| format!("{}@?", name(*table)));
            format!("read {}", keys.chain(by_name).chain(unresolved).collect::<Vec<_>>().join(" "))
        }
        Plan::Write(writing) => {
            let returning = if writing.has_returning { ", returning" } else { "" };
            let target = match writing.target == writing.qualifier {
                true => writing.target.clone(),
                false => format!("{} as {}", writing.target, writing.qualifier),
            };
            format!("{} {} = {target}{returning}", done(&writing.verb), name(writing.table))
        }
    }
}

fn done(verb: &Verb) -> String {
    match verb {
        Verb::Insert { on_conflict, rows, keys } => {
            let verb = match on_conflict {
                OnConflict::Fail => "insert",
                OnConflict::Ignore => "insert-or-ignore",
                OnConflict::Update => "upsert",
            };
            let keys: Vec<_> =
                keys.iter().map(|key| key.iter().map(source).collect::<Vec<_>>().join("+")).collect();
            let rows = rows.map_or("?".into(), |rows| rows.to_string());
            format!("{verb} {rows} [{}] into", keys.join(" "))
        }
        Verb::Update { condition } => format!("update {}", rows(condition)),
        Verb::Delete { condition } => format!("delete {}", rows(condition)),
    }
}

fn source(source: &KeySource) -> String {
    match source {
        KeySource::Bind(bind) => format!("${bind}"),
        KeySource::Database => "database".into(),
        KeySource::Other => "other".into(),
    }
}

fn rows(condition: &Condition) -> String {
    let binds = match condition.binds.is_empty() {
        true => String::new(),
        false => format!(" ${:?}", condition.binds),
    };
    let pinned = condition.pinned.as_ref().map_or(String::new(), |pinned| format!(" pinned {pinned:?}"));
    format!("<{}>{binds}{pinned}", condition.text)
}

/// The statements of all dialects.
pub(super) fn statements() -> impl Iterator<Item = (Dialect, &'static str, &'static str)> {
    let of =
        |dialect, rows: &'static [(&str, &str)]| rows.iter().map(move |(sql, plan)| (dialect, *sql, *plan));
    of(Dialect::Postgres, postgres::STATEMENTS)
        .chain(of(Dialect::Mysql, mysql::STATEMENTS))
        .chain(of(Dialect::Sqlite, sqlite::STATEMENTS))
}

#[test]
fn each_statement_is_planned_as_the_table_says() {
    let wrong: Vec<_> = statements()
        .filter_map(|(dialect, sql, expected)| {
            let planned = line(sql, dialect);
            (planned != expected).then(|| format!("{dialect:?}: {sql}\n  {planned}\n  expected: {expected}"))
        })
        .collect();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn nothing_is_looked_at_when_nothing_is_published() {
    for (dialect, sql, _) in statements() {
        assert_eq!(plan(sql, dialect, &Tables::default()), Plan::Pass, "{sql}");
    }
}

#[test]
fn a_refusal_says_what_to_do_and_tells_no_value() {
    for (dialect, sql, _) in statements() {
        let Plan::Refuse(refusal) = plan(sql, dialect, &tables()) else { continue };
        assert!(
            refusal.advice.contains(": ") || refusal.advice.starts_with("run "),
            "{sql}: {}",
            refusal.advice
        );
        assert!(!format!("{refusal:?}").contains("'x'"), "{sql}: {refusal:?}");
    }
}

#[test]
fn a_write_can_be_narrowed_to_rows_that_were_selected() {
    let narrowed = |sql: &str| {
        let Plan::Write(writing) = plan(sql, Dialect::Mysql, &tables()) else { panic!("{sql}") };
        let (Verb::Update { condition } | Verb::Delete { condition }) = writing.verb else { panic!("{sql}") };
        let (before, after) = (&sql[..condition.filter.start], &sql[condition.filter.end..]);
        format!("{before}|{after}")
    };
    for (sql, expected) in [
        ("DELETE FROM users", "DELETE FROM users|"),
        ("DELETE FROM users WHERE id = ?", "DELETE FROM users |"),
        ("UPDATE users SET name = 'é' /* where */ WHERE id = ?", "UPDATE users SET name = 'é' /* where */ |"),
        ("UPDATE users SET name = ? ORDER BY id", "UPDATE users SET name = ?| ORDER BY id"),
        ("UPDATE users SET name = ? WHERE (id > 1) ORDER BY id", "UPDATE users SET name = ? | ORDER BY id"),
        ("DELETE FROM users RETURNING id", "DELETE FROM users| RETURNING id"),
        ("DELETE FROM users WHERE id IN (?, ?) RETURNING id", "DELETE FROM users | RETURNING id"),
    ] {
        assert_eq!(narrowed(sql), expected);
    }
}

/// Whether the table is known without the plan of a whole statement: the condition alone, behind a SELECT of the same table.
#[test]
fn what_is_cut_out_of_a_write_selects_the_same_table() {
    let mut seen = 0;
    for (dialect, sql, _) in statements() {
        let Plan::Write(writing) = plan(sql, dialect, &tables()) else { continue };
        let (Verb::Update { condition } | Verb::Delete { condition }) = &writing.verb else { continue };
        seen += 1;
        let key = tables().table(writing.table).unwrap().primary_key.join(", ");
        let select = format!("SELECT {key} FROM {} {}", writing.target, condition.text);
        let Plan::Read(reading) = plan(&select, dialect, &tables()) else { panic!("{select}") };
        assert_eq!(reading.keys.first().map(|(table, _)| *table), Some(writing.table), "{select}");
        assert!(
            sql.ends_with(&condition.text) || writing.has_returning || dialect == Dialect::Sqlite,
            "{sql}"
        );
    }
    assert!(seen > 50, "{seen}");
}
