//! Where the databases differ when a write is captured.

use diesel::QueryResult;
use diesel::backend::{Backend, DieselReserveSpecialization};
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::result::Error;
use promiscuous_core::database::SqlValue;

use crate::backend::PromiscuousBackend;
use crate::connection::Wrapped;
use crate::write::{Failure, Task, Written};

/// Whether a transaction is still open after a statement in it failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doubt {
    /// It is, or it is spoiled in a way that the database itself insists on.
    No,
    /// The database has to be asked.
    Ask,
    /// The database has rolled it back by itself: what comes next would commit statement by statement.
    Lost,
}

impl Doubt {
    /// The graver one.
    pub(crate) fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Lost, _) | (_, Self::Lost) => Self::Lost,
            (Self::Ask, _) | (_, Self::Ask) => Self::Ask,
            _ => Self::No,
        }
    }
}

/// The part of a backend that is nobody else's business.
pub trait Capturing: Backend<QueryBuilder: Default> + DieselReserveSpecialization + Sized + 'static {
    /// How the transaction of a published write begins, where `BEGIN` will not do.
    const BEGIN: Option<&'static str> = None;

    /// The backend as a value, for rendering.
    fn instance() -> &'static Self;

    /// Binds a value of core's SQL, whose text has the placeholder already.
    ///
    /// # Errors
    /// Diesel's.
    fn push_value<'b>(value: &'b SqlValue, pass: AstPass<'_, 'b, Self>) -> QueryResult<()>;

    /// Runs a published write inside of a transaction, and finds out what it did to each row.
    ///
    /// # Errors
    /// [`Failure`].
    fn run<C, T>(inner: &mut C, task: &Task<'_, Self>, source: &T) -> Result<Written<C::Kept>, Failure>
    where
        Self: PromiscuousBackend,
        C: Wrapped<Backend = Self>,
        T: QueryFragment<Self> + QueryId;

    /// What a statement's failure means for the transaction around it.
    fn doubt(_error: &Error) -> Doubt {
        Doubt::No
    }

    /// Whether the transaction that Diesel believes in is really open.
    ///
    /// # Errors
    /// The database's.
    fn in_transaction<C>(_inner: &mut C) -> QueryResult<bool>
    where
        Self: PromiscuousBackend,
        C: Wrapped<Backend = Self>,
    {
        Ok(true)
    }
}

/// The binding of core's values, the same for each backend but not in a way that its types could tell.
macro_rules! push_value {
    () => {
        fn push_value<'b>(value: &'b SqlValue, mut pass: AstPass<'_, 'b, Self>) -> QueryResult<()> {
            use diesel::sql_types::{BigInt, Nullable, Text};
            match value {
                SqlValue::Int(value) => pass.push_bind_param_value_only::<BigInt, _>(value),
                SqlValue::Text(value) => pass.push_bind_param_value_only::<Text, _>(value),
                SqlValue::Null => pass.push_bind_param_value_only::<Nullable<Text>, _>(&None::<String>),
            }
        }
    };
}
pub(super) use push_value;
