//! Applying the rows of a message that sends them again: looked for with one statement.
//!
//! To look for each alone takes a round trip for each, and a service that is filled or mended has millions. What is done about a row is done as
//! ever, one row after the other with its callbacks; without any, new rows are inserted with one statement. What a callback does with the
//! connection may concern the rows that come next: as soon as one has used it, they are looked for one by one.

#[cfg(all(test, feature = "postgres", feature = "mysql", feature = "sqlite"))]
mod tests;

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use promiscuous_core::apply::Subject;
use promiscuous_core::database::{ApplyError, DatabaseError, Dialect};
use promiscuous_core::operation::Operation;

use super::{ApplyOptions, Applying, fill, identify};
use crate::backend::PromiscuousBackend;
use crate::database_error::database_error;
use crate::publication::table_name;
use crate::rows::selection::{Selection, What};
use crate::subscribed_rows::{AT_ONCE, Kept};
use crate::subscription::{Callbacks, Connection, Subscribe, SubscribeOn, Unfit};

/// Applies operations that all have attributes, each of another object.
///
/// # Errors
/// See [`apply`](super::apply).
pub fn apply_all<DB, M>(
    connection: &mut Connection<DB>,
    operations: &[Operation],
    options: ApplyOptions,
) -> Result<(), ApplyError>
where
    DB: PromiscuousBackend,
    M: SubscribeOn<DB> + Callbacks<DB>,
{
    for operations in operations.chunks(AT_ONCE) {
        let known = match operations {
            [first, _, ..] => Known::load(connection, first, operations)?,
            _ => Known::nothing(),
        };
        // An app may refuse statements that write several rows of a published model.
        let together = M::NONE && !is_published::<DB, M>(connection);
        let mut many = Many::<DB, M> { connection, options, known, together, new: Vec::new() };
        for operation in operations {
            let subject = Subject { operation };
            // The transaction is rolled back: whatever a panic left half done goes with it.
            let applied = catch_unwind(AssertUnwindSafe(|| many.apply(subject)));
            applied.unwrap_or_else(|panic| Err(subject.panicked(&*panic)))?;
        }
        many.insert_new()?;
    }
    Ok(())
}

fn is_published<DB: PromiscuousBackend, M: SubscribeOn<DB>>(connection: &Connection<DB>) -> bool {
    let subscribed = table_name::<DB, _>(&M::from_table());
    let mut published = connection.capture().models.iter();
    subscribed.is_none_or(|(_, name)| published.any(|model| model.table.name.eq_ignore_ascii_case(&name)))
}

/// Operations on their way to their rows.
struct Many<'a, DB: PromiscuousBackend, M: Subscribe> {
    /// The caller's, in a transaction.
    connection: &'a mut Connection<DB>,
    options: ApplyOptions,
    known: Known<M>,
    /// Whether rows are inserted together: nobody can tell, where no callback runs in between.
    together: bool,
    /// Rows that are to be inserted.
    new: Vec<(Subject<'a>, M::Changes)>,
}

impl<'a, DB, M> Many<'a, DB, M>
where
    DB: PromiscuousBackend,
    M: SubscribeOn<DB> + Callbacks<DB>,
{
    fn apply(&mut self, subject: Subject<'a>) -> Result<(), ApplyError> {
        let declaration = M::declaration();
        let (parts, mut changes) = identify::<M>(subject, &declaration)?;
        let found = self.known.take(&parts);
        if self.together && matches!(found, Some(None)) {
            fill::<M>(subject, self.options, &declaration, &mut changes)?;
            self.new.push((subject, changes));
            return Ok(());
        }
        // It may refer to one of them from now on.
        self.insert_new()?;
        let (connection, options) = (&mut *self.connection, self.options);
        let mut applying = Applying { connection, subject, options, used: false };
        match found {
            Some(Some(row)) if DB::DIALECT == Dialect::Mysql => {
                // It is not locked, and may have changed since the transaction's snapshot: before it is written, it is looked for as ever. (Where
                // nothing differs, nothing has to be locked: other workers lock an object's version first, as this one did before its snapshot.)
                let mut changes = M::Changes::default();
                fill::<M>(subject, options, &declaration, &mut changes)?;
                if row.differs(&mut changes) {
                    applying.apply::<M>()?;
                }
            }
            Some(Some(row)) => applying.update(&declaration, &row)?,
            Some(None) => applying.create::<M>(&declaration, changes)?,
            None => applying.apply::<M>()?,
        }
        if applying.used {
            self.known = Known::nothing();
        }
        Ok(())
    }

    fn insert_new(&mut self) -> Result<(), ApplyError> {
        let (subjects, rows): (Vec<_>, Vec<_>) = std::mem::take(&mut self.new).into_iter().unzip();
        // Which of them is at fault, nobody can tell.
        let Some(first) = subjects.first() else { return Ok(()) };
        M::insert_all(rows, self.connection).map_err(|error| first.database(database_error(error)))
    }
}

/// What is known of objects, by the parts of their ids: their rows, or that they have none.
struct Known<M>(HashMap<Vec<String>, Option<M>>);

impl<M> Known<M> {
    fn nothing() -> Self {
        Self(HashMap::new())
    }

    /// Once: then its row is written.
    fn take(&mut self, parts: &[String]) -> Option<Option<M>> {
        self.0.remove(parts)
    }

    /// Looks for the rows of these operations' objects, and locks them where that locks nothing else.
    fn load<DB>(
        connection: &mut Connection<DB>,
        first: &Operation,
        operations: &[Operation],
    ) -> Result<Self, ApplyError>
    where
        DB: PromiscuousBackend,
        M: SubscribeOn<DB>,
    {
        let declaration = M::declaration();
        let (mut wanted, mut values) = (Vec::with_capacity(operations.len()), Vec::new());
        for operation in operations {
            let subject = Subject { operation };
            let (parts, _) = identify::<M>(subject, &declaration)?;
            let unfit = |(column, Unfit::Expected(why) | Unfit::Refused(why))| subject.wrong_id(column, why);
            values.push(M::id_values(&parts).map_err(unfit)?);
            wanted.push(parts);
        }
        // Which of them is at fault, nobody can tell.
        let failed = |error: DatabaseError| Subject { operation: first }.database(error);
        let kept = Kept::of::<DB, M>().map_err(failed)?;
        let mut selection = Selection::new(&kept.table, What::Elsewhere, None).among(values);
        if DB::DIALECT == Dialect::Postgres {
            // The lock that an update takes anyway. (InnoDB may lock all rows that it looks at.)
            selection = selection.lock("FOR NO KEY UPDATE");
        }
        let rows = M::load_rows(&selection, connection.inner());
        Ok(Self::of::<DB>(wanted, rows.map_err(|error| failed(database_error(error)))?))
    }

    fn of<DB>(wanted: Vec<Vec<String>>, rows: Vec<M>) -> Self
    where
        DB: PromiscuousBackend,
        M: SubscribeOn<DB>,
    {
        let mut known: HashMap<_, _> = wanted.into_iter().map(|parts| (parts, None)).collect();
        let mut are_others = false;
        for row in rows {
            let own = row.own_id().unwrap_or_default();
            match known.get_mut(&own) {
                Some(row_of_it @ None) => *row_of_it = Some(row),
                // Which of them is found alone?
                Some(Some(_)) => drop(known.remove(&own)),
                // A collation takes it for one of them, or spaces fill it up.
                None => are_others = true,
            }
        }
        if are_others {
            // Of what seems to have no row, that may be it.
            known.retain(|_, row| row.is_some());
        }
        Self(known)
    }
}
