//! Tests of the whole: conformance, end to end, faults. One program, so that it is linked once.

mod adapter;
mod brokers;
mod column_types;
mod core_tables;
mod harness;
mod keys;
mod replica;
mod version_stores;
mod wire_format;
