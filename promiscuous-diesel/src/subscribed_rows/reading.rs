//! Pages of ids, and rows by their ids.

use std::collections::{HashMap, HashSet};

use promiscuous_core::apply::Unfit;
use promiscuous_core::database::DatabaseError;
use promiscuous_core::key::{decode_id, encode_id};
use promiscuous_core::sync::SyncRow;

use crate::backend::PromiscuousBackend;
use crate::database_error::database_error;
use crate::publication::table_name;
use crate::rows::selection::{Edge, Selection, What};
use crate::rows::{is_ordered_otherwise, none_of, other, out_of_place, unreadable};
use crate::statement::Table;
use crate::subscription::{SubscribeDeclaration, SubscribeOn};

/// How many rows one statement asks for by their ids: each is a condition of its own where a key has several columns, and SQLite nests
/// no more than a thousand of them.
pub(crate) const AT_ONCE: usize = 500;

/// The ids of the rows after one.
///
/// Whole rows are read for this. To read nothing but the columns of the id would ask more of their types than applying a message does, and
/// these rows are read next anyway.
pub(super) fn ids_after<DB: PromiscuousBackend, M: SubscribeOn<DB>>(
    connection: &mut DB::Connection,
    after: Option<&str>,
    limit: usize,
) -> Result<Vec<String>, DatabaseError> {
    let kept = Kept::of::<DB, M>()?;
    let mut selection = Selection::new(&kept.table, What::Elsewhere, None).limit(limit);
    match after {
        Some(after) => selection = selection.edge(Edge::After(kept.values::<DB, M>(after)?)),
        // A column's type is seen before it is read as the field's.
        None => kept.check_order::<DB>(connection)?,
    }
    let rows = M::load_rows(&selection, connection).map_err(database_error)?;
    let id = |row: &M| Ok(kept.encode(&row.own_id().map_err(unreadable)?));
    let ids = rows.iter().map(id).collect::<Result<Vec<_>, DatabaseError>>()?;
    // It comes after itself: whoever went on like this would never come to an end.
    if after.is_some_and(|after| ids.iter().any(|id| id == after)) {
        return Err(out_of_place(&kept.model, &kept.table));
    }
    Ok(ids)
}

/// The rows with these ids.
pub(super) fn read<DB: PromiscuousBackend, M: SubscribeOn<DB>>(
    connection: &mut DB::Connection,
    ids: &[String],
) -> Result<Vec<SyncRow>, DatabaseError> {
    let kept = Kept::of::<DB, M>()?;
    let mut found = Vec::with_capacity(ids.len());
    for ids in ids.chunks(AT_ONCE) {
        // What can be no id of this model has no row.
        let fitting = ids.iter().filter_map(|id| {
            let parts = kept.decode(id)?;
            let values = M::id_values(&parts).ok()?;
            Some(((id, parts), values))
        });
        let (asked, values): (Vec<_>, Vec<_>) = fitting.unzip();
        if asked.is_empty() {
            continue;
        }
        let selection = Selection::new(&kept.table, What::Elsewhere, None).among(values);
        let rows = M::load_rows(&selection, connection).map_err(database_error)?;
        let wanted: HashSet<&Vec<String>> = asked.iter().map(|(_, parts)| parts).collect();
        let (mut own, mut others) = (HashMap::new(), Vec::new());
        for row in &rows {
            let parts = row.own_id().map_err(unreadable)?;
            if wanted.contains(&parts) {
                own.entry(parts).or_insert(row);
            } else {
                others.push(row);
            }
        }
        for (id, parts) in &asked {
            // Of those that have another id, one may only be filled up with spaces; the others are what a collation takes for it.
            let same = || others.iter().copied().find(|row| row.stranger(parts).is_none());
            if let Some(row) = own.get(parts).copied().or_else(same) {
                let attributes = row.column_attributes().map_err(unreadable)?;
                found.push(SyncRow { id: (*id).clone(), attributes });
            }
        }
    }
    Ok(found)
}

/// Where a model's rows are, and how they keep the publisher's ids.
pub(crate) struct Kept {
    /// The table. What its rows are found and ordered by stands where a published table has its primary key.
    pub(crate) table: Table,
    /// The model, in a message to people.
    model: String,
    /// Whether the only column keeps composite ids as they are written.
    whole: bool,
}

impl Kept {
    /// Those of a struct.
    ///
    /// # Errors
    /// When Diesel cannot say what its table is called.
    pub(crate) fn of<DB: PromiscuousBackend, M: SubscribeOn<DB>>() -> Result<Self, DatabaseError> {
        let declaration: SubscribeDeclaration = M::declaration();
        let model = format!("the subscribed model `{}`", declaration.name);
        let (schema, name) = table_name::<DB, _>(&M::from_table()).ok_or_else(|| {
            other(format!(
                "the table of {model} has a name that is not understood: name it `table` or `schema.table` in `diesel::table!`"
            ))
        })?;
        let table = Table {
            name,
            schema,
            primary_key: declaration.id_columns.iter().map(|&column| column.to_owned()).collect(),
            attribute_columns: Vec::new(),
            has_virtual_attributes: false,
        };
        Ok(Self { whole: declaration.keeps_composite_ids(), table, model })
    }

    /// An id's parts, as applying an operation has them.
    fn decode(&self, id: &str) -> Option<Vec<String>> {
        let parts = decode_id(id)?;
        match parts.len() == self.table.primary_key.len() {
            true => Some(parts),
            false => self.whole.then(|| vec![id.to_owned()]),
        }
    }

    /// The id of these parts. Text that is a composite id as it is written is taken for one: the column alone does not tell it from an id
    /// of one part that has a comma in it.
    fn encode(&self, parts: &[String]) -> String {
        match parts {
            [id] if self.whole && is_composite(id) => id.clone(),
            parts => encode_id(parts.iter().map(String::as_str)),
        }
    }

    /// An id as values to find its row by.
    fn values<DB: PromiscuousBackend, M: SubscribeOn<DB>>(
        &self,
        id: &str,
    ) -> Result<Vec<crate::key::KeyValue<DB>>, DatabaseError> {
        let reason = match self.decode(id).map(|parts| M::id_values(&parts)) {
            Some(Ok(values)) => return Ok(values),
            Some(Err((column, Unfit::Expected(why) | Unfit::Refused(why)))) => {
                format!("the column `{column}` wants {why}")
            }
            None => format!("it has not one part for each of {}", self.table.primary_key.join(", ")),
        };
        Err(none_of(&self.model, &reason))
    }

    fn check_order<DB: PromiscuousBackend>(
        &self,
        connection: &mut DB::Connection,
    ) -> Result<(), DatabaseError> {
        let first = Selection::<DB>::new(&self.table, What::Key, None).limit(1).load(connection);
        match first.map_err(database_error)?.iter().any(|row| is_ordered_otherwise(&self.table, row)) {
            true => Err(out_of_place(&self.model, &self.table)),
            false => Ok(()),
        }
    }
}

/// Whether a text is an id of several parts.
fn is_composite(text: &str) -> bool {
    decode_id(text)
        .is_some_and(|parts| parts.len() > 1 && encode_id(parts.iter().map(String::as_str)) == text)
}

#[cfg(test)]
mod unit {
    use super::is_composite;

    #[test]
    fn a_composite_id_is_told_from_other_text() {
        for id in ["a,1", "S%C3%A3o,1", "%,%", "a%2Cb,c"] {
            assert!(is_composite(id), "{id}");
        }
        for text in ["", "a", "%", "a%2Cb", "São,1", "a, 1", "a,", ",", "%2c,1", "a,%zz"] {
            assert!(!is_composite(text), "{text}");
        }
    }
}
