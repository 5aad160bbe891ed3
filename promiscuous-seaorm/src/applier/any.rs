//! A plan, whatever its entity.

use async_trait::async_trait;
use promiscuous_core::apply::ApplyOptions;
use promiscuous_core::database::{ApplyError, DatabaseError};
use promiscuous_core::operation::Operation;
use promiscuous_core::sync::SyncRow;
use promiscuous_core::verify::Comparison;
use sea_orm::DatabaseConnection;

use super::{Plan, apply, compare, many, rows};
use crate::steady::Steady;
use crate::subscription::{ApplyConnection, Writable};

/// What can be done with the rows of a subscribed entity. But for `apply` and `apply_all`, the methods are those of
/// [`SubscribedRows`](promiscuous_core::verify::SubscribedRows).
#[async_trait]
pub(crate) trait AnyPlan: Send + Sync {
    /// Applies an operation in the caller's transaction.
    async fn apply(
        &self,
        db: &ApplyConnection,
        operation: &Operation,
        options: ApplyOptions,
    ) -> Result<(), ApplyError>;

    /// Applies operations that send objects again, each another one, in the caller's transaction.
    async fn apply_all(
        &self,
        db: &ApplyConnection,
        operations: &[&Operation],
        options: ApplyOptions,
    ) -> Result<(), ApplyError>;

    fn attributes(&self) -> Vec<String>;

    async fn ids_after(
        &self,
        db: &Steady<DatabaseConnection>,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<String>, DatabaseError>;

    async fn read(
        &self,
        db: &Steady<DatabaseConnection>,
        ids: &[String],
    ) -> Result<Vec<SyncRow>, DatabaseError>;

    async fn compare(
        &self,
        db: &Steady<DatabaseConnection>,
        operation: &Operation,
        options: ApplyOptions,
    ) -> Result<Comparison, ApplyError>;
}

#[async_trait]
impl<E: Writable> AnyPlan for Plan<E> {
    async fn apply(
        &self,
        db: &ApplyConnection,
        operation: &Operation,
        options: ApplyOptions,
    ) -> Result<(), ApplyError> {
        apply(self, db, operation, options).await
    }

    async fn apply_all(
        &self,
        db: &ApplyConnection,
        operations: &[&Operation],
        options: ApplyOptions,
    ) -> Result<(), ApplyError> {
        many::apply_all(self, db, operations, options).await
    }

    fn attributes(&self) -> Vec<String> {
        self.attributes.iter().map(|(name, ..)| (*name).to_owned()).collect()
    }

    async fn ids_after(
        &self,
        db: &Steady<DatabaseConnection>,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<String>, DatabaseError> {
        rows::ids_after(self, db, after, limit).await
    }

    async fn read(
        &self,
        db: &Steady<DatabaseConnection>,
        ids: &[String],
    ) -> Result<Vec<SyncRow>, DatabaseError> {
        rows::read(self, db, ids).await
    }

    async fn compare(
        &self,
        db: &Steady<DatabaseConnection>,
        operation: &Operation,
        options: ApplyOptions,
    ) -> Result<Comparison, ApplyError> {
        compare::compare(self, db, operation, options).await
    }
}
