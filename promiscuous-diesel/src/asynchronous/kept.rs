//! Rows that outlive their statement: a captured write reads all of them before any is handed on.

use std::ops::Range;
use std::sync::Arc;

use diesel::row::{Field, PartialRow, Row, RowIndex, RowSealed};

use super::backend::AsyncBackend;

/// A row's values.
pub struct KeptRow<DB: AsyncBackend> {
    /// One for each column; none is NULL.
    values: Vec<Option<DB::Value>>,
    /// The columns' names, for all rows of one statement.
    names: Arc<[Option<String>]>,
}

/// A column of a row.
pub struct KeptField<'r, DB: AsyncBackend> {
    value: Option<&'r DB::Value>,
    name: Option<&'r str>,
}

impl<DB: AsyncBackend> KeptRow<DB> {
    /// Copies a row. `names` are those of the statement's first row, once it was there.
    pub(super) fn of<'r, R: Row<'r, DB>>(row: &R, names: &mut Option<Arc<[Option<String>]>>) -> Self {
        let fields = || (0..row.field_count()).map(|at| row.get(at));
        let names = names.get_or_insert_with(|| {
            fields().map(|field| field?.field_name().map(ToOwned::to_owned)).collect()
        });
        let values = fields().map(|field| field?.value().map(DB::keep)).collect();
        Self { values, names: Arc::clone(names) }
    }
}

impl<DB: AsyncBackend> RowSealed for KeptRow<DB> {}

impl<DB: AsyncBackend> RowIndex<usize> for KeptRow<DB> {
    fn idx(&self, position: usize) -> Option<usize> {
        (position < self.values.len()).then_some(position)
    }
}

impl<DB: AsyncBackend> RowIndex<&str> for KeptRow<DB> {
    fn idx(&self, wanted: &str) -> Option<usize> {
        self.names.iter().position(|name| name.as_deref() == Some(wanted))
    }
}

impl<'a, DB: AsyncBackend> Row<'a, DB> for KeptRow<DB> {
    type Field<'f>
        = KeptField<'f, DB>
    where
        'a: 'f,
        Self: 'f;
    type InnerPartialRow = Self;

    fn field_count(&self) -> usize {
        self.values.len()
    }

    fn get<'f, I>(&'f self, index: I) -> Option<Self::Field<'f>>
    where
        'a: 'f,
        Self: RowIndex<I>,
    {
        let position = self.idx(index)?;
        let name = self.names.get(position).and_then(Option::as_deref);
        Some(KeptField { value: self.values.get(position)?.as_ref(), name })
    }

    fn partial_row(&self, range: Range<usize>) -> PartialRow<'_, Self> {
        PartialRow::new(self, range)
    }
}

impl<'f, DB: AsyncBackend> Field<'f, DB> for KeptField<'f, DB> {
    fn field_name(&self) -> Option<&str> {
        self.name
    }

    fn value(&self) -> Option<DB::RawValue<'_>> {
        self.value.map(DB::lend)
    }
}
