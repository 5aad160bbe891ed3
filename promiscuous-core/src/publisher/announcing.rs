//! Losses are noticed without a write, and told to subscribers (section 4 of the protocol).
//!
//! A version store that lost its data may have lost the intents of dead writers, too: their versions are consumed by nobody. So
//! whoever depends on one of them waits for what will never come. What ends that is the knowledge that its generation is over:
//! after a raise, a dummy on the key of each endpoint itself ([`Key::of_endpoint`]) brings it to every subscriber.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use uuid::Uuid;

use super::outbox::{PENDING, dummy, insert};
use super::pending::{Committed, Unsettled};
use super::shared::Inner;
use crate::database::{DatabaseError, DatabaseErrorKind, Sql, SqlType, SqlValue};
use crate::error::Error;
use crate::key::Key;
use crate::version_store::Bump;

/// Looks at the version store as a writer would, and announces the generation when it is a new one.
pub(super) async fn watch(inner: &Arc<Inner>) -> Result<(), Error> {
    let generation = inner.generation.watch().await?;
    if inner.announced.load(Ordering::Acquire) >= generation {
        return Ok(());
    }
    let announced = match read(inner).await? {
        None => {
            create(inner).await?;
            // In the first one nobody can wait for an older one.
            1
        }
        Some(announced) => announced,
    };
    let announced = if announced < generation { announce(inner, generation).await? } else { announced };
    inner.announced.fetch_max(announced, Ordering::AcqRel);
    Ok(())
}

/// Publishes a dummy for each endpoint; answers with the generation that it has.
async fn announce(inner: &Arc<Inner>, generation: u64) -> Result<u64, Error> {
    let keys = inner.endpoints.iter().map(Key::of_endpoint).collect::<Result<Vec<_>, _>>()?;
    if keys.is_empty() {
        return Ok(generation);
    }
    let mut bump = Bump {
        op: Uuid::now_v7(),
        generation,
        deadline: inner.settings.deadline,
        endpoints: inner.endpoints.clone(),
        write: inner.with_order(keys)?,
        read: Vec::new(),
    };
    let mut unsettled = Unsettled { inner: Arc::clone(inner), op: bump.op, told: false };
    let bumped = inner.bump(&mut bump, &mut unsettled).await?;
    let (op, generation) = (bumped.op, bumped.generation);
    let message = dummy(&inner.settings.app, bumped);
    let text = message
        .encode()
        .map_err(|error| Error::Publisher(format!("an announcement cannot be written as JSON: {error}")))?;
    let dialect = inner.outbox.dialect();
    let mut transaction = inner.outbox.database().begin().await?;
    transaction.execute(insert(dialect, op, PENDING, &text)).await?;
    let mut sql = Sql::new(dialect, "UPDATE promiscuous_meta SET value = ");
    sql.bind(generation).push(" WHERE name = 'announced' AND value < ").bind(generation);
    transaction.execute(sql).await?;
    transaction.commit().await?;
    unsettled.told = true;
    inner.hand_over(Committed::new(&message, text.into(), false));
    tracing::info!(generation, "a new generation of versions is announced to subscribers");
    Ok(generation)
}

async fn read(inner: &Inner) -> Result<Option<u64>, DatabaseError> {
    let sql = Sql::new(inner.outbox.dialect(), "SELECT value FROM promiscuous_meta WHERE name = 'announced'");
    let rows = inner.outbox.database().query(sql, &[SqlType::Int]).await?;
    Ok(match rows.first().map(Vec::as_slice) {
        Some([SqlValue::Int(value)]) => u64::try_from(*value).ok(),
        _ => None,
    })
}

async fn create(inner: &Inner) -> Result<(), DatabaseError> {
    let mut sql = Sql::new(inner.outbox.dialect(), "INSERT INTO promiscuous_meta (name, value) VALUES ");
    sql.bind_list([SqlValue::from("announced"), SqlValue::Int(1)]);
    match inner.outbox.database().execute(sql).await {
        // Another process was faster.
        Err(error) if error.kind != DatabaseErrorKind::UniqueViolation => Err(error),
        _ => Ok(()),
    }
}
