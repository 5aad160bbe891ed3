//! The integration suite: one binary, a module for each seam.
#![allow(missing_docs)]

mod brokers;
mod version_stores;
