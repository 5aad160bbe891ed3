//! How far a run has come, in `promiscuous_sync`.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::clock;
use crate::database::{Database, DatabaseError, DatabaseErrorKind, Sql, SqlRow, SqlType, SqlValue};

/// A run that has not ended.
const UNFINISHED: &str = "unfinished";

/// A run that has ended, and is remembered so that the same request does not begin it again.
const ENDED: &str = "ended";

/// Who asked for a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An operator: when it has ended, it is forgotten.
    Publish,
    /// A subscriber, for its bootstrap.
    Serve,
}

impl Kind {
    /// What comes before a run's id in the table.
    fn prefix(self) -> &'static str {
        match self {
            Self::Publish => "publish/",
            Self::Serve => "serve/",
        }
    }
}

/// How far a run has come: everything before that was confirmed by the broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// Who asked for it.
    pub kind: Kind,
    /// Names the run.
    pub run: Uuid,
    /// What is kept of it.
    pub position: Position,
}

/// What is kept of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// What was asked for, as it was written.
    pub selections: Vec<String>,
    /// The only app that gets it.
    pub only_to: Option<String>,
    /// How many rows of each selection were sent. As many numbers as selections.
    pub sent: Vec<u64>,
    /// The selection that is under way, by its place; as many as there are when all is done.
    pub at: usize,
    /// The id of its last row that was sent.
    pub after: Option<String>,
}

impl Cursor {
    /// The beginning of a run.
    pub(crate) fn new(kind: Kind, run: Uuid, selections: Vec<String>, only_to: Option<String>) -> Self {
        let sent = vec![0; selections.len()];
        let position = Position { selections, only_to, sent, at: 0, after: None };
        Self { kind, run, position }
    }

    /// Keeps it for the first time.
    pub(super) async fn create(&self, database: &dyn Database) -> Result<(), DatabaseError> {
        let into = "INSERT INTO promiscuous_sync (name, state, position, updated_at) VALUES ";
        let mut sql = Sql::new(database.dialect(), into);
        let values: [SqlValue; 4] =
            [self.name().into(), UNFINISHED.into(), self.text()?.into(), clock::millis().into()];
        sql.bind_list(values);
        database.execute(sql).await.map(drop)
    }

    /// Keeps it for the first time; false when it is known, even if it has ended.
    pub(crate) async fn create_once(&self, database: &dyn Database) -> Result<bool, DatabaseError> {
        match self.create(database).await {
            Ok(()) => Ok(true),
            Err(error) if error.kind == DatabaseErrorKind::UniqueViolation => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Keeps how far it has come.
    pub(super) async fn save(&self, database: &dyn Database) -> Result<(), DatabaseError> {
        let mut sql = Sql::new(database.dialect(), "UPDATE promiscuous_sync SET position = ");
        sql.bind(self.text()?).push(", updated_at = ").bind(clock::millis());
        sql.push(" WHERE name = ").bind(self.name());
        database.execute(sql).await.map(drop)
    }

    /// It has ended.
    pub(crate) async fn end(&self, database: &dyn Database) -> Result<(), DatabaseError> {
        let mut sql = match self.kind {
            Kind::Publish => Sql::new(database.dialect(), "DELETE FROM promiscuous_sync"),
            Kind::Serve => {
                let mut sql = Sql::new(database.dialect(), "UPDATE promiscuous_sync SET state = ");
                sql.bind(ENDED).push(", updated_at = ").bind(clock::millis());
                sql
            }
        };
        sql.push(" WHERE name = ").bind(self.name());
        database.execute(sql).await.map(drop)
    }

    /// Forgets the runs that ended so long ago.
    pub(crate) async fn forget_ended(
        database: &dyn Database,
        kind: Kind,
        age: Duration,
    ) -> Result<(), DatabaseError> {
        let before = clock::millis().saturating_sub(clock::duration_millis(age));
        let mut sql = Sql::new(database.dialect(), "DELETE FROM promiscuous_sync WHERE state = ");
        sql.bind(ENDED).push(" AND name LIKE ").bind(format!("{}%", kind.prefix()));
        sql.push(" AND updated_at < ").bind(before);
        database.execute(sql).await.map(drop)
    }

    /// The runs that have not ended, the latest first. Some may be running.
    ///
    /// # Errors
    /// What the database says.
    pub async fn unfinished(database: &dyn Database, kind: Kind) -> Result<Vec<Self>, DatabaseError> {
        let mut sql =
            Sql::new(database.dialect(), "SELECT name, position FROM promiscuous_sync WHERE state = ");
        sql.bind(UNFINISHED).push(" ORDER BY name DESC");
        let rows = database.query(sql, &[SqlType::Text, SqlType::Text]).await?;
        rows.into_iter().filter_map(|row| read(row, kind).transpose()).collect()
    }

    fn name(&self) -> String {
        format!("{}{}", self.kind.prefix(), self.run)
    }

    fn text(&self) -> Result<String, DatabaseError> {
        serde_json::to_string(&self.position)
            .map_err(|error| DatabaseError::new(DatabaseErrorKind::Other, error))
    }
}

/// None for what is no run of this kind.
fn read(row: SqlRow, kind: Kind) -> Result<Option<Cursor>, DatabaseError> {
    let unreadable = |why: String| {
        let text = format!("promiscuous_sync holds a row that this program did not write: {why}");
        DatabaseError::new(DatabaseErrorKind::Other, text)
    };
    let [SqlValue::Text(name), SqlValue::Text(position)] = row.as_slice() else {
        return Err(unreadable("a column has another type than `promiscuous migrate` gave it".into()));
    };
    let Some(run) = name.strip_prefix(kind.prefix()) else { return Ok(None) };
    let run = Uuid::parse_str(run).map_err(|error| unreadable(error.to_string()))?;
    let position: Position = serde_json::from_str(position).map_err(|error| unreadable(error.to_string()))?;
    if position.sent.len() != position.selections.len() {
        return Err(unreadable("it does not count the rows of every selection".into()));
    }
    Ok(Some(Cursor { kind, run, position }))
}
