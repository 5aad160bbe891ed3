//! Core's SQL as Diesel runs it: the few statements of the protocol's own tables, with bound values and typed results.

use diesel::backend::Backend;
use diesel::connection::LoadConnection;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::result::Error;
use diesel::row::{Field, Row};
use diesel::sql_types::Untyped;
use diesel::{Connection, QueryResult, deserialize};
use promiscuous_core::database::{Dialect, Sql, SqlRow, SqlType, SqlValue};

use crate::backend::PromiscuousBackend;

/// Statements with more values than this are prepared anew each time. Diesel keeps every prepared statement as long as its
/// connection lives, and a statement about many keys has a text of its own for each number of them.
const MOST_VALUES_CACHED: usize = 64;

/// How a backend binds and reads the values of core's own tables.
pub trait SqlBackend: Backend {
    /// Appends a placeholder with this value.
    ///
    /// # Errors
    /// None that a value could cause.
    fn bind<'b>(pass: &mut AstPass<'_, 'b, Self>, value: &'b SqlValue) -> QueryResult<()>;

    /// Reads a value that is not NULL.
    ///
    /// # Errors
    /// When the column is of another type.
    fn read(value: Self::RawValue<'_>, column: SqlType) -> deserialize::Result<SqlValue>;
}

/// Runs a statement; answers with the number of affected rows.
pub(crate) fn execute<C>(connection: &mut C, sql: &Sql) -> QueryResult<u64>
where
    C: Connection<Backend: PromiscuousBackend>,
{
    let affected = connection.execute_returning_count(&Statement::new(sql)?)?;
    Ok(affected as u64)
}

/// Runs a query; every row has one value for each of `columns`.
pub(crate) fn query<C>(connection: &mut C, sql: &Sql, columns: &[SqlType]) -> QueryResult<Vec<SqlRow>>
where
    C: LoadConnection<Backend: PromiscuousBackend>,
{
    let rows = connection.load(Statement::new(sql)?)?;
    rows.map(|row| read_row::<C::Backend>(&row?, columns)).collect()
}

fn read_row<'r, DB: PromiscuousBackend>(row: &impl Row<'r, DB>, columns: &[SqlType]) -> QueryResult<SqlRow> {
    let value = |(position, column): (usize, &SqlType)| {
        let field =
            row.get(position).ok_or_else(|| Error::DeserializationError("a column is missing".into()))?;
        match field.value() {
            Some(value) => DB::read(value, *column).map_err(Error::DeserializationError),
            None => Ok(SqlValue::Null),
        }
    };
    columns.iter().enumerate().map(value).collect()
}

/// A statement of core's: the text between the placeholders, which Diesel writes itself, and their values.
struct Statement<'a> {
    /// One more than there are values.
    texts: Vec<&'a str>,
    values: &'a [SqlValue],
}

impl<'a> Statement<'a> {
    fn new(sql: &'a Sql) -> QueryResult<Self> {
        let mut texts = Vec::with_capacity(sql.values.len() + 1);
        let mut rest = sql.text.as_str();
        for position in 1..=sql.values.len() {
            let split = match sql.dialect {
                Dialect::Postgres => rest.split_once(format!("${position}").as_str()),
                Dialect::Mysql | Dialect::Sqlite => rest.split_once('?'),
            };
            let (text, behind) = split.ok_or_else(|| {
                Error::QueryBuilderError("a statement of promiscuous lacks a placeholder".into())
            })?;
            texts.push(text);
            rest = behind;
        }
        texts.push(rest);
        Ok(Self { texts, values: &sql.values })
    }
}

impl<DB: PromiscuousBackend> QueryFragment<DB> for Statement<'_> {
    fn walk_ast<'b>(&'b self, mut pass: AstPass<'_, 'b, DB>) -> QueryResult<()> {
        if self.values.len() > MOST_VALUES_CACHED {
            pass.unsafe_to_cache_prepared();
        }
        let mut texts = self.texts.iter();
        if let Some(text) = texts.next() {
            pass.push_sql(text);
        }
        for (value, text) in self.values.iter().zip(texts) {
            DB::bind(&mut pass, value)?;
            pass.push_sql(text);
        }
        Ok(())
    }
}

impl QueryId for Statement<'_> {
    type QueryId = ();
    // Prepared statements are kept by their text.
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl Query for Statement<'_> {
    // Columns are read by the types that core asks for.
    type SqlType = Untyped;
}

/// What NULL is bound as: core's nullable columns are all of text.
#[cfg(any(feature = "postgres", feature = "mysql", feature = "sqlite"))]
static NULL: Option<String> = None;

#[cfg(any(feature = "postgres", feature = "mysql", feature = "sqlite"))]
macro_rules! bind {
    () => {
        fn bind<'b>(pass: &mut AstPass<'_, 'b, Self>, value: &'b SqlValue) -> QueryResult<()> {
            use diesel::sql_types::{BigInt, Nullable, Text};
            match value {
                SqlValue::Int(value) => pass.push_bind_param::<BigInt, i64>(value),
                SqlValue::Text(value) => pass.push_bind_param::<Text, String>(value),
                SqlValue::Null => pass.push_bind_param::<Nullable<Text>, Option<String>>(&NULL),
            }
        }
    };
}

#[cfg(any(feature = "mysql", feature = "sqlite"))]
macro_rules! read {
    () => {
        fn read(value: Self::RawValue<'_>, column: SqlType) -> deserialize::Result<SqlValue> {
            use diesel::deserialize::FromSql;
            use diesel::sql_types::{BigInt, Text};
            Ok(match column {
                // Any width of integer.
                SqlType::Int => SqlValue::Int(<i64 as FromSql<BigInt, Self>>::from_sql(value)?),
                SqlType::Text => SqlValue::Text(<String as FromSql<Text, Self>>::from_sql(value)?),
            })
        }
    };
}

#[cfg(feature = "postgres")]
impl SqlBackend for diesel::pg::Pg {
    bind!();

    fn read(value: Self::RawValue<'_>, column: SqlType) -> deserialize::Result<SqlValue> {
        use diesel::deserialize::FromSql;
        use diesel::sql_types::{BigInt, Integer, SmallInt, Text};
        Ok(match column {
            SqlType::Int => SqlValue::Int(match value.as_bytes().len() {
                2 => <i16 as FromSql<SmallInt, Self>>::from_sql(value)?.into(),
                4 => <i32 as FromSql<Integer, Self>>::from_sql(value)?.into(),
                _ => <i64 as FromSql<BigInt, Self>>::from_sql(value)?,
            }),
            SqlType::Text => SqlValue::Text(<String as FromSql<Text, Self>>::from_sql(value)?),
        })
    }
}

#[cfg(feature = "mysql")]
impl SqlBackend for diesel::mysql::Mysql {
    bind!();
    read!();
}

#[cfg(feature = "sqlite")]
impl SqlBackend for diesel::sqlite::Sqlite {
    bind!();
    read!();
}
