//! Reads and combines WHERE clauses.

use sea_orm::sea_query::{
    Alias, BinOper, ColumnName, ColumnRef, Condition, ConditionHolder, ConditionHolderContents,
    ConditionalStatement, Expr, ExprTrait, LogicalChainOper, Value,
};

/// A literal that is not NULL.
pub(crate) fn literal(expr: &Expr) -> Option<&Value> {
    match expr {
        Expr::Value(value) | Expr::Constant(value) if *value != value.as_null() => Some(value),
        Expr::AsEnum(_, inner) => literal(inner),
        _ => None,
    }
}

/// The value that each of the columns must equal, when the condition pins all of them.
///
/// `qualifiers` are the names that the table goes by; a column without a table counts when `alone`.
pub(crate) fn pinned(
    condition: &ConditionHolder,
    columns: &[String],
    qualifiers: &[&str],
    alone: bool,
) -> Option<Vec<Value>> {
    let mut equalities = Vec::new();
    match &condition.contents {
        ConditionHolderContents::Empty => return None,
        ConditionHolderContents::Chain(chain) => {
            for part in chain {
                let LogicalChainOper::And(expr) = part else { return None };
                collect(expr, &mut equalities);
            }
        }
        ConditionHolderContents::Condition(condition) => collect(&condition.clone().into(), &mut equalities),
    }
    columns
        .iter()
        .map(|column| {
            equalities
                .iter()
                .find(|(ColumnName(table, name), _)| {
                    let named = table.as_ref().map(|table| table.1.to_string());
                    name.to_string() == *column
                        && named.map_or(alone, |named| qualifiers.contains(&named.as_str()))
                })
                .map(|(_, value)| value.clone())
        })
        .collect()
}

fn collect(expr: &Expr, equalities: &mut Vec<(ColumnName, Value)>) {
    match expr {
        Expr::Binary(left, BinOper::And, right) => {
            collect(left, equalities);
            collect(right, equalities);
        }
        Expr::Binary(left, BinOper::Equal, right) => {
            if let (Expr::Column(ColumnRef::Column(column)), Some(value)) = (&**left, literal(right)) {
                equalities.push((column.clone(), value.clone()));
            }
        }
        _ => {}
    }
}

/// Whether another condition can be added without changing what the first one means.
pub(crate) fn can_be_narrowed(condition: &ConditionHolder) -> bool {
    match &condition.contents {
        ConditionHolderContents::Chain(chain) => {
            chain.iter().all(|part| matches!(part, LogicalChainOper::And(_)))
        }
        ConditionHolderContents::Empty | ConditionHolderContents::Condition(_) => true,
    }
}

/// Puts a statement's WHERE on another statement.
pub(crate) fn copy_onto<S: ConditionalStatement>(condition: &ConditionHolder, statement: &mut S) {
    match &condition.contents {
        ConditionHolderContents::Empty => {}
        ConditionHolderContents::Chain(chain) => {
            for part in chain {
                statement.and_or_where(part.clone());
            }
        }
        ConditionHolderContents::Condition(condition) => {
            statement.cond_where(condition.clone());
        }
    }
}

/// Narrows a statement that has this WHERE. See [`can_be_narrowed`].
pub(crate) fn narrow<S: ConditionalStatement>(condition: &ConditionHolder, statement: &mut S, by: Expr) {
    match &condition.contents {
        // SeaQuery panics when both ways of building a condition meet in one statement.
        ConditionHolderContents::Chain(_) => statement.and_or_where(LogicalChainOper::And(by)),
        ConditionHolderContents::Empty | ConditionHolderContents::Condition(_) => statement.cond_where(by),
    };
}

/// `column IN (…)`, or for several columns `(a = 1 AND b = 2) OR …`; never true for no rows.
pub(crate) fn one_of(columns: &[String], rows: &[Vec<Value>]) -> Expr {
    if rows.is_empty() {
        return Expr::val(1).eq(2);
    }
    if let [column] = columns {
        let values = rows.iter().filter_map(|row| row.first().cloned());
        return Expr::col(Alias::new(column)).is_in(values);
    }
    let any = rows.iter().fold(Condition::any(), |any, row| {
        let all = columns.iter().zip(row).fold(Condition::all(), |all, (column, value)| {
            all.add(Expr::col(Alias::new(column)).eq(value.clone()))
        });
        any.add(all)
    });
    any.into()
}
