//! The subscribing side (section 7 of the protocol).
//!
//! Layout, in the order of the steps:
//!
//! * [`worker`]: the loop that receives, loads, schedules, applies, retries and stops
//! * [`scheduler`]: decides, purely, which message may be applied now
//! * `batch`: loads what is known of keys, and applies a batch to its end
//! * `applier`: many messages in one database transaction
//! * `versions`: `promiscuous_versions`, the truth about what was applied
//! * `binding`: the queue's bindings and since when they hold

mod applier;
pub(crate) mod backoff;
mod batch;
mod binding;
pub mod scheduler;
mod versions;
pub mod worker;

pub use worker::{Status, Subscriber, SubscriberSettings};
