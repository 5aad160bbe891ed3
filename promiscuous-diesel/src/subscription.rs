//! What `#[derive(Subscribe)]` says about a model, and what the applier needs of it.

use std::sync::Arc;

use diesel::deserialize::FromSqlRow;
use diesel::dsl::SqlTypeOf;
use diesel::expression::{
    AsExpression, Expression, SelectableExpression, TypedExpressionType, ValidGrouping, is_aggregate,
};
use diesel::internal::derives::as_expression::Bound;
use diesel::query_builder::{QueryFragment, QueryId};
use diesel::serialize::ToSql;
use diesel::sql_types::SqlType;
use diesel::{Column, QueryResult, Selectable};
use promiscuous_core::apply::ApplyOptions;
use promiscuous_core::consistency::Consistency;
use promiscuous_core::database::ApplyError;
use promiscuous_core::error::Error;
use promiscuous_core::naming::endpoint_name;
use promiscuous_core::operation::{Attributes, Operation};
use promiscuous_core::registry::{From, Subscription, Subscriptions};
use serde_json::Value as Json;

use crate::applier::{apply, apply_all};
use crate::backend::PromiscuousBackend;
use crate::key::KeyValues;
use crate::model::UnreadableRow;
use crate::subscribed_rows::ModelRows;

pub use promiscuous_core::apply::{SetterResult, Unfit};

/// The declaration of a subscribed model.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SubscribeDeclaration {
    /// The published type it stands for, such as `User`: from `as`, else the struct's name.
    pub name: String,
    /// Whether the name was given with `as`: then no other type of the endpoint is taken.
    pub named: bool,
    /// Where messages come from; otherwise any app's endpoint with the name in snake case.
    pub from: Option<String>,
    /// The wanted attributes that go to columns, by the names of their fields.
    pub attributes: Vec<&'static str>,
    /// The wanted attributes that go through setters.
    pub virtual_attributes: Vec<&'static str>,
    /// The columns that keep the publisher's id: the primary key, or the foreign key alone.
    pub id_columns: Vec<&'static str>,
    /// Whether they are a foreign key, and the primary key is the local database's own.
    pub foreign_key: bool,
    /// How much order its messages want; otherwise what the app's configuration says.
    pub consistency: Option<Consistency>,
    /// Whether that foreign key is text, which keeps a composite id as it is written.
    pub keeps_whole_id: bool,
    /// The table, for messages to people.
    pub table: String,
}

impl SubscribeDeclaration {
    /// Whether the only column that keeps ids keeps whatever id there is.
    pub(crate) fn keeps_composite_ids(&self) -> bool {
        self.foreign_key && self.keeps_whole_id
    }
}

/// What `#[derive(Subscribe)]` says about a model. Implemented by the derive.
///
/// # The derive
/// It stands on the struct that Diesel reads the table's rows into, and writes a second one beside it, with `Changes` after its name:
/// ```
/// use diesel::prelude::*;
/// use promiscuous_diesel::Subscribe;
///
/// diesel::table! {
///     users (id) {
///         id -> BigInt,
///         email -> Text,
///         greeting -> Text,
///     }
/// }
///
/// #[derive(Queryable, Selectable, Subscribe)]
/// #[diesel(table_name = users)]
/// #[subscribe(from = "crowdtap/user", attributes(email), virtual_attributes(full_name))]
/// struct User {
///     id: i64,
///     email: String,
///     greeting: String,
/// }
///
/// impl UserChanges {
///     fn set_full_name(&mut self, full_name: String) {
///         self.greeting = Some(format!("Hello {full_name}"));
///     }
/// }
/// # use promiscuous_diesel::subscription::Subscribe as _;
/// assert_eq!(User::declaration().id_columns, ["id"]);
/// ```
/// * `attributes(…)`: the fields to fill; or `#[subscribe]` on each of them.
/// * `virtual_attributes(…)`: handed to a method `set_…` of the `…Changes` struct, which takes a reference to itself and anything that
///   serde can deserialize, and returns nothing or a `Result`.
/// * `from = "app/model"`: the endpoint; by default any app's, with the model's name in snake case. `from = "model"` is any app's.
/// * `as = "User"`: the published type it stands for; by default the struct's name.
/// * `foreign_key = "crowdtap_id"`: the field that keeps the publisher's id, when the local primary key is its own. Its column should
///   be unique.
/// * `consistency = "weak"`: how much order its messages want, `causal`, `weak` or `global`; by default what the app's configuration says.
///   Weak ones wait for nothing, and of each object only newer versions are applied. Global ones (of one app, which must be named in
///   `from`) are applied one after the other, in the order in which they were written. docs/guarantees.md has the fine print.
/// * `callbacks`: the struct implements [`Callbacks`] itself.
/// * `backend(Pg, Mysql, Sqlite)`: the databases to generate code for; by default those of Diesel's `check_for_backend`, else every
///   one whose feature of this crate is enabled. A column type that only one of them has needs it.
///
/// Diesel's own `table_name`, `primary_key`, `column_name`, `serialize_as` and `deserialize_as` mean here what they mean there. The
/// primary key's columns must be among the fields.
pub trait Subscribe: Sized + Send + 'static {
    /// What is to be written: each of the struct's fields as an option, where none leaves the column alone.
    type Changes: Default + Send;

    /// Names, columns and setters.
    fn declaration() -> SubscribeDeclaration;

    /// Puts the id's parts into the columns that keep it; on failure also names the column.
    ///
    /// # Errors
    /// [`Unfit::Expected`], with the column that it does not fit.
    fn set_id(changes: &mut Self::Changes, parts: &[String]) -> Result<(), (&'static str, Unfit)>;

    /// Puts an attribute's value into its column, or hands it to its setter.
    ///
    /// # Errors
    /// [`Unfit`].
    fn set(changes: &mut Self::Changes, attribute: &str, value: &Json) -> Result<(), Unfit>;
}

/// The statements of a subscribed model over one backend. Implemented by the derive, for each backend in use.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not subscribed over `{DB}`",
    note = "write `#[derive(Queryable, Selectable, Subscribe)]` on it; where it has `backend(...)`, name the backend there; and enable promiscuous-diesel's feature for it"
)]
pub trait SubscribeOn<DB: PromiscuousBackend>: Subscribe {
    /// Takes out what the row, as the database gave it, holds already. Answers whether anything is left to write.
    fn differs(&self, changes: &mut Self::Changes) -> bool;

    /// The column by which a found row is another object's: a collation may ignore case, accents or spaces at the end.
    fn stranger(&self, parts: &[String]) -> Option<&'static str>;

    /// The row with this id, locked for the rest of the transaction where the database can.
    ///
    /// # Errors
    /// The database's.
    fn find(parts: &[String], connection: &mut Connection<DB>) -> QueryResult<Option<Self>>;

    /// Inserts a row and reads it back.
    ///
    /// # Errors
    /// The database's.
    fn insert(changes: Self::Changes, connection: &mut Connection<DB>) -> QueryResult<Self>;

    /// Inserts rows, with one statement where the database can, and does not read them back.
    ///
    /// # Errors
    /// The database's.
    fn insert_all(rows: Vec<Self::Changes>, connection: &mut Connection<DB>) -> QueryResult<()> {
        rows.into_iter().try_for_each(|changes| Self::insert(changes, connection).map(drop))
    }

    /// Updates a found row and reads it back.
    ///
    /// # Errors
    /// The database's.
    fn update(&self, changes: Self::Changes, connection: &mut Connection<DB>) -> QueryResult<Self>;

    /// Deletes a found row.
    ///
    /// # Errors
    /// The database's.
    fn delete(&self, connection: &mut Connection<DB>) -> QueryResult<()>;

    /// Its table.
    fn from_table() -> impl QueryFragment<DB>;

    /// The values of an id's parts, to find rows by, in the order of the declaration's `id_columns`.
    ///
    /// # Errors
    /// When there are more or fewer parts than columns, or one is not what the column's field writes.
    fn id_values(parts: &[String]) -> KeyValues<DB>;

    /// Reads rows without locking them, past what is captured. `from` is the rest of the statement, after what it selects.
    ///
    /// # Errors
    /// The database's; and when a row is not what the struct reads.
    fn load_rows(from: &dyn QueryFragment<DB>, connection: &mut DB::Connection) -> QueryResult<Vec<Self>>;

    /// The parts of the row's id, in the order of the declaration's `id_columns`.
    ///
    /// # Errors
    /// When one is NULL, or cannot be written.
    fn own_id(&self) -> Result<Vec<String>, UnreadableRow>;

    /// The attributes that are kept in columns, as a publisher with such columns would send them.
    ///
    /// # Errors
    /// When a value cannot be sent.
    fn column_attributes(&self) -> Result<Attributes, UnreadableRow>;

    /// As [`differs`](Self::differs), which leaves alone what only a setter can have set; here that is taken out, too, where its type can
    /// tell whether the row holds it already.
    fn would_change(&self, changes: &mut Self::Changes) -> bool;
}

/// A struct that Diesel reads a table's rows into: every one that derives `Queryable` and `Selectable`.
///
/// The generated code asks for this once, so that a struct that is not what it must be is one error, and not one in every statement.
pub trait QueryableAndSelectable<DB: PromiscuousBackend, T>:
    Selectable<
        DB,
        SelectExpression: QueryId
                              + Expression<SqlType: SqlType + TypedExpressionType>
                              + ValidGrouping<(), IsAggregate = is_aggregate::No>
                              + QueryFragment<DB>
                              + SelectableExpression<T>,
    > + FromSqlRow<SqlTypeOf<<Self as Selectable<DB>>::SelectExpression>, DB>
{
}

impl<M, DB, T> QueryableAndSelectable<DB, T> for M
where
    DB: PromiscuousBackend,
    M: Selectable<DB> + FromSqlRow<SqlTypeOf<M::SelectExpression>, DB>,
    M::SelectExpression: QueryId
        + Expression<SqlType: SqlType + TypedExpressionType>
        + ValidGrouping<(), IsAggregate = is_aggregate::No>
        + QueryFragment<DB>
        + SelectableExpression<T>,
{
}

/// A type whose values Diesel writes to a column. The generated code asks for this once, too.
pub trait Writable<DB: PromiscuousBackend, C: Column<SqlType: SqlType + TypedExpressionType>>:
    Sized + AsExpression<C::SqlType, Expression = Bound<C::SqlType, Self>> + ToSql<C::SqlType, DB>
{
}

impl<T, DB, C> Writable<DB, C> for T
where
    DB: PromiscuousBackend,
    C: Column<SqlType: SqlType + TypedExpressionType>,
    T: AsExpression<C::SqlType, Expression = Bound<C::SqlType, T>> + ToSql<C::SqlType, DB>,
{
}

/// The connection that changes are applied through: what callbacks write is published as elsewhere.
pub type Connection<DB> = crate::Promiscuous<<DB as PromiscuousBackend>::Connection>;

/// What a callback answers. `?` passes Diesel's errors on: the database's own mean what they mean anywhere else, so that a deadlock is
/// tried again at once. With anything else, such as `Err("not this name".into())`, the model says no.
pub type CallbackResult = Result<(), Box<dyn std::error::Error + Send + Sync>>;

/// A subscribed model's own code around the changes that arrive. Every method does nothing by default; an error or a
/// panic undoes the change, and it is tried again.
///
/// The order is `before_save`, `before_create` or `before_update`, the statement, `after_create` or `after_update`, `after_save`; for
/// a destroyed object `before_destroy`, the statement, `after_destroy`. Where a message changes nothing in the row, and where a callback
/// leaves nothing to change, there is no statement and no further callback.
///
/// They run in the transaction of the change, which other changes share: what they write is committed with it or not at all, and
/// what they do outside of the database may happen more than once.
/// a destroyed object `before_destroy`, the statement, `after_destroy`.
///
/// A model that has some says `#[subscribe(callbacks, …)]` and implements them for each of its backends; for the others the derive
/// writes the empty implementation.
#[allow(unused_variables)]
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no callbacks over `{DB}`",
    note = "write `impl Callbacks<{DB}> for {Self} {{ ... }}`, or leave `callbacks` out of `#[subscribe(...)]`"
)]
pub trait Callbacks<DB: PromiscuousBackend>: Subscribe {
    /// Whether there are none, which is what the derive says where it writes the implementation.
    #[doc(hidden)]
    const NONE: bool = false;

    /// Before a row is inserted or updated; `before` is the row to be updated.
    fn before_save(
        before: Option<&Self>,
        changes: &mut Self::Changes,
        connection: &mut Connection<DB>,
    ) -> CallbackResult {
        Ok(())
    }
    /// Before a row is inserted.
    fn before_create(changes: &mut Self::Changes, connection: &mut Connection<DB>) -> CallbackResult {
        Ok(())
    }
    /// Before a row is updated.
    fn before_update(
        before: &Self,
        changes: &mut Self::Changes,
        connection: &mut Connection<DB>,
    ) -> CallbackResult {
        Ok(())
    }
    /// Before a row is deleted.
    fn before_destroy(before: &Self, connection: &mut Connection<DB>) -> CallbackResult {
        Ok(())
    }
    /// After a row was inserted.
    fn after_create(after: &Self, connection: &mut Connection<DB>) -> CallbackResult {
        Ok(())
    }
    /// After a row was updated.
    fn after_update(before: &Self, after: &Self, connection: &mut Connection<DB>) -> CallbackResult {
        Ok(())
    }
    /// After a row was deleted.
    fn after_destroy(before: &Self, connection: &mut Connection<DB>) -> CallbackResult {
        Ok(())
    }
    /// After a row was inserted or updated; `before` is the row that was updated.
    fn after_save(before: Option<&Self>, after: &Self, connection: &mut Connection<DB>) -> CallbackResult {
        Ok(())
    }
}

/// Applies an operation in the caller's transaction.
pub type Apply<DB> = fn(&mut Connection<DB>, &Operation, ApplyOptions) -> Result<(), ApplyError>;

/// Applies operations that send objects again, each another one, in the caller's transaction.
type ApplyAll<DB> = fn(&mut Connection<DB>, &[Operation], ApplyOptions) -> Result<(), ApplyError>;

/// A subscribed model, behind a plain function.
pub struct SubscribedModel<DB: PromiscuousBackend> {
    /// What core resolves operations by.
    pub subscription: Subscription,
    /// Where it is stored, for messages to people.
    pub table: String,
    /// The model's own code.
    apply: Apply<DB>,
    /// The same for several.
    apply_all: ApplyAll<DB>,
    /// How rows that are there are read.
    pub(crate) rows: ModelRows<DB>,
}

impl<DB: PromiscuousBackend> SubscribedModel<DB> {
    /// The model of a struct that says itself what it wants.
    ///
    /// # Errors
    /// [`Error::Name`] when `from` is no endpoint.
    pub fn of<M: SubscribeOn<DB> + Callbacks<DB>>() -> Result<Self, Error> {
        Self::declared::<M>(M::declaration())
    }

    /// The model of a struct, as declared here: only its name, `from` and consistency are another's to say.
    ///
    /// # Errors
    /// [`Error::Name`] when `from` is no endpoint.
    pub fn declared<M: SubscribeOn<DB> + Callbacks<DB>>(
        declaration: SubscribeDeclaration,
    ) -> Result<Self, Error> {
        let from = declaration.from.unwrap_or_else(|| endpoint_name(&declaration.name));
        let subscription = Subscription {
            from: From::parse(&from)?,
            type_name: declaration.name,
            named: declaration.named,
            consistency: declaration.consistency,
        };
        let (table, rows) = (declaration.table, ModelRows::of::<M>());
        Ok(Self { subscription, table, apply: apply::<DB, M>, apply_all: apply_all::<DB, M>, rows })
    }
}

/// The subscribed models of an app over one backend. A cheaply cloned handle.
pub struct SubscribedModels<DB: PromiscuousBackend> {
    /// By position, as core resolves them.
    models: Arc<Vec<SubscribedModel<DB>>>,
    /// The same, for core.
    subscriptions: Subscriptions,
}

impl<DB: PromiscuousBackend> SubscribedModels<DB> {
    /// From models, in order.
    pub fn new(models: Vec<SubscribedModel<DB>>) -> Self {
        let subscriptions =
            Subscriptions::new(models.iter().map(|model| model.subscription.clone()).collect());
        Self { models: Arc::new(models), subscriptions }
    }

    /// What core binds queues by and resolves operations with.
    pub fn subscriptions(&self) -> &Subscriptions {
        &self.subscriptions
    }

    /// The one at a position that core knows it by.
    pub(crate) fn get(&self, position: usize) -> Option<&SubscribedModel<DB>> {
        self.models.get(position)
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = &SubscribedModel<DB>> {
        self.models.iter()
    }

    /// Applies an operation to the model that takes it; one of an endpoint that is not subscribed is left alone.
    ///
    /// # Errors
    /// See [`ApplyError`].
    pub fn apply(
        &self,
        connection: &mut Connection<DB>,
        operation: &Operation,
        options: ApplyOptions,
    ) -> Result<(), ApplyError> {
        let position = self.subscriptions.resolve(operation)?;
        match position.and_then(|position| self.models.get(position)) {
            Some(model) => (model.apply)(connection, operation, options),
            None => Ok(()),
        }
    }

    /// Applies operations that send objects again, with their attributes and each another one, in their order.
    ///
    /// # Errors
    /// See [`ApplyError`].
    pub fn apply_all(
        &self,
        connection: &mut Connection<DB>,
        operations: &[Operation],
        options: ApplyOptions,
    ) -> Result<(), ApplyError> {
        let mut rest = operations;
        while !rest.is_empty() {
            let (position, count) = self.subscriptions.resolve_alike(rest)?;
            let (alike, others) = rest.split_at(count);
            if let Some(model) = position.and_then(|position| self.models.get(position)) {
                (model.apply_all)(connection, alike, options)?;
            }
            rest = others;
        }
        Ok(())
    }
}

// Derived, they would ask the same of the backend.
impl<DB: PromiscuousBackend> Clone for SubscribedModels<DB> {
    fn clone(&self) -> Self {
        Self { models: Arc::clone(&self.models), subscriptions: self.subscriptions.clone() }
    }
}

impl<DB: PromiscuousBackend> Default for SubscribedModels<DB> {
    fn default() -> Self {
        Self::new(Vec::new())
    }
}
