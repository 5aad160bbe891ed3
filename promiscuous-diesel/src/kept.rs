//! Rows that outlive their statement: a captured write reads all of them before any is handed on.
//!
//! On MySQL this is not only for asynchronous connections. While an earlier row is held, Diesel keeps a copy of each row for whoever
//! holds it; with MariaDB's library that copy of a date is shorter than Diesel believes, and reading it goes beyond its end.

use std::ops::Range;
use std::sync::Arc;

use diesel::row::{Field, PartialRow, Row, RowIndex, RowSealed};

use diesel::backend::Backend;

/// Values that outlive their row.
pub trait Keeping: Backend + 'static {
    /// A value of its own.
    #[doc(hidden)]
    type Value: Send + Sync + 'static;

    /// Copies a value.
    #[doc(hidden)]
    fn keep(value: Self::RawValue<'_>) -> Self::Value;

    /// The value as Diesel wants it.
    #[doc(hidden)]
    fn lend(value: &Self::Value) -> Self::RawValue<'_>;
}

#[cfg(feature = "mysql")]
impl Keeping for diesel::mysql::Mysql {
    type Value = (Vec<u8>, diesel::mysql::MysqlType);

    fn keep(value: diesel::mysql::MysqlValue<'_>) -> Self::Value {
        use diesel::mysql::MysqlType;
        let kind = value.value_type();
        let bytes = value.as_bytes();
        // diesel-async gives numbers of any type in eight bytes, but one can only be bound again in as many as its type has.
        let width = match kind {
            MysqlType::Tiny | MysqlType::UnsignedTiny => 1,
            MysqlType::Short | MysqlType::UnsignedShort => 2,
            MysqlType::Long | MysqlType::UnsignedLong | MysqlType::Float => 4,
            _ => bytes.len(),
        };
        (bytes.get(..width).unwrap_or(bytes).to_vec(), kind)
    }

    fn lend((bytes, kind): &Self::Value) -> diesel::mysql::MysqlValue<'_> {
        diesel::mysql::MysqlValue::new(bytes, *kind)
    }
}

#[cfg(all(feature = "postgres", feature = "async"))]
impl Keeping for diesel::pg::Pg {
    type Value = (Vec<u8>, std::num::NonZeroU32);

    fn keep(value: diesel::pg::PgValue<'_>) -> Self::Value {
        (value.as_bytes().to_vec(), value.get_oid())
    }

    fn lend((bytes, oid): &Self::Value) -> diesel::pg::PgValue<'_> {
        diesel::pg::PgValue::new(bytes, oid)
    }
}

/// A row's values.
pub struct KeptRow<DB: Keeping> {
    /// One for each column; none is NULL.
    values: Vec<Option<DB::Value>>,
    /// The columns' names, for all rows of one statement.
    names: Arc<[Option<String>]>,
}

/// A column of a row.
pub struct KeptField<'r, DB: Keeping> {
    value: Option<&'r DB::Value>,
    name: Option<&'r str>,
}

impl<DB: Keeping> KeptRow<DB> {
    /// Copies a row. `names` are those of the statement's first row, once it was there.
    pub(crate) fn of<'r, R: Row<'r, DB>>(row: &R, names: &mut Option<Arc<[Option<String>]>>) -> Self {
        let fields = || (0..row.field_count()).map(|at| row.get(at));
        let names = names.get_or_insert_with(|| {
            fields().map(|field| field?.field_name().map(ToOwned::to_owned)).collect()
        });
        let values = fields().map(|field| field?.value().map(DB::keep)).collect();
        Self { values, names: Arc::clone(names) }
    }
}

impl<DB: Keeping> RowSealed for KeptRow<DB> {}

impl<DB: Keeping> RowIndex<usize> for KeptRow<DB> {
    fn idx(&self, position: usize) -> Option<usize> {
        (position < self.values.len()).then_some(position)
    }
}

impl<DB: Keeping> RowIndex<&str> for KeptRow<DB> {
    fn idx(&self, wanted: &str) -> Option<usize> {
        self.names.iter().position(|name| name.as_deref() == Some(wanted))
    }
}

impl<'a, DB: Keeping> Row<'a, DB> for KeptRow<DB> {
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

impl<'f, DB: Keeping> Field<'f, DB> for KeptField<'f, DB> {
    fn field_name(&self) -> Option<&str> {
        self.name
    }

    fn value(&self) -> Option<DB::RawValue<'_>> {
        self.value.map(DB::lend)
    }
}
