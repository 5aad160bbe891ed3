//! The parts of an id as values that the columns of a primary key are compared with.
//!
//! What a key is read into can nearly always be written too, but nothing else of [`Publish`](crate::Publish) asks for that. So the
//! compiler finds out for each column which way there is: it takes the first of [`WrittenKey`], [`ReadKey`] and [`TextKey`] that is
//! implemented, each for one reference less than the one before.

use std::marker::PhantomData;

use diesel::query_builder::{AstPass, QueryFragment};
use diesel::serialize::ToSql;
use diesel::sql_types::{HasSqlType, Text};
use diesel::{Column, Expression, QueryResult};
use promiscuous_core::apply::Unfit;
use promiscuous_core::database::Dialect;

use crate::__private::id_part;
use crate::attribute::IdPart;
use crate::attribute::id::id_of;
use crate::backend::PromiscuousBackend;
use crate::model::UnreadableRow;
use crate::publication::written_id;
use crate::statement::Table;

/// A value of a query, its type forgotten.
type Bind<DB> = Box<dyn QueryFragment<DB>>;

/// A value that a column of a primary key is compared with.
pub enum KeyValue<DB: PromiscuousBackend> {
    /// Of the column's own type.
    Typed(Bind<DB>),
    /// The id's text, which the database is to read as the column's type.
    Text {
        /// The column.
        column: &'static str,
        /// The column's name as a value.
        name: Bind<DB>,
        /// The id's part.
        text: Bind<DB>,
    },
}

/// Why an id is none of a model: the column, and what it wants.
pub type UnfitKey = (&'static str, Unfit);

/// The values of an id's parts, in key order.
pub type KeyValues<DB> = Result<Vec<KeyValue<DB>>, UnfitKey>;

impl<DB: PromiscuousBackend> KeyValue<DB> {
    /// A value that Diesel writes.
    pub fn typed<ST, V>(value: V) -> Self
    where
        ST: 'static,
        V: ToSql<ST, DB> + 'static,
        DB: HasSqlType<ST>,
    {
        Self::Typed(bind::<DB, ST, V>(value))
    }

    /// Adds the value, bound, to a condition on its column of this table.
    ///
    /// # Errors
    /// Diesel's.
    pub(crate) fn push<'b>(&'b self, table: &'b Table, mut pass: AstPass<'_, 'b, DB>) -> QueryResult<()> {
        match self {
            Self::Typed(value) => value.walk_ast(pass),
            // It compares text with nothing but text. The type of a column is said in SQL by the type of its table's rows only.
            Self::Text { column, name, text } if DB::DIALECT == Dialect::Postgres => {
                pass.push_sql("(jsonb_populate_record(NULL::");
                push_table(table, pass.reborrow())?;
                pass.push_sql(", jsonb_build_object(");
                name.walk_ast(pass.reborrow())?;
                pass.push_sql(", ");
                text.walk_ast(pass.reborrow())?;
                pass.push_sql("))).");
                pass.push_identifier(column)
            }
            // The others read a value as the type of the column that it is compared with.
            Self::Text { text, .. } => text.walk_ast(pass),
        }
    }
}

/// Adds a table's name.
///
/// # Errors
/// Diesel's.
pub(crate) fn push_table<'b, DB: PromiscuousBackend>(
    table: &'b Table,
    mut pass: AstPass<'_, 'b, DB>,
) -> QueryResult<()> {
    if let Some(schema) = &table.schema {
        pass.push_identifier(schema)?;
        pass.push_sql(".");
    }
    pass.push_identifier(&table.name)
}

/// A bound value of a column's type.
struct Bound<ST, V> {
    /// The value.
    value: V,
    /// The column's type, which is only a name.
    of: PhantomData<ST>,
}

fn bind<DB, ST, V>(value: V) -> Bind<DB>
where
    DB: PromiscuousBackend + HasSqlType<ST>,
    ST: 'static,
    V: ToSql<ST, DB> + 'static,
{
    Box::new(Bound { value, of: PhantomData::<ST> })
}

impl<DB, ST, V> QueryFragment<DB> for Bound<ST, V>
where
    DB: PromiscuousBackend + HasSqlType<ST>,
    V: ToSql<ST, DB>,
{
    fn walk_ast<'b>(&'b self, mut pass: AstPass<'_, 'b, DB>) -> QueryResult<()> {
        pass.push_bind_param::<ST, V>(&self.value)
    }
}

/// A column `C` of a primary key over one backend, with its field's type, what that is written as, and what it is read as.
pub struct KeyColumn<DB, C, T, W, R>(PhantomData<Types<DB, C, T, W, R>>);

/// What there are no values of.
type Types<DB, C, T, W, R> = fn() -> (DB, C, T, W, R);

impl<DB, C, T, W, R> KeyColumn<DB, C, T, W, R> {
    /// Says nothing but its types.
    #[allow(clippy::new_without_default)]
    pub fn new() -> Self {
        Self(PhantomData)
    }
}

/// The field's own type can be written, perhaps as another one: `serialize_as`.
pub trait WrittenKey<DB: PromiscuousBackend> {
    /// The value of an id's part.
    ///
    /// # Errors
    /// When it is none of this column.
    fn value(&self, part: &str) -> Result<KeyValue<DB>, UnfitKey>;
}

impl<DB, C, T, W, R> WrittenKey<DB> for &&KeyColumn<DB, C, T, W, R>
where
    DB: PromiscuousBackend + HasSqlType<<C as Expression>::SqlType>,
    C: Column<SqlType: 'static>,
    T: IdPart + Into<W>,
    W: ToSql<<C as Expression>::SqlType, DB> + 'static,
{
    fn value(&self, part: &str) -> Result<KeyValue<DB>, UnfitKey> {
        Ok(KeyValue::typed::<<C as Expression>::SqlType, W>(id_part::<C, T>(part)?.into()))
    }
}

/// What Diesel reads from the column can be written: `deserialize_as`.
pub trait ReadKey<DB: PromiscuousBackend> {
    /// The value of an id's part.
    ///
    /// # Errors
    /// When it is none of this column, or the field's type has another text for it than what is read.
    fn value(&self, part: &str) -> Result<KeyValue<DB>, UnfitKey>;
}

impl<DB, C, T, W, R> ReadKey<DB> for &KeyColumn<DB, C, T, W, R>
where
    DB: PromiscuousBackend + HasSqlType<<C as Expression>::SqlType>,
    C: Column<SqlType: 'static>,
    T: IdPart,
    R: IdPart + TryInto<T> + ToSql<<C as Expression>::SqlType, DB> + 'static,
{
    fn value(&self, part: &str) -> Result<KeyValue<DB>, UnfitKey> {
        let field: Option<T> = id_part::<C, R>(part)?.try_into().ok();
        if !field.is_some_and(|field| id_of(&field, DB::DIALECT).is_ok_and(|id| id == part)) {
            let (field, read) = (std::any::type_name::<T>(), std::any::type_name::<R>());
            return Err((
                C::NAME,
                Unfit::Expected(format!(
                    "an id that `{field}` and `{read}` write alike: implement Diesel's `ToSql` for `{field}`, or name what it is \
                     written as in `serialize_as`"
                )),
            ));
        }
        Ok(KeyValue::typed::<<C as Expression>::SqlType, R>(id_part::<C, R>(part)?))
    }
}

/// Nothing that Diesel knows of can be written, so that the database has to read the id's text. Asks for nothing: what is wrong with a
/// field is told where its column is read.
pub trait TextKey<DB: PromiscuousBackend> {
    /// The value of an id's part.
    ///
    /// # Errors
    /// None: the database finds out.
    fn value(&self, part: &str) -> Result<KeyValue<DB>, UnfitKey>;
}

impl<DB, C, T, W, R> TextKey<DB> for KeyColumn<DB, C, T, W, R>
where
    DB: PromiscuousBackend + HasSqlType<Text>,
    C: Column,
    String: ToSql<Text, DB>,
{
    fn value(&self, part: &str) -> Result<KeyValue<DB>, UnfitKey> {
        let text = |text: &str| bind::<DB, Text, String>(text.to_owned());
        Ok(KeyValue::Text { column: C::NAME, name: text(C::NAME), text: text(part) })
    }
}

/// The value that a row has in the column is a part of its id.
pub trait OwnPart<T> {
    /// The part.
    ///
    /// # Errors
    /// When it is NULL, or cannot be written.
    fn part(&self, value: &T, table: &str) -> Result<String, UnreadableRow>;
}

impl<DB, C, T, W, R> OwnPart<T> for &KeyColumn<DB, C, T, W, R>
where
    DB: PromiscuousBackend,
    C: Column,
    T: IdPart,
{
    fn part(&self, value: &T, table: &str) -> Result<String, UnreadableRow> {
        written_id::<DB, C, T>(value, table)
    }
}

/// It cannot be. Asks for nothing, too.
pub trait NoPart<T> {
    /// There is none.
    ///
    /// # Errors
    /// Always.
    fn part(&self, value: &T, table: &str) -> Result<String, UnreadableRow>;
}

impl<DB, C: Column, T, W, R> NoPart<T> for KeyColumn<DB, C, T, W, R> {
    fn part(&self, _: &T, table: &str) -> Result<String, UnreadableRow> {
        let reason = format!("a `{}` cannot be part of an id", std::any::type_name::<T>());
        Err(UnreadableRow { table: table.to_owned(), column: C::NAME.to_owned(), reason })
    }
}
