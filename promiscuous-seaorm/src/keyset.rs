//! Rows before and after a row, in the order of the columns that keep its id.

use promiscuous_core::database::{DatabaseError, DatabaseErrorKind};
use sea_orm::sea_query::{BinOper, ColumnType, Expr, ExprTrait};
use sea_orm::{ColumnTrait, DbBackend, EntityTrait, ModelTrait};

use crate::codec::id_value;

/// A side of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bound {
    /// What comes after it.
    After,
    /// The row, and what comes after it.
    From,
    /// The row, and what comes before it.
    UpTo,
}

/// A column in the form in which rows are compared and put in order by it.
///
/// Qualified, because in ORDER BY a bare name is that of a result column, which may be the text of what it is in the table.
pub(crate) fn comparable(backend: DbBackend, column: impl ColumnTrait) -> Expr {
    let qualified = Expr::col(column.as_column_ref());
    match column.def().get_column_type() {
        // MySQL puts enums in the order of their declaration, but compares them with a value as text.
        ColumnType::Enum { .. } if backend == DbBackend::MySql => qualified.cast_as("CHAR"),
        _ => qualified,
    }
}

/// A part of an id, to be compared with its column: bound, with the casts that SeaORM gives such values; none when it is no value of the
/// column.
pub(crate) fn comparable_part<E: EntityTrait>(
    backend: DbBackend,
    column: E::Column,
    part: &str,
) -> Option<Expr> {
    let value = id_value(part, &E::Model::get_value_type(column)).ok()?;
    let value = column.save_as(Expr::val(value));
    Some(match (column.def().get_column_type(), &value) {
        // PostgreSQL compares a `char(n)` with text without the spaces at its end, and past its index.
        (ColumnType::Char(_), Expr::Value(_)) if backend == DbBackend::Postgres => value.cast_as("bpchar"),
        _ => value,
    })
}

/// Checks that a page of ids went on after `after`: whoever pages through the table would never come to its end.
pub(crate) fn went_on(table: &str, after: Option<&str>, page: &[String]) -> Result<(), DatabaseError> {
    if after.is_some() && page.first().map(String::as_str) == after {
        let sentence = format!(
            "the key of `{table}` holds values that its ids do not tell exactly, such as moments finer than a microsecond: \
             store them rounded"
        );
        return Err(DatabaseError::new(DatabaseErrorKind::Other, sentence));
    }
    Ok(())
}

/// What holds for the rows on one side of the row with this key; nothing for a key without columns.
///
/// Of several columns it is `(a, b) > (x, y)`, by which PostgreSQL and SQLite find the place in an index. MariaDB reads all of the index
/// for that, and finds the place by `a >= x AND (a > x OR (a = x AND b > y))`, for which the others read it from x on.
pub(crate) fn bounded(backend: DbBackend, columns: &[Expr], bound: Bound, key: &[Expr]) -> Option<Expr> {
    let (strict, inclusive) = match bound {
        Bound::After | Bound::From => (BinOper::GreaterThan, BinOper::GreaterThanOrEqual),
        Bound::UpTo => (BinOper::SmallerThan, BinOper::SmallerThanOrEqual),
    };
    let last = if bound == Bound::After { strict } else { inclusive };
    if backend != DbBackend::MySql && columns.len() > 1 {
        let row = |values: &[Expr]| Expr::tuple(values.to_vec());
        return Some(row(columns).binary(last, row(key)));
    }
    let compare = |(column, value): (&Expr, &Expr), operator| column.clone().binary(operator, value.clone());
    let mut columns = columns.iter().zip(key).rev();
    let innermost = compare(columns.next()?, last);
    Some(columns.fold(innermost, |rest, column| {
        let same = compare(column, BinOper::Equal).and(rest);
        compare(column, inclusive).and(compare(column, strict).or(same))
    }))
}

/// What holds for the rows with these keys; nothing where there is none. Every database finds them in an index.
pub(crate) fn among(columns: &[Expr], keys: Vec<Vec<Expr>>) -> Option<Expr> {
    if let [column] = columns {
        let values: Vec<Expr> = keys.into_iter().flatten().collect();
        return (!values.is_empty()).then(|| column.clone().is_in(values));
    }
    let same = |key: Vec<Expr>| {
        let mut parts =
            columns.iter().zip(key).map(|(column, value)| column.clone().binary(BinOper::Equal, value));
        let first = parts.next()?;
        Some(parts.fold(first, |all, part| all.and(part)))
    };
    // A tree of this depth would be too deep for a parser: it is as flat as OR can be.
    let mut any = sea_orm::Condition::any();
    let mut count = 0;
    for part in keys.into_iter().filter_map(same) {
        any = any.add(part);
        count += 1;
    }
    (count > 0).then(|| any.into())
}
