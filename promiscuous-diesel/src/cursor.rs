//! Rows as an app sees them: live from the database, or kept from a captured write.

use std::ops::Range;

use diesel::QueryResult;
use diesel::backend::Backend;
use diesel::row::{Field, IntoOwnedRow, PartialRow, Row, RowIndex, RowSealed};

use crate::backend::{Capturing, Doubt, PromiscuousBackend};
use crate::reads::Cause;

/// A row.
pub enum PromiscuousRow<L, K> {
    /// As the database gives it.
    Live(L),
    /// A captured write's. Only its first columns are what the app asked for.
    Kept(K, usize),
}

/// A field of a row.
pub enum PromiscuousField<L, K> {
    /// Of a live one.
    Live(L),
    /// Of a kept one.
    Kept(K),
}

impl<L, K> RowSealed for PromiscuousRow<L, K> {}

impl<L: RowIndex<usize>, K: RowIndex<usize>> RowIndex<usize> for PromiscuousRow<L, K> {
    fn idx(&self, position: usize) -> Option<usize> {
        match self {
            Self::Live(row) => row.idx(position),
            Self::Kept(row, visible) => row.idx(position).filter(|position| position < visible),
        }
    }
}

impl<'n, L: RowIndex<&'n str>, K: RowIndex<&'n str>> RowIndex<&'n str> for PromiscuousRow<L, K> {
    fn idx(&self, name: &'n str) -> Option<usize> {
        match self {
            Self::Live(row) => row.idx(name),
            Self::Kept(row, visible) => row.idx(name).filter(|position| position < visible),
        }
    }
}

impl<'a, DB: Backend, L: Row<'a, DB>, K: Row<'a, DB>> Row<'a, DB> for PromiscuousRow<L, K> {
    type Field<'f>
        = PromiscuousField<L::Field<'f>, K::Field<'f>>
    where
        'a: 'f,
        Self: 'f;
    type InnerPartialRow = Self;

    fn field_count(&self) -> usize {
        match self {
            Self::Live(row) => row.field_count(),
            Self::Kept(_, visible) => *visible,
        }
    }

    fn get<'f, I>(&'f self, index: I) -> Option<Self::Field<'f>>
    where
        'a: 'f,
        Self: RowIndex<I>,
    {
        let position = self.idx(index)?;
        match self {
            Self::Live(row) => row.get(position).map(PromiscuousField::Live),
            Self::Kept(row, _) => row.get(position).map(PromiscuousField::Kept),
        }
    }

    fn partial_row(&self, range: Range<usize>) -> PartialRow<'_, Self> {
        PartialRow::new(self, range)
    }
}

impl<'f, DB: Backend, L: Field<'f, DB>, K: Field<'f, DB>> Field<'f, DB> for PromiscuousField<L, K> {
    fn field_name(&self) -> Option<&str> {
        match self {
            Self::Live(field) => field.field_name(),
            Self::Kept(field) => field.field_name(),
        }
    }

    fn value(&self) -> Option<DB::RawValue<'_>> {
        match self {
            Self::Live(field) => field.value(),
            Self::Kept(field) => field.value(),
        }
    }
}

/// For connections that hand rows to another thread: `diesel-async`'s wrapper of SQLite.
impl<'a, DB, L, K> IntoOwnedRow<'a, DB> for PromiscuousRow<L, K>
where
    DB: Backend,
    L: IntoOwnedRow<'a, DB, OwnedRow = K>,
    K: Row<'a, DB> + Send + 'static,
{
    type OwnedRow = PromiscuousRow<K, K>;
    type Cache = L::Cache;

    fn into_owned(self, cache: &mut Self::Cache) -> Self::OwnedRow {
        match self {
            Self::Live(row) => PromiscuousRow::Live(row.into_owned(cache)),
            Self::Kept(row, visible) => PromiscuousRow::Kept(row, visible),
        }
    }
}

/// The rows of a query, one by one.
pub enum PromiscuousCursor<'conn, I, K, DB: PromiscuousBackend> {
    /// As the database gives them.
    Live {
        /// Diesel's cursor.
        rows: I,
        /// What is remembered of each row.
        cause: Option<Cause<DB>>,
        /// Where a failure is noted that may have ended the transaction.
        doubt: &'conn mut Doubt,
    },
    /// A captured write's.
    Kept {
        /// All of them.
        rows: std::vec::IntoIter<K>,
        /// How many columns the app asked for.
        visible: usize,
    },
}

impl<'conn, I, L, K, DB> Iterator for PromiscuousCursor<'conn, I, K, DB>
where
    DB: PromiscuousBackend,
    I: Iterator<Item = QueryResult<L>>,
    L: Row<'conn, DB>,
{
    type Item = QueryResult<PromiscuousRow<L, K>>;

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::Kept { rows, visible } => rows.next().map(|row| Ok(PromiscuousRow::Kept(row, *visible))),
            Self::Live { rows, cause, doubt } => match rows.next()? {
                Ok(row) => {
                    if let Some(cause) = cause {
                        cause.remember(&row);
                    }
                    Some(Ok(PromiscuousRow::Live(row)))
                }
                Err(error) => {
                    **doubt = doubt.and(<DB as Capturing>::doubt(&error));
                    Some(Err(error))
                }
            },
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        match self {
            Self::Live { rows, .. } => rows.size_hint(),
            Self::Kept { rows, .. } => rows.size_hint(),
        }
    }
}
