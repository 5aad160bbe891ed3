//! Tests of the whole: conformance, end to end, faults. One program, so that it is linked once.

mod adapter;
mod apps;
mod brokers;
mod column_types;
mod commands;
mod conduct;
mod conformance;
mod consumer_timeout;
mod core_tables;
mod dead_letters;
mod doctor;
mod harness;
mod health;
mod limits;
mod losses;
mod observed;
mod parking;
mod permissions;
mod replica;
mod secrets;
mod syncs;
mod tls;
mod unseen;
mod version_stores;
mod wire_format;
mod wire_texts;
