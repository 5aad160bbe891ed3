//! Takes a SeaQuery statement apart.
//!
//! The fields of SeaQuery's statements are private; what is public is the trait that turns them into SQL. This
//! implements that trait, writes nothing, and remembers what it is shown. So nothing is parsed from text.

use std::cell::RefCell;
use std::fmt;

use sea_orm::sea_query::*;

use super::downcast::Known;

/// What kind of statement a part is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Select,
    Insert,
    Update,
    Delete,
    With,
}

/// `ON CONFLICT` of an INSERT.
#[derive(Debug, Clone, Default)]
pub(super) struct Conflict {
    /// The columns of the unique index; none for a named constraint, an expression, or no target at all.
    pub target: Option<Vec<String>>,
    /// Whether conflicting rows are updated; otherwise nothing is done.
    pub updates: bool,
    /// The columns that the update sets.
    pub sets: Vec<String>,
    /// Those of them that get another value than the one to be inserted.
    pub computes: Vec<String>,
}

/// One statement, or a statement inside of it.
#[derive(Debug, Default)]
pub(super) struct Part {
    /// What kind it is; none only before it is known.
    pub verb: Option<Verb>,
    /// The table that is written.
    pub target: Option<TableRef>,
    /// The tables that are read: FROM and JOIN.
    pub tables: Vec<TableRef>,
    /// The columns that are set.
    pub columns: Vec<String>,
    /// What an INSERT sets them to, row by row.
    pub values: Vec<Expr>,
    /// Rows of an INSERT that names no columns.
    pub default_rows: usize,
    /// WHERE.
    pub condition: ConditionHolder,
    /// ON CONFLICT.
    pub conflict: Option<Conflict>,
    /// RETURNING.
    pub returning: Option<ReturningClause>,
    /// The result columns of a SELECT.
    pub selects: Vec<SelectExpr>,
    /// INSERT … SELECT.
    pub from_select: bool,
    /// REPLACE instead of INSERT.
    pub replaces: bool,
    /// UPDATE or DELETE with a LIMIT.
    pub limited: bool,
    /// A WITH clause comes first.
    pub with: bool,
    /// UNION and the like.
    pub united: bool,
    /// A sub-query in FROM.
    pub derived: bool,
    /// How deep in an expression the visitor is.
    depth: usize,
}

/// A statement and all statements inside of it.
pub(super) struct Anatomy {
    pub root: Part,
    pub nested: Vec<Part>,
}

/// Takes a statement apart.
pub(super) fn dissect(statement: Known<'_>) -> Anatomy {
    let visitor = Visitor { parts: RefCell::default() };
    match statement {
        Known::Select(s) => visitor.within(Verb::Select, |v| s.build_collect_any_into(v, &mut Nowhere)),
        Known::Insert(s) => visitor.within(Verb::Insert, |v| s.build_collect_any_into(v, &mut Nowhere)),
        Known::Update(s) => visitor.within(Verb::Update, |v| s.build_collect_any_into(v, &mut Nowhere)),
        Known::Delete(s) => visitor.within(Verb::Delete, |v| s.build_collect_any_into(v, &mut Nowhere)),
        Known::With(s) => visitor.within(Verb::With, |v| s.build_collect_any_into(v, &mut Nowhere)),
    }
    let mut nested = visitor.parts.into_inner().done;
    // The outermost part is finished last.
    let root = nested.pop().unwrap_or_default();
    Anatomy { root, nested }
}

struct Visitor {
    /// In a cell, because the trait's methods take `&self`.
    parts: RefCell<Parts>,
}

#[derive(Default)]
struct Parts {
    open: Vec<Part>,
    done: Vec<Part>,
}

impl Visitor {
    fn within(&self, verb: Verb, visit: impl FnOnce(&Self)) {
        self.parts.borrow_mut().open.push(Part { verb: Some(verb), ..Part::default() });
        visit(self);
        let mut parts = self.parts.borrow_mut();
        if let Some(part) = parts.open.pop() {
            parts.done.push(part);
        }
    }

    /// The part that is being visited. There is always one: `dissect` opens the first.
    fn part<R>(&self, look: impl FnOnce(&mut Part) -> R) -> R {
        match self.parts.borrow_mut().open.last_mut() {
            Some(part) => look(part),
            None => look(&mut Part::default()),
        }
    }

    fn deeper(&self, visit: impl FnOnce()) {
        self.part(|part| part.depth += 1);
        visit();
        self.part(|part| part.depth -= 1);
    }
}

impl QueryBuilder for Visitor {
    fn prepare_query_statement(&self, query: &SubQueryStatement, sql: &mut impl SqlWriter) {
        use SubQueryStatement as Q;
        match query {
            Q::SelectStatement(s) => self.within(Verb::Select, |v| v.prepare_select_statement(s, sql)),
            Q::InsertStatement(s) => self.within(Verb::Insert, |v| v.prepare_insert_statement(s, sql)),
            Q::UpdateStatement(s) => self.within(Verb::Update, |v| v.prepare_update_statement(s, sql)),
            Q::DeleteStatement(s) => self.within(Verb::Delete, |v| v.prepare_delete_statement(s, sql)),
            Q::WithStatement(s) => self.within(Verb::With, |v| v.prepare_with_query(s, sql)),
        }
    }

    fn prepare_union_statement(&self, _: UnionType, select: &SelectStatement, sql: &mut impl SqlWriter) {
        self.part(|part| part.united = true);
        self.within(Verb::Select, |v| v.prepare_select_statement(select, sql));
    }

    fn prepare_with_clause_start(&self, _: &WithClause, _: &mut impl SqlWriter) {
        self.part(|part| part.with = true);
    }

    fn prepare_table_ref(&self, table: &TableRef, sql: &mut impl SqlWriter) {
        self.part(|part| match part.verb {
            Some(Verb::Insert | Verb::Update | Verb::Delete) if part.target.is_none() => {
                part.target = Some(table.clone());
            }
            _ => part.tables.push(table.clone()),
        });
        match table {
            TableRef::SubQuery(query, _) => self.within(Verb::Select, |v| {
                v.part(|part| part.derived = true);
                v.prepare_select_statement(query, sql);
            }),
            TableRef::FunctionCall(call, _) => self.deeper(|| self.prepare_function_arguments(call, sql)),
            _ => {}
        }
    }

    fn prepare_insert(&self, replace: bool, _: &mut impl SqlWriter) {
        self.part(|part| part.replaces = replace);
    }

    fn insert_default_values(&self, rows: u32, _: &mut impl SqlWriter) {
        self.part(|part| part.default_rows = rows as usize);
    }

    fn prepare_select_expr(&self, select: &SelectExpr, sql: &mut impl SqlWriter) {
        self.part(|part| match part.verb {
            // The SELECT of INSERT … SELECT is not announced by a call of its own.
            Some(Verb::Insert) => part.from_select = true,
            _ => part.selects.push(select.clone()),
        });
        self.deeper(|| self.prepare_expr(&select.expr, sql));
    }

    fn prepare_expr(&self, expr: &Expr, sql: &mut impl SqlWriter) {
        self.part(|part| {
            if part.depth == 0 && part.verb == Some(Verb::Insert) && !part.from_select {
                part.values.push(expr.clone());
            }
        });
        self.deeper(|| match expr {
            Expr::Value(_) | Expr::Values(_) | Expr::Constant(_) | Expr::Column(_) => {}
            // SeaQuery would look for placeholders in the text, in a dialect that is unknown here.
            Expr::CustomWithExpr(_, parts) => parts.iter().for_each(|part| self.prepare_expr(part, sql)),
            _ => self.prepare_expr_common(expr, sql),
        });
    }

    fn prepare_update_column(
        &self,
        _: &Option<Box<TableRef>>,
        _: &[TableRef],
        column: &DynIden,
        _: &mut impl SqlWriter,
    ) {
        self.part(|part| part.columns.push(column.to_string()));
    }

    fn prepare_condition(&self, condition: &ConditionHolder, keyword: &str, sql: &mut impl SqlWriter) {
        if keyword == "WHERE" {
            self.part(|part| part.condition = condition.clone());
        }
        self.deeper(|| match &condition.contents {
            ConditionHolderContents::Empty => {}
            ConditionHolderContents::Chain(chain) => {
                for LogicalChainOper::And(expr) | LogicalChainOper::Or(expr) in chain {
                    self.prepare_expr(expr, sql);
                }
            }
            ConditionHolderContents::Condition(condition) => self.prepare_condition_where(condition, sql),
        });
    }

    fn prepare_on_conflict_target(&self, target: &OnConflictTarget, _: &mut impl SqlWriter) {
        let columns = match target {
            OnConflictTarget::Identifiers(identifiers) => identifiers
                .iter()
                .map(|identifier| match identifier {
                    OnConflictIdentifier::Column(column) => Some(column.to_string()),
                    OnConflictIdentifier::Expr(_) => None,
                })
                .collect::<Option<Vec<_>>>()
                .filter(|columns| !columns.is_empty()),
            OnConflictTarget::Constraint(_) => None,
        };
        self.part(|part| part.conflict = Some(Conflict { target: columns, ..Conflict::default() }));
    }

    fn prepare_on_conflict_condition(&self, _: &ConditionHolder, _: &mut impl SqlWriter) {}

    fn prepare_on_conflict_action(&self, action: &Option<OnConflictAction>, sql: &mut impl SqlWriter) {
        let Some(OnConflictAction::Update(sets)) = action else { return };
        for set in sets {
            self.part(|part| {
                let conflict = part.conflict.get_or_insert_default();
                conflict.updates = true;
                let (OnConflictUpdate::Column(column) | OnConflictUpdate::Expr(column, _)) = set;
                conflict.sets.push(column.to_string());
                if matches!(set, OnConflictUpdate::Expr(..)) {
                    conflict.computes.push(column.to_string());
                }
            });
            if let OnConflictUpdate::Expr(_, expr) = set {
                self.deeper(|| self.prepare_expr(expr, sql));
            }
        }
    }

    fn prepare_returning(&self, returning: &Option<ReturningClause>, _: &mut impl SqlWriter) {
        self.part(|part| part.returning.clone_from(returning));
    }

    fn prepare_value(&self, _: Value, _: &mut impl SqlWriter) {
        // Values inside of expressions never get here, so this one is a LIMIT (or an OFFSET of a SELECT).
        self.part(|part| {
            if part.depth == 0 {
                part.limited = true;
            }
        });
    }

    // The rest would write text, or name tables a second time, or does not know every dialect's operators.
    fn prepare_explain_statement(&self, _: &ExplainStatement, _: &mut impl SqlWriter) {}
    fn prepare_select_into(&self, _: &SelectInto, _: &mut impl SqlWriter) {}
    fn prepare_select_distinct(&self, _: &SelectDistinct, _: &mut impl SqlWriter) {}
    fn prepare_select_lock(&self, _: &LockClause, _: &mut impl SqlWriter) {}
    fn prepare_bin_oper(&self, _: &BinOper, _: &mut impl SqlWriter) {}
    fn prepare_function_name(&self, _: &Func, _: &mut impl SqlWriter) {}
    fn prepare_type_ref(&self, _: &TypeRef, _: &mut impl SqlWriter) {}
    fn prepare_constant(&self, _: &Value, _: &mut impl SqlWriter) {}
    fn prepare_order(&self, _: &OrderExpr, _: &mut impl SqlWriter) {}
    fn prepare_frame(&self, _: &Frame, _: &mut impl SqlWriter) {}
    fn prepare_values_rows(&self, _: &[Values], _: &mut impl SqlWriter) {}
}

impl QuotedBuilder for Visitor {
    fn quote(&self) -> Quote {
        Quote::new(b'"')
    }

    fn prepare_iden(&self, name: &DynIden, _: &mut impl SqlWriter) {
        self.part(|part| {
            // Between its table and its values, an INSERT names nothing but its columns.
            let listing = part.target.is_some() && part.values.is_empty() && part.depth == 0;
            if part.verb == Some(Verb::Insert) && listing && !part.from_select && part.conflict.is_none() {
                part.columns.push(name.to_string());
            }
        });
    }
}

impl EscapeBuilder for Visitor {}
impl TableRefBuilder for Visitor {}

impl OperLeftAssocDecider for Visitor {
    fn well_known_left_associative(&self, _: &BinOper) -> bool {
        true
    }
}

impl PrecedenceDecider for Visitor {
    fn inner_expr_well_known_greater_precedence(&self, _: &Expr, _: &Oper) -> bool {
        true
    }
}

/// Where the text goes.
struct Nowhere;

impl fmt::Write for Nowhere {
    fn write_str(&mut self, _: &str) -> fmt::Result {
        Ok(())
    }
}

impl fmt::Display for Nowhere {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        Ok(())
    }
}

impl SqlWriter for Nowhere {
    fn push_param<T: QueryBuilder>(&mut self, _: Value, _: &T) {}

    fn as_writer(&mut self) -> &mut dyn fmt::Write {
        self
    }
}
