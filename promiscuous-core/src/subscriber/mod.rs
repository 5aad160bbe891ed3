//! The subscribing side (section 7 of the protocol).
//!
//! Layout, in the order of the steps:
//!
//! * [`Subscriber`]: binds the queue, and runs until it is told to stop
//! * `worker`: the loop that receives, loads, schedules, applies, retries and stops
//! * [`scheduler`]: decides, purely, which message may be applied now
//! * `blocked`: what ends the waiting for a cause that does not come
//! * `batch`: loads what is known of keys, and applies a batch to its end
//! * `applier`: many messages in one database transaction
//! * `versions`: `promiscuous_versions`, the truth about what was applied
//! * `parking`: messages that wait leave memory, and come back
//! * `parked`: `promiscuous_parked`, where they are meanwhile
//! * `dying`: what cannot be applied goes to the dead letters
//! * `pulse`: what it says of itself
//! * `binding`: the queue's bindings and since when they hold
//! * `states`: whether rows are on their way, and then: whether they have come

mod applier;
pub(crate) mod backoff;
mod batch;
pub(crate) mod binding;
mod blocked;
mod dying;
mod handle;
mod held;
pub(crate) mod parked;
mod parking;
mod pulse;
pub mod scheduler;
mod settings;
mod states;
pub(crate) mod versions;
mod worker;

pub use handle::Subscriber;
pub use settings::{OnDead, Status, SubscriberSettings, UnknownOnDead};
