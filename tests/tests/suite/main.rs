//! Tests of the whole: conformance, end to end, faults. One program, so that it is linked once.

mod brokers;
mod harness;
mod version_stores;
