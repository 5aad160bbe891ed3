//! The generation: kept in the publisher's database, mirrored in the version store (section 4 of the protocol).
//!
//! The database's value only grows. Whoever finds that the store may have lost writes raises it there first, then in the
//! store, so **a version is never used twice**.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::database::{Database, DatabaseError, DatabaseErrorKind, Sql, SqlType, SqlValue};
use crate::error::Error;
use crate::version_store::{StoreError, Trust, VersionStore};

/// How often a store that loses writes while it is raised is asked again.
const TRIES: u32 = 10;

/// This process's idea of the generation.
pub(crate) struct Generation {
    /// What is used for bumps; 0 before it is known.
    known: AtomicU64,
    /// Held while it is looked up or raised, so that many writers that meet one loss raise it once.
    changing: tokio::sync::Mutex<()>,
    database: Arc<dyn Database>,
    store: Arc<dyn VersionStore>,
}

impl Generation {
    pub(crate) fn new(database: Arc<dyn Database>, store: Arc<dyn VersionStore>) -> Self {
        Self { known: AtomicU64::new(0), changing: tokio::sync::Mutex::default(), database, store }
    }

    /// The generation to bump with, once it is known.
    pub(crate) fn known(&self) -> Option<u64> {
        Some(self.known.load(Ordering::Acquire)).filter(|known| *known > 0)
    }

    /// Brings database and store together at the start.
    pub(crate) async fn establish(&self) -> Result<u64, Error> {
        let _one_at_a_time = self.changing.lock().await;
        match self.known() {
            Some(known) => Ok(known),
            None => self.settle(0).await,
        }
    }

    /// The store refused `used`: learns the generation that holds now, raising it when the store may have lost writes.
    pub(crate) async fn renew(&self, used: u64, refusal: &StoreError) -> Result<u64, Error> {
        let _one_at_a_time = self.changing.lock().await;
        // Many writers meet the same refusal: the first one has dealt with it.
        if let Some(known) = self.known().filter(|known| *known > used) {
            return Ok(known);
        }
        let generation = self.settle(used).await?;
        tracing::warn!(from = used, to = generation, "the generation of versions changed: {refusal}");
        Ok(generation)
    }

    /// Looks whether the store can still be trusted, as a bump would, and answers with the generation that holds now.
    pub(crate) async fn watch(&self) -> Result<u64, Error> {
        let Some(known) = self.known() else { return self.establish().await };
        match self.store.generation(known).await? {
            Trust::Generation(stored) if stored == known => Ok(known),
            Trust::Generation(stored) => {
                self.renew(known, &StoreError::StaleGeneration { used: known, stored }).await
            }
            Trust::Refused(_) => self.renew(known, &StoreError::LostWrites).await,
        }
    }

    /// Learns the generation of a store that can be trusted, or raises it: in the database first, in the store second.
    async fn settle(&self, used: u64) -> Result<u64, Error> {
        let mut at_least = used;
        for _ in 0..TRIES {
            // The store comes first. Were it the database, the generation read there could be used up and lost by the time the store
            // refuses, and that refusal would fit the raise.
            let trust = self.store.generation(at_least).await?;
            let (stored, first_ever) = self.read_or_create().await?;
            at_least = at_least.max(stored);
            let refusal = match trust {
                Trust::Generation(mirrored) if mirrored >= stored => {
                    return self.adopt(stored, mirrored).await;
                }
                Trust::Generation(_) => continue,
                Trust::Refused(refusal) => refusal,
            };
            let raised = match refusal.stored {
                None if first_ever => stored,
                // It had this generation once, or a newer one, and has perhaps lost what was done in it. Even if another process has
                // raised the database's meanwhile: raising once more than needed does no harm.
                behind => at_least.max(behind.unwrap_or(0)) + 1,
            };
            self.store_in_database(raised).await?;
            if self.store.raise_generation(raised, &refusal).await? {
                self.known.fetch_max(raised, Ordering::AcqRel);
                return Ok(raised);
            }
            // Another process was faster, or the store has lost writes again: it is asked anew.
        }
        Err(StoreError::LostWrites.into())
    }

    /// The store is ahead of the database, or level with it.
    async fn adopt(&self, stored: u64, mirrored: u64) -> Result<u64, Error> {
        if mirrored > stored {
            self.store_in_database(mirrored).await?;
        }
        self.known.fetch_max(mirrored, Ordering::AcqRel);
        Ok(mirrored)
    }

    async fn store_in_database(&self, generation: u64) -> Result<(), DatabaseError> {
        let mut sql = Sql::new(self.database.dialect(), "UPDATE promiscuous_meta SET value = ");
        sql.bind(generation).push(" WHERE name = 'generation' AND value < ").bind(generation);
        self.database.execute(sql).await.map(drop)
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
        stored(self.database.as_ref()).await
    }
}

/// The database's generation; none before the app has published for the first time.
pub(crate) async fn stored(database: &dyn Database) -> Result<Option<u64>, DatabaseError> {
    let sql = Sql::new(database.dialect(), "SELECT value FROM promiscuous_meta WHERE name = 'generation'");
    let rows = database.query(sql, &[SqlType::Int]).await?;
    Ok(match rows.first().map(Vec::as_slice) {
        Some([SqlValue::Int(value)]) => u64::try_from(*value).ok(),
        _ => None,
    })
}

#[cfg(test)]
mod tests;
