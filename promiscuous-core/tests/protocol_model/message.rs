//! What goes from the publisher to the subscriber, and what the properties know of how it came to be.

use std::fmt;

use crate::scenario::{KEYS, OPS};

/// `(generation, version)`, compared in this order; (0, 0) when nothing is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Version(pub u8, pub u8);

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

/// What lock-and-bump answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Header {
    /// 0 when nothing is bumped.
    pub generation: u8,
    pub write: [Write; KEYS],
    pub read: [Read; KEYS],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Write {
    /// 0 when the key is not written.
    pub version: u8,
    /// 0 when it starts a chain.
    pub previous: u8,
    /// How many messages of each endpoint have read `previous`.
    pub readers: [u8; KEYS],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Read {
    /// 0 when there is no such dependency.
    pub version: u8,
    /// This read's ordinal for each endpoint of the message.
    pub ordinals: [u8; KEYS],
}

/// An op's message, the real one or its dummy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Message {
    pub op: u8,
    pub dummy: bool,
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of writer {}", if self.dummy { "the dummy" } else { "the message" }, self.op + 1)
    }
}

/// A set of messages. A message that is in a queue twice counts once: taking it and dying leaves it there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Messages(u8);

impl Messages {
    fn bit(message: Message) -> u8 {
        1 << (message.op as usize + if message.dummy { OPS } else { 0 })
    }

    pub fn insert(&mut self, message: Message) {
        self.0 |= Self::bit(message);
    }

    pub fn remove(&mut self, message: Message) {
        self.0 &= !Self::bit(message);
    }

    pub fn contains(self, message: Message) -> bool {
        self.0 & Self::bit(message) != 0
    }

    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub fn iter(self) -> impl Iterator<Item = Message> {
        (0..2 * OPS)
            .map(|n| Message { op: (n % OPS) as u8, dummy: n >= OPS })
            .filter(move |message| self.contains(*message))
    }
}

/// The history of a row: the ops that wrote it in the order of their commits. Its content is the last one's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Row {
    ops: [u8; OPS],
    len: u8,
}

impl Row {
    pub fn push(&mut self, op: usize) {
        self.ops[self.len as usize] = op as u8 + 1;
        self.len += 1;
    }

    /// The content: op + 1, or 0 while nobody has written it.
    pub fn last(&self) -> u8 {
        if self.len == 0 { 0 } else { self.ops[self.len as usize - 1] }
    }

    /// Where in the history a content (op + 1) comes: 0 for none at all, and nothing for one that was never committed.
    pub fn position(&self, content: u8) -> Option<usize> {
        if content == 0 {
            return Some(0);
        }
        self.ops[..self.len as usize].iter().position(|own| *own == content).map(|at| at + 1)
    }

    /// The content before this one.
    pub fn before(&self, content: u8) -> u8 {
        match self.position(content) {
            Some(position) if position > 1 => self.ops[position - 2],
            _ => 0,
        }
    }
}

/// What a publisher at rest has done: all that a subscriber will ever see of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct History {
    /// What was committed.
    pub rows: [Row; KEYS],
    /// What the messages say, by op.
    pub headers: [Header; OPS],
    /// What each writer saw of the keys it read (op + 1).
    pub seen: [[u8; KEYS]; OPS],
    /// What the broker was given.
    pub published: Messages,
    /// The generation in the end.
    pub generation: u8,
}

/// The ways in which a promise can be broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Broken {
    /// Two messages with different content for one version of one key.
    TwoContents,
    /// A message of something that is not committed.
    Uncommitted,
    /// An operation is applied before its cause.
    BeforeItsCause,
    /// An operation is applied while an object it read is in another state.
    NotInThatState,
    /// A replica goes back to an older content.
    Back,
    /// Everything has come to rest, and a replica differs from its original.
    Different,
    /// Everything has come to rest, and a lock is still held.
    Held,
    /// A version that may still be committed has lost its lock: a sync would take the row from before for the row after.
    Unlocked,
    /// Somebody waits for ever: nothing but a fault leads on to a state at rest.
    Stuck,
}
