//! Whether a row differs, while everybody goes on writing. Pure.
//!
//! A row that differs is a row whose last write may be on its way. Only time tells: **it is different for good when it differs while both sides have the same version
//! of it**, because versions and rows change together, on either side. Where the subscriber has an older version, it is given time to get the
//! publisher's; where it has got that and there is a newer one, it is given time for that one. The publisher's row is held until then, so that there is one
//! moment at which both can be compared.

use std::time::{Duration, Instant};

use super::Comparison;
use crate::dependency::Version;
use crate::operation::Operation;

/// A row that has something to be explained.
#[derive(Debug, Clone)]
pub(super) struct Candidate {
    /// Whose.
    pub(super) id: String,
    /// When it was first looked at.
    pub(super) first: Instant,
    /// The publisher's version that the subscriber is to reach, and since when.
    awaited: Option<(Option<Version>, Instant)>,
    /// The publisher's row, to be compared once the subscriber has come to this version of it.
    held: Option<(Version, Operation)>,
}

/// How far the subscriber is on its way to a version that is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// Not there yet.
    Behind,
    /// It is there.
    Reached,
    /// It has passed it, or takes longer than it may: the publisher is to be asked again.
    Gone,
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
        Self { id, first: now, awaited: None, held: None }
    }

    /// Keeps what the publisher showed at a version.
    pub(super) fn hold(&mut self, version: Version, operation: Operation) {
        self.held = Some((version, operation));
    }

    /// What the publisher showed.
    pub(super) fn held(&self) -> Option<&Operation> {
        self.held.as_ref().map(|(_, operation)| operation)
    }

    /// Whether a version is waited for.
    pub(super) fn is_held(&self) -> bool {
        self.held.is_some()
    }

    /// Forgets it.
    pub(super) fn release(&mut self) {
        self.held = None;
    }

    /// How far the subscriber is, which has this version now.
    pub(super) fn standing(&self, ours: Version, now: Instant, patience: Duration) -> Standing {
        let is_overdue = self.awaited.is_some_and(|(_, since)| now.duration_since(since) >= patience);
        match &self.held {
            Some((version, _)) if ours == *version => Standing::Reached,
            Some((version, _)) if ours < *version && !is_overdue => Standing::Behind,
            _ => Standing::Gone,
        }
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
    fn what_the_publisher_showed_is_held_until_the_subscriber_comes_to_it_or_takes_too_long() {
        let begun = Instant::now();
        let mut candidate = Candidate::new("5".into(), begun);
        let at = |seconds| begun + Duration::from_secs(seconds);
        assert_eq!(candidate.decide(look(7, [4, 4], different()), begun, PATIENCE), Verdict::Again);
        let endpoint = crate::key::Endpoint::parse("shop/user").unwrap();
        let operation = Operation {
            operation: crate::operation::OperationKind::Sync,
            endpoint,
            types: Vec::new(),
            id: "5".into(),
            attributes: None,
        };
        candidate.hold(version(7), operation);
        let standing = |ours, seconds| candidate.standing(version(ours), at(seconds), PATIENCE);
        assert_eq!(standing(6, 9), Standing::Behind);
        assert_eq!(standing(7, 60), Standing::Reached);
        assert_eq!(standing(8, 9), Standing::Gone);
        assert_eq!(standing(6, 10), Standing::Gone);
        // Who is asked then says that it is late.
        assert_eq!(candidate.decide(look(9, [6, 6], different()), at(10), PATIENCE), wrong(true));
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
