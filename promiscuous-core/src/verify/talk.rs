//! What a subscriber that compares its rows asks their publisher, and what that answers. Wire form: inside a step of `bootstrap`.
//!
//! The subscriber asks for one thing after the other, so that the publisher keeps nothing of it, and neither of them is flooded.

use serde::{Deserialize, Serialize};

use crate::key::Endpoint;
use crate::operation::Operation;

/// A question, see the module.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "about", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Question {
    /// Which models of these sources are published?
    Models {
        /// As subscriptions name them: `shop/user`, or `*/user`.
        sources: Vec<String>,
    },
    /// What are the checksums of the next rows?
    Checksums {
        /// Whose rows.
        endpoint: Endpoint,
        /// The model, by its name: several may have one endpoint.
        model: String,
        /// Of which attributes.
        attributes: Vec<String>,
        /// The last id of the answer before this one; none is the beginning.
        after: Option<String>,
        /// How many at the most.
        limit: usize,
    },
    /// Which of these objects have no row?
    Missing {
        /// Whose.
        endpoint: Endpoint,
        /// Their ids.
        ids: Vec<String>,
    },
    /// How are these rows, and which version have they?
    Rows {
        /// Whose.
        endpoint: Endpoint,
        /// Their ids.
        ids: Vec<String>,
    },
    /// No question: these rows are to be sent again, into the subscriber's own queue.
    Send {
        /// Whose.
        endpoint: Endpoint,
        /// Their ids.
        ids: Vec<String>,
    },
    /// What this version does not know.
    #[serde(other)]
    Unknown,
}

/// An answer, see the module.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "about", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Answer {
    /// What is published.
    Models {
        /// Those of the sources that were asked for.
        models: Vec<Published>,
    },
    /// The next rows; fewer than were asked for where the table ends.
    Checksums {
        /// Each row's id and the checksum of its attributes.
        objects: Vec<(String, String)>,
    },
    /// What has no row.
    Missing {
        /// Their ids.
        ids: Vec<String>,
    },
    /// Rows as they are at their versions. Those that somebody is writing are left out.
    Rows {
        /// The generation of all versions.
        generation: u64,
        /// Which they are.
        objects: Vec<Shown>,
    },
    /// The rows are on their way.
    Sent {
        /// How many.
        rows: u64,
    },
    /// It cannot be answered.
    Failed {
        /// Why, as a sentence for the subscriber's operators.
        reason: String,
    },
    /// What this version does not know.
    #[serde(other)]
    Unknown,
}

/// A published model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Published {
    /// Where it is published.
    pub endpoint: Endpoint,
    /// Its name.
    pub name: String,
    /// The type and its parents, nearest first.
    pub types: Vec<String>,
    /// How many rows it has.
    pub rows: u64,
}

/// An object at a version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Shown {
    /// The newest version that was written; none where the version store knows of none.
    pub version: Option<u64>,
    /// A sync of it; without attributes where it has no row.
    pub operation: Operation,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_and_answers_of_tomorrow_are_no_poison() {
        let later = r#"{"about":"of tomorrow","with":{"x":1}}"#;
        assert_eq!(serde_json::from_str::<Question>(later).unwrap(), Question::Unknown);
        assert_eq!(serde_json::from_str::<Answer>(later).unwrap(), Answer::Unknown);
    }
}
