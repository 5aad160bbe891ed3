//! Some ids of a table: **(a) their versions, (b) then their rows, (c) and again those that were being written**, or were written between (a) and
//! another look at their versions after (b): so a row is sent as it was at its version, and no subscriber sees it go back.
//!
//! A version is bumped only together with its lock, which is released after COMMIT. So a row that is read after its version was, and was not
//! locked then, is at least as new as that version.
//!
//! That is not enough where the version store lost its data: a write of the generation before may be in flight, and the store has forgotten its
//! lock. Its message will have an older version than ours, and subscribers would skip it. But as long as it is in flight it holds the row's lock
//! in the database, and once something was written with a version of this generation it is over. So **a row whose version nobody has written
//! with is only sent when nobody is writing it**.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use super::messages::{Sender, Versioned, messages};
use super::{PublishedRows, Selection, Stretch, SyncError, SyncRow};
use crate::broker::Publication;
use crate::key::Key;
use crate::publisher::Publisher;
use crate::version_store::KeyVersion;

/// How long a row may be in the hands of writers. A dead one's lock is gone after its deadline, 30 s.
const PATIENCE: Duration = Duration::from_secs(120);

/// At so many looks a row is sent only if nobody has written it between the two looks at its version. A row that somebody writes all the time is
/// sent all the same: it is at least as new as its version, and whoever has it may see it go back for a moment, until what was written in between has come.
const EXACT_LOOKS: u32 = 6;

/// Rows that are read at a time where that locks them: whoever wants to write one of them waits until the last one has been read.
const LOCKED_AT_ONCE: usize = 200;

/// The first pause before rows are looked at again, and the longest.
const PAUSES: [Duration; 2] = [Duration::from_millis(10), Duration::from_secs(1)];

/// Reads and sends the rows of one selection.
pub(super) struct Chunks<'a> {
    /// Versions come from it, and messages go through it.
    pub(super) publisher: &'a Publisher,
    /// The rows.
    pub(super) rows: &'a dyn PublishedRows,
    /// Which of them.
    pub(super) selection: &'a Selection,
    /// Who sends.
    pub(super) sender: &'a Sender,
}

/// What one look at some ids found.
struct Look {
    /// The generation of all versions in it.
    generation: u64,
    /// What can be sent.
    rows: Vec<Versioned>,
    /// Ids of rows that are being written.
    in_flight: Vec<String>,
}

impl Chunks<'_> {
    /// Sends the rows of these ids, which come one after the other in the table; answers with how many there were.
    pub(super) async fn publish(&self, mut ids: Vec<String>) -> Result<u64, SyncError> {
        let (begun, mut pause) = (Instant::now(), PAUSES[0]);
        let (mut sent, mut looks) = (0, 0);
        loop {
            looks += 1;
            let look = self.look(&ids, looks <= EXACT_LOOKS).await?;
            sent += look.rows.len() as u64;
            self.send(look.generation, look.rows).await?;
            if look.in_flight.is_empty() {
                return Ok(sent);
            }
            if begun.elapsed() > PATIENCE {
                let (selection, rows) = (self.selection.to_string(), look.in_flight.len());
                return Err(SyncError::Busy { selection, rows, waited: begun.elapsed() });
            }
            ids = look.in_flight;
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSES[1]);
        }
    }

    /// The next ids of the selection.
    pub(super) async fn ids_after(
        &self,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<String>, SyncError> {
        let Selection { model, condition, .. } = self.selection;
        let ids = self.rows.ids_after(*model, condition.as_ref(), after, limit.max(1)).await;
        ids.map_err(|source| SyncError::Rows { selection: self.selection.to_string(), source })
    }

    async fn look(&self, ids: &[String], exactly: bool) -> Result<Look, SyncError> {
        let (Some(first), Some(last)) = (ids.first(), ids.last()) else {
            return Ok(Look { generation: 0, rows: Vec::new(), in_flight: Vec::new() });
        };
        let endpoint = &self.rows.models()[self.selection.model].endpoint;
        let keys = ids.iter().map(|id| Key::new(endpoint, id)).collect::<Result<Vec<_>, _>>();
        let keys = keys.map_err(|error| SyncError::Unsendable(error.to_string()))?;
        // (a)
        let (generation, versions) = self.publisher.versions_of(&keys).await?;
        fail::fail_point!("after_versions_of");
        // (b)
        let stretch = Stretch { first, last };
        let unlocked = match versions.iter().any(|version| !version.locked && version.unwritten) {
            true => Some(self.read_unless_written(ids).await?),
            false => None,
        };
        let all_there = unlocked.as_ref().is_some_and(|rows| are_all_there(ids, rows));
        let committed = if all_there { Vec::new() } else { self.read(stretch, false).await? };
        let versions = match exactly {
            true => settled((generation, versions), self.publisher.versions_of(&keys).await?),
            false => versions,
        };
        let seen =
            keys.into_iter().zip(versions).zip(ids).map(|((key, version), id)| (key, version, id.clone()));
        let (rows, in_flight) = sort(seen, unlocked.unwrap_or_default(), committed);
        Ok(Look { generation, rows, in_flight })
    }

    async fn read_unless_written(&self, ids: &[String]) -> Result<Vec<SyncRow>, SyncError> {
        let mut rows = Vec::with_capacity(ids.len());
        for some in ids.chunks(LOCKED_AT_ONCE) {
            let (Some(first), Some(last)) = (some.first(), some.last()) else { continue };
            rows.extend(self.read(Stretch { first, last }, true).await?);
        }
        Ok(rows)
    }

    async fn read(&self, stretch: Stretch<'_>, unless_written: bool) -> Result<Vec<SyncRow>, SyncError> {
        let condition = self.selection.condition.as_ref();
        let read = self.rows.read(self.selection.model, condition, stretch, unless_written).await;
        read.map_err(|source| SyncError::Rows { selection: self.selection.to_string(), source })
    }

    async fn send(&self, generation: u64, rows: Vec<Versioned>) -> Result<(), SyncError> {
        let model = &self.rows.models()[self.selection.model];
        let publications: Vec<Publication> =
            messages(self.sender, model, generation, rows).map_err(SyncError::Unsendable)?;
        if publications.is_empty() {
            return Ok(());
        }
        Ok(self.publisher.send(publications).await?)
    }
}

/// The versions of before the rows were read; who was written since counts as being written. Pure.
pub(crate) fn settled(before: (u64, Vec<KeyVersion>), after: (u64, Vec<KeyVersion>)) -> Vec<KeyVersion> {
    let same_generation = before.0 == after.0;
    let pairs = before.1.into_iter().zip(after.1);
    pairs
        .map(|(before, after)| {
            let is_settled = same_generation && before.version == after.version && !after.locked;
            KeyVersion { locked: before.locked || !is_settled, ..before }
        })
        .collect()
}

/// Whether each of these rows was read. Their number does not tell: others may have come in between.
fn are_all_there(ids: &[String], rows: &[SyncRow]) -> bool {
    let read: HashSet<&str> = rows.iter().map(|row| row.id.as_str()).collect();
    ids.iter().all(|id| read.contains(id.as_str()))
}

/// What can be sent, and the ids of what is being written. Pure.
///
/// `unlocked` are the rows that nobody was writing when they were read, `committed` are the rows as they were committed, read after those. Ids
/// that are in neither are gone, and whoever deleted them says so.
fn sort(
    seen: impl Iterator<Item = (Key, KeyVersion, String)>,
    unlocked: Vec<SyncRow>,
    committed: Vec<SyncRow>,
) -> (Vec<Versioned>, Vec<String>) {
    let still_there: HashSet<String> = committed.iter().map(|row| row.id.clone()).collect();
    let by_id = |rows: Vec<SyncRow>| -> HashMap<String, SyncRow> {
        rows.into_iter().map(|row| (row.id.clone(), row)).collect()
    };
    let (mut unlocked, mut committed) = (by_id(unlocked), by_id(committed));
    let (mut rows, mut in_flight) = (Vec::new(), Vec::new());
    for (key, KeyVersion { version, locked, unwritten }, id) in seen {
        let row = match (locked, unwritten) {
            (true, _) => None,
            (false, true) => unlocked.remove(&id),
            (false, false) => unlocked.remove(&id).or_else(|| committed.remove(&id)),
        };
        match row {
            Some(row) => rows.push(Versioned { key, version, unwritten, row }),
            None if locked || still_there.contains(&id) => in_flight.push(id),
            None => {}
        }
    }
    (rows, in_flight)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::Endpoint;

    fn row(id: &str, name: &str) -> SyncRow {
        SyncRow { id: id.into(), attributes: [("name".to_owned(), name.into())].into_iter().collect() }
    }

    /// What is sent (id and name) and what is looked at again, of objects (id, locked, unwritten).
    fn sorted(
        seen: &[(&str, bool, bool)],
        unlocked: Vec<SyncRow>,
        committed: Vec<SyncRow>,
    ) -> (Vec<String>, Vec<String>) {
        let endpoint = Endpoint::parse("shop/user").unwrap();
        let seen = seen.iter().map(|&(id, locked, unwritten)| {
            let version = KeyVersion { version: 1, locked, unwritten };
            (Key::new(&endpoint, id).unwrap(), version, id.to_owned())
        });
        let (rows, in_flight) = sort(seen, unlocked, committed);
        let said = rows.iter().map(|sent| {
            assert_eq!(sent.key.as_str(), format!("shop/user/{}", sent.row.id));
            format!("{} {}", sent.row.id, sent.row.attributes["name"].as_str().unwrap())
        });
        (said.collect(), in_flight)
    }

    #[test]
    fn a_row_that_was_created_in_between_does_not_stand_for_one_that_is_missing() {
        let ids = ["1", "3"].map(str::to_owned);
        let read = |ids: &[&str]| ids.iter().map(|id| row(id, "joe")).collect::<Vec<_>>();
        assert!(are_all_there(&ids, &read(&["1", "2", "3"])));
        assert!(!are_all_there(&ids, &read(&["1", "2"])));
    }

    #[test]
    fn a_row_that_was_written_between_the_two_looks_at_its_version_is_looked_at_again() {
        let version = |version, locked| KeyVersion { version, locked, unwritten: false };
        let before = vec![version(1, false), version(2, false), version(3, false), version(4, true)];
        let after = vec![version(1, false), version(9, false), version(3, true), version(4, false)];
        let locked = |versions: Vec<KeyVersion>| versions.iter().map(|one| one.locked).collect::<Vec<_>>();
        assert_eq!(locked(settled((1, before.clone()), (1, after.clone()))), [false, true, true, true]);
        assert_eq!(locked(settled((1, before), (2, after))), [true; 4]);
    }

    #[test]
    fn an_object_that_is_locked_waits_and_one_that_is_gone_does_not() {
        let (sent, again) = sorted(
            &[("1", false, false), ("2", true, false), ("3", false, false), ("4", true, true)],
            Vec::new(),
            vec![row("1", "joe"), row("2", "ann"), row("5", "new since")],
        );
        assert_eq!(sent, ["1 joe"]);
        // Perhaps it is being destroyed: the next look tells.
        assert_eq!(again, ["2", "4"]);
    }

    #[test]
    fn where_nothing_was_written_in_this_generation_a_writer_in_flight_is_waited_for() {
        let (sent, again) = sorted(
            &[("1", false, true), ("2", false, true), ("3", false, true), ("4", false, false)],
            vec![row("1", "as nobody changes it")],
            vec![row("1", "another read"), row("2", "before somebody's change"), row("4", "committed")],
        );
        assert_eq!(sent, ["1 as nobody changes it", "4 committed"]);
        assert_eq!(again, ["2"]);
    }
}
