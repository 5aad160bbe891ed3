//! Versions, and what a message depends on (sections 3 and 4 of the protocol).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::key::{Endpoint, Key};

/// A version of one key: compared by generation first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Version {
    /// Raised whenever the publisher's version store may have lost writes.
    pub generation: u64,
    /// Explicitly chained, starting from the store's clock in microseconds since 1970.
    pub version: u64,
}

impl Version {
    /// A version from its two parts.
    pub fn new(generation: u64, version: u64) -> Self {
        Self { generation, version }
    }
}

/// A key that the message writes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WriteDependency {
    /// The written key.
    pub key: Key,
    /// The version this message makes.
    pub version: u64,
    /// The version this message replaces, of the same generation; none starts a chain.
    pub previous: Option<u64>,
    /// How many messages of each endpoint have read the previous version.
    #[serde(default)]
    pub readers: BTreeMap<Endpoint, u64>,
    /// Whether nothing was ever written with this version: it was made to send the object again, and only those who are sent it know it. So
    /// it is nobody's cause, and nobody waits for it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unwritten: bool,
}

/// A key that was read before the message was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadDependency {
    /// The read key.
    pub key: Key,
    /// The version that was read.
    pub version: u64,
    /// For each endpoint of the message, the how-manieth reader of this version it is, from 1.
    #[serde(default)]
    pub ordinals: BTreeMap<Endpoint, u64>,
}

/// A key of another app that caused the message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExternalDependency {
    /// The other app's key.
    pub key: Key,
    /// The generation of the version that was applied here.
    pub generation: u64,
    /// The version that was applied here.
    pub version: u64,
}

impl ExternalDependency {
    /// Generation and version together.
    pub fn required(&self) -> Version {
        Version::new(self.generation, self.version)
    }
}

/// Everything a message depends on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dependencies {
    /// The written keys; the first belong to the message's operations, in order.
    #[serde(default)]
    pub write: Vec<WriteDependency>,
    /// The read keys.
    #[serde(default)]
    pub read: Vec<ReadDependency>,
    /// Causes from other apps.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub external: Vec<ExternalDependency>,
}
