//! A run that tells how far it is.

use std::fmt;
use std::sync::mpsc::Sender;

use promiscuous_core::blocking::Bridge;
use promiscuous_core::sync::{Progress, Run, SyncError};
use uuid::Uuid;

use super::stopped;

/// Rows that are published again, once it runs. From [`promiscuous_sync_run`](super::PromiscuousSync::promiscuous_sync_run).
///
/// How far it is stays in the table `promiscuous_sync` until all of it is sent: what was not run, or not to its end, is what
/// `promiscuous publish --resume` goes on with.
#[must_use = "a run sends nothing before `run`"]
pub struct SyncRun {
    run: Run,
    /// The thread on which it runs.
    bridge: Bridge,
}

impl SyncRun {
    pub(crate) fn new(run: Run, bridge: Bridge) -> Self {
        Self { run, bridge }
    }

    #[cfg(feature = "async")]
    pub(crate) fn into_parts(self) -> (Run, Bridge) {
        (self.run, self.bridge)
    }

    /// How many rows there were when it was made.
    pub fn total(&self) -> u64 {
        self.run.totals().iter().sum()
    }

    /// Its name for `promiscuous publish --resume`.
    pub fn id(&self) -> Uuid {
        self.run.cursor().run
    }

    /// Sends the rows, and says so now and then, on the caller's thread; answers with how many were sent. While a server is away it waits.
    ///
    /// # Errors
    /// [`SyncError`], but for servers that are away.
    pub fn run(self, mut told: impl FnMut(Progress)) -> Result<u64, SyncError> {
        let Self { mut run, bridge } = self;
        let mut sent = 0;
        let work = |progresses: Sender<Progress>| async move {
            let mut tell = |progress| {
                // Whoever hears it waits for this to end.
                let _ = progresses.send(progress);
            };
            run.run(&mut tell).await
        };
        let hear = |progress: Progress| {
            sent = progress.sent;
            told(progress);
        };
        bridge.listen(work, hear).map_err(stopped)??;
        Ok(sent)
    }
}

impl fmt::Debug for SyncRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SyncRun")
            .field("id", &self.id())
            .field("total", &self.total())
            .finish_non_exhaustive()
    }
}
