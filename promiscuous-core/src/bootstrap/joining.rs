//! How far a bootstrap is, in the subscriber's database.
//!
//! `promiscuous_sync` has one row for the bootstrap, and one for each endpoint that a publisher has begun to send; the state of each
//! source is in `promiscuous_subscriptions`. All of it changes in the transaction that applies a publisher's step.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Step;
use super::parts::{News, Part, PartState, complete, merge};
use crate::clock;
use crate::database::{
    Database, DatabaseError, DatabaseErrorKind, Dialect, Sql, SqlRow, SqlType, SqlValue, Transaction,
};
use crate::error::Error;
use crate::key::Endpoint;

/// The row of the bootstrap.
const ROW: &str = "bootstrap";

/// What comes before an endpoint in the name of its row.
const PART: &str = "bootstrap/";

/// The state of a source whose rows are on their way, and of the bootstrap.
pub(crate) const JOINING: &str = "joining";

/// The state of a bootstrap that has ended.
const ENDED: &str = "ended";

/// A bootstrap that has begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Bootstrap {
    /// Names it.
    pub(crate) run: Uuid,
    /// What is wanted, as the subscriptions name it; orders (`app/*`), too.
    pub(crate) sources: Vec<String>,
    /// When it began, in milliseconds since 1970.
    pub(crate) begun_at: u64,
    /// Whether the queue has been bound for it.
    pub(crate) is_bound: bool,
    /// The endpoints whose publishers were told which objects are here.
    pub(crate) told: Vec<Endpoint>,
}

/// Begins a bootstrap of these sources; one that was under way is forgotten, with what it still wanted.
///
/// Before the queue is bound: whoever dies in between finds that it has to go on.
pub(crate) async fn begin(database: &dyn Database, sources: &[String]) -> Result<Uuid, DatabaseError> {
    let dialect = database.dialect();
    let before = current(database).await?;
    let mut sources = sources.to_vec();
    sources.extend(before.into_iter().flat_map(|(bootstrap, _)| bootstrap.sources));
    sources.sort_unstable();
    sources.dedup();
    let bootstrap = Bootstrap {
        run: Uuid::now_v7(),
        sources,
        begun_at: clock::millis(),
        is_bound: false,
        told: Vec::new(),
    };
    let mut transaction = database.begin().await?;
    let mut sql = Sql::new(dialect, "DELETE FROM promiscuous_sync WHERE name = ");
    sql.bind(ROW).push(" OR name LIKE ").bind(format!("{PART}%"));
    transaction.execute(sql).await?;
    insert(transaction.as_mut(), dialect, ROW, JOINING, &bootstrap).await?;
    for source in &bootstrap.sources {
        let mut sql = Sql::new(dialect, "DELETE FROM promiscuous_subscriptions WHERE endpoint = ");
        sql.bind(source.as_str());
        transaction.execute(sql).await?;
        let into = "INSERT INTO promiscuous_subscriptions (endpoint, state, bound_since) VALUES ";
        let mut sql = Sql::new(dialect, into);
        sql.bind_list([SqlValue::from(source.as_str()), JOINING.into(), clock::micros().into()]);
        transaction.execute(sql).await?;
    }
    transaction.commit().await?;
    Ok(bootstrap.run)
}

/// The bootstrap that is under way, and when its request was last sent, in milliseconds since 1970.
pub(crate) async fn current(database: &dyn Database) -> Result<Option<(Bootstrap, u64)>, DatabaseError> {
    let mut sql =
        Sql::new(database.dialect(), "SELECT position, updated_at FROM promiscuous_sync WHERE name = ");
    sql.bind(ROW).push(" AND state = ").bind(JOINING);
    let rows = database.query(sql, &[SqlType::Text, SqlType::Int]).await?;
    match rows.first().map(Vec::as_slice) {
        None => Ok(None),
        Some([SqlValue::Text(position), SqlValue::Int(at)]) => {
            Ok(Some((parse(position)?, u64::try_from(*at).unwrap_or(0))))
        }
        Some(_) => Err(unreadable("a column has another type than `promiscuous migrate` gave it")),
    }
}

/// How far a bootstrap is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Progress {
    /// The sources whose rows have not all come; none when it has ended, or there is none.
    pub waiting: Vec<String>,
    /// How far each endpoint is that a publisher has begun to send.
    pub parts: Vec<Part>,
}

/// Tells how far the latest bootstrap of an app is.
#[derive(Clone)]
pub struct Follower {
    /// Where it is kept.
    pub(crate) database: Arc<dyn Database>,
}

impl Follower {
    /// How far it is now.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn progress(&self) -> Result<Progress, Error> {
        let current = current(self.database.as_ref()).await?;
        let parts = parts(self.database.as_ref()).await?;
        let sources = current.map(|(bootstrap, _)| bootstrap.sources).unwrap_or_default();
        let complete = complete(&sources, &parts);
        let waiting = sources.into_iter().filter(|source| !complete.contains(source)).collect();
        Ok(Progress { waiting, parts })
    }
}

/// What publishers have sent for the latest bootstrap, by endpoint.
pub(crate) async fn parts(database: &dyn Database) -> Result<Vec<Part>, DatabaseError> {
    let rows = database.query(select_parts(database.dialect()), &[SqlType::Text]).await?;
    read_parts(rows)
}

/// Notes that the request is being sent; false when another process was faster.
pub(super) async fn claim(database: &dyn Database, asked_at: u64) -> Result<bool, DatabaseError> {
    let mut sql = Sql::new(database.dialect(), "UPDATE promiscuous_sync SET updated_at = ");
    sql.bind(clock::millis().max(asked_at + 1)).push(" WHERE name = ").bind(ROW);
    sql.push(" AND state = ").bind(JOINING).push(" AND updated_at = ").bind(asked_at);
    Ok(database.execute(sql).await? == 1)
}

/// What is published from now on arrives: the queue is bound.
pub(super) async fn is_bound(database: &dyn Database) -> Result<(), DatabaseError> {
    let mut sql = Sql::new(database.dialect(), "UPDATE promiscuous_subscriptions SET bound_since = ");
    sql.bind(clock::micros()).push(" WHERE state = ").bind(JOINING);
    database.execute(sql).await.map(drop)
}

/// Notes how far asking is.
pub(super) async fn keep(database: &dyn Database, bootstrap: &Bootstrap) -> Result<(), DatabaseError> {
    let dialect = database.dialect();
    let mut transaction = database.begin().await?;
    let kept = locked(transaction.as_mut(), dialect).await?;
    if kept.is_some_and(|kept| kept.run == bootstrap.run) {
        let mut sql = Sql::new(dialect, "UPDATE promiscuous_sync SET position = ");
        sql.bind(text(bootstrap)?).push(", updated_at = ").bind(clock::millis());
        sql.push(" WHERE name = ").bind(ROW);
        transaction.execute(sql).await?;
    }
    transaction.commit().await
}

/// The rows of this source are not wanted any more.
pub(crate) async fn forget(database: &dyn Database, source: &str) -> Result<(), DatabaseError> {
    let dialect = database.dialect();
    let mut transaction = database.begin().await?;
    if let Some(mut bootstrap) = locked(transaction.as_mut(), dialect).await? {
        bootstrap.sources.retain(|wanted| wanted != source);
        let parts = read_parts(transaction.query(select_parts(dialect), &[SqlType::Text]).await?)?;
        let is_complete = complete(&bootstrap.sources, &parts).len() == bootstrap.sources.len();
        let mut sql = Sql::new(dialect, "UPDATE promiscuous_sync SET position = ");
        sql.bind(text(&bootstrap)?).push(", state = ").bind(if is_complete { ENDED } else { JOINING });
        sql.push(" WHERE name = ").bind(ROW);
        transaction.execute(sql).await?;
    }
    transaction.commit().await
}

/// Takes in what a publisher says, an app of this name. `state_of` tells what a source becomes when all of its rows have come.
pub(crate) async fn take(
    transaction: &mut dyn Transaction,
    dialect: Dialect,
    app: &str,
    step: &Step,
    state_of: impl Fn(&str) -> &'static str,
) -> Result<(), DatabaseError> {
    let (run, endpoint, news) = match step {
        Step::UnderWay { run, endpoint, rows, sent } => {
            (run, endpoint, News::Rows(*rows, *sent, PartState::UnderWay))
        }
        Step::Done { run, endpoint, sent } => (run, endpoint, News::Rows(*sent, *sent, PartState::Done)),
        Step::Failed { run, endpoint, reason } => {
            (run, endpoint, News::Rows(0, 0, PartState::Failed(reason.clone())))
        }
        Step::GoneIsTold { run, endpoint } => (run, endpoint, News::GoneIsTold),
        Step::Asked { .. }
        | Step::Known { .. }
        | Step::Verify { .. }
        | Step::Verified { .. }
        | Step::Unknown => return Ok(()),
    };
    let Some(bootstrap) = locked(transaction, dialect).await?.filter(|current| current.run == *run) else {
        return Ok(());
    };
    if let Step::Failed { reason, .. } = step {
        tracing::error!(%endpoint, app, reason, "a publisher cannot send its rows: they stay on their way until `promiscuous bootstrap` asks again");
    }
    let mut parts = read_parts(transaction.query(select_parts(dialect), &[SqlType::Text]).await?)?;
    if !merge(&mut parts, (*run, app), endpoint, news) {
        return Ok(());
    }
    let Some(part) = parts.iter().find(|part| part.endpoint == *endpoint) else { return Ok(()) };
    let name = format!("{PART}{endpoint}");
    let mut sql = Sql::new(dialect, "DELETE FROM promiscuous_sync WHERE name = ");
    sql.bind(name.as_str());
    transaction.execute(sql).await?;
    insert(transaction, dialect, &name, JOINING, part).await?;
    let complete = complete(&bootstrap.sources, &parts);
    for source in &complete {
        let mut sql = Sql::new(dialect, "UPDATE promiscuous_subscriptions SET state = ");
        // What was applied without waiting was not counted: nobody may wait for it now.
        sql.bind(state_of(source)).push(", bound_since = ").bind(clock::micros());
        sql.push(" WHERE endpoint = ").bind(source.as_str()).push(" AND state = ").bind(JOINING);
        transaction.execute(sql).await?;
    }
    if complete.len() == bootstrap.sources.len() {
        let mut sql = Sql::new(dialect, "UPDATE promiscuous_sync SET state = ");
        sql.bind(ENDED).push(" WHERE name = ").bind(ROW);
        transaction.execute(sql).await?;
    }
    Ok(())
}

/// The bootstrap that is under way; nobody else changes it or its parts before this transaction ends.
async fn locked(
    transaction: &mut dyn Transaction,
    dialect: Dialect,
) -> Result<Option<Bootstrap>, DatabaseError> {
    let mut sql = Sql::new(dialect, "UPDATE promiscuous_sync SET updated_at = updated_at WHERE name = ");
    sql.bind(ROW);
    transaction.execute(sql).await?;
    let mut sql = Sql::new(dialect, "SELECT position FROM promiscuous_sync WHERE name = ");
    sql.bind(ROW).push(" AND state = ").bind(JOINING);
    if dialect != Dialect::Sqlite {
        // In MySQL a plain SELECT reads what was there when the transaction began.
        sql.push(" FOR UPDATE");
    }
    let rows = transaction.query(sql, &[SqlType::Text]).await?;
    rows.first().map(|row| parse(first(row)?)).transpose()
}

fn select_parts(dialect: Dialect) -> Sql {
    let mut sql = Sql::new(dialect, "SELECT position FROM promiscuous_sync WHERE name LIKE ");
    sql.bind(format!("{PART}%")).push(" ORDER BY name");
    if dialect == Dialect::Mysql {
        sql.push(" LOCK IN SHARE MODE");
    }
    sql
}

fn read_parts(rows: Vec<SqlRow>) -> Result<Vec<Part>, DatabaseError> {
    rows.iter().map(|row| parse(first(row)?)).collect()
}

async fn insert(
    transaction: &mut dyn Transaction,
    dialect: Dialect,
    name: &str,
    state: &str,
    position: &impl Serialize,
) -> Result<(), DatabaseError> {
    let mut sql =
        Sql::new(dialect, "INSERT INTO promiscuous_sync (name, state, position, updated_at) VALUES ");
    sql.bind_list([SqlValue::from(name), state.into(), text(position)?.into(), SqlValue::Int(0)]);
    transaction.execute(sql).await.map(drop)
}

fn first(row: &SqlRow) -> Result<&str, DatabaseError> {
    match row.first() {
        Some(SqlValue::Text(text)) => Ok(text),
        _ => Err(unreadable("a column has another type than `promiscuous migrate` gave it")),
    }
}

fn parse<T: serde::de::DeserializeOwned>(position: &str) -> Result<T, DatabaseError> {
    serde_json::from_str(position).map_err(|error| unreadable(&error.to_string()))
}

fn text(position: &impl Serialize) -> Result<String, DatabaseError> {
    serde_json::to_string(position).map_err(|error| DatabaseError::new(DatabaseErrorKind::Other, error))
}

fn unreadable(why: &str) -> DatabaseError {
    let text = format!("promiscuous_sync holds a row that this program did not write: {why}");
    DatabaseError::new(DatabaseErrorKind::Other, text)
}
