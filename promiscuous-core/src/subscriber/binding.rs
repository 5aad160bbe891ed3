//! Binding the app's queue, and remembering since when.

use super::scheduler::{NOT_YET, Policy, Source};
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
    /// In this order: a moment recorded before the binding holds would make messages wait for causes that never come. That a binding is to come
    /// is recorded before: from then on workers of other versions of the app leave its messages to this one.
    pub(super) async fn bind(&self) -> Result<(Queue, Policy), Error> {
        let sources = self.sources();
        let bindings = sources.iter().map(|(from, _)| from.binding()).collect();
        let queue = Queue { app: self.settings.app.clone(), bindings, kind: self.settings.queue_kind };
        self.declare(&queue).await?;
        fail::fail_point!("after_declare");
        let mut own = Vec::with_capacity(sources.len());
        for (from, consistency) in sources {
            bound_since(self.database, &from.to_string(), state(consistency)).await?;
            own.push(Source {
                from,
                bound: NOT_YET,
                since: NOT_YET,
                consistency,
                joining: false,
                taken: true,
            });
        }
        forget_orders(self.database, self.subscriptions).await?;
        let skew = u64::try_from(self.settings.clock_skew.as_micros()).unwrap_or(u64::MAX);
        Ok((queue, Policy::new(with(&own, &bound(self.database).await?, skew))))
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
                self.join(self.everything(&before)).await?;
            }
            Some(reason) => {
                tracing::error!("messages were lost ({reason}): run `promiscuous bootstrap`");
                notice::tell(&Notice::Joining {
                    reason: format!("{reason}, and nobody asks for what it had"),
                });
            }
            None => {}
        }
        self.announce().await?;
        fail::fail_point!("before_declare");
        let mut queue = queue.clone();
        if depth.is_none() {
            // What only another version of the app takes was lost as well.
            queue.bindings.extend(self.everything(&before).iter().map(From::binding));
        }
        Ok(self.broker.declare(&queue).await?)
    }

    /// What this program takes, and what other versions of the app do.
    fn everything(&self, bound: &[Bound]) -> Vec<From> {
        let mut everything = self.subscriptions.sources();
        let others = bound.iter().filter_map(|bound| From::parse(&bound.endpoint).ok());
        everything.extend(others.filter(|from| !self.subscriptions.sources().contains(from)));
        everything
    }

    /// Begins a bootstrap of these sources.
    pub(super) async fn join(&self, mut wanted: Vec<From>) -> Result<(), Error> {
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

    /// Tells other workers what the queue is about to be bound to that it was not bound to before.
    async fn announce(&self) -> Result<(), Error> {
        let before = bound(self.database).await?;
        for (from, _) in self.sources() {
            let name = from.to_string();
            if before.iter().all(|bound| bound.endpoint != name) {
                tracing::info!(
                    source = %from,
                    "bound for the first time: what was written before comes with `promiscuous bootstrap`"
                );
                insert(self.database, &name, BINDING).await?;
            }
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

/// What the app has bound, as its database has it: what this program takes, and what other versions of it do. Without orders that it does not ask for.
pub(super) fn with(sources: &[Source], bound: &[Bound], skew: u64) -> Vec<Source> {
    let of = |bound: &Bound, from: From, consistency: Consistency, taken: bool| {
        let at = if bound.state == BINDING { NOT_YET } else { bound.since };
        let joining = bound.state == JOINING;
        Source { from, bound: at, since: at.saturating_add(skew), consistency, joining, taken }
    };
    let own = sources.iter().filter(|source| source.taken);
    let mut all: Vec<Source> = own
        .map(|source| {
            let name = source.from.to_string();
            let state = bound.iter().find(|bound| bound.endpoint == name);
            state.map_or_else(
                || source.clone(),
                |state| of(state, source.from.clone(), source.consistency, true),
            )
        })
        .collect();
    // What names an app first: its messages are left to whoever takes them from any app as well.
    let (any_app, one_app): (Vec<&Bound>, Vec<&Bound>) =
        bound.iter().partition(|bound| bound.endpoint.starts_with('*'));
    for bound in one_app.into_iter().chain(any_app) {
        let Ok(from) = From::parse(&bound.endpoint) else { continue };
        if all.iter().all(|source| source.from != from) {
            let consistency = if bound.state == WEAK { Consistency::Weak } else { Consistency::Causal };
            all.push(of(bound, from, consistency, false));
        }
    }
    all
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

/// Every endpoint that the app has bound, but for those that `promiscuous unbind` took back.
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

/// Records since when messages of this endpoint are waited for, where that is new: since it was first bound, or since it is not
/// weak any more.
async fn bound_since(database: &dyn Database, endpoint: &str, state: &str) -> Result<(), Error> {
    loop {
        let mut sql =
            Sql::new(database.dialect(), "SELECT state FROM promiscuous_subscriptions WHERE endpoint = ");
        sql.bind(endpoint);
        let rows = database.query(sql, &[SqlType::Text]).await?;
        match rows.first().map(Vec::as_slice) {
            Some([SqlValue::Text(stored)]) if stored == state || stored == JOINING => return Ok(()),
            Some([SqlValue::Text(stored)]) => {
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

/// Forgets that an endpoint is bound: from then on its messages are passed over. Whether it was.
pub(crate) async fn forget(database: &dyn Database, endpoint: &str) -> Result<bool, DatabaseError> {
    let mut sql = Sql::new(database.dialect(), "DELETE FROM promiscuous_subscriptions WHERE endpoint = ");
    sql.bind(endpoint);
    Ok(database.execute(sql).await? > 0)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn row(endpoint: &str, state: &str) -> Bound {
        Bound { endpoint: endpoint.into(), state: state.into(), since: 100 }
    }

    fn own(from: &str) -> Source {
        Source {
            from: From::parse(from).unwrap(),
            bound: NOT_YET,
            since: NOT_YET,
            consistency: Consistency::Weak,
            joining: false,
            taken: true,
        }
    }

    #[test]
    fn what_this_program_takes_comes_first_and_what_others_take_is_known_as_well() {
        let bound = [
            row("*/post", LIVE),
            row("shop/*", LIVE),
            row("shop/order", WEAK),
            row("shop/post", BINDING),
            row("shop/user", JOINING),
        ];
        let all = with(&[own("shop/user")], &bound, 7);
        let told: Vec<_> = all
            .iter()
            .map(|one| (one.from.to_string(), one.bound, one.since, one.consistency, one.joining, one.taken))
            .collect();
        let of = |name: &str, at, since, consistency, joining, taken| {
            (name.to_owned(), at, since, consistency, joining, taken)
        };
        assert_eq!(
            told,
            [
                // Its consistency is what this program says.
                of("shop/user", 100, 107, Consistency::Weak, true, true),
                of("shop/order", 100, 107, Consistency::Weak, false, false),
                // Nobody waits for it yet.
                of("shop/post", NOT_YET, NOT_YET, Consistency::Causal, false, false),
                of("*/post", 100, 107, Consistency::Causal, false, false),
            ]
        );
        // Once more with what is known: nothing changes, or nobody would ever know.
        assert_eq!(with(&all, &bound, 7), all);
        // What was unbound is gone; what this program takes stays.
        let left: Vec<String> = with(&all, &[], 7).iter().map(|one| one.from.to_string()).collect();
        assert_eq!(left, ["shop/user"]);
    }
}
