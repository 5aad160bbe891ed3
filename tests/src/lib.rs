//! The harness: private servers and helpers for tests and benchmarks.
