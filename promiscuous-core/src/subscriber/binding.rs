//! Binding the app's queue, and remembering since when.

use std::time::Duration;

use super::scheduler::{Policy, Source};
use crate::broker::{Broker, Queue, QueueKind};
use crate::clock;
use crate::consistency::Consistency;
use crate::database::{Database, DatabaseError, DatabaseErrorKind, Sql, SqlRow, SqlType, SqlValue};
use crate::error::Error;
use crate::registry::{From, Subscriptions};

/// Messages of the endpoint are waited for by others.
const LIVE: &str = "live";

/// They are not: nobody counts them, because they wait for nothing themselves.
const WEAK: &str = "weak";

/// Declares the queue with all bindings, then records the moment for those that are new.
///
/// In this order: a moment recorded before the binding holds would make messages wait for causes that never come.
pub(super) async fn bind(
    app: &str,
    kind: QueueKind,
    subscriptions: &Subscriptions,
    clock_skew: Duration,
    database: &dyn Database,
    broker: &dyn Broker,
) -> Result<(Queue, Policy), Error> {
    let mut sources: Vec<(From, Consistency)> = subscriptions
        .sources()
        .into_iter()
        .map(|from| {
            let consistency = subscriptions.consistency_of(&from);
            (from, consistency)
        })
        .collect();
    sources.extend(subscriptions.orders().into_iter().map(|order| (order, Consistency::Global)));
    let bindings = sources.iter().map(|(from, _)| from.binding()).collect();
    let queue = Queue { app: app.to_owned(), bindings, kind };
    broker.declare(&queue).await?;
    let skew = u64::try_from(clock_skew.as_micros()).unwrap_or(u64::MAX);
    let mut bound = Vec::with_capacity(sources.len());
    for (from, consistency) in sources {
        let state = if consistency.is_ordered() { LIVE } else { WEAK };
        let since = bound_since(database, &from.to_string(), state).await?;
        bound.push(Source { from, bound: since, since: since.saturating_add(skew), consistency });
    }
    forget_orders(database, subscriptions).await?;
    Ok((queue, Policy::new(bound)))
}

/// An endpoint that the app has bound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bound {
    /// As the subscription names it: `shop/user` or `*/user`.
    pub(crate) endpoint: String,
    /// How it takes part: `live` or `weak`.
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

/// Since when messages of this endpoint are waited for, in microseconds since 1970: since it was first bound, or since it is not
/// weak any more; now, if that is new.
async fn bound_since(database: &dyn Database, endpoint: &str, state: &str) -> Result<u64, Error> {
    loop {
        let mut sql = Sql::new(
            database.dialect(),
            "SELECT bound_since, state FROM promiscuous_subscriptions WHERE endpoint = ",
        );
        sql.bind(endpoint);
        let rows = database.query(sql, &[SqlType::Int, SqlType::Text]).await?;
        let now = clock::micros();
        match rows.first().map(Vec::as_slice) {
            Some([SqlValue::Int(since), SqlValue::Text(stored)]) if stored == state => {
                return Ok(u64::try_from(*since).unwrap_or(0));
            }
            Some(_) => {
                let mut sql = Sql::new(database.dialect(), "UPDATE promiscuous_subscriptions SET state = ");
                sql.bind(state);
                if state == LIVE {
                    // What was applied without waiting was not counted: nobody may wait for it now.
                    sql.push(", bound_since = ").bind(now);
                }
                sql.push(" WHERE endpoint = ").bind(endpoint);
                database.execute(sql).await?;
            }
            None => {
                let mut sql = Sql::new(
                    database.dialect(),
                    "INSERT INTO promiscuous_subscriptions (endpoint, state, bound_since) VALUES ",
                );
                sql.bind_list([SqlValue::from(endpoint), state.into(), now.into()]);
                match database.execute(sql).await {
                    Ok(_) => {}
                    // Another worker of this app was first: its moment counts.
                    Err(error) if error.kind == DatabaseErrorKind::UniqueViolation => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
    }
}

/// Forgets since when total orders hold that are not asked for any more: what comes from now on takes no part in them, and
/// who asks for one again begins anew.
async fn forget_orders(database: &dyn Database, subscriptions: &Subscriptions) -> Result<(), DatabaseError> {
    let mut sql =
        Sql::new(database.dialect(), "DELETE FROM promiscuous_subscriptions WHERE endpoint LIKE '%/*'");
    for order in subscriptions.orders() {
        sql.push(" AND endpoint <> ").bind(order.to_string());
    }
    database.execute(sql).await.map(drop)
}
