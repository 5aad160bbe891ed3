//! Selections, published one after the other.

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, TryStreamExt};
use tokio::sync::watch;
use tokio::time::Instant;
use uuid::Uuid;

use super::chunk::Chunks;
use super::cursor::{Cursor, Kind, Position};
use super::marker::Marker;
use super::messages::Sender;
use super::{PublishedRows, Selection, SyncError};
use crate::database::Database;
use crate::error::chain;
use crate::publisher::Publisher;
use crate::subscriber::backoff::Backoff;

/// How often the cursor is kept at the most: what was sent since is sent again after a death.
const SAVE_EVERY: Duration = Duration::from_millis(500);

/// Pauses while a server is away.
const BACKOFF: Backoff = Backoff { first: Duration::from_millis(100), longest: Duration::from_secs(5) };

/// How rows are published again.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct SyncSettings {
    /// The only app that gets them; none is every app that is bound.
    pub only_to: Option<String>,
    /// Rows that are read at a time: 1,000.
    pub chunk: usize,
    /// Chunks that are under way at a time: 4. Memory holds as many.
    pub parallel: usize,
    /// Rows a second at the most; none is as fast as it goes.
    pub rate: Option<u32>,
}

impl Default for SyncSettings {
    fn default() -> Self {
        Self { only_to: None, chunk: 1_000, parallel: 4, rate: None }
    }
}

/// How far a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// The selection under way, by its place.
    pub selection: usize,
    /// How many of its rows were sent.
    pub sent: u64,
    /// Whether that was all of it.
    pub done: bool,
}

/// Publishes selections of rows again, one after the other; what it is told to do and how far it is stays in the database until it has ended.
pub struct Run {
    publisher: Publisher,
    rows: Arc<dyn PublishedRows>,
    database: Arc<dyn Database>,
    settings: SyncSettings,
    selections: Vec<Selection>,
    /// How many rows each selection had in the beginning.
    totals: Vec<u64>,
    cursor: Cursor,
}

impl Run {
    /// A new run. Its rows are counted first, so that a condition which the database does not understand is refused before anything is sent.
    ///
    /// # Errors
    /// [`SyncError::Rows`] for such a condition, [`SyncError::NoQueue`] when the app that is to get it does not subscribe, and when the database is away.
    pub async fn begin(
        publisher: Publisher,
        rows: Arc<dyn PublishedRows>,
        database: Arc<dyn Database>,
        selections: Vec<Selection>,
        settings: SyncSettings,
    ) -> Result<Self, SyncError> {
        let texts = selections.iter().map(Selection::to_string).collect();
        let cursor = Cursor::new(Kind::Publish, Uuid::now_v7(), texts, settings.only_to.clone());
        let run = Self::with(publisher, rows, database, selections, cursor, settings).await?;
        run.cursor.create(run.database.as_ref()).await.map_err(SyncError::Cursor)?;
        Ok(run)
    }

    /// Goes on with a run that has not ended, or with the latest. What it selects and who gets it is as it was.
    ///
    /// # Errors
    /// [`SyncError::NoRun`] when there is none, and [`SyncError::Selection`] when it selects what is not published any more.
    pub async fn resume(
        publisher: Publisher,
        rows: Arc<dyn PublishedRows>,
        database: Arc<dyn Database>,
        which: Option<Uuid>,
        settings: SyncSettings,
    ) -> Result<Self, SyncError> {
        let unfinished =
            Cursor::unfinished(database.as_ref(), Kind::Publish).await.map_err(SyncError::Cursor)?;
        let cursor = unfinished.into_iter().find(|cursor| which.is_none_or(|run| run == cursor.run));
        let Some(cursor) = cursor else { return Err(SyncError::NoRun { run: which }) };
        Self::of(publisher, rows, database, cursor, settings).await
    }

    /// The run that a cursor is of.
    pub(crate) async fn of(
        publisher: Publisher,
        rows: Arc<dyn PublishedRows>,
        database: Arc<dyn Database>,
        cursor: Cursor,
        settings: SyncSettings,
    ) -> Result<Self, SyncError> {
        let settings = SyncSettings { only_to: cursor.position.only_to.clone(), ..settings };
        let parse = |text: &String| Selection::parse(text, rows.models(), database.dialect());
        let selections = cursor.position.selections.iter().map(parse).collect::<Result<Vec<_>, _>>()?;
        Self::with(publisher, rows, database, selections, cursor, settings).await
    }

    async fn with(
        publisher: Publisher,
        rows: Arc<dyn PublishedRows>,
        database: Arc<dyn Database>,
        selections: Vec<Selection>,
        cursor: Cursor,
        settings: SyncSettings,
    ) -> Result<Self, SyncError> {
        let totals = count_all(rows.as_ref(), &selections).await?;
        let run = Self { publisher, rows, database, settings, selections, totals, cursor };
        steadily(|| run.check_receiver()).await?;
        Ok(run)
    }

    /// What it publishes, in order.
    pub fn selections(&self) -> &[Selection] {
        &self.selections
    }

    /// How far it is.
    pub fn cursor(&self) -> &Cursor {
        &self.cursor
    }

    /// How many rows each selection had in the beginning.
    pub fn totals(&self) -> &[u64] {
        &self.totals
    }

    /// Publishes what is left, and says so now and then. While a server is away it waits.
    ///
    /// It may be dropped at any moment: then [`save`](Self::save) keeps how far it came.
    ///
    /// # Errors
    /// [`SyncError`], but for servers that are away.
    pub async fn run(&mut self, told: &mut (dyn FnMut(Progress) + Send)) -> Result<(), SyncError> {
        while let Some(selection) = self.selections.get(self.cursor.position.at) {
            let sender = Sender {
                app: self.publisher.app().to_owned(),
                host: self.publisher.host().map(str::to_owned),
                only_to: self.settings.only_to.clone(),
            };
            let chunks =
                Chunks { publisher: &self.publisher, rows: self.rows.as_ref(), selection, sender: &sender };
            let place = self.cursor.position.at;
            let marker = Marker {
                publisher: &self.publisher,
                kind: self.cursor.kind,
                run: self.cursor.run,
                endpoint: &self.rows.models()[selection.model].endpoint,
                only_to: self.settings.only_to.as_deref(),
            };
            let rows_in_all = self.totals[place];
            marker.under_way(rows_in_all, self.cursor.position.sent[place]).await?;
            let after = self.cursor.position.after.clone();
            let (latest, told_of) = watch::channel(self.cursor.position.clone());
            let keeping = keep(self.database.as_ref(), self.cursor.clone(), told_of, &marker, rows_in_all);
            let mut chunks = std::pin::pin!(published(&chunks, &self.settings, after));
            let cursor = &mut self.cursor;
            let sending = async {
                while let Some(Sent { last, rows }) = chunks.try_next().await? {
                    let position = &mut cursor.position;
                    position.after = Some(last);
                    position.sent[place] += rows;
                    told(Progress { selection: place, sent: position.sent[place], done: false });
                    latest.send_replace(position.clone());
                }
                Ok::<(), SyncError>(())
            };
            // Both at once: a chunk that nobody polls may hold a lock or the connection that keeping the cursor waits for.
            tokio::select! {
                sent = sending => sent?,
                failed = keeping => return Err(failed),
            }
            // Behind all rows, which are confirmed.
            marker.done(self.cursor.position.sent[place]).await?;
            let position = &mut self.cursor.position;
            told(Progress { selection: position.at, sent: position.sent[position.at], done: true });
            (position.at, position.after) = (position.at + 1, None);
            save(self.database.as_ref(), &self.cursor).await?;
        }
        let forget = || async { self.cursor.end(self.database.as_ref()).await.map_err(SyncError::Cursor) };
        steadily(forget).await
    }

    /// Keeps how far it came, to be resumed.
    ///
    /// # Errors
    /// When the database is away: then it goes on from a moment before.
    pub async fn save(&self) -> Result<(), SyncError> {
        self.cursor.save(self.database.as_ref()).await.map_err(SyncError::Cursor)
    }

    async fn check_receiver(&self) -> Result<(), SyncError> {
        let Some(app) = &self.settings.only_to else { return Ok(()) };
        match self.publisher.depth_of(app).await? {
            Some(_) => Ok(()),
            None => Err(SyncError::NoQueue { app: app.clone(), queue: crate::broker::Queue::of(app).name() }),
        }
    }
}

async fn count_all(rows: &dyn PublishedRows, selections: &[Selection]) -> Result<Vec<u64>, SyncError> {
    let mut counts = Vec::with_capacity(selections.len());
    for selection in selections {
        counts.push(steadily(|| count(rows, selection)).await?);
    }
    Ok(counts)
}

async fn count(rows: &dyn PublishedRows, selection: &Selection) -> Result<u64, SyncError> {
    let count = rows.count(selection.model, selection.condition.as_ref()).await;
    count.map_err(|source| SyncError::Rows { selection: selection.to_string(), source })
}

/// A chunk that was sent.
struct Sent {
    /// The id of its last row.
    last: String,
    /// How many rows it had.
    rows: u64,
}

/// Publishes chunk after chunk, several at a time; answers in the order of the table.
fn published<'a>(
    chunks: &'a Chunks<'a>,
    settings: &'a SyncSettings,
    after: Option<String>,
) -> impl futures_util::Stream<Item = Result<Sent, SyncError>> + 'a {
    let begun = (after, Instant::now());
    let ids = stream::try_unfold(begun, move |(after, due): (Option<String>, Instant)| async move {
        tokio::time::sleep_until(due).await;
        let ids = steadily(|| chunks.ids_after(after.as_deref(), settings.chunk)).await?;
        let Some(last) = ids.last().cloned() else { return Ok(None) };
        // No sooner than the rate allows, and what was missed is not made up for.
        let pause = settings.rate.map_or(0.0, |rate| ids.len() as f64 / f64::from(rate.max(1)));
        let due = due.max(Instant::now() - Duration::from_secs(1)) + Duration::from_secs_f64(pause);
        Ok(Some(((last.clone(), ids), (Some(last), due))))
    });
    let publish = move |(last, ids): (String, Vec<String>)| async move {
        let rows = steadily(|| chunks.publish(ids.clone())).await?;
        Ok(Sent { last, rows })
    };
    ids.map_ok(publish).try_buffered(settings.parallel.max(1))
}

/// Keeps how far a run has come, now and then, and tells whoever has asked for it; ends only when that cannot be done.
async fn keep(
    database: &dyn Database,
    mut cursor: Cursor,
    mut latest: watch::Receiver<Position>,
    marker: &Marker<'_>,
    rows_in_all: u64,
) -> SyncError {
    loop {
        tokio::time::sleep(SAVE_EVERY).await;
        if latest.changed().await.is_err() {
            // All is sent.
            return std::future::pending().await;
        }
        cursor.position = latest.borrow_and_update().clone();
        let sent = cursor.position.sent.get(cursor.position.at).copied().unwrap_or_default();
        let kept = async {
            save(database, &cursor).await?;
            marker.under_way(rows_in_all, sent).await
        };
        if let Err(error) = kept.await {
            return error;
        }
    }
}

async fn save(database: &dyn Database, cursor: &Cursor) -> Result<(), SyncError> {
    steadily(|| async { cursor.save(database).await.map_err(SyncError::Cursor) }).await
}

/// Does it until no server is away. Doing it again is harmless: what arrives twice is applied once more, or skipped.
pub(crate) async fn steadily<T, F: Future<Output = Result<T, SyncError>>>(
    work: impl Fn() -> F,
) -> Result<T, SyncError> {
    let mut failures = 0;
    loop {
        match work().await {
            Err(error) if error.is_transient() => {
                failures += 1;
                if failures == 1 {
                    tracing::warn!(error = %chain(&error), "a server is away; trying again");
                }
                tokio::time::sleep(BACKOFF.pause(failures)).await;
            }
            other => return other,
        }
    }
}
