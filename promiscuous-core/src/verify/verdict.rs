//! Whether a row differs, while everybody goes on writing. Pure.
//!
//! A row that differs is a row whose last write may be on its way. Only time tells: **it is different for good when it differs while both sides have the same version
//! of it**, because versions and rows change together, on either side. Where the subscriber has an older version, it is given time to get the
//! publisher's; where it has got that and there is a newer one, it is given time for that one.

use std::time::{Duration, Instant};

use super::Comparison;
use crate::dependency::Version;

/// A row that has something to be explained.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Candidate {
    /// Whose.
    pub(super) id: String,
    /// When it was first looked at.
    pub(super) first: Instant,
    /// The publisher's version that the subscriber is to reach, and since when.
    awaited: Option<(Option<Version>, Instant)>,
}

/// What one look at a candidate found.
#[derive(Debug, Clone)]
pub(super) struct Look {
    /// The publisher's version, if anything was written with one.
    pub(super) theirs: Option<Version>,
    /// Whether the publisher has a row.
    pub(super) is_there: bool,
    /// The subscriber's version before its row was compared.
    pub(super) before: Version,
    /// And after that.
    pub(super) after: Version,
    /// How the row compares with the publisher's; with no row of it, whether there is one here.
    pub(super) comparison: Comparison,
}

/// How a row differs.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// The publisher has it, the subscriber does not.
    Missing,
    /// The subscriber has it, the publisher does not.
    Extra,
    /// These attributes differ.
    Different(Vec<String>),
}

/// What is to be thought of a candidate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing is wrong.
    Same,
    /// It differs; `late` when the subscriber has not reached the publisher's version either.
    Wrong { kind: Kind, late: bool },
    /// It is written all the time.
    Busy,
    /// Look again.
    Again,
}

/// For how many times its patience a row is looked at that is written again and again.
const BUSY: u32 = 10;

impl Candidate {
    /// One that is looked at from now on.
    pub(super) fn new(id: String, now: Instant) -> Self {
        Self { id, first: now, awaited: None }
    }

    /// Nobody could look at it: the publisher says nothing of what it is writing.
    pub(super) fn unseen(&self, now: Instant, patience: Duration) -> Verdict {
        match now.duration_since(self.first) > patience * BUSY {
            true => Verdict::Busy,
            false => Verdict::Again,
        }
    }

    /// Takes a look in.
    pub(super) fn decide(&mut self, look: Look, now: Instant, patience: Duration) -> Verdict {
        let kind = match (look.is_there, look.comparison) {
            (true, Comparison::Same) | (false, Comparison::Missing) => return Verdict::Same,
            (true, Comparison::Missing) => Kind::Missing,
            (true, Comparison::Different(names)) => Kind::Different(names),
            (false, _) => Kind::Extra,
        };
        if look.before == look.after && look.theirs == Some(look.after) {
            return Verdict::Wrong { kind, late: false };
        }
        let (awaited, since) = *self.awaited.get_or_insert((look.theirs, now));
        let is_reached = awaited.is_none_or(|awaited| look.after >= awaited);
        if is_reached && look.theirs != awaited {
            // It goes on: this is another difference than the one that was waited for.
            self.awaited = Some((look.theirs, now));
        } else if now.duration_since(since) >= patience {
            return Verdict::Wrong { kind, late: !is_reached };
        }
        self.unseen(now, patience)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    fn version(version: u64) -> Version {
        Version::new(1, version)
    }

    fn look(theirs: u64, ours: [u64; 2], comparison: Comparison) -> Look {
        let [before, after] = ours.map(version);
        Look { theirs: Some(version(theirs)), is_there: true, before, after, comparison }
    }

    fn different() -> Comparison {
        Comparison::Different(vec!["name".into()])
    }

    fn wrong(late: bool) -> Verdict {
        Verdict::Wrong { kind: Kind::Different(vec!["name".into()]), late }
    }

    /// What is decided of looks at so many seconds.
    fn decided(looks: Vec<(u64, Look)>) -> Vec<Verdict> {
        let begun = Instant::now();
        let mut candidate = Candidate::new("5".into(), begun);
        let at = |seconds| begun + Duration::from_secs(seconds);
        looks.into_iter().map(|(second, look)| candidate.decide(look, at(second), PATIENCE)).collect()
    }

    #[test]
    fn a_row_that_differs_at_the_same_version_is_wrong_at_once() {
        assert_eq!(decided(vec![(0, look(7, [7, 7], different()))]), [wrong(false)]);
        assert_eq!(decided(vec![(0, look(7, [7, 7], Comparison::Same))]), [Verdict::Same]);
        let missing = Verdict::Wrong { kind: Kind::Missing, late: false };
        assert_eq!(decided(vec![(0, look(7, [7, 7], Comparison::Missing))]), [missing]);
    }

    #[test]
    fn a_row_that_changed_while_it_was_looked_at_is_looked_at_again() {
        assert_eq!(decided(vec![(0, look(7, [5, 7], different()))]), [Verdict::Again]);
    }

    #[test]
    fn a_write_that_is_on_its_way_is_waited_for_and_one_that_does_not_come_is_late() {
        let behind = || look(7, [5, 5], different());
        assert_eq!(
            decided(vec![(0, behind()), (9, behind()), (10, behind())]),
            [Verdict::Again, Verdict::Again, wrong(true)]
        );
    }

    #[test]
    fn a_row_that_is_written_again_and_again_is_not_taken_for_one_that_was_forgotten() {
        // Each time the subscriber has come to what it was to reach, and there is more.
        let looks = (0..30).map(|n| (n * 6, look(20 + n, [19 + n, 19 + n], different()))).collect();
        let verdicts = decided(looks);
        assert!(verdicts[..17].iter().all(|verdict| *verdict == Verdict::Again), "{verdicts:?}");
        assert_eq!(verdicts[29], Verdict::Busy);
    }

    #[test]
    fn what_has_no_version_or_an_older_one_is_wrong_when_it_stays_so() {
        let unwritten = || Look { theirs: None, ..look(0, [5, 5], different()) };
        assert_eq!(decided(vec![(0, unwritten()), (10, unwritten())]), [Verdict::Again, wrong(false)]);
        let ahead = || look(7, [9, 9], different());
        assert_eq!(decided(vec![(0, ahead()), (10, ahead())]), [Verdict::Again, wrong(false)]);
    }

    #[test]
    fn an_object_that_is_gone_must_have_no_row_here() {
        let gone = |comparison| Look { is_there: false, ..look(7, [7, 7], comparison) };
        assert_eq!(decided(vec![(0, gone(Comparison::Missing))]), [Verdict::Same]);
        let extra = Verdict::Wrong { kind: Kind::Extra, late: false };
        assert_eq!(decided(vec![(0, gone(Comparison::Same))]), [extra]);
    }
}
