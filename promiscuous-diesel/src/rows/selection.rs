//! Statements that read a table in the order of the columns that keep its rows' ids: of a published one, those of the primary key.

use diesel::QueryResult;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types::Untyped;
use promiscuous_core::database::Dialect;
use promiscuous_core::sync::NOTHING_TO_FLUSH;

use crate::backend::PromiscuousBackend;
use crate::connection::Wrapped;
use crate::key::{KeyValue, push_table};
use crate::statement::Table;

/// A SELECT of one table.
pub(crate) struct Selection<'s, DB: PromiscuousBackend> {
    /// The table.
    table: &'s Table,
    /// What is wanted of it.
    what: What<'s>,
    /// The operator's own words.
    condition: Option<&'s str>,
    /// Where it begins and ends.
    edges: Vec<Edge<DB>>,
    /// Only the rows with these keys, if there are any.
    among: Vec<Vec<KeyValue<DB>>>,
    /// At most so many rows.
    limit: Option<usize>,
    /// How rows are locked.
    lock: Option<&'static str>,
    /// Whether that is forgotten without waiting for the disk. Never in a transaction that writes.
    flushes_nothing: bool,
}

/// What is wanted of a table.
#[derive(Clone, Copy)]
pub(crate) enum What<'s> {
    /// The number of its rows.
    Count,
    /// The columns of the primary key.
    Key,
    /// These, and then the model's.
    Row(&'s [String]),
    /// What somebody else writes before this, which begins at FROM.
    Elsewhere,
}

/// An end of a stretch of rows, by the values of a primary key.
pub(crate) enum Edge<DB: PromiscuousBackend> {
    /// What comes after the row.
    After(Vec<KeyValue<DB>>),
    /// The row, and what comes after it.
    From(Vec<KeyValue<DB>>),
    /// The row, and what comes before it.
    To(Vec<KeyValue<DB>>),
}

impl<'s, DB: PromiscuousBackend> Selection<'s, DB> {
    pub fn new(table: &'s Table, what: What<'s>, condition: Option<&'s str>) -> Self {
        Self {
            table,
            what,
            condition,
            edges: Vec::new(),
            among: Vec::new(),
            limit: None,
            lock: None,
            flushes_nothing: false,
        }
    }

    /// Only the rows on this side of an edge, too.
    pub fn edge(mut self, edge: Edge<DB>) -> Self {
        self.edges.push(edge);
        self
    }

    /// Only the rows with these keys, of which there is one at the least.
    pub fn among(self, keys: Vec<Vec<KeyValue<DB>>>) -> Self {
        Self { among: keys, ..self }
    }

    /// At most so many rows.
    pub fn limit(self, limit: usize) -> Self {
        Self { limit: Some(limit), ..self }
    }

    /// Locks the rows with this clause.
    pub fn lock(self, lock: &'static str) -> Self {
        Self { lock: Some(lock), ..self }
    }

    /// Locks the rows with this clause for as long as the statement runs, outside of a transaction.
    pub fn lock_while_reading(self, lock: &'static str) -> Self {
        Self { lock: Some(lock), flushes_nothing: true, ..self }
    }

    /// Runs it, and reads all rows.
    ///
    /// # Errors
    /// The database's.
    pub fn load<C: Wrapped<Backend = DB>>(&self, connection: &mut C) -> QueryResult<Vec<C::Kept>> {
        let mut keeper = C::Keeper::default();
        let rows = connection.load(self)?;
        rows.map(|row| Ok(C::keep(row?, &mut keeper))).collect()
    }
}

impl<DB: PromiscuousBackend> QueryFragment<DB> for Selection<'_, DB> {
    fn walk_ast<'b>(&'b self, mut pass: AstPass<'_, 'b, DB>) -> QueryResult<()> {
        // Diesel would keep a prepared statement for each text of an operator's as long as its connection lives. And the others, of which
        // each reads many rows, are planned better by a database that sees their values.
        pass.unsafe_to_cache_prepared();
        let key = &self.table.primary_key;
        if !matches!(self.what, What::Elsewhere) {
            pass.push_sql("SELECT ");
        }
        match self.what {
            What::Count => pass.push_sql("COUNT(*)"),
            What::Key => push_names(key, &mut pass)?,
            What::Row(columns) => push_names(key.iter().chain(columns), &mut pass)?,
            What::Elsewhere => {}
        }
        pass.push_sql(" FROM ");
        push_table(self.table, pass.reborrow())?;
        // SQLite allows a key without a value, by which nothing is published; and a foreign key without one is of a row of the app's own.
        for (position, column) in key.iter().enumerate() {
            pass.push_sql(if position == 0 { " WHERE " } else { " AND " });
            pass.push_identifier(column)?;
            pass.push_sql(" IS NOT NULL");
        }
        for edge in &self.edges {
            pass.push_sql(" AND ");
            match edge {
                Edge::After(values) => self.push_edge(&Side::new(">", false), key, values, &mut pass)?,
                Edge::From(values) => self.push_edge(&Side::new(">", true), key, values, &mut pass)?,
                Edge::To(values) => self.push_edge(&Side::new("<", true), key, values, &mut pass)?,
            }
        }
        self.push_among(&mut pass)?;
        if let Some(condition) = self.condition {
            pass.push_sql(" AND (\n");
            pass.push_sql(condition);
            pass.push_sql("\n)");
        }
        if self.flushes_nothing && DB::DIALECT == Dialect::Postgres {
            pass.push_sql(" AND ");
            pass.push_sql(NOTHING_TO_FLUSH);
        }
        if !matches!(self.what, What::Count) {
            // What is selected elsewhere may have the name of a column, and would be meant by it.
            for (position, column) in key.iter().enumerate() {
                pass.push_sql(if position == 0 { " ORDER BY " } else { ", " });
                if matches!(self.what, What::Elsewhere) {
                    push_table(self.table, pass.reborrow())?;
                    pass.push_sql(".");
                }
                pass.push_identifier(column)?;
            }
        }
        if let Some(limit) = self.limit {
            pass.push_sql(&format!(" LIMIT {limit}"));
        }
        if let Some(lock) = self.lock {
            pass.push_sql(" ");
            pass.push_sql(lock);
        }
        Ok(())
    }
}

/// A side of a row.
struct Side {
    /// `>` or `<`.
    beyond: &'static str,
    /// Whether the row itself is on it.
    inclusive: bool,
}

impl Side {
    fn new(beyond: &'static str, inclusive: bool) -> Self {
        Self { beyond, inclusive }
    }

    fn or_equal(&self) -> &'static str {
        if self.beyond == ">" { ">=" } else { "<=" }
    }
}

impl<DB: PromiscuousBackend> Selection<'_, DB> {
    /// Of several columns `(a, b) > (x, y)`, by which PostgreSQL and SQLite find the place in an index. MariaDB reads all of the index for
    /// that, and finds the place by `a >= x AND (a > x OR (a = x AND b > y))`, for which the others read it from x on.
    fn push_edge<'b>(
        &'b self,
        side: &Side,
        key: &'b [String],
        values: &'b [KeyValue<DB>],
        pass: &mut AstPass<'_, 'b, DB>,
    ) -> QueryResult<()> {
        if DB::DIALECT != Dialect::Mysql && key.len() > 1 {
            return self.push_rows(side, key, values, pass);
        }
        let (Some((column, columns)), Some((value, values))) = (key.split_first(), values.split_first())
        else {
            return Ok(());
        };
        let last = columns.is_empty();
        let or_equal = !last || side.inclusive;
        self.push_comparison(if or_equal { side.or_equal() } else { side.beyond }, column, value, pass)?;
        if !last {
            pass.push_sql(" AND (");
            self.push_comparison(side.beyond, column, value, pass)?;
            pass.push_sql(" OR (");
            self.push_comparison("=", column, value, pass)?;
            pass.push_sql(" AND ");
            self.push_edge(side, columns, values, pass)?;
            pass.push_sql("))");
        }
        Ok(())
    }

    fn push_rows<'b>(
        &'b self,
        side: &Side,
        key: &'b [String],
        values: &'b [KeyValue<DB>],
        pass: &mut AstPass<'_, 'b, DB>,
    ) -> QueryResult<()> {
        pass.push_sql("(");
        push_names(key, pass)?;
        pass.push_sql(") ");
        pass.push_sql(if side.inclusive { side.or_equal() } else { side.beyond });
        pass.push_sql(" (");
        for (position, value) in values.iter().enumerate() {
            if position > 0 {
                pass.push_sql(", ");
            }
            value.push(self.table, pass.reborrow())?;
        }
        pass.push_sql(")");
        Ok(())
    }

    fn push_among<'b>(&'b self, pass: &mut AstPass<'_, 'b, DB>) -> QueryResult<()> {
        let key = &self.table.primary_key;
        let Some(first) = self.among.first() else { return Ok(()) };
        pass.push_sql(" AND ");
        if let ([column], [_]) = (key.as_slice(), first.as_slice()) {
            pass.push_identifier(column)?;
            pass.push_sql(" IN (");
            for (position, value) in self.among.iter().flatten().enumerate() {
                pass.push_sql(if position == 0 { "" } else { ", " });
                value.push(self.table, pass.reborrow())?;
            }
            pass.push_sql(")");
            return Ok(());
        }
        for (position, values) in self.among.iter().enumerate() {
            pass.push_sql(if position == 0 { "(" } else { " OR " });
            for (position, (column, value)) in key.iter().zip(values).enumerate() {
                pass.push_sql(if position == 0 { "(" } else { " AND " });
                self.push_comparison("=", column, value, pass)?;
            }
            pass.push_sql(")");
        }
        pass.push_sql(")");
        Ok(())
    }

    fn push_comparison<'b>(
        &'b self,
        operator: &'static str,
        column: &'b str,
        value: &'b KeyValue<DB>,
        pass: &mut AstPass<'_, 'b, DB>,
    ) -> QueryResult<()> {
        pass.push_identifier(column)?;
        pass.push_sql(" ");
        pass.push_sql(operator);
        pass.push_sql(" ");
        value.push(self.table, pass.reborrow())
    }
}

fn push_names<'n, DB: PromiscuousBackend>(
    names: impl IntoIterator<Item = &'n String>,
    pass: &mut AstPass<'_, '_, DB>,
) -> QueryResult<()> {
    for (position, name) in names.into_iter().enumerate() {
        if position > 0 {
            pass.push_sql(", ");
        }
        pass.push_identifier(name)?;
    }
    Ok(())
}

impl<DB: PromiscuousBackend> QueryId for Selection<'_, DB> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<DB: PromiscuousBackend> Query for Selection<'_, DB> {
    type SqlType = Untyped;
}
