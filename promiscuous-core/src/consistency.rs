//! How much order a subscription asks for.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;

/// How much order a subscription asks for. docs/guarantees.md says what each of them promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Consistency {
    /// Causes first, and exact states.
    #[default]
    Causal,
    /// No waiting; of each object only newer versions are applied.
    Weak,
    /// All messages of the publishing app one after the other, in one order. The publisher must take part in it: see
    /// [`PublisherSettings::total_order`](crate::publisher::PublisherSettings::total_order).
    Global,
    /// Development only: everything in order of arrival, errors swallowed. Not to be had for a single subscription: see `--bareback`.
    #[serde(skip)]
    None,
}

impl Consistency {
    /// Whether messages wait for anything.
    pub fn is_ordered(self) -> bool {
        matches!(self, Self::Causal | Self::Global)
    }
}

impl FromStr for Consistency {
    type Err = UnknownConsistency;

    fn from_str(text: &str) -> Result<Self, UnknownConsistency> {
        match text {
            "causal" => Ok(Self::Causal),
            "weak" => Ok(Self::Weak),
            "global" => Ok(Self::Global),
            _ => Err(UnknownConsistency),
        }
    }
}

impl fmt::Display for Consistency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Causal => "causal",
            Self::Weak => "weak",
            Self::Global => "global",
            Self::None => "none",
        })
    }
}

/// None of the words for a consistency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("write `causal`, `weak` or `global`")]
pub struct UnknownConsistency;
