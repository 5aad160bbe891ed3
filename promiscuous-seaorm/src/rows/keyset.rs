//! Rows before and after a row, in the order of a primary key.

use sea_orm::DbBackend;
use sea_orm::sea_query::{BinOper, Expr, ExprTrait};

/// A side of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bound {
    /// What comes after it.
    After,
    /// The row, and what comes after it.
    From,
    /// The row, and what comes before it.
    UpTo,
}

/// What holds for the rows on one side of the row with this key; nothing for a key without columns.
///
/// Of several columns it is `(a, b) > (x, y)`, by which PostgreSQL and SQLite find the place in an index. MariaDB reads all of the index
/// for that, and finds the place by `a >= x AND (a > x OR (a = x AND b > y))`, for which the others read it from x on.
pub(super) fn bounded(backend: DbBackend, columns: &[Expr], bound: Bound, key: &[Expr]) -> Option<Expr> {
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
pub(super) fn among(columns: &[Expr], keys: Vec<Vec<Expr>>) -> Option<Expr> {
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
