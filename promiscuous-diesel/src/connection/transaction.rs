//! Diesel's transactions.

use std::marker::PhantomData;

use diesel::QueryResult;
use diesel::connection::{Connection, TransactionManager, TransactionManagerStatus};

use super::{Promiscuous, Wrapped};

/// What makes one message of a transaction: when it commits, its published writes are published, and not when it does not. A
/// savepoint's count when it and all around it commit.
#[derive(Debug)]
pub struct PromiscuousTransactionManager<T>(PhantomData<T>);

impl<C, T> TransactionManager<Promiscuous<C>> for PromiscuousTransactionManager<T>
where
    C: Wrapped + Connection<TransactionManager = T>,
    T: TransactionManager<C>,
{
    type TransactionStateData = T::TransactionStateData;

    fn begin_transaction(connection: &mut Promiscuous<C>) -> QueryResult<()> {
        connection.begin()
    }

    fn rollback_transaction(connection: &mut Promiscuous<C>) -> QueryResult<()> {
        connection.rollback()
    }

    fn commit_transaction(connection: &mut Promiscuous<C>) -> QueryResult<()> {
        match connection.depth()? {
            1 => connection.commit_outermost(),
            // Outside of a transaction Diesel says so.
            _ => connection.commit_savepoint(),
        }
    }

    fn transaction_manager_status_mut(connection: &mut Promiscuous<C>) -> &mut TransactionManagerStatus {
        T::transaction_manager_status_mut(&mut connection.inner)
    }

    fn is_broken_transaction_manager(connection: &mut Promiscuous<C>) -> bool {
        T::is_broken_transaction_manager(&mut connection.inner)
    }
}
