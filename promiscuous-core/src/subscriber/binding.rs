//! Binding the app's queue, and remembering since when.

use super::scheduler::{Policy, Source};
use super::settings::SubscriberSettings;
use crate::bootstrap::joining::{self, JOINING};
use crate::broker::{Broker, Queue};
use crate::clock;
use crate::consistency::Consistency;
use crate::database::{Database, DatabaseError, DatabaseErrorKind, Sql, SqlRow, SqlType, SqlValue};
use crate::error::Error;
use crate::notice::{self, Notice};
use crate::registry::{From, Subscriptions};

/// Messages of the endpoint are waited for by others.
const LIVE: &str = "live";

/// They are not: nobody counts them, because they wait for nothing themselves.
const WEAK: &str = "weak";

/// The queue is about to be bound for the first time.
const BINDING: &str = "binding";

/// What binding needs.
pub(super) struct Binder<'a> {
    /// Names the app, and tells how its queue is and what becomes of a loss.
    pub(super) settings: &'a SubscriberSettings,
    /// What is to be bound.
    pub(super) subscriptions: &'a Subscriptions,
    /// Where it is remembered.
    pub(super) database: &'a dyn Database,
    /// Where it is bound.
    pub(super) broker: &'a dyn Broker,
}

impl Binder<'_> {
    /// Declares the queue with all bindings, then records the moment for those that are new.
    ///
    /// In this order: a moment recorded before the binding holds would make messages wait for causes that never come.
    pub(super) async fn bind(&self) -> Result<(Queue, Policy), Error> {
        let sources = self.sources();
        let bindings = sources.iter().map(|(from, _)| from.binding()).collect();
        let queue = Queue { app: self.settings.app.clone(), bindings, kind: self.settings.queue_kind };
        self.declare(&queue).await?;
        fail::fail_point!("after_declare");
        let skew = u64::try_from(self.settings.clock_skew.as_micros()).unwrap_or(u64::MAX);
        let mut bound = Vec::with_capacity(sources.len());
        for (from, consistency) in sources {
            let (since, joining) = bound_since(self.database, &from.to_string(), state(consistency)).await?;
            let limit = since.saturating_add(skew);
            bound.push(Source { from, bound: since, since: limit, consistency, joining });
        }
        forget_orders(self.database, self.subscriptions).await?;
        Ok((queue, Policy::new(bound)))
    }

    /// Declares the queue. Where it is gone although it was there, or the database is empty although it was not, messages were lost: then
    /// everything is to be sent again (section 8).
    pub(super) async fn declare(&self, queue: &Queue) -> Result<(), Error> {
        // Before the queue is looked at: who has recorded a binding has declared the queue.
        let before = bound(self.database).await?;
        let depth = self.broker.depth(queue).await?;
        let loss = match depth {
            None if self.was_bound(&before).await? => Some("its queue is gone"),
            // Once more: somebody may have been about to bind it for the first time.
            Some(_) if before.is_empty() && bound(self.database).await?.is_empty() => {
                Some("its database is empty, and its queue is there")
            }
            _ => None,
        };
        match loss {
            Some(reason) if self.settings.bootstrap_when_lost => {
                tracing::warn!(
                    "messages were lost ({reason}): all rows are to be sent again, and until they have come, nothing waits for its causes"
                );
                notice::tell(&Notice::Joining { reason: reason.to_owned() });
                self.join(&[]).await?;
            }
            Some(reason) => {
                tracing::error!("messages were lost ({reason}): run `promiscuous bootstrap`");
                notice::tell(&Notice::Joining {
                    reason: format!("{reason}, and nobody asks for what it had"),
                });
            }
            None if before.is_empty() => {
                tracing::info!(
                    "bound for the first time: what was written before comes with `promiscuous bootstrap`"
                );
                self.announce().await?;
            }
            None => {}
        }
        Ok(self.broker.declare(queue).await?)
    }

    /// Begins a bootstrap of these sources, of all when there are none.
    pub(super) async fn join(&self, only: &[From]) -> Result<(), Error> {
        let is_meant = |from: &From| only.is_empty() || only.contains(from);
        let mut wanted: Vec<From> =
            self.subscriptions.sources().into_iter().filter(|from| is_meant(from)).collect();
        let of_order = |order: &From| wanted.iter().any(|from| order.orders(from));
        // A place in an order may have been lost with any message of its app.
        let orders: Vec<From> = self.subscriptions.orders().into_iter().filter(of_order).collect();
        wanted.extend(orders);
        let names: Vec<String> = wanted.iter().map(ToString::to_string).collect();
        match joining::begin(self.database, &names).await {
            // Another worker was faster.
            Err(error) if error.kind == DatabaseErrorKind::UniqueViolation => Ok(()),
            other => Ok(other.map(drop)?),
        }
    }

    fn sources(&self) -> Vec<(From, Consistency)> {
        let consistency = |from: From| {
            let consistency = self.subscriptions.consistency_of(&from);
            (from, consistency)
        };
        let orders = self.subscriptions.orders().into_iter().map(|order| (order, Consistency::Global));
        self.subscriptions.sources().into_iter().map(consistency).chain(orders).collect()
    }

    /// Whether the queue has been there.
    async fn was_bound(&self, before: &[Bound]) -> Result<bool, Error> {
        if before.iter().any(|bound| bound.state == LIVE || bound.state == WEAK) {
            return Ok(true);
        }
        // A bootstrap that has asked nothing yet is about to bind it.
        let current = joining::current(self.database).await?;
        Ok(current.is_some_and(|(bootstrap, _)| bootstrap.is_bound))
    }

    /// Tells other workers that the queue is bound for the first time.
    async fn announce(&self) -> Result<(), Error> {
        for (from, _) in self.sources() {
            insert(self.database, &from.to_string(), BINDING).await?;
        }
        Ok(())
    }
}

fn state(consistency: Consistency) -> &'static str {
    if consistency.is_ordered() { LIVE } else { WEAK }
}

/// The state of a source whose rows have all come.
pub(super) fn state_of(subscriptions: &Subscriptions, source: &str) -> &'static str {
    match From::parse(source) {
        Ok(from) => state(subscriptions.consistency_of(&from)),
        // An order.
        Err(_) => LIVE,
    }
}

/// The same sources, in the state that the database has for them now.
pub(super) async fn refreshed(
    database: &dyn Database,
    sources: &[Source],
) -> Result<Vec<Source>, DatabaseError> {
    let bound = bound(database).await?;
    let refresh = |source: &Source| {
        let name = source.from.to_string();
        let mut source = source.clone();
        if let Some(now) = bound.iter().find(|bound| bound.endpoint == name) {
            let skew = source.since.saturating_sub(source.bound);
            (source.bound, source.since) = (now.since, now.since.saturating_add(skew));
            source.joining = now.state == JOINING;
        }
        source
    };
    Ok(sources.iter().map(refresh).collect())
}

/// An endpoint that the app has bound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bound {
    /// As the subscription names it: `shop/user` or `*/user`.
    pub(crate) endpoint: String,
    /// How it takes part: `live`, `weak`, `joining`, or `binding` before it does for the first time.
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
/// weak any more; now, if that is new. And whether its rows are on their way.
async fn bound_since(database: &dyn Database, endpoint: &str, state: &str) -> Result<(u64, bool), Error> {
    loop {
        let mut sql = Sql::new(
            database.dialect(),
            "SELECT bound_since, state FROM promiscuous_subscriptions WHERE endpoint = ",
        );
        sql.bind(endpoint);
        let rows = database.query(sql, &[SqlType::Int, SqlType::Text]).await?;
        match rows.first().map(Vec::as_slice) {
            Some([SqlValue::Int(since), SqlValue::Text(stored)]) if stored == state || stored == JOINING => {
                return Ok((u64::try_from(*since).unwrap_or(0), stored == JOINING));
            }
            Some([_, SqlValue::Text(stored)]) => {
                let mut sql = Sql::new(database.dialect(), "UPDATE promiscuous_subscriptions SET state = ");
                sql.bind(state);
                if state == LIVE || stored == BINDING {
                    // What was applied without waiting was not counted: nobody may wait for it now.
                    sql.push(", bound_since = ").bind(clock::micros());
                }
                sql.push(" WHERE endpoint = ").bind(endpoint).push(" AND state = ").bind(stored.as_str());
                database.execute(sql).await?;
            }
            Some(_) => {
                let text = "promiscuous_subscriptions has a column of another type than `promiscuous migrate` gave it";
                return Err(DatabaseError::new(DatabaseErrorKind::Other, text).into());
            }
            None => insert(database, endpoint, state).await?,
        }
    }
}

/// Records it, unless another worker of this app was first: then its moment counts.
async fn insert(database: &dyn Database, endpoint: &str, state: &str) -> Result<(), DatabaseError> {
    let into = "INSERT INTO promiscuous_subscriptions (endpoint, state, bound_since) VALUES ";
    let mut sql = Sql::new(database.dialect(), into);
    sql.bind_list([SqlValue::from(endpoint), state.into(), clock::micros().into()]);
    match database.execute(sql).await {
        Err(error) if error.kind != DatabaseErrorKind::UniqueViolation => Err(error),
        _ => Ok(()),
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
