//! TEMPORARY
#![allow(missing_docs, clippy::all)]
use super::*;
use promiscuous_core::database::Dialect;
use sqlparser::ast::*;
use sqlparser::parser::Parser;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::RwLock;

pub struct Planner {
    dialect: Dialect,
    tables: Tables,
    cache: RwLock<HashMap<String, Arc<Plan>>>,
}
fn norm(s: &str) -> String {
    s.trim_matches(|c| c == '`' || c == '"').to_lowercase()
}
impl Planner {
    pub fn new(dialect: Dialect, tables: Tables) -> Self {
        Self { dialect, tables, cache: RwLock::default() }
    }
    pub fn plan(&self, sql: &str, cacheable: bool) -> Arc<Plan> {
        if let Some(p) = self.cache.read().unwrap().get(sql) {
            return p.clone();
        }
        let p = Arc::new(self.make(sql));
        if cacheable {
            self.cache.write().unwrap().insert(sql.to_owned(), p.clone());
        }
        p
    }
    pub fn plan_script(&self, sql: &str) -> Result<(), Refusal> {
        for part in sql.split(';') {
            match self.make(part) {
                Plan::Refuse(r) => return Err(r),
                Plan::Write(w) => return Err(refuse(Some(w.table))),
                _ => {}
            }
        }
        Ok(())
    }
    fn table(&self, name: &str) -> Option<usize> {
        let n = norm(name);
        (0..10).find(|i| self.tables.table(*i).is_some_and(|t| t.name == n))
    }
    fn make(&self, sql: &str) -> Plan {
        let low = sql.to_lowercase();
        let first = low.split_whitespace().next().unwrap_or("").trim_matches(';').to_owned();
        if ["begin", "commit", "rollback", "savepoint"].contains(&first.as_str()) {
            return Plan::Refuse(Refusal {
                table: None,
                statement: first,
                advice: "use transactions".into(),
            });
        }
        let mentions = (0..10).any(|i| self.tables.table(i).is_some_and(|t| low.contains(&t.name)));
        if !mentions {
            return Plan::Pass;
        }
        if ["create", "alter", "drop"].contains(&first.as_str()) {
            return Plan::Pass;
        }
        let d: Box<dyn sqlparser::dialect::Dialect> = match self.dialect {
            Dialect::Postgres => Box::new(sqlparser::dialect::PostgreSqlDialect {}),
            Dialect::Mysql => Box::new(sqlparser::dialect::MySqlDialect {}),
            _ => Box::new(sqlparser::dialect::SQLiteDialect {}),
        };
        let Ok(stmts) = Parser::parse_sql(&*d, sql) else { return Plan::Refuse(refuse(Some(0))) };
        let Some(st) = stmts.first() else { return Plan::Pass };
        match st {
            Statement::Insert(i) => {
                let TableObject::TableName(n) = &i.table else { return Plan::Refuse(refuse(None)) };
                let Some(t) = self.table(&n.0.last().unwrap().to_string()) else { return Plan::Pass };
                let pk = &self.tables.table(t).unwrap().primary_key;
                let oc = match (&i.on, i.ignore, i.or.is_some()) {
                    (Some(OnInsert::OnConflict(c)), ..) => {
                        if matches!(c.action, OnConflictAction::DoNothing) {
                            super::OnConflict::Ignore
                        } else {
                            super::OnConflict::Update
                        }
                    }
                    (Some(_), ..) => super::OnConflict::Update,
                    (_, true, _) | (_, _, true) => super::OnConflict::Ignore,
                    _ => super::OnConflict::Fail,
                };
                let mut rows = None;
                let mut keys = vec![];
                let mut n = 0;
                match i.source.as_deref().map(|q| &*q.body) {
                    Some(SetExpr::Values(v)) => {
                        rows = Some(v.rows.len());
                        for r in &v.rows {
                            let mut ks: Vec<KeySource> = vec![KeySource::Database; pk.len()];
                            for (c, e) in r.iter().enumerate() {
                                let src = match e {
                                    Expr::Value(ValueWithSpan { value: Value::Placeholder(_), .. }) => {
                                        n += 1;
                                        KeySource::Bind(n - 1)
                                    }
                                    Expr::Identifier(i) if i.value.to_lowercase() == "default" => {
                                        KeySource::Database
                                    }
                                    _ => KeySource::Other,
                                };
                                if let Some(col) = i.columns.get(c) {
                                    if let Some(at) = pk.iter().position(|p| *p == norm(&col.to_string())) {
                                        ks[at] = src;
                                    }
                                }
                            }
                            keys.push(ks);
                        }
                    }
                    None => {
                        rows = Some(1);
                        keys.push(vec![KeySource::Database; pk.len()]);
                    }
                    _ => {}
                }
                Plan::Write(Box::new(Writing {
                    table: t,
                    target: i.table.to_string(),
                    qualifier: i.table.to_string(),
                    verb: Verb::Insert { on_conflict: oc, rows, keys },
                    has_returning: i.returning.is_some(),
                }))
            }
            Statement::Update(u) => {
                let TableFactor::Table { name, .. } = &u.table.relation else {
                    return Plan::Refuse(refuse(None));
                };
                let Some(t) = self.table(&name.0.last().unwrap().to_string()) else { return Plan::Pass };
                let tab = self.tables.table(t).unwrap();
                let cols: Vec<String> = u
                    .assignments
                    .iter()
                    .map(|a| norm(a.target.to_string().rsplit('.').next().unwrap()))
                    .collect();
                if cols.iter().any(|c| tab.primary_key.contains(c)) {
                    return Plan::Refuse(refuse(Some(t)));
                }
                if !cols.iter().any(|c| tab.attribute_columns.contains(c)) {
                    return Plan::Pass;
                }
                Plan::Write(Box::new(Writing {
                    table: t,
                    target: name.to_string(),
                    qualifier: name.to_string(),
                    verb: Verb::Update {
                        condition: cond(sql, u.returning.is_some(), u.selection.as_ref(), &tab.primary_key),
                    },
                    has_returning: u.returning.is_some(),
                }))
            }
            Statement::Delete(del) => {
                let FromTable::WithFromKeyword(f) = &del.from else { return Plan::Refuse(refuse(None)) };
                if del.using.is_some() {
                    return Plan::Refuse(refuse(Some(0)));
                }
                let TableFactor::Table { name, .. } = &f[0].relation else {
                    return Plan::Refuse(refuse(None));
                };
                let Some(t) = self.table(&name.0.last().unwrap().to_string()) else { return Plan::Pass };
                let tab = self.tables.table(t).unwrap();
                Plan::Write(Box::new(Writing {
                    table: t,
                    target: name.to_string(),
                    qualifier: name.to_string(),
                    verb: Verb::Delete {
                        condition: cond(
                            sql,
                            del.returning.is_some(),
                            del.selection.as_ref(),
                            &tab.primary_key,
                        ),
                    },
                    has_returning: del.returning.is_some(),
                }))
            }
            Statement::Query(q) => {
                let SetExpr::Select(s) = &*q.body else { return Plan::Pass };
                let mut r = Reading::default();
                let mut aliases: Vec<(String, usize)> = vec![];
                for f in &s.from {
                    let mut add = |tf: &TableFactor| {
                        if let TableFactor::Table { name, alias, .. } = tf {
                            let n = norm(&name.0.last().unwrap().to_string());
                            if let Some(t) = self.table(&n) {
                                aliases.push((alias.as_ref().map_or(n, |a| norm(&a.name.to_string())), t));
                            }
                        }
                    };
                    add(&f.relation);
                    for j in &f.joins {
                        let mut walk = |tf: &TableFactor| {
                            if let TableFactor::NestedJoin { table_with_joins, .. } = tf {
                                add(&table_with_joins.relation);
                                for j in &table_with_joins.joins {
                                    add(&j.relation);
                                }
                            } else {
                                add(tf)
                            }
                        };
                        walk(&j.relation);
                    }
                    if let TableFactor::NestedJoin { table_with_joins, .. } = &f.relation {
                        add(&table_with_joins.relation);
                        for j in &table_with_joins.joins {
                            add(&j.relation);
                        }
                    }
                }
                for (a, t) in aliases {
                    let pk = &self.tables.table(t).unwrap().primary_key;
                    let pos: Option<Vec<usize>> = pk
                        .iter()
                        .map(|k| {
                            s.projection.iter().position(|p| match p {
                                SelectItem::UnnamedExpr(Expr::CompoundIdentifier(v)) => {
                                    v.len() == 2 && norm(&v[0].value) == a && norm(&v[1].value) == *k
                                }
                                _ => false,
                            })
                        })
                        .collect();
                    match pos {
                        Some(p) => r.keys.push((t, p)),
                        None => r.unresolved.push(t),
                    }
                }
                Plan::Read(r)
            }
            _ => Plan::Refuse(refuse(Some(0))),
        }
    }
}
fn refuse(table: Option<usize>) -> Refusal {
    Refusal { table, statement: "x".into(), advice: "y".into() }
}
fn cond(sql: &str, returning: bool, sel: Option<&Expr>, pk: &[String]) -> Condition {
    let low = sql.to_lowercase();
    let start = low
        .find(" where ")
        .map(|p| p + 1)
        .or_else(|| low.find("\n  where ").map(|p| p + 3))
        .unwrap_or(sql.len());
    let end = if returning { low.find(" returning ").unwrap_or(sql.len()) } else { sql.len() };
    let text = &sql[start.min(end)..end];
    let before = sql[..start.min(end)].matches('?').count();
    let inside = text.matches('?').count();
    let pinned = sel.and_then(|e| {
        let mut out = vec![None; pk.len()];
        let mut n = before;
        fn go(e: &Expr, pk: &[String], out: &mut Vec<Option<usize>>, n: &mut usize) -> bool {
            match e {
                Expr::Nested(e) => go(e, pk, out, n),
                Expr::BinaryOp { left, op: BinaryOperator::And, right } => {
                    go(left, pk, out, n) && go(right, pk, out, n)
                }
                Expr::BinaryOp { left, op: BinaryOperator::Eq, right } => {
                    let name = norm(left.to_string().rsplit('.').next().unwrap());
                    if let (Some(at), Expr::Value(ValueWithSpan { value: Value::Placeholder(_), .. })) =
                        (pk.iter().position(|p| *p == name), &**right)
                    {
                        out[at] = Some(*n);
                        *n += 1;
                        true
                    } else {
                        false
                    }
                }
                _ => false,
            }
        }
        if go(e, pk, &mut out, &mut n) { out.into_iter().collect() } else { None }
    });
    Condition { text: text.to_owned(), binds: before..before + inside, pinned }
}
