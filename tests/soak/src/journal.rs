//! What a writer says it is about to write, and what became of it: one line on stdout before, one after.
//!
//! `> 17 1763690000122871 user 4 2` announces the 17th write at that time in microseconds; `+ 17 1763690000125000` says that it was
//! acknowledged, `- 17 1763690000125000 why` that it failed. After a death there is no second line.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

/// One unit of work of a writer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Write {
    /// The user is saved at this revision.
    User { id: i64, revision: i64 },
    /// A message of that user, who is read first.
    Message { id: i64, user: i64 },
    /// About that message, which is read first.
    Comment { message: i64 },
    /// Adds one, in one statement.
    Increment { counter: i64 },
    /// Adds one, in a transaction that locks the row first.
    IncrementAfterReading { counter: i64 },
    /// Adds one to both, in a transaction.
    IncrementBoth { counters: [i64; 2] },
    /// Adds one, and rolls back.
    RollBack { counter: i64 },
    /// A counter at 0.
    Create { counter: i64 },
    /// A counter that nobody else knows goes.
    Destroy { counter: i64 },
    /// A friendship begins.
    Befriend { id: i64 },
    /// It ends, and then a photo of the same number is posted.
    EndAndPost { id: i64 },
}

/// What a write is to have changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum Effect {
    User { id: i64, revision: i64 },
    Message { id: i64 },
    Comment { id: i64 },
    Incremented { counter: i64 },
    Created { counter: i64 },
    Destroyed { counter: i64 },
    Befriended { id: i64 },
    Ended { id: i64 },
    Posted { id: i64 },
}

impl Write {
    /// What it is to have changed when it was acknowledged.
    pub fn effects(self) -> Vec<Effect> {
        match self {
            Write::User { id, revision } => vec![Effect::User { id, revision }],
            Write::Message { id, .. } => vec![Effect::Message { id }],
            Write::Comment { message } => vec![Effect::Comment { id: message }],
            Write::Increment { counter } | Write::IncrementAfterReading { counter } => {
                vec![Effect::Incremented { counter }]
            }
            Write::IncrementBoth { counters } => {
                counters.map(|counter| Effect::Incremented { counter }).to_vec()
            }
            Write::RollBack { .. } => Vec::new(),
            Write::Create { counter } => vec![Effect::Created { counter }],
            Write::Destroy { counter } => vec![Effect::Destroyed { counter }],
            Write::Befriend { id } => vec![Effect::Befriended { id }],
            Write::EndAndPost { id } => vec![Effect::Ended { id }, Effect::Posted { id }],
        }
    }
}

impl fmt::Display for Write {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Write::User { id, revision } => write!(f, "user {id} {revision}"),
            Write::Message { id, user } => write!(f, "message {id} {user}"),
            Write::Comment { message } => write!(f, "comment {message} 0"),
            Write::Increment { counter } => write!(f, "increment {counter} 0"),
            Write::IncrementAfterReading { counter } => write!(f, "increment-after-reading {counter} 0"),
            Write::IncrementBoth { counters: [first, second] } => {
                write!(f, "increment-both {first} {second}")
            }
            Write::RollBack { counter } => write!(f, "roll-back {counter} 0"),
            Write::Create { counter } => write!(f, "create {counter} 0"),
            Write::Destroy { counter } => write!(f, "destroy {counter} 0"),
            Write::Befriend { id } => write!(f, "befriend {id} 0"),
            Write::EndAndPost { id } => write!(f, "end-and-post {id} 0"),
        }
    }
}

impl FromStr for Write {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts: Vec<&str> = text.split(' ').collect();
        let [what, first, second] = parts.as_slice() else { return Err(format!("{text:?} is no write")) };
        let number = |text: &str| text.parse::<i64>().map_err(|error| format!("{text:?}: {error}"));
        let (id, second) = (number(first)?, number(second)?);
        Ok(match *what {
            "user" => Write::User { id, revision: second },
            "message" => Write::Message { id, user: second },
            "comment" => Write::Comment { message: id },
            "increment" => Write::Increment { counter: id },
            "increment-after-reading" => Write::IncrementAfterReading { counter: id },
            "increment-both" => Write::IncrementBoth { counters: [id, second] },
            "roll-back" => Write::RollBack { counter: id },
            "create" => Write::Create { counter: id },
            "destroy" => Write::Destroy { counter: id },
            "befriend" => Write::Befriend { id },
            "end-and-post" => Write::EndAndPost { id },
            other => return Err(format!("{other:?} is no kind of write")),
        })
    }
}

/// What became of a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Its writer was told that it is committed.
    Acknowledged,
    /// Its writer was told that it failed. It may have been committed all the same, where the answer to COMMIT was lost.
    Failed,
    /// Its writer died before it was told.
    Unknown,
}

/// A write that was attempted.
#[derive(Clone, Debug)]
pub struct Entry {
    /// What.
    pub write: Write,
    /// When it began, in microseconds since 1970.
    pub began: u64,
    /// When its outcome was known; when its writer's death was, where it never was.
    pub ended: u64,
    /// What became of it.
    pub fate: Fate,
}

/// Everything that one process has said.
#[derive(Debug, Default)]
pub struct Journal {
    entries: Vec<Entry>,
    by_number: HashMap<u64, usize>,
    /// Why writes failed, and how often.
    pub reasons: HashMap<String, usize>,
}

impl Journal {
    /// Takes a line in; lines that are not of a journal are passed over.
    pub fn line(&mut self, line: &str) {
        let mut parts = line.splitn(4, ' ');
        let (Some(mark), Some(number), Some(at)) = (parts.next(), parts.next(), parts.next()) else { return };
        let (Ok(number), Ok(at)) = (number.parse::<u64>(), at.parse::<u64>()) else { return };
        let rest = parts.next().unwrap_or_default();
        if mark == ">" {
            let write = rest.parse().unwrap_or_else(|error| panic!("a journal with {line:?}: {error}"));
            self.by_number.insert(number, self.entries.len());
            self.entries.push(Entry { write, began: at, ended: u64::MAX, fate: Fate::Unknown });
            return;
        }
        let Some(entry) = self.by_number.get(&number).and_then(|place| self.entries.get_mut(*place)) else {
            return;
        };
        entry.ended = at;
        match mark {
            "+" => entry.fate = Fate::Acknowledged,
            "-" => {
                entry.fate = Fate::Failed;
                let what = entry.write.to_string();
                let what = what.split(' ').next().unwrap_or_default();
                let reason = format!("{what}: {}", rest.chars().take(100).collect::<String>());
                *self.reasons.entry(reason).or_default() += 1;
            }
            _ => {}
        }
    }

    /// The process is gone: what it did not tell before `now`, it never will.
    pub fn close(mut self, now: u64) -> (Vec<Entry>, HashMap<String, usize>) {
        for entry in &mut self.entries {
            entry.ended = entry.ended.min(now);
        }
        (self.entries, self.reasons)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_dead_writer_has_not_told_is_unknown() {
        let mut journal = Journal::default();
        for line in [
            "> 1 10 user 4 0",
            "> 2 11 increment-both 1 2",
            "+ 1 12",
            "noise",
            "> 3 13 destroy 9 0",
            "- 3 14 no",
        ] {
            journal.line(line);
        }
        let (entries, reasons) = journal.close(99);
        let told: Vec<_> = entries.iter().map(|e| (e.write.to_string(), e.fate.clone(), e.ended)).collect();
        assert_eq!(
            told,
            [
                ("user 4 0".to_owned(), Fate::Acknowledged, 12),
                ("increment-both 1 2".to_owned(), Fate::Unknown, 99),
                ("destroy 9 0".to_owned(), Fate::Failed, 14),
            ]
        );
        assert_eq!(reasons.get("destroy: no"), Some(&1));
    }
}
