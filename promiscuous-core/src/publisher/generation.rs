//! The generation: kept in the publisher's database, mirrored in the version store (section 4 of the protocol).
//!
//! The database's value only grows. Whoever finds that the store may have lost writes raises it there first, then in the
//! store, so **a version is never used twice**.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::database::{Database, DatabaseError, DatabaseErrorKind, Sql, SqlType, SqlValue};
use crate::error::Error;
use crate::version_store::{StoreError, VersionStore};

/// This process's idea of the generation.
pub(crate) struct Generation {
    /// What is used for bumps; 0 before it is known.
    known: AtomicU64,
    database: Arc<dyn Database>,
    store: Arc<dyn VersionStore>,
}

impl Generation {
    pub(crate) fn new(database: Arc<dyn Database>, store: Arc<dyn VersionStore>) -> Self {
        Self { known: AtomicU64::new(0), database, store }
    }

    /// The generation to bump with, once it is known.
    pub(crate) fn known(&self) -> Option<u64> {
        Some(self.known.load(Ordering::Acquire)).filter(|known| *known > 0)
    }

    /// Brings database and store together at the start.
    pub(crate) async fn establish(&self) -> Result<u64, Error> {
        let (stored, first_ever) = self.read_or_create().await?;
        let agreed = match self.store.generation().await? {
            Some(mirrored) if mirrored >= stored => mirrored,
            Some(_) => stored,
            None if first_ever => stored,
            None => stored + 1,
        };
        self.settle_on(stored, agreed).await
    }

    /// The store refused `used`: learns the generation that holds now, raising it when the store may have lost writes.
    pub(crate) async fn renew(&self, used: u64, refusal: &StoreError) -> Result<u64, Error> {
        let (stored, _) = self.read_or_create().await?;
        let agreed = match refusal {
            StoreError::StaleGeneration { stored: mirrored, .. } => stored.max(*mirrored),
            // Whoever came first has raised it already.
            _ if stored > used => stored,
            _ => stored + 1,
        };
        if agreed > used {
            tracing::warn!(from = used, to = agreed, "the generation of versions was raised: {refusal}");
        }
        self.settle_on(stored, agreed).await
    }

    /// Database first, store second.
    async fn settle_on(&self, stored: u64, agreed: u64) -> Result<u64, Error> {
        let mut agreed = agreed;
        if agreed > stored {
            let mut sql = Sql::new(self.database.dialect(), "UPDATE promiscuous_meta SET value = ");
            sql.bind(agreed).push(" WHERE name = 'generation' AND value < ").bind(agreed);
            self.database.execute(sql).await?;
            agreed = agreed.max(self.read_or_create().await?.0);
        }
        self.store.raise_generation(agreed).await?;
        self.known.fetch_max(agreed, Ordering::AcqRel);
        Ok(agreed)
    }

    /// The database's generation, and whether this call made it.
    async fn read_or_create(&self) -> Result<(u64, bool), DatabaseError> {
        if let Some(value) = self.read().await? {
            return Ok((value, false));
        }
        let mut sql = Sql::new(self.database.dialect(), "INSERT INTO promiscuous_meta (name, value) VALUES ");
        sql.bind_list([SqlValue::from("generation"), SqlValue::Int(1)]);
        match self.database.execute(sql).await {
            Ok(_) => Ok((1, true)),
            Err(error) if error.kind == DatabaseErrorKind::UniqueViolation => {
                Ok((self.read().await?.unwrap_or(1), false))
            }
            Err(error) => Err(error),
        }
    }

    async fn read(&self) -> Result<Option<u64>, DatabaseError> {
        let sql =
            Sql::new(self.database.dialect(), "SELECT value FROM promiscuous_meta WHERE name = 'generation'");
        let rows = self.database.query(sql, &[SqlType::Int]).await?;
        Ok(match rows.first().map(Vec::as_slice) {
            Some([SqlValue::Int(value)]) => u64::try_from(*value).ok(),
            _ => None,
        })
    }
}
