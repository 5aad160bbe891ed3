//! Parked messages that are in memory.

use std::collections::BTreeMap;

use crate::subscriber::scheduler::Sequence;

/// Which they are, and how many bytes they have: they may be of any size.
#[derive(Default)]
pub(super) struct Back {
    by_sequence: BTreeMap<Sequence, usize>,
    /// Of all of them.
    bytes: usize,
}

impl Back {
    /// One of so many bytes is in memory.
    pub(super) fn insert(&mut self, sequence: Sequence, bytes: usize) {
        self.bytes += bytes;
        self.bytes -= self.by_sequence.insert(sequence, bytes).unwrap_or(0);
    }

    /// It is no more.
    pub(super) fn remove(&mut self, sequence: Sequence) {
        self.bytes -= self.by_sequence.remove(&sequence).unwrap_or(0);
    }

    pub(super) fn contains(&self, sequence: Sequence) -> bool {
        self.by_sequence.contains_key(&sequence)
    }

    pub(super) fn len(&self) -> usize {
        self.by_sequence.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn sequences(&self) -> impl Iterator<Item = Sequence> {
        self.by_sequence.keys().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn their_bytes_are_those_of_the_ones_that_are_here() {
        let mut back = Back::default();
        back.insert(1, 10);
        back.insert(2, 5);
        back.insert(1, 7);
        assert_eq!((back.len(), back.bytes()), (2, 12));
        back.remove(1);
        back.remove(1);
        assert_eq!((back.len(), back.bytes(), back.contains(1)), (1, 5, false));
        assert_eq!(back.sequences().collect::<Vec<_>>(), [2]);
    }
}
