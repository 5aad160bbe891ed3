//! Tests of the whole: conformance, end to end, faults. One program, so that it is linked once.

mod apps;
mod brokers;
mod causal;
mod conduct;
mod deaths;
mod dependencies;
mod fates;
mod harness;
mod partial;
mod version_stores;
