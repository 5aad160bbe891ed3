//! Binding the app's queue, and remembering since when.

use std::time::Duration;

use super::scheduler::{Consistency, Policy, Source};
use crate::broker::{Broker, Queue, QueueKind};
use crate::clock;
use crate::database::{Database, DatabaseError, DatabaseErrorKind, Sql, SqlRow, SqlType, SqlValue};
use crate::error::Error;
use crate::registry::Subscriptions;

/// Declares the queue with all bindings, then records the moment for those that are new.
///
/// In this order: a moment recorded before the binding holds would make messages wait for causes that never come.
pub(super) async fn bind(
    app: &str,
    kind: QueueKind,
    subscriptions: &Subscriptions,
    consistency: Consistency,
    clock_skew: Duration,
    database: &dyn Database,
    broker: &dyn Broker,
) -> Result<(Queue, Policy), Error> {
    let sources = subscriptions.sources();
    let queue = Queue { app: app.to_owned(), bindings: sources.iter().map(|s| s.binding()).collect(), kind };
    broker.declare(&queue).await?;
    let skew = u64::try_from(clock_skew.as_micros()).unwrap_or(u64::MAX);
    let mut bound = Vec::with_capacity(sources.len());
    for from in sources {
        let since = bound_since(database, &from.to_string()).await?.saturating_add(skew);
        bound.push(Source { from, since, consistency });
    }
    Ok((queue, Policy::new(bound)))
}

/// An endpoint that the app has bound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bound {
    /// As the subscription names it: `shop/user` or `*/user`.
    pub(crate) endpoint: String,
    /// How it takes part: `live`.
    pub(crate) state: String,
    /// Since when, in microseconds since 1970.
    pub(crate) since: u64,
}

/// Every endpoint that the app has ever bound.
pub(crate) async fn bound(database: &dyn Database) -> Result<Vec<Bound>, DatabaseError> {
    let select = "SELECT endpoint, state, bound_since FROM promiscuous_subscriptions ORDER BY endpoint";
    let columns = [SqlType::Text, SqlType::Text, SqlType::Int];
    let rows = database.query(Sql::new(database.dialect(), select), &columns).await?;
    let read = |row: SqlRow| match <[SqlValue; 3]>::try_from(row) {
        Ok([SqlValue::Text(endpoint), SqlValue::Text(state), SqlValue::Int(since)]) => {
            Some(Bound { endpoint, state, since: u64::try_from(since).unwrap_or(0) })
        }
        _ => None,
    };
    Ok(rows.into_iter().filter_map(read).collect())
}

/// When this endpoint was first bound, in microseconds since 1970; now, if it is new.
async fn bound_since(database: &dyn Database, endpoint: &str) -> Result<u64, Error> {
    loop {
        let mut sql = Sql::new(
            database.dialect(),
            "SELECT bound_since FROM promiscuous_subscriptions WHERE endpoint = ",
        );
        sql.bind(endpoint);
        let rows = database.query(sql, &[SqlType::Int]).await?;
        if let Some([SqlValue::Int(since)]) = rows.first().map(Vec::as_slice) {
            return Ok(u64::try_from(*since).unwrap_or(0));
        }
        let mut sql = Sql::new(
            database.dialect(),
            "INSERT INTO promiscuous_subscriptions (endpoint, state, bound_since) VALUES ",
        );
        sql.bind_list([SqlValue::from(endpoint), "live".into(), clock::micros().into()]);
        match database.execute(sql).await {
            Ok(_) => {}
            // Another worker of this app was first: its moment counts.
            Err(error) if error.kind == DatabaseErrorKind::UniqueViolation => {}
            Err(error) => return Err(error.into()),
        }
    }
}
