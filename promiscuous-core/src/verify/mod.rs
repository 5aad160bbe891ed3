//! Comparing a subscriber's rows with those of its publishers while everybody goes on writing: what `promiscuous verify` does.
//!
//! * [`SubscribedRows`]: reading the subscriber's rows, by the adapter
//! * [`Question`], [`Answer`]: what both sides tell each other; `asking`, `answering`: the two sides
//! * `checksum`: by which equal rows are passed over (pure)
//! * `verdict`: whether a row differs, or a write is on its way (pure)
//! * [`Verification`]: one comparison; `settling`: rows in doubt are looked at until there is none

mod answering;
mod asking;
mod checksum;
mod error;
mod rows;
mod run;
mod settling;
mod talk;
mod verdict;

pub(crate) use answering::Answering;
pub(crate) use asking::answers_to;
pub use error::VerifyError;
pub use rows::{Comparison, SubscribedRows};
pub use run::{Difference, Event, Verification, VerifySettings};
pub use talk::{Answer, Published, Question, Shown};
pub use verdict::Kind;
