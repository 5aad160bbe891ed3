//! A result row behind one object-safe trait, so that what a derive generates is one plain function for every kind of row: a live
//! one, a buffered one, and an asynchronous connection's.

use diesel::backend::Backend;
use diesel::row::{Field, Row};

/// The values of some of a row's columns, by position.
pub trait RowValues<DB: Backend + 'static> {
    /// Hands the value at `position` to `read`; a NULL and a position that does not exist are both none.
    fn value(&self, position: usize, read: &mut dyn FnMut(Option<DB::RawValue<'_>>));
}

/// Some columns of a Diesel row: position `n` is the row's column `columns[n]`.
pub(crate) struct Columns<'a, R> {
    /// The row.
    row: &'a R,
    /// Where its columns are.
    columns: &'a [usize],
}

impl<'a, R> Columns<'a, R> {
    /// These columns of this row.
    pub(crate) fn new(row: &'a R, columns: &'a [usize]) -> Self {
        Self { row, columns }
    }
}

impl<'r, R, DB> RowValues<DB> for Columns<'_, R>
where
    DB: Backend + 'static,
    R: Row<'r, DB>,
{
    fn value(&self, position: usize, read: &mut dyn FnMut(Option<DB::RawValue<'_>>)) {
        let field = self.columns.get(position).and_then(|column| self.row.get(*column));
        read(field.as_ref().and_then(|field| field.value()));
    }
}
