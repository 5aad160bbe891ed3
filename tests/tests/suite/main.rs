//! Tests of the whole: conformance, end to end, faults. One program, so that it is linked once.

mod adapter;
mod apps;
mod brokers;
mod causal;
mod column_types;
mod conduct;
mod core_tables;
mod deaths;
mod dependencies;
mod fates;
mod harness;
mod keys;
mod partial;
mod replica;
mod unseen;
mod version_stores;
mod wire_format;
mod wire_texts;
